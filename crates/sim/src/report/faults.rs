//! What faults did, in words.

use crate::{fault::FaultKind, plan::Plan};

use super::{
    story::{Story, Strikes},
    timeline::stamp,
};

/// One line about one fault: whom it struck, and how.
pub(super) fn strike(
    plan: &Plan,
    story: &Story,
    (fault, kind): (u32, FaultKind),
    strikes: &Strikes,
) -> String {
    use FaultKind as K;
    let who = story.names(&strikes.processes);
    let planned = plan.faults.iter().find(|each| each.id == fault);
    let lasts = planned.map_or(0, |planned| planned.lasts);
    let lasts = stamp(lasts);
    let is = if strikes.processes.len() > 1 {
        "are"
    } else {
        "is"
    };
    let what = match kind {
        K::Freeze => format!("{who} {is} frozen, for {lasts}"),
        K::FreezeBeforeSend => {
            format!("{who} {is} frozen after deciding to send and before sending, for {lasts}")
        }
        K::Suspend => format!("the machine of {who} goes to sleep, for {lasts}"),
        K::VmPause => format!("the virtual machine of {who} is paused, for {lasts}"),
        K::Crash => format!("{who} is killed"),
        K::Twin => format!("a second process is started beside {who}, as its twin"),
        K::Cancel => format!("{who}'s leadership, or its wait for it, is dropped"),
        K::StubbornWork => format!("the work of {who} ignores being told to end, for {lasts}"),
        K::StepDown => format!("{who} is asked to step down"),
        K::HandOver => format!("{who} is asked to hand over to somebody it names"),
        K::WallStep => "a wall clock is set".to_owned(),
        K::ClockDrift | K::ClockBeyond => {
            format!("the clock of {who} runs at another rate, for {lasts}")
        }
        K::WatchCut | K::WatchCompacted => format!("the watch of {who} is cut"),
        K::Evict => format!("the Pod of {who} is evicted"),
        K::NodeLost => format!("the node of {who} is lost"),
        K::ForceDelete => format!("the Pod of {who} is deleted by force"),
        K::NameReuse => format!("the Pod of {who} is replaced by one of the same name"),
        K::GcLate => format!("the garbage collector comes late, for {lasts}"),
        K::GcOff => format!("there is no garbage collector, for {lasts}"),
        K::Restore => "the store is restored from a copy".to_owned(),
        K::PeopleDelete => "somebody deletes the lock".to_owned(),
        K::PeopleEdit => "somebody edits the lock".to_owned(),
        K::PeopleEmpty => "somebody empties the lock".to_owned(),
        K::PeopleReown => "somebody writes another owner into the lock".to_owned(),
        K::PeopleRecreate => "somebody deletes the lock and creates a copy of it".to_owned(),
        K::PeopleLabel => "somebody begins to touch the lock every few seconds".to_owned(),
        K::AskStepDown => "somebody asks the holder to step down".to_owned(),
        K::AskNobody => "somebody asks for a step-down, and nobody that is there".to_owned(),
        K::PauseLease => format!("somebody pauses the Lease, for {lasts}"),
        _ => messages(&who, strikes),
    };
    format!("{what} [{kind}, fault {fault}]")
}

/// What strikes requests, answers and watches is told once, with how often it did.
fn messages(who: &str, strikes: &Strikes) -> String {
    match strikes.at.len() {
        1 => format!("a message of {who} is struck"),
        many => format!(
            "{many} messages of {who} are struck, the last at {}",
            stamp(strikes.last)
        ),
    }
}
