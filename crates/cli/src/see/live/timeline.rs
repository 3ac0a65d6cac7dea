//! `tenure timeline`: a picture of what was written down.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::ExitCode,
};

use tenure_timeline::{Bar, Kind, Lane, Overlap, Sign, Span, Timeline, Tone, Verdict, svg};

use super::board::{Board, Moment, Term, What};
use crate::{
    console,
    failure::Failure,
    see::text::{harmless, span},
};

/// A line that is longer is no line of ours.
const MOST_BYTES: u64 = 1 << 20;

pub(crate) fn run(file: &Path, out: &Path) -> Result<ExitCode, Failure> {
    if let (Ok(one), Ok(other)) = (file.canonicalize(), out.canonicalize())
        && one == other
    {
        return Err(Failure::usage(format!(
            "--svg would be written over {}; name another file for the picture",
            file.display()
        )));
    }
    let moments = read(file)?;
    let picture = svg(&drawn(&moments));
    std::fs::write(out, picture).map_err(|error| {
        Failure::failed(format!(
            "cannot write {}; check its directory, and whether there is room",
            out.display()
        ))
        .because(error)
    })?;
    console::note(&format!(
        "tenure: {} events drawn into {}",
        moments.len(),
        out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Vec<Moment>, Failure> {
    let unreadable = |error| {
        Failure::failed(format!(
            "cannot read {}; name a file that `tenure watch --record` wrote",
            file.display()
        ))
        .because(error)
    };
    let mut reader = BufReader::new(File::open(file).map_err(unreadable)?);
    let mut moments = Vec::new();
    for number in 1_u64.. {
        let mut line = Vec::new();
        let mut limited = reader.by_ref().take(MOST_BYTES);
        if limited.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        match serde_json::from_slice::<Moment>(&line) {
            Ok(moment) => moments.push(moment),
            // A watch that was killed leaves half a line behind, at the end of the file.
            Err(_) if !line.ends_with(b"\n") && limited.limit() > 0 => break,
            Err(error) => {
                return Err(Failure::failed(format!(
                    "line {number} of {} is not what `tenure watch --record` writes; leave it out",
                    file.display()
                ))
                .because(error));
            }
        }
    }
    if moments.is_empty() {
        return Err(Failure::failed(format!(
            "there is nothing in {}; record something with `tenure watch --record`",
            file.display()
        )));
    }
    moments.sort_by_key(|moment| moment.at);
    Ok(moments)
}

fn drawn(moments: &[Moment]) -> Timeline {
    let begin = moments.first().map_or(0, |moment| moment.at);
    let end = moments.last().map_or(begin, |moment| moment.at);
    let at = |micros: i64| {
        let since = micros.clamp(begin, end).saturating_sub(begin);
        u64::try_from(since).unwrap_or(0).saturating_mul(1_000)
    };
    let mut board = Board::new(begin);
    for moment in moments {
        board.replay(moment);
    }
    let mut timeline = Timeline::new("Leaders", at(begin), at(end));
    let mut overlapping = 0_usize;
    for ((namespace, _, name), track) in &board.tracks {
        let mut lanes: BTreeMap<&str, Vec<&Term>> = BTreeMap::new();
        for term in &track.terms {
            lanes.entry(&term.holder).or_default().push(term);
        }
        for (holder, terms) in lanes {
            let mut lane = Lane::new(format!("{}: {}", harmless(name), short(holder)));
            for term in terms {
                let to = term.to.unwrap_or(end);
                let title = format!(
                    "{} held {}/{} for {}",
                    harmless(holder),
                    harmless(namespace),
                    harmless(name),
                    span(to.saturating_sub(term.from))
                );
                lane.bars
                    .push(Bar::new(Kind::Holds, at(term.from), at(to)).titled(title));
            }
            timeline.lanes.push(lane);
        }
        for pair in track.terms.windows(2) {
            let [before, after] = pair else { continue };
            let gap = before
                .to
                .map(|to| (to, after.from))
                .filter(|(to, from)| from > to);
            if let Some((from, to)) = gap {
                timeline.spans.push(Span {
                    from: at(from),
                    to: at(to),
                    words: format!(
                        "{}: nobody for {}",
                        harmless(name),
                        span(to.saturating_sub(from))
                    ),
                    tone: Tone::Asked,
                    row: 0,
                });
            }
        }
        for (from, to) in &track.overlaps {
            overlapping += 1;
            timeline.overlaps.push(Overlap {
                from: at(*from),
                to: at(*to),
                title: format!(
                    "{} was taken before its last holder's time was over, as far as could be seen",
                    harmless(name)
                ),
            });
        }
    }
    timeline.stack_spans();
    let held: usize = moments
        .iter()
        .filter(|moment| moment.event == What::Held)
        .count();
    timeline.description = format!("{} locks, {held} terms", board.tracks.len());
    timeline.verdict = Some(match overlapping {
        0 => Verdict {
            words: "no overlap seen".to_owned(),
            good: true,
        },
        many => Verdict {
            words: format!("{many} taken before their time was over"),
            good: false,
        },
    });
    timeline
        .keys
        .push(Sign::Bar(Kind::Holds).means("stands in the lock"));
    timeline
}

/// What tells holders apart, without the unique ending.
fn short(holder: &str) -> String {
    let name = holder
        .split('_')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or(holder);
    crate::see::text::cut(&harmless(name), 28)
}
