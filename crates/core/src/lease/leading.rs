//! Leading: validity (L1), renewals, loss (L9), the order of leaving (L10), edits (L21).

use std::{sync::Arc, time::Duration};

use crate::{
    asked::StepDown,
    elector::Belief,
    outcome::Outcome,
    rng::Rng,
    status::{LossReason, Notice, Status, Warning},
    time::Instant,
    timing::LeaseTiming,
    version::ResourceVersion,
};

use super::{
    acquiring::holder_of,
    elector::{Call, LeaseElector, Phase, Sent, What},
    observation::Place,
    record::{LeaseWrite, Observed, Spec},
};

/// From one acquiring write to its end.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) number: u64,
    pub(super) token: ResourceVersion,
    /// The newest acknowledged write of this term.
    pub(super) last: LeaseWrite,
    /// The newest state known to be that write's: what the next write replaces.
    pub(super) base: Observed,
    /// The newest resourceVersion that an answer to a write, or a read of one, brought (L9).
    acknowledged: ResourceVersion,
    /// Renewals whose outcome is open (L6).
    pub(super) unsettled: Vec<Sent>,
    valid_until: Instant,
    last_sent: Instant,
    renew_at: Instant,
    /// Who may not write any more looks then (L9).
    look_at: Instant,
    /// Whether the Lease has to be read before the next write.
    pub(super) check: bool,
    failing: Option<Arc<str>>,
    told: Option<Told>,
    /// Whom the release will name (L22).
    pub(super) successor: Option<Arc<str>>,
    /// Why it is given up, once it is.
    pub(super) leaving: Option<LossReason>,
    /// The request to step down that was obeyed last (L25).
    pub(super) heeded: Option<Box<StepDown>>,
}

/// The work has been told to end, which is final (L10).
#[derive(Clone, Copy, Debug)]
struct Told {
    by: Instant,
    renew_until: Instant,
    overdue: bool,
}

/// How many renewals may be open before the Lease is only read, and no longer written.
const MOST_UNSETTLED: usize = 16;

impl Term {
    /// The term that the write `sent` began. Its answer, or a read of it, was `base` or older.
    pub(super) fn new(
        sent: &Sent,
        base: Observed,
        token: ResourceVersion,
        timing: &LeaseTiming,
    ) -> Self {
        Self {
            number: u64::try_from(sent.write.spec.transitions.unwrap_or(0)).unwrap_or(0),
            acknowledged: token.clone(),
            token,
            last: sent.write.clone(),
            base,
            // Mostly it is one at a time.
            unsettled: Vec::with_capacity(1),
            // L1: from before the first byte was sent.
            valid_until: sent.at.after(timing.renew_deadline()),
            last_sent: sent.at,
            renew_at: sent.at.after(timing.retry_period()),
            look_at: sent.at,
            check: false,
            failing: None,
            told: None,
            successor: None,
            leaving: None,
            heeded: None,
        }
    }

    /// Renew for the first time at some beat of that period, never later than usual.
    pub(super) fn renew_within(&mut self, since: Instant, period: Duration, rng: &mut Rng) {
        self.renew_at = beat_before(since.after(rng.up_to(period)), period);
    }

    pub(super) fn belief(&self) -> Belief {
        Belief {
            term: self.number,
            token: self.token.clone(),
            valid_until: Some(self.valid_until),
        }
    }

    pub(super) fn status(&self) -> Status {
        let (term, token, valid_until) = (self.number, self.token.clone(), Some(self.valid_until));
        match &self.failing {
            None => Status::Leading {
                term,
                token,
                valid_until,
            },
            Some(error) => Status::Jeopardy {
                term,
                token,
                valid_until,
                error: Arc::clone(error),
            },
        }
    }

    fn may_write(&self, now: Instant) -> bool {
        self.told.is_none_or(|told| now < told.renew_until) && self.unsettled.len() < MOST_UNSETTLED
    }

    /// When the next call is due.
    fn due(&self, now: Instant) -> Instant {
        if self.check {
            now
        } else if self.may_write(now) {
            self.renew_at
        } else {
            self.look_at
        }
    }
}

