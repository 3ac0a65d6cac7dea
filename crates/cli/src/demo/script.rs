//! What happens in the demo, in order: stand, lead, be killed, be replaced, hand over.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    board::{Board, LaneState, Moment, What},
    crew::{Crew, News},
    plan::{Lock, Order, Told},
    stage::Stage,
};
use crate::failure::Failure;

/// What was done to whom, for the reckoning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Story {
    /// The process that was killed, and when.
    pub(crate) killed: Option<(usize, u64)>,
    /// The process that was asked to hand over, and when.
    pub(crate) asked: Option<(usize, u64)>,
}

pub(crate) struct Script<'a> {
    stage: &'a mut Stage,
    crew: &'a mut Crew,
    board: Board,
    /// Tells people, as it happens.
    tell: &'a (dyn Fn(&Moment) + Send + Sync),
    /// The present process of each lane.
    processes: Vec<Option<usize>>,
    leader: Option<usize>,
    /// What last kept a candidate from standing.
    trouble: Option<String>,
}

impl<'a> Script<'a> {
    pub(crate) fn new(
        stage: &'a mut Stage,
        crew: &'a mut Crew,
        board: Board,
        tell: &'a (dyn Fn(&Moment) + Send + Sync),
    ) -> Self {
        let lanes = board.read().lanes.len();
        Self {
            stage,
            crew,
            board,
            tell,
            processes: vec![None; lanes],
            leader: None,
            trouble: None,
        }
    }

    /// The process that leads at present, if any.
    pub(crate) fn leading_process(&self) -> Option<usize> {
        self.processes[self.leader?]
    }

    pub(crate) async fn play(&mut self, lead_for: Duration) -> Result<Story, Failure> {
        for lane in 0..self.processes.len() {
            self.start(lane).await?;
        }
        let mut story = Story::default();
        let first = self.leader_for(lead_for, None).await?;

        story.killed = Some(self.kill(first).await?);
        self.wait_for_leader(None).await?;
        self.start(first).await?;
        self.moment(first, What::StartedAgain);

        let second = self.leader_for(lead_for, None).await?;
        story.asked = Some(self.ask_to_step_down(second).await?);
        self.leader_for(lead_for, Some(second)).await?;
        Ok(story)
    }

    /// Lets whoever leads do so for a while. Says who does at its end: on a machine that is too
    /// busy to renew in time that can be another one than at first.
    async fn leader_for(&mut self, time: Duration, not: Option<usize>) -> Result<usize, Failure> {
        self.wait_for_leader(not).await?;
        if let Some(rested) = not {
            self.order(rested, Order::Stand).await;
            self.board.set(rested, LaneState::Standby);
        }
        let end = Instant::now() + time;
        while let Ok(news) = tokio::time::timeout_at(end, self.crew.news()).await {
            self.hear(news)?;
        }
        self.wait_for_leader(None).await
    }

    async fn wait_for_leader(&mut self, not: Option<usize>) -> Result<usize, Failure> {
        let patience = self.stage.lock.patience();
        let end = Instant::now() + patience;
        loop {
            if let Some(leader) = self.leader.filter(|leader| Some(*leader) != not) {
                return Ok(leader);
            }
            let Ok(news) = tokio::time::timeout_at(end, self.crew.news()).await else {
                let why = self
                    .trouble
                    .as_deref()
                    .unwrap_or("no call of theirs failed");
                return Err(Failure::failed(format!(
                    "no candidate leads after {} s ({}); see -v for what each of them tries",
                    patience.as_secs(),
                    why.split_whitespace().collect::<Vec<_>>().join(" "),
                )));
            };
            self.hear(news)?;
        }
    }

    async fn start(&mut self, lane: usize) -> Result<(), Failure> {
        let pod = self.stage.pod_name(self.board.read().name_of(lane));
        if !self.stage.has_pod(&pod) {
            self.stage.create_pod(&pod).await?;
        }
        let number = self.board.read().next_process();
        let plan = self.stage.plan(&pod, number);
        let process = self.board.add_process(lane, &plan.marks).map_err(|error| {
            Failure::failed("cannot write to the temporary directory; set TMPDIR to another")
                .because(error)
        })?;
        self.processes[lane] = Some(process);
        self.crew.start(process, &plan).await
    }

    async fn kill(&mut self, lane: usize) -> Result<(usize, u64), Failure> {
        let Some(process) = self.processes[lane].take() else {
            return Err(Failure::failed("the leader has ended by itself; try again"));
        };
        self.leader = None;
        // What it told before must not make it the leader again.
        let at = self.crew.kill(process).await?;
        self.board.set(lane, LaneState::Dead);
        self.moment(lane, What::Killed);
        if !matches!(self.stage.lock, Lock::Lease { .. }) {
            let pod = self.stage.pod_name(self.board.read().name_of(lane));
            self.stage.delete_pod(&pod).await?;
            self.moment(lane, What::PodRemoved);
        }
        Ok((process, at))
    }

    async fn ask_to_step_down(&mut self, lane: usize) -> Result<(usize, u64), Failure> {
        let Some(process) = self.processes[lane] else {
            return Err(Failure::failed("the leader has ended by itself; try again"));
        };
        let asked = self.moment(lane, What::AskedToStepDown);
        self.order(lane, Order::StepDown).await;
        Ok((process, asked.at))
    }

    async fn order(&mut self, lane: usize, order: Order) {
        if let Some(process) = self.processes[lane] {
            self.crew.order(process, order).await;
        }
    }

    fn hear(&mut self, News { process, told }: News) -> Result<(), Failure> {
        // One that was killed may have told something before.
        let Some(lane) = self.processes.iter().position(|now| *now == Some(process)) else {
            return Ok(());
        };
        match told {
            Some(Told::Standby { error }) => {
                if error.is_some() {
                    self.trouble = error;
                }
                self.board.set(lane, LaneState::Standby);
            }
            Some(Told::Leading { term, token }) => {
                self.leader = Some(lane);
                let state = LaneState::Leading {
                    term,
                    token: token.clone(),
                };
                self.board.set(lane, state);
                self.moment(lane, What::Leads { term, token });
            }
            Some(Told::Lost { reason }) => {
                self.no_longer(lane);
                self.board.set(lane, LaneState::Standby);
                self.moment(lane, What::Lost { reason });
            }
            Some(Told::Released) => {
                self.no_longer(lane);
                self.board.set(lane, LaneState::Resting);
                self.moment(lane, What::SteppedDown);
            }
            Some(Told::Failed { why }) => {
                return Err(Failure::failed(format!("a candidate cannot go on: {why}")));
            }
            None => {
                self.board.set(lane, LaneState::Ended);
                return Err(Failure::failed(format!(
                    "{} has ended by itself; try again with -v",
                    self.board.read().name_of(lane)
                )));
            }
        }
        Ok(())
    }

    fn no_longer(&mut self, lane: usize) {
        if self.leader == Some(lane) {
            self.leader = None;
        }
    }

    fn moment(&self, lane: usize, what: What) -> Moment {
        let moment = self.board.tell(lane, what);
        (self.tell)(&moment);
        moment
    }
}
