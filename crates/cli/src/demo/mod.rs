//! `tenure demo`: an election between real processes, with a murder and a resignation.

mod board;
pub(crate) mod candidate;
mod crew;
mod marks;
mod plan;
mod reigns;
mod sampler;
mod script;
mod stage;
mod summary;
mod svg;
mod view;
mod words;

use std::{path::Path, process::ExitCode, time::Duration};

use crate::{console, failure::Failure, signals, tasks::DemoOptions};
use board::{Board, Moment};
use crew::Crew;
use plan::Lock;
use script::{Script, Story};
use stage::Stage;
use summary::Summary;
use view::View;

/// Runs the demo, and removes everything that it made, whatever happens.
pub(crate) async fn run(options: DemoOptions) -> Result<ExitCode, Failure> {
    let mut signal = signals::first_then_exit()?;
    let lock = Lock::new(options.lock, options.real_timings);
    let opening = Stage::open(lock, options.cluster.clone(), options.namespace.clone());
    let mut stage = tokio::select! {
        stage = opening => stage?,
        Ok(ending) = &mut signal => return Ok(ExitCode::from(ending.exit_code)),
    };
    let mut crew = Crew::new()?;
    let board = set_up(&stage, &options);
    let view = show(&stage, &options, &board)?;

    let tell = |moment: &Moment| view.tell(&board.read(), lock, moment);
    let mut script = Script::new(&mut stage, &mut crew, board.clone(), &tell);
    let played = tokio::select! {
        story = script.play(options.lead_for) => Ok(story),
        Ok(ending) = &mut signal => Err(ending),
    };
    let last = script.leading_process();
    // The leader ends last: nobody is to take over any more.
    crew.end(last).await;
    board.end();
    stage.close().await;
    let story = match played {
        Ok(Ok(story)) => story,
        Ok(Err(failure)) => {
            view.end();
            return Err(failure);
        }
        Err(ending) => {
            view.end();
            console::note(&format!(
                "tenure: ended by {}; its processes, Pods and locks are removed",
                ending.name
            ));
            return Ok(ExitCode::from(ending.exit_code));
        }
    };
    let summary = reckon(lock, &board, story)?;
    view.end();
    if let Some(svg) = &options.svg {
        draw(svg, &summary, &board)?;
    }
    if options.json {
        console::print(&summary.to_json())?;
    } else {
        console::print(&summary.to_words())?;
        if let Some(svg) = &options.svg {
            console::print(&format!("picture: {}\n", svg.display()))?;
        }
    }
    if summary.holds() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::failed(
            "two candidates led at once, or could have, which must never happen; please report it \
             with the output of -v",
        ))
    }
}

fn set_up(stage: &Stage, options: &DemoOptions) -> Board {
    let names: Vec<String> = (1..=options.candidates)
        .map(|number| format!("candidate-{number}"))
        .collect();
    let takeover = match stage.lock.timing() {
        Some(timing) => timing.lease_duration(),
        None => Duration::from_secs(1),
    };
    let expected = options.lead_for * 3 + takeover + Duration::from_secs(1);
    let title = format!("{} {}", stage.lock.kind(), stage.lock_name);
    Board::new(title, tenure::now().as_nanos(), nanos(expected), &names)
}

fn show(stage: &Stage, options: &DemoOptions, board: &Board) -> Result<View, Failure> {
    let opening = words::opening(
        stage.lock,
        &stage.lock_name,
        options.candidates,
        &stage.place,
    );
    if options.json {
        let read = console::stderr_is_terminal() || options.verbose;
        if !read {
            return Ok(View::silent());
        }
        console::note(opening.trim_end());
        return Ok(View::notes());
    }
    console::print(&opening)?;
    // A log on the same terminal would be drawn over.
    if console::can_draw() && !options.verbose {
        return Ok(View::live(board.clone(), stage.lock));
    }
    Ok(View::lines())
}

fn reckon(lock: Lock, board: &Board, story: Story) -> Result<Summary, Failure> {
    let mut state = board.read();
    state.catch_up().map_err(|error| {
        Failure::failed("cannot read the candidates' marks; set TMPDIR to a directory that stays")
            .because(error)
    })?;
    Ok(Summary::new(lock, &state, story))
}

fn draw(file: &Path, summary: &Summary, board: &Board) -> Result<(), Failure> {
    let picture = svg::picture(summary, &board.read());
    std::fs::write(file, picture).map_err(|error| {
        Failure::failed(format!(
            "cannot write the picture {} ({error}); name another file with --svg",
            file.display()
        ))
        .because(error)
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
