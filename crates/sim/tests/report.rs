//! What a failing seed prints. A fleet that follows client-go's rules is what fails here: its leaders
//! go by when an answer came rather than by when they asked.

use clap::Parser as _;
use tenure_sim::{
    invariants,
    plan::{Draw, LockKind, Plan},
    report::{Case, Telling, failed, json, left::Left},
    run::{Depth, run},
};

#[derive(clap::Parser)]
struct Line {
    #[arg(long)]
    replay: u64,
    #[command(flatten)]
    left: Left,
}

fn case(seed: u64) -> Case {
    let others = invariants::names().into_iter();
    Case {
        seed,
        draw: Draw {
            lock: Some(LockKind::Lease),
            client_go: true,
            ..Draw::default()
        },
        depth: Depth::Core,
        blind: others
            .filter(|name| *name != "at-most-one")
            .map(str::to_owned)
            .collect(),
    }
}

/// The first seeds at which two lead.
fn failing() -> impl Iterator<Item = Case> {
    (0..3000).map(case).filter(|case| {
        let plan = Plan::draw(case.seed, &case.draw);
        run(&plan, case.depth, &case.blind, |_, _| {})
            .violation
            .is_some()
    })
}

#[test]
fn the_smallest_run_is_smaller_and_violates_the_same_when_its_command_plays_it() {
    let mut seen = 0;
    for case in failing().take(3) {
        seen += 1;
        let whole = Plan::draw(case.seed, &case.draw);
        let violation = case.record(&whole).violation.unwrap();
        let found = case.minimise(&whole, &violation);
        assert!(found.plan.faults.len() < whole.faults.len().max(1));
        assert!(found.plan.faults_end < whole.faults_end);

        let line = format!("sim --replay {} {}", case.seed, found.left.arguments());
        let read = Line::try_parse_from(line.split(' ')).ok().unwrap();
        assert_eq!((read.replay, &read.left), (case.seed, &found.left));
        let again = case.record(&case.plan(&read.left).unwrap());
        assert_eq!(again.violation, Some(found.violation), "{line}");
    }
    assert_eq!(seen, 3, "client-go's rules let two lead");
}

#[test]
fn a_failing_seed_prints_what_a_person_needs() {
    let case = failing().next().expect("client-go's rules let two lead");
    let svg = std::env::temp_dir().join(format!("tenure-sim-report-{}.svg", std::process::id()));
    let telling = Telling {
        minimise: true,
        svg: Some(svg.clone()),
    };
    let told = failed(&case, &telling);
    let drawn = std::fs::read_to_string(&svg);
    std::fs::remove_file(&svg).unwrap();
    for words in [
        format!("seed {} violates at-most-one at ", case.seed),
        "the smallest run that shows it: ".into(),
        " LEADS".into(),
        "VIOLATED: at-most-one".into(),
        format!("picture:         {}", svg.display()),
        format!(
            "cargo xtask sim --replay {} --lock lease --client-go",
            case.seed
        ),
        " --keep-faults ".into(),
    ] {
        assert!(told.contains(&words), "`{words}` is missing in:\n{told}");
    }
    let drawn = drawn.unwrap();
    for words in ["at-most-one violated at", "the Lease", "may lead at once"] {
        assert!(drawn.contains(words), "`{words}` is missing in:\n{drawn}");
    }
    assert_eq!(told, failed(&case, &telling), "the search goes another way");
    std::fs::remove_file(&svg).unwrap();
}

#[test]
fn a_picture_that_cannot_be_written_keeps_nothing_else_from_being_told() {
    let case = failing().next().expect("client-go's rules let two lead");
    let telling = Telling {
        minimise: false,
        svg: Some("/no/such/directory/a.svg".into()),
    };
    let told = failed(&case, &telling);
    assert!(
        told.contains("cannot write /no/such/directory/a.svg"),
        "{told}"
    );
    assert!(
        told.contains("VIOLATED: at-most-one") && told.contains("--replay"),
        "{told}"
    );
}

#[test]
fn the_result_for_programs_is_one_object() {
    let case = failing().next().expect("client-go's rules let two lead");
    let violation = case.record(&Plan::draw(case.seed, &case.draw)).violation;
    let violation = violation.unwrap();
    let line = json(Depth::Core, 5, 9, &[(7, LockKind::Lease, &violation)]);
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!({
        "depth": "core",
        "first": 5,
        "seeds": 9,
        "violations": [{"seed": 7, "invariant": "at-most-one", "lock": "lease"}],
    });
    assert_eq!(read, expected);
    assert!(!line.contains('\n'));
}
