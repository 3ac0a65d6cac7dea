//! demo
pub(crate) mod candidate;
use crate::{failure::Failure, tasks::DemoOptions};
use std::process::ExitCode;
pub(crate) async fn run(_options: DemoOptions) -> Result<ExitCode, Failure> {
    Err(Failure::failed("not yet"))
}
