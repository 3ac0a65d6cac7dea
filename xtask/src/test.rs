//! Everything that must hold.

use std::path::Path;

use anyhow::{Context, bail};

use crate::TestArgs;
use crate::places::Places;
use crate::report::{Report, Verdict};
use crate::rust::RealServer;
use crate::sidecar_api::SidecarApiArgs;
use crate::{control_plane, deny, go, instructions, rules, rust, sidecar_api, sim};

/// From the quickest to the slowest, so that what is wrong shows early.
pub(crate) fn run(report: &mut Report, places: &Places, args: &TestArgs) {
    rust::lint(report, places);
    rules::step(report, places, false);
    deny::run(report, places, args.install);
    rust::docs(report, places);
    rust::tests(report, places);
    let asked = SidecarApiArgs {
        install: args.install,
        program: None,
    };
    sidecar_api::steps(report, places, &asked);
    sim::steps(report, places);
    instructions::step(report, places, false, args.install);
    real(report, places, args);
}

const REAL_TESTS: &str = "tests, real control plane";
const GIVEN_TESTS: &str = "tests, given cluster";

/// What is to be done about the real control plane.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Built, tested, and tested on.
    Run,
    LeftOut(String),
    Impossible(String),
}

fn real(report: &mut Report, places: &Places, args: &TestArgs) {
    if report.failed() {
        return report.left_out(REAL_TESTS, "something failed before");
    }
    let go = match go::find(places) {
        Ok(found) => found.map(drop),
        Err(error) => return report.step("Go", || Err(error)),
    };
    match plan(args, go, !places.real_tests().is_empty()) {
        Plan::Run => {
            let program = control_plane::step(report, places);
            report.step("control plane, its own tests", || {
                control_plane::check(places)
            });
            report.step(REAL_TESTS, || {
                let Some(program) = &program else {
                    bail!("there is no program")
                };
                rust::tests_on(places, RealServer::ControlPlane(program))
            });
        }
        Plan::LeftOut(why) => report.left_out(REAL_TESTS, why),
        Plan::Impossible(why) => report.step(REAL_TESTS, || bail!(why)),
    }
    if let Some(file) = &args.kubeconfig {
        given(report, places, file);
    }
}

fn given(report: &mut Report, places: &Places, file: &Path) {
    report.step(GIVEN_TESTS, || {
        if !places.has_tests_for_a_given_cluster() {
            return Ok(Verdict::LeftOut("no test asks for one".into()));
        }
        let file = std::path::absolute(file).context("where is the kubeconfig?")?;
        rust::tests_on(places, RealServer::Given(&file))
    });
}

fn plan(args: &TestArgs, go: Result<(), &str>, any_tests: bool) -> Plan {
    let missing = match go {
        _ if !any_tests => "there is no crates/*/tests/real_*.rs",
        Err(why) => why,
        Ok(()) if args.no_control_plane => "--no-control-plane",
        Ok(()) => return Plan::Run,
    };
    if args.require_control_plane {
        Plan::Impossible(format!("--require-control-plane, but {missing}"))
    } else {
        Plan::LeftOut(missing.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(require: bool, no: bool) -> TestArgs {
        TestArgs {
            require_control_plane: require,
            no_control_plane: no,
            ..TestArgs::default()
        }
    }

    #[test]
    fn with_go_the_real_control_plane_is_run_unless_it_is_refused() {
        for require in [false, true] {
            assert_eq!(plan(&args(require, false), Ok(()), true), Plan::Run);
        }
        let refused = plan(&args(false, true), Ok(()), true);
        assert_eq!(refused, Plan::LeftOut("--no-control-plane".into()));
    }

    #[test]
    fn without_go_it_is_left_out_with_the_reason_or_fails_where_it_is_required() {
        let left_out = plan(&args(false, false), Err(go::NO_GO), true);
        assert_eq!(left_out, Plan::LeftOut(go::NO_GO.into()));
        let refused = plan(&args(true, false), Err(go::NO_GO), true);
        assert!(matches!(&refused, Plan::Impossible(why) if why.contains(go::NO_GO)));
    }

    #[test]
    fn a_suite_without_tests_never_counts_as_passed() {
        let nothing = plan(&args(false, false), Ok(()), false);
        assert!(matches!(nothing, Plan::LeftOut(_)), "{nothing:?}");
        let required = plan(&args(true, false), Ok(()), false);
        assert!(matches!(required, Plan::Impossible(_)), "{required:?}");
    }
}
