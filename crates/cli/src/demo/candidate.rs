use crate::failure::Failure;
use std::process::ExitCode;
pub(crate) async fn run() -> Result<ExitCode, Failure> {
    Err(Failure::failed("x"))
}
