//! `tenure campaign`: stands for election, again after each loss, and says what happens.

mod event;
mod output;

use std::{process::ExitCode, sync::Arc, time::Duration};

use tenure::{ElectionError, LeaderElection, Leadership, LossReason, Released, Status};
use tokio::{sync::watch, time::Instant};

use crate::{
    console,
    failure::Failure,
    signals,
    standing::{self, CLOSE_LIMIT},
    tasks::CampaignOptions,
};
use event::{Event, What, unix_ns};
use output::Output;

/// Stands until a signal comes, or until nobody reads any more.
pub(crate) async fn run(options: CampaignOptions) -> Result<ExitCode, Failure> {
    let signal = signals::first_then_exit()?;
    let output = Output::start(options.json || !console::stdout_is_terminal())?;
    let reader_gone = output.reader_gone();
    let end = async {
        tokio::select! {
            // An error would mean that no signal can come any more.
            Ok(ending) = signal => format!("asked to end by {}", ending.name),
            why = reader_gone => why,
        }
    };
    tokio::pin!(end);
    let election = tokio::select! {
        election = standing::election(&options.stand) => election?,
        _ = &mut end => return Ok(ExitCode::SUCCESS),
    };
    let mut campaign = Campaign {
        status: election.status(),
        election,
        output,
        fixed_identity: options.stand.identity.is_some(),
        told: None,
        vacant: None,
    };
    loop {
        let leadership = tokio::select! {
            biased;
            _ = &mut end => break,
            leadership = campaign.stand_by() => leadership?,
        };
        if campaign.lead(leadership, &mut end).await {
            break;
        }
    }
    let Campaign {
        election, output, ..
    } = campaign;
    let _ = tokio::time::timeout(CLOSE_LIMIT, election.close()).await;
    output.finish().await.map(|()| ExitCode::SUCCESS)
}

struct Campaign {
    election: LeaderElection,
    status: watch::Receiver<Status>,
    output: Output,
    /// Then another process may hold the lock under the own identity (rule L8).
    fixed_identity: bool,
    /// What was last said while standing by.
    told: Option<Standby>,
    /// Since when nobody is known to lead, where that was not said yet.
    vacant: Option<(Instant, i64)>,
}

/// A vacancy that is over sooner is not told: in a crowd of candidates every one would spend its turn on
/// that, and those who could lead would get theirs later.
const SHORT_VACANCY: Duration = Duration::from_millis(100);

/// What is worth an event of its own while standing by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standby {
    holder: Option<Arc<str>>,
    error: Option<Arc<str>>,
}

impl Campaign {
    /// Waits for leadership, and says who has it meanwhile. Cancel safe.
    async fn stand_by(&mut self) -> Result<Leadership, Failure> {
        let election = self.election.clone();
        let acquiring = election.acquire();
        tokio::pin!(acquiring);
        loop {
            let unsaid = self.tell_standby();
            let unsaid = async {
                match unsaid {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                leadership = &mut acquiring => return leadership.map_err(|error| over(&error)),
                changed = self.status.changed() => if changed.is_err() {
                    return Err(over(&ElectionError::Ended));
                },
                () = unsaid => {}
            }
        }
    }

    /// Leads until leadership is lost (false) or `end` comes (true). The lock is given up either
    /// way, so far as it is still held.
    async fn lead<F>(&mut self, leadership: Leadership, end: &mut F) -> bool
    where
        F: Future<Output = String> + Unpin,
    {
        (self.told, self.vacant) = (None, None);
        self.tell(&leadership, What::Leading, unix_ns(), None);
        let mut in_jeopardy = false;
        loop {
            tokio::select! {
                biased;
                reason = leadership.lost() => {
                    self.tell(&leadership, What::Lost, unix_ns(), Some(&reason.to_string()));
                    leadership.release().await;
                    return false;
                }
                reason = &mut *end => {
                    // Belief ends within `release`, before its first byte is sent: this is the
                    // moment, and the event waits for the answer.
                    let at = unix_ns();
                    let handle = leadership.handle();
                    let reason = match leadership.release().await {
                        Released::Kept => format!("{reason}; the lock is kept"),
                        Released::Failed(why) => format!(
                            "{reason}; the lock could not be freed and runs out by itself: {why}"
                        ),
                        _ => reason,
                    };
                    self.tell(&handle, What::Released, at, Some(&reason));
                    return true;
                }
                Ok(()) = self.status.changed() => {
                    let status = self.status.borrow_and_update().clone();
                    match status {
                        Status::Jeopardy { error, .. } if !in_jeopardy => {
                            in_jeopardy = true;
                            self.tell(&leadership, What::Jeopardy, unix_ns(), Some(&error));
                        }
                        Status::Leading { .. } if in_jeopardy => {
                            in_jeopardy = false;
                            let reason = "renewals succeed again";
                            self.tell(&leadership, What::Leading, unix_ns(), Some(reason));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Says what has changed. Returns when there will be something to say if nothing changes.
    fn tell_standby(&mut self) -> Option<Instant> {
        let (holder, error) = match self.status.borrow_and_update().clone() {
            Status::Standby { holder, error } => (holder, error),
            Status::Paused { paused, holder } => (holder, Some(paused.to_string().into())),
            _ => return None,
        };
        let holder = holder.map(|holder| holder.identity);
        let own = |holder: &Arc<str>| **holder == *self.election.identity();
        if holder.as_ref().is_some_and(own) && !self.fixed_identity {
            // The own write, seen before its answer came: what follows is `leading`.
            return None;
        }
        let standby = Standby { holder, error };
        if self.told.as_ref() == Some(&standby) {
            self.vacant = None;
            return None;
        }
        let mut at = unix_ns();
        if standby.holder.is_none() && standby.error.is_none() && self.told.is_some() {
            let now = Instant::now();
            let (since, seen) = *self.vacant.get_or_insert((now, at));
            let until = since + SHORT_VACANCY;
            if now < until {
                return Some(until);
            }
            at = seen;
        }
        self.vacant = None;
        self.output.say(Event {
            what: What::Standby,
            unix_ns: at,
            identity: self.election.identity(),
            holder: standby.holder.as_deref(),
            term: None,
            token: None,
            reason: standby.error.as_deref(),
        });
        self.told = Some(standby);
        None
    }

    fn tell(
        &self,
        leadership: &tenure::LeadershipHandle,
        what: What,
        unix_ns: i64,
        reason: Option<&str>,
    ) {
        let taken_by = match leadership.lost_reason() {
            Some(LossReason::TakenBy(holder)) => Some(holder),
            _ => None,
        };
        let identity = self.election.identity();
        let holder = match what {
            What::Leading | What::Jeopardy => Some(identity),
            What::Standby | What::Lost | What::Released => taken_by.as_deref(),
        };
        self.output.say(Event {
            what,
            unix_ns,
            identity,
            holder,
            term: Some(leadership.term()),
            token: Some(leadership.token().as_str()),
            reason,
        });
    }
}

fn over(error: &ElectionError) -> Failure {
    Failure::failed(error.to_string())
}