/// How a record that is not the acknowledged one relates to this process.
enum Verdict {
    /// It is the newest acknowledged write's; only metadata differ.
    Mine,
    /// It is this open write's.
    Open(Sent),
    /// It carries the annotation of a write of this term, and somebody edited the rest (L21).
    Edited,
    Lost(LossReason),
}

impl LeaseElector {
    /// What time alone brings: the telling, and the end of validity.
    pub(super) fn pass_time(&mut self) {
        let now = self.now.mono;
        let grace = self.config.timing.grace();
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        let expired = now >= term.valid_until;
        let mut stop = None;
        if term.told.is_none() && (expired || now >= term.valid_until.before(grace)) {
            let by = term.valid_until;
            term.told = Some(Told {
                by,
                renew_until: now.after(grace),
                overdue: false,
            });
            stop = Some(by);
        }
        let overdue = match &mut term.told {
            Some(told) if !told.overdue && now >= told.by => {
                told.overdue = true;
                true
            }
            _ => false,
        };
        if let Some(by) = stop {
            self.tell(Notice::Stop {
                reason: LossReason::Expired,
                by,
            });
        }
        if overdue {
            self.tell(Notice::Overdue);
        }
        if expired {
            self.lose(LossReason::Expired);
        }
    }

    /// Who leads leaves, in the order of L10; whoever is named last goes first afterwards (L22).
    pub(super) fn step_down(&mut self, reason: LossReason, to: Option<Arc<str>>) {
        let (now, grace) = (self.now.mono, self.config.timing.grace());
        // Who does not lead has nothing to step down from, and stands on.
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        if to.is_some() {
            term.successor = to;
        }
        if term.told.is_some() {
            return;
        }
        let by = now.after(grace).min(term.valid_until);
        term.told = Some(Told {
            by,
            renew_until: now.after(grace),
            overdue: false,
        });
        term.leaving = Some(reason.clone());
        self.tell(Notice::Stop { reason, by });
    }

    /// L10: the work has ended; belief ends; only then may a release be sent.
    pub(super) fn work_ended(&mut self, release: bool) {
        if !matches!(self.phase, Phase::Leading(_)) {
            return;
        }
        let Phase::Leading(term) = std::mem::replace(&mut self.phase, Phase::Observing) else {
            return;
        };
        self.standing = false;
        self.call = None;
        if release {
            self.give_back(term);
        } else {
            self.observe_again(Some(LossReason::Abandoned));
            self.tell(Notice::Kept);
        }
    }

    /// A lost term never comes back (L9).
    pub(super) fn lose(&mut self, reason: LossReason) {
        self.observe_again(Some(reason.clone()));
        self.tell(Notice::Lost(reason));
    }

    pub(super) fn drive_term(&mut self) {
        let now = self.now.mono;
        let Phase::Leading(term) = &self.phase else {
            return;
        };
        if now < term.due(now).max(self.pause.until()) {
            return;
        }
        if term.may_write(now) && !term.check {
            self.renew();
        } else {
            self.look();
        }
    }

    pub(super) fn term_deadline(&self, term: &Term) -> Instant {
        let stop = match term.told {
            None => term.valid_until.before(self.config.timing.grace()),
            Some(told) if !told.overdue => told.by.min(term.valid_until),
            Some(_) => term.valid_until,
        };
        if self.call.is_some() {
            return stop;
        }
        stop.min(term.due(self.now.mono).max(self.pause.until()))
    }

    pub(super) fn leading_answered(&mut self, call: &Call, outcome: Outcome<Observed>) {
        match call.what {
            What::Read => self.leading_read(call, outcome),
            What::Write(counter) => self.renewal_answered(counter, outcome),
            What::CreateFree => {}
        }
    }

