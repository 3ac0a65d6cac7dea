//! What has happened so far: written by the script, read by whatever shows it.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    marks::Reader,
    reigns::{Reign, Reigns},
};

/// Shared between the script and the view.
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<Mutex<State>>);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) title: String,
    /// When it began, in nanoseconds of the clock that leadership is judged by.
    pub(crate) begin: u64,
    /// How long it is expected to take.
    pub(crate) expected_ns: u64,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) moments: Vec<Moment>,
    processes: Vec<Process>,
}

/// One candidate, through all its processes.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) state: LaneState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LaneState {
    Starting,
    Standby,
    Leading {
        term: u64,
        token: String,
    },
    /// It has stepped down and does not stand.
    Resting,
    Dead,
    Ended,
}

/// One thing that happened, as a person would tell it.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) at: u64,
    pub(crate) lane: usize,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Leads { term: u64, token: String },
    Killed,
    PodRemoved,
    StartedAgain,
    AskedToStepDown,
    SteppedDown,
    Lost { reason: String },
}

#[derive(Debug)]
struct Process {
    lane: usize,
    reader: Reader,
    reigns: Reigns,
}

impl Board {
    pub(crate) fn new(title: String, begin: u64, expected_ns: u64, names: &[String]) -> Self {
        let lane = |name: &String| Lane {
            name: name.clone(),
            state: LaneState::Starting,
        };
        Self(Arc::new(Mutex::new(State {
            title,
            begin,
            expected_ns,
            lanes: names.iter().map(lane).collect(),
            moments: Vec::new(),
            processes: Vec::new(),
        })))
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves nothing half written that a view could stumble over.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process of a lane begins; its marks are in this file.
    pub(crate) fn add_process(&self, lane: usize, marks: &Path) -> io::Result<usize> {
        // The process makes it when it is there: until then it is empty.
        drop(super::marks::Writer::open(marks)?);
        let mut state = self.read();
        let process = state.processes.len();
        state.processes.push(Process {
            lane,
            reader: Reader::open(marks)?,
            reigns: Reigns::new(process),
        });
        state.set(lane, LaneState::Starting);
        Ok(process)
    }

    pub(crate) fn set(&self, lane: usize, state: LaneState) {
        self.read().set(lane, state);
    }

    /// All processes have ended.
    pub(crate) fn end(&self) {
        for lane in &mut self.read().lanes {
            lane.state = LaneState::Ended;
        }
    }

    pub(crate) fn tell(&self, lane: usize, what: What) -> Moment {
        let at = tenure::now().as_nanos();
        let moment = Moment { at, lane, what };
        self.read().moments.push(moment.clone());
        moment
    }
}

impl State {
    fn set(&mut self, lane: usize, state: LaneState) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.state = state;
        }
    }

    /// Takes in the marks that were written since the last time.
    pub(crate) fn catch_up(&mut self) -> io::Result<()> {
        for process in &mut self.processes {
            for mark in process.reader.read()? {
                process.reigns.add(mark);
            }
        }
        Ok(())
    }

    /// All reigns, in the order in which they began.
    pub(crate) fn reigns(&self) -> Vec<Reign> {
        let all = self
            .processes
            .iter()
            .flat_map(|process| process.reigns.as_slice());
        let mut reigns: Vec<Reign> = all.copied().collect();
        reigns.sort_by_key(|reign| reign.begin);
        reigns
    }

    /// The lane's present reign, as its newest mark has it.
    pub(crate) fn present(&self, lane: usize) -> Option<&Reign> {
        let process = self
            .processes
            .iter()
            .rfind(|process| process.lane == lane)?;
        process.reigns.present()
    }

    /// The number that the next process gets.
    pub(crate) fn next_process(&self) -> usize {
        self.processes.len()
    }

    pub(crate) fn lane_of(&self, process: usize) -> usize {
        self.processes
            .get(process)
            .map_or(0, |process| process.lane)
    }

    pub(crate) fn name_of(&self, lane: usize) -> &str {
        self.lanes.get(lane).map_or("", |lane| &lane.name)
    }
}
