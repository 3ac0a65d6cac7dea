//! The demo as a picture: one lane a candidate, on time.

use tenure_timeline::{
    Bar, Event, Key, Kind, Lane, Mark, Overlap, Sign, Span, Timeline, Tone, Verdict,
};

use super::{
    board::{Moment, State, What},
    summary::{Change, Summary},
};

/// The picture as SVG.
pub(crate) fn picture(summary: &Summary, state: &State) -> String {
    tenure_timeline::svg(&timeline(summary, state))
}

fn timeline(summary: &Summary, state: &State) -> Timeline {
    let reigns = summary.reigns.iter().map(|(_, reign)| reign.end);
    let moments = state.moments.iter().map(|moment| moment.at);
    let end = reigns.chain(moments).max().unwrap_or(0);
    let verdict = match summary.overlaps.len() {
        0 => "two leaders at once: never",
        _ => "TWO LEADERS AT ONCE",
    };
    let mut timeline = Timeline::new(state.title.clone(), state.begin, end);
    timeline.spoken_title = format!("An election on the {}", state.title);
    summary
        .to_words()
        .trim()
        .clone_into(&mut timeline.description);
    timeline.verdict = Some(Verdict {
        words: verdict.into(),
        good: summary.overlaps.is_empty(),
    });
    timeline.spans = [
        change(summary.takeover.as_ref(), "takeover", Tone::Bad, 0),
        change(summary.handover.as_ref(), "handover", Tone::Asked, 1),
    ]
    .into_iter()
    .flatten()
    .collect();
    timeline.lanes = (0..state.lanes.len())
        .map(|number| lane(summary, state, number, timeline.end))
        .collect();
    timeline.overlaps = summary
        .overlaps
        .iter()
        .map(|overlap| Overlap {
            from: overlap.begin,
            to: overlap.end,
            title: "two leaders at once".into(),
        })
        .collect();
    timeline.keys = keys();
    timeline
}

/// The time without a leader, with its length above.
fn change(change: Option<&Change>, name: &str, tone: Tone, row: usize) -> Option<Span> {
    let change = change?;
    let gap = change.gap_ms();
    let gap = if gap.abs() < 10.0 {
        format!("{gap:.1}")
    } else {
        format!("{gap:.0}")
    };
    Some(Span {
        from: change.from.end,
        to: change.to.begin.max(change.from.end),
        words: format!("{name} {gap} ms"),
        tone,
        row,
    })
}

fn lane(summary: &Summary, state: &State, number: usize, end: u64) -> Lane {
    let name = state.name_of(number);
    let mut lane = Lane::new(name);
    let mut alive_since = Some(state.begin);
    for moment in moments(state, number) {
        match moment.what {
            What::Killed => {
                if let Some(since) = alive_since.take() {
                    lane.bars.push(Bar::new(Kind::Waits, since, moment.at));
                }
                lane.marks.push(Mark::new(Event::Killed, moment.at));
            }
            What::StartedAgain => {
                alive_since = Some(moment.at);
                lane.marks.push(Mark::new(Event::Started, moment.at));
            }
            What::AskedToStepDown => lane.marks.push(Mark::new(Event::Asked, moment.at)),
            _ => {}
        }
    }
    if let Some(since) = alive_since {
        lane.bars.push(Bar::new(Kind::Waits, since, end));
    }
    for (_, reign) in &summary.reigns {
        if state.lane_of(reign.process) == number {
            let title = format!(
                "{name} leads for {} ms, shown by {} marks",
                (reign.end - reign.begin) / 1_000_000,
                reign.marks
            );
            lane.bars
                .push(Bar::new(Kind::Leads, reign.begin, reign.end).titled(title));
        }
    }
    lane
}

fn moments(state: &State, lane: usize) -> impl Iterator<Item = &Moment> {
    state
        .moments
        .iter()
        .filter(move |moment| moment.lane == lane)
}

/// All signs, also those that this demo did not need: so that one picture looks like the other.
fn keys() -> Vec<Key> {
    vec![
        Sign::Bar(Kind::Leads)
            .means("leads, by its own marks")
            .within(232.0),
        Sign::Bar(Kind::Waits).means("stands by").within(134.0),
        Sign::Mark(Event::Killed).means("SIGKILL").within(108.0),
        Sign::Mark(Event::Started)
            .means("started again")
            .within(122.0),
        Sign::Mark(Event::Asked).means("asked to hand over"),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::demo::{
        board::{Board, Moment},
        marks::{Mark, Writer},
        plan::Lock,
        script::Story,
    };

    const MS: u64 = 1_000_000;
    const BEGIN: u64 = 7_000 * MS;

    fn marks(file: &Path, term: u32, from: u64, to: u64) {
        let mut writer = Writer::open(file).unwrap();
        for at in (from..=to).step_by(20) {
            let at = BEGIN + at * MS;
            writer
                .write(Mark {
                    before: at,
                    after: at + 500,
                    valid_until: at + 2_000 * MS,
                    term,
                    leading: true,
                })
                .unwrap();
        }
    }

    /// Two candidates: the first is killed and started again, the second hands over to it.
    /// `early` is how long the second began before the first had ended.
    fn demo(directory: &Path, early: u64) -> (Summary, Board) {
        let names = ["candidate-1".to_owned(), "cand. <&> 2".to_owned()];
        let board = Board::new("Lease demo".into(), BEGIN, 20_000 * MS, &names);
        let file = |number: u64| directory.join(number.to_string());
        for (number, lane) in [(0, 0), (1, 1), (2, 0)] {
            board.add_process(lane, &file(number)).unwrap();
        }
        marks(&file(0), 1, 100, 2_100);
        marks(&file(1), 1, 6_100 - early, 8_000);
        marks(&file(2), 1, 8_020, 10_000);
        let mut state = board.read();
        for (at, lane, what) in [
            (2_120, 0, What::Killed),
            (6_100, 0, What::StartedAgain),
            (7_990, 1, What::AskedToStepDown),
            (8_001, 1, What::SteppedDown),
        ] {
            let at = BEGIN + at * MS;
            state.moments.push(Moment { at, lane, what });
        }
        state.catch_up().unwrap();
        let story = Story {
            killed: Some((0, BEGIN + 2_120 * MS)),
            asked: Some((1, BEGIN + 7_990 * MS)),
        };
        let summary = Summary::new(Lock::Lease { short: true }, &state, story);
        drop(state);
        (summary, board)
    }

    #[test]
    fn the_picture_is_the_one_that_people_know() {
        let directory = tempfile::tempdir().unwrap();
        let (summary, board) = demo(directory.path(), 0);
        let drawn = picture(&summary, &board.read());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/testdata/picture.svg");
        if std::env::var_os("TENURE_BLESS").is_some() {
            std::fs::write(&golden, &drawn).unwrap();
        }
        assert_eq!(drawn, std::fs::read_to_string(golden).unwrap());
    }

    #[test]
    fn two_leaders_at_once_are_to_be_seen() {
        let directory = tempfile::tempdir().unwrap();
        let (summary, board) = demo(directory.path(), 4_500);
        let drawn = picture(&summary, &board.read());
        assert!(drawn.contains("TWO LEADERS AT ONCE"), "{drawn}");
        assert!(
            drawn.contains("<title>two leaders at once</title>"),
            "{drawn}"
        );
    }
}