    /// A newer event of the watch (L9). It can end a term and hint at a read; it grants nothing.
    pub(super) fn judge_watched(&mut self, observed: Observed) {
        match self.judge(&observed) {
            Verdict::Lost(reason) => self.lose(reason),
            Verdict::Mine => self.rebase(observed),
            Verdict::Open(_) => {
                if let Phase::Leading(term) = &mut self.phase {
                    term.check = true;
                }
            }
            Verdict::Edited => self.restore(observed),
        }
    }

    fn look(&mut self) {
        let again = self.now.mono.after(self.config.timing.retry_period());
        if let Phase::Leading(term) = &mut self.phase {
            term.look_at = again;
        }
        self.send_read();
    }

    fn renew(&mut self) {
        let Phase::Leading(term) = &self.phase else {
            return;
        };
        let base = term.base.clone();
        let spec = Spec {
            // L18: transitions and acquireTime are the acquiring write's.
            acquire_time: term.last.spec.acquire_time,
            transitions: term.last.spec.transitions,
            foreign: base.spec.foreign,
            ..self.spec_of_mine()
        };
        let write = self.write(spec);
        let at = self.now.mono;
        if let Phase::Leading(term) = &mut self.phase {
            term.unsettled.push(Sent {
                write: write.clone(),
                at,
            });
        }
        self.send_replace(&base.version, write);
    }

    fn renewal_answered(&mut self, counter: u64, outcome: Outcome<Observed>) {
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        match outcome {
            Outcome::Done(observed) => {
                let sent = term
                    .unsettled
                    .iter()
                    .find(|s| s.write.mark.counter == counter)
                    .cloned();
                if let Some(reason) = not_mine(term, &observed, &self.config.identity.to_arc()) {
                    self.seen.written(self.now.mono, observed);
                    self.lose(reason);
                } else if let Some(sent) = sent {
                    self.seen.written(self.now.mono, observed.clone());
                    self.renewed(&sent, observed);
                }
            }
            Outcome::Refused(error) => {
                term.unsettled
                    .retain(|sent| sent.write.mark.counter != counter);
                self.renewal_failed(error);
            }
            Outcome::Conflict | Outcome::AlreadyExists => {
                term.check = true;
                self.clashed();
            }
            Outcome::NotFound(error) | Outcome::Unknown(error) => {
                term.check = true;
                self.renewal_failed(error);
            }
        }
    }

    fn leading_read(&mut self, call: &Call, outcome: Outcome<Observed>) {
        let now = self.now.mono;
        match outcome {
            Outcome::Done(observed) => {
                let Phase::Leading(term) = &mut self.phase else {
                    return;
                };
                let backwards = term
                    .acknowledged
                    .newer_than(&observed.version.resource_version);
                // A watch event may have overtaken this read; what it showed has been judged.
                let overtaken = call.epoch != self.seen.epoch();
                term.check = false;
                self.seen
                    .read(now, observed.clone(), call.epoch, call.newest.as_ref());
                if backwards {
                    self.lose(LossReason::WentBackwards);
                    return;
                }
                match self.judge(&observed) {
                    Verdict::Lost(reason) => self.lose(reason),
                    Verdict::Open(sent) => self.renewed(&sent, observed),
                    Verdict::Mine => {
                        self.rebase(observed);
                        self.renew_soon();
                    }
                    Verdict::Edited if overtaken => self.ask(),
                    Verdict::Edited => self.restore(observed),
                }
            }
            Outcome::NotFound(_) => {
                self.seen.read_absent(now, call.epoch);
                self.lose(LossReason::Deleted);
            }
            Outcome::Conflict | Outcome::AlreadyExists => self.clashed(),
            Outcome::Refused(error) | Outcome::Unknown(error) => self.renewal_failed(error),
        }
    }

