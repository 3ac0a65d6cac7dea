//! Stands for election, again after each term, and leaves in the order of L10: nobody is told
//! "leading" any more; what was told runs out; the lock is released.

use tenure::{
    LeaderElection, Leadership, LossReason, Released,
    clock::{Clock as _, SystemClock},
};
use tokio::sync::{mpsc, oneshot};

use super::desk::Desk;
use crate::{console, failure::Failure};

/// A request to give the lock up.
#[derive(Debug)]
pub(super) struct Ask {
    /// Who is to lead next.
    pub(super) to: Option<String>,
    /// The term that is meant, by its token: another is not ended.
    pub(super) token: String,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    Left(Released),
    /// The term was over already.
    NotLeading,
    /// Nobody can have the name that was given.
    Refused(String),
}

/// Until `end` comes.
pub(super) async fn stand<E>(
    desk: &Desk,
    election: &LeaderElection,
    asks: &mut mpsc::Receiver<Ask>,
    end: &mut E,
) -> Result<(), Failure>
where
    E: Future<Output = String> + Unpin,
{
    loop {
        let Some(leadership) = acquire(election, asks, end).await? else {
            return Ok(());
        };
        desk.begin_term(leadership.handle());
        let why = lead(&leadership, asks, end).await;
        let at_end = matches!(why, Why::Ended(_));
        leave(desk, leadership, why).await;
        if at_end {
            return Ok(());
        }
    }
}

/// Why a term is left.
enum Why {
    Lost(LossReason),
    Asked(Ask),
    Ended(String),
}

/// None when the end has come.
async fn acquire<E>(
    election: &LeaderElection,
    asks: &mut mpsc::Receiver<Ask>,
    end: &mut E,
) -> Result<Option<Leadership>, Failure>
where
    E: Future<Output = String> + Unpin,
{
    let acquiring = election.acquire();
    tokio::pin!(acquiring);
    loop {
        tokio::select! {
            biased;
            _ = &mut *end => return Ok(None),
            leadership = &mut acquiring => {
                return leadership.map(Some).map_err(|error| Failure::failed(error.to_string()));
            }
            Some(ask) = asks.recv() => ask.answer(Outcome::NotLeading),
        }
    }
}

async fn lead<E>(leadership: &Leadership, asks: &mut mpsc::Receiver<Ask>, end: &mut E) -> Why
where
    E: Future<Output = String> + Unpin,
{
    loop {
        let ask = tokio::select! {
            biased;
            reason = leadership.lost() => return Why::Lost(reason),
            why = &mut *end => return Why::Ended(why),
            Some(ask) = asks.recv() => ask,
        };
        if ask.token != leadership.token().as_str() {
            ask.answer(Outcome::NotLeading);
            continue;
        }
        match &ask.to {
            None => leadership.step_down(),
            Some(to) => {
                if let Err(error) = leadership.hand_over_to(to) {
                    ask.answer(Outcome::Refused(error.to_string()));
                    continue;
                }
            }
        }
        return Why::Asked(ask);
    }
}

async fn leave(desk: &Desk, leadership: Leadership, why: Why) {
    let promised = desk.gate.close();
    desk.leave(match &why {
        Why::Lost(reason) => reason.to_string(),
        Why::Asked(Ask { to: Some(to), .. }) => format!("asked to hand over to {to}"),
        Why::Asked(_) => "asked to step down".to_owned(),
        Why::Ended(why) => why.clone(),
    });
    // What was promised under a belief that is over cannot be kept any more: that is what the token
    // is for.
    if let Some(promised) = promised.filter(|_| leadership.is_leading()) {
        let left = promised.since(tenure::now());
        if matches!(why, Why::Ended(_)) && console::stderr_is_terminal() {
            console::note(&format!(
                "ending in {:.1} s, when the last answer has run out; a second Ctrl-C ends at once",
                left.as_secs_f64()
            ));
        }
        SystemClock.sleep_until(promised).await;
    }
    let reason = leadership.lost_reason().unwrap_or(LossReason::SteppedDown);
    let released = leadership.release().await;
    desk.end_term(&reason);
    if let Why::Asked(ask) = why {
        ask.answer(match released {
            Released::Lost => Outcome::NotLeading,
            released => Outcome::Left(released),
        });
    }
}

impl Ask {
    fn answer(self, outcome: Outcome) {
        // Whoever asked may have gone away.
        let _ = self.answer.send(outcome);
    }
}
