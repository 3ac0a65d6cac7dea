//! Everything that must hold.

use anyhow::bail;

use crate::TestArgs;
use crate::places::Places;
use crate::report::Report;
use crate::rust::RealServers;
use crate::{control_plane, deny, go, rules, rust};

/// From the quickest to the slowest, so that what is wrong shows early.
pub(crate) fn run(report: &mut Report, places: &Places, args: &TestArgs) {
    rust::lint(report, places);
    rules::step(report, places, false);
    deny::run(report, places, args.install);
    rust::docs(report, places);
    rust::tests(report, places);
    real(report, places, args);
}

const REAL_TESTS: &str = "tests, real control plane";

/// What of the real part is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// The control plane is built and tested, and the tests run on it, and on a given cluster.
    ControlPlane,
    /// Only on the cluster that was given; the reason is why there is no control plane.
    GivenCluster(String),
    LeftOut(String),
    Impossible(String),
}

fn real(report: &mut Report, places: &Places, args: &TestArgs) {
    if report.failed() {
        report.left_out(REAL_TESTS, "something failed before");
        return;
    }
    let go = match go::find(places) {
        Ok(found) => found.map(drop),
        Err(error) => return report.step("Go", || Err(error)),
    };
    let given = args
        .kubeconfig
        .as_ref()
        .map(|file| std::path::absolute(file).unwrap_or(file.clone()));
    let any_tests = !places.real_tests().is_empty();
    match plan(args, go, any_tests) {
        Plan::ControlPlane => {
            let program = control_plane::step(report, places);
            report.step("control plane, its own tests", || {
                control_plane::check(places)
            });
            let servers = RealServers {
                program: program.as_deref(),
                kubeconfig: given.as_deref(),
            };
            report.step(REAL_TESTS, || rust::real_tests(places, servers));
        }
        Plan::GivenCluster(why) => {
            report.left_out("control plane", why);
            let servers = RealServers {
                program: None,
                kubeconfig: given.as_deref(),
            };
            report.step("tests, given cluster", || rust::real_tests(places, servers));
        }
        Plan::LeftOut(why) => report.left_out(REAL_TESTS, why),
        Plan::Impossible(why) => report.step(REAL_TESTS, || bail!(why)),
    }
}

fn plan(args: &TestArgs, go: Result<(), &str>, any_tests: bool) -> Plan {
    let missing = match go {
        _ if !any_tests => "there is no crates/*/tests/real_*.rs",
        Err(why) => why,
        Ok(()) if args.no_control_plane => "--no-control-plane",
        Ok(()) => return Plan::ControlPlane,
    };
    if args.require_control_plane {
        Plan::Impossible(format!("--require-control-plane, but {missing}"))
    } else if args.kubeconfig.is_some() && any_tests {
        Plan::GivenCluster(missing.to_owned())
    } else {
        Plan::LeftOut(missing.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(require: bool, no: bool, kubeconfig: bool) -> TestArgs {
        TestArgs {
            require_control_plane: require,
            no_control_plane: no,
            kubeconfig: kubeconfig.then(|| "f".into()),
            install: false,
        }
    }

    #[test]
    fn with_go_the_real_control_plane_is_run_unless_it_is_refused() {
        for (require, kubeconfig) in [(false, false), (true, false), (false, true), (true, true)] {
            assert_eq!(
                plan(&args(require, false, kubeconfig), Ok(()), true),
                Plan::ControlPlane
            );
        }
        let refused = plan(&args(false, true, false), Ok(()), true);
        assert_eq!(refused, Plan::LeftOut("--no-control-plane".into()));
    }

    #[test]
    fn without_go_it_is_left_out_with_the_reason_or_fails_where_it_is_required() {
        let plan = |args: &TestArgs| plan(args, Err(go::NO_GO), true);
        assert_eq!(
            plan(&args(false, false, false)),
            Plan::LeftOut(go::NO_GO.into())
        );
        assert_eq!(
            plan(&args(false, false, true)),
            Plan::GivenCluster(go::NO_GO.into())
        );
        for kubeconfig in [false, true] {
            let refused = plan(&args(true, false, kubeconfig));
            assert!(matches!(&refused, Plan::Impossible(why) if why.contains(go::NO_GO)));
        }
    }

    #[test]
    fn a_suite_without_tests_never_counts_as_passed() {
        for kubeconfig in [false, true] {
            let nothing = plan(&args(false, false, kubeconfig), Ok(()), false);
            assert!(matches!(nothing, Plan::LeftOut(_)), "{nothing:?}");
            let required = plan(&args(true, false, kubeconfig), Ok(()), false);
            assert!(matches!(required, Plan::Impossible(_)), "{required:?}");
        }
    }
}