    fn judge(&self, observed: &Observed) -> Verdict {
        let Phase::Leading(term) = &self.phase else {
            return Verdict::Lost(LossReason::Twin);
        };
        if let Some(reason) = not_mine(term, observed, &self.config.identity.to_arc()) {
            return Verdict::Lost(reason);
        }
        if let Some(sent) = term.unsettled.iter().find(|sent| observed.is(&sent.write)) {
            return Verdict::Open(sent.clone());
        }
        if observed.is(&term.last) || observed.says_the_same(&term.base) {
            return Verdict::Mine;
        }
        let of_this_term = observed.mark.as_ref().is_some_and(|mark| {
            *mark == term.last.mark || term.unsettled.iter().any(|s| s.write.mark == *mark)
        });
        if of_this_term {
            return Verdict::Edited;
        }
        // L8: somebody else writes with this identity, or put back an older record of ours.
        match &observed.mark {
            Some(mark) if mark.nonce == self.config.nonce => {
                Verdict::Lost(LossReason::WentBackwards)
            }
            _ => Verdict::Lost(LossReason::Twin),
        }
    }

    /// A write of this term was acknowledged, or was read back whole (L6).
    fn renewed(&mut self, sent: &Sent, observed: Observed) {
        let timing = self.config.timing;
        let newest = match self.seen.place() {
            Place::Present(newest) if newest.says_the_same(&observed) => newest.clone(),
            _ => observed.clone(),
        };
        self.pause.succeeded();
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        term.acknowledged = observed.version.resource_version;
        term.last = sent.write.clone();
        term.base = newest;
        term.check = false;
        // Whatever was open before it is settled by it.
        term.unsettled
            .retain(|other| other.write.mark.counter > sent.write.mark.counter);
        term.valid_until = term.valid_until.max(sent.at.after(timing.renew_deadline()));
        term.last_sent = sent.at;
        let period = timing.retry_period();
        term.renew_at = sent.at.after(period);
        if self.config.spread_renewals {
            term.renew_at = beat_before(term.renew_at, period);
        }
        let recovered = term.failing.take().is_some();
        self.tell(Notice::Renewed { recovered });
    }

    /// A label that somebody put on the Lease makes one conflict. A second one in a row is a failure
    /// that a person should see.
    fn clashed(&mut self) {
        if self.pause.failures() == 0 {
            self.pause.failed(self.now.mono, &mut self.rng);
        } else {
            self.renewal_failed("the API server keeps answering with conflicts".into());
        }
    }

    fn renewal_failed(&mut self, error: Arc<str>) {
        let now = self.now.mono;
        self.pause.failed(now, &mut self.rng);
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        term.failing = Some(Arc::clone(&error));
        let left = Some(term.valid_until.since(now));
        self.tell(Notice::RenewFailed { error, left });
    }

    fn rebase(&mut self, observed: Observed) {
        if let Phase::Leading(term) = &mut self.phase {
            term.base = observed;
        }
    }

    fn renew_soon(&mut self) {
        let now = self.now.mono;
        if let Phase::Leading(term) = &mut self.phase {
            term.renew_at = term.renew_at.min(now);
        }
    }

    /// L21: write over the edit, with the duration that this process goes by; not more often than
    /// four times in a retry period, however fast somebody edits.
    fn restore(&mut self, observed: Observed) {
        let rest = self.config.timing.retry_period() / 4;
        if let Phase::Leading(term) = &mut self.phase {
            term.base = observed;
            term.renew_at = term.renew_at.min(term.last_sent.after(rest));
        }
        self.tell(Notice::Warn(Warning::EditedRecord));
    }
}

/// How many moments of a retry period the renewals of a set share.
const BEATS: u32 = 64;

/// The beat that is not after `at`. Beats are counted from the clock's beginning, so all elections
/// of a process have the same ones: what is due together is sent, answered and heard of together.
fn beat_before(at: Instant, period: Duration) -> Instant {
    let beat = period / BEATS;
    let into = at.as_nanos() % u64::try_from(beat.as_nanos()).unwrap_or(u64::MAX).max(1);
    at.before(Duration::from_nanos(into))
}

fn not_mine(term: &Term, observed: &Observed, me: &Arc<str>) -> Option<LossReason> {
    if observed.version.uid != term.base.version.uid {
        return Some(LossReason::Replaced);
    }
    match holder_of(observed) {
        None => Some(LossReason::Emptied),
        Some(holder) if holder != *me => Some(LossReason::TakenBy(holder)),
        Some(_) => None,
    }
}
