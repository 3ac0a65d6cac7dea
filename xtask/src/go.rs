//! Go, for the control plane's module.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::places::Places;
use crate::process::{command, output, works};

/// The Go that compiles the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Go {
    /// `GOVERSION GOOS GOARCH`.
    pub(crate) toolchain: String,
    flags: String,
}

/// Why there is no control plane here.
pub(crate) const NO_GO: &str = "Go is not installed (no `go` in PATH)";
const NOT_LINUX: &str = "the control plane runs on Linux only";

/// Go, or why not: an error is a Go that is there and does not work.
pub(crate) fn find(places: &Places) -> Result<std::result::Result<Go, &'static str>> {
    if !cfg!(target_os = "linux") {
        return Ok(Err(NOT_LINUX));
    }
    if !works(&mut command("go", &["version"], &places.root)) {
        return Ok(Err(NO_GO));
    }
    let module = places.control_plane();
    let env = ["env", "GOVERSION", "GOOS", "GOARCH", "GOFLAGS"];
    let answer = output(&mut command("go", &env, &module))?;
    let mut lines = answer.lines();
    let (Some(version), Some(os), Some(arch)) = (lines.next(), lines.next(), lines.next()) else {
        bail!("`go env` answered {answer:?}");
    };
    Ok(Ok(Go {
        toolchain: format!("{version} {os} {arch}"),
        flags: lines.next().unwrap_or_default().to_owned(),
    }))
}

impl Go {
    /// A command of the module's: `go` with the settings of the control plane's build, so that all
    /// share its caches.
    pub(crate) fn command(&self, arguments: &[&str], module: &Path) -> Command {
        let mut command = command("go", arguments, module);
        command.env("CGO_ENABLED", "0").env("GOWORK", "off");
        command.env("GOFLAGS", self.flags_and("-trimpath"));
        command
    }

    /// The flags that hold already, and one more.
    pub(crate) fn flags_and(&self, flag: &str) -> String {
        format!("{} {flag}", self.flags).trim_start().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_hold_already_are_kept() {
        let go = |flags: &str| Go {
            toolchain: String::new(),
            flags: flags.into(),
        };
        assert_eq!(go("").flags_and("-v"), "-v");
        assert_eq!(
            go("-mod=mod -buildvcs=false").flags_and("-v"),
            "-mod=mod -buildvcs=false -v"
        );
    }
}
