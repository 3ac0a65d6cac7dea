//! Carries out what the supervisor decides, and tells it what happens.

use std::{
    ffi::{OsStr, OsString},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tenure::{
    ElectionError, Holder, Instant, LeaderElection, Leadership, LossReason, Lost, Released, Status,
};
use tokio::sync::{mpsc, watch};

use super::{
    begin,
    child::{self, Guarded},
    containment::Containment,
    hooks::RunningHook,
    notify,
    options::RunOptions,
    saying::FROZEN,
    state_file::StateFile,
    supervisor::{Action, Event, INT, Supervisor, TERM, signal_only::SignalOnly},
    wire::{Cause, Order, Report},
};
use crate::{console, failure::Failure, standing::CLOSE_LIMIT};

/// How long an end waits for a guard that has nothing to guard.
const DISARM_LIMIT: Duration = Duration::from_secs(1);

/// How often a guard is looked at whose deadline nothing moves.
const GUARD_LOOK: Duration = Duration::from_secs(2);

/// How many guards in a row may be gone before they have done anything.
const MOST_GUARDS_LOST: u32 = 5;

/// The state machine that decides.
enum Decider {
    Leads(Supervisor),
    SignalOnly(SignalOnly),
}

#[allow(
    clippy::struct_excessive_bools,
    reason = "each is about something else"
)]
pub(super) struct Driver {
    pub(super) options: RunOptions,
    decider: Decider,
    pub(super) containment: Containment,
    pub(super) command: Option<Guarded>,
    guards_lost: u32,
    pub(super) hook: Option<RunningHook>,
    status: watch::Receiver<Status>,
    status_over: bool,
    election: LeaderElection,
    signals: mpsc::UnboundedReceiver<i32>,
    acquiring: Option<BoxFuture<'static, Result<Leadership, ElectionError>>>,
    pub(super) leadership: Option<Leadership>,
    /// Resolves when leadership is about to end, or has.
    told: Option<Lost>,
    releasing: Option<BoxFuture<'static, Released>>,
    known_lost: bool,
    /// As the guards know it; none where they have nothing to guard against.
    pub(super) valid_until: Option<Instant>,
    /// With `--signal-only`.
    pub(super) state_file: Option<StateFile>,
    /// When the command is looked at again that is to be told that it leads, as soon as it can hear it.
    pub(super) tell_at: Option<Instant>,
    pub(super) tell_pause: Duration,
    /// What to say at the end.
    pub(super) why: Option<String>,
    /// Who was seen to lead last, as long as this stands by.
    pub(super) leader: Option<Holder>,
    /// Whoever sits at a terminal: what was told there last of who is waited for.
    pub(super) waited_for: Option<String>,
    interrupted: bool,
}

/// What holds the command, and the first guard.
pub(super) struct Held {
    pub(super) containment: Containment,
    pub(super) command: Guarded,
}

impl Driver {
    pub(super) fn new(
        options: RunOptions,
        held: Held,
        election: LeaderElection,
        signals: mpsc::UnboundedReceiver<i32>,
        began: Instant,
    ) -> Result<Self, Failure> {
        let (decider, state_file) = if options.signal_only.is_some() {
            let decider = SignalOnly::new(options.policy, began);
            (Decider::SignalOnly(decider), Some(StateFile::new()?))
        } else {
            let decider = Supervisor::new(options.policy, began);
            (Decider::Leads(decider), None)
        };
        Ok(Self {
            options,
            decider,
            containment: held.containment,
            command: Some(held.command),
            guards_lost: 0,
            hook: None,
            status: election.status(),
            status_over: false,
            election,
            signals,
            acquiring: None,
            leadership: None,
            told: None,
            releasing: None,
            known_lost: true,
            valid_until: None,
            state_file,
            tell_at: None,
            tell_pause: Duration::ZERO,
            why: None,
            leader: None,
            waited_for: None,
            interrupted: false,
        })
    }

    /// Until tenure is to end; with which code.
    pub(super) async fn drive(&mut self) -> u8 {
        loop {
            while let Some(action) = self.decider.poll() {
                if let Some(code) = self.carry_out(action) {
                    self.say_why(code);
                    self.disarm().await;
                    return code;
                }
            }
            if let Some(event) = self.happens().await {
                self.decide(event);
            }
        }
    }

    /// Stands no more. What it acquires at this very moment is given back, unless whoever asks a second
    /// time does not want to wait for it.
    pub(super) async fn leave(self) {
        let Self {
            election,
            acquiring,
            leadership,
            mut signals,
            ..
        } = self;
        drop((acquiring, leadership));
        let asked_again = async {
            while let Some(signal) = signals.recv().await {
                if matches!(signal, INT | TERM) {
                    return;
                }
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(CLOSE_LIMIT, election.close()) => {}
            () = asked_again => {}
        }
    }

    pub(super) fn decide(&mut self, event: Event) {
        tracing::debug!(target: "tenure", ?event);
        self.decider.handle(tenure::now(), event);
    }

    /// Ends the guard that stands by for the next run.
    async fn disarm(&mut self) {
        let patience = self.patience();
        if let Some(mut command) = self.command.take() {
            command.kill(patience);
            let over = async { while !matches!(command.next().await, Report::Empty { .. }) {} };
            let _ = tokio::time::timeout(DISARM_LIMIT, over).await;
        }
    }

    /// Waits for something to happen. Cancel safe.
    async fn happens(&mut self) -> Option<Event> {
        let leading = self.leadership.as_ref().filter(|_| !self.known_lost);
        if leading.is_some_and(|leadership| !leadership.is_leading()) {
            self.known_lost = true;
            let reason = leading.and_then(|leadership| leadership.lost_reason());
            self.ran_out(reason.as_ref());
            return Some(Event::Lost);
        }
        let end = leading.and_then(|leadership| leadership.valid_until());
        let tick = [self.decider.deadline(), end].into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(signal) = self.signals.recv() => {
                self.interrupted |= signal == INT;
                Some(Event::Signal(signal))
            }
            report = heard(self.command.as_mut()) => self.command_says(report),
            report = heard(self.hook.as_mut().map(|hook| &mut hook.guarded)) => {
                self.hook_says(&report)
            }
            leadership = maybe(&mut self.acquiring) => Some(self.acquired(leadership)),
            reason = maybe(&mut self.told) => {
                self.told = None;
                self.ending(&reason)
            }
            released = maybe(&mut self.releasing) => {
                self.releasing = None;
                tracing::info!(target: "tenure", ?released, "leadership is given up");
                Some(Event::Released)
            }
            changed = self.status.changed(), if !self.status_over => {
                self.status_over = changed.is_err();
                if self.status_over { Some(Event::Lost) } else { self.status_changed() }
            }
            () = tokio::time::sleep(GUARD_LOOK), if self.leads_without_end() => {
                self.look_at_guards();
                None
            }
            () = sleep_until(self.tell_at) => {
                self.tell_when_heard();
                None
            }
            () = sleep_until(tick) => Some(Event::Tick),
        }
    }

    fn carry_out(&mut self, action: Action) -> Option<u8> {
        tracing::debug!(target: "tenure", ?action);
        match action {
            Action::Arm => self.arm(),
            Action::Stand => {
                let election = self.election.clone();
                self.acquiring = Some(async move { election.acquire().await }.boxed());
                // What is known already counts for this wait, too.
                self.status.mark_changed();
                notify::tell("STATUS=standing by");
            }
            Action::Run => {
                let (until, env) = (self.kill_at(), self.environment());
                // What it is to be told stands in its file when it starts.
                self.tell_at = None;
                self.command.as_mut()?.start(until, env);
                self.guards_lost = 0;
                if self.leadership.is_some() {
                    notify::tell("STATUS=leading");
                }
            }
            Action::Tell { leads } => self.tell_command(leads),
            Action::Forward(signal) => self.command.as_mut()?.tell(&Order::Signal {
                signal,
                first_alone: false,
            }),
            Action::Stop => {
                let signal = self.options.stop_signal;
                self.command.as_mut()?.tell(&Order::Stop { signal });
                notify::tell("STATUS=stopping the command");
                if self.interrupted && console::stderr_is_terminal() {
                    console::note("tenure: the command is asked to end; a second Ctrl-C kills it");
                }
            }
            Action::StopRest => {
                let signal = self.options.stop_signal;
                self.command.as_mut()?.tell(&Order::StopRest { signal });
            }
            Action::Kill => {
                let patience = self.patience();
                self.command.as_mut()?.kill(patience);
            }
            Action::RunHook(hook) => self.run_hook(hook),
            Action::KillHook => {
                let patience = self.patience();
                self.hook.as_mut()?.kill(patience);
            }
            Action::Release => {
                self.valid_until = None;
                self.told = None;
                self.known_lost = true;
                let leadership = self.leadership.take();
                self.releasing = Some(match leadership {
                    Some(leadership) => leadership.release().boxed(),
                    None => async { Released::Lost }.boxed(),
                });
            }
            Action::Exit(code) => return Some(code),
        }
        None
    }

    fn arm(&mut self) {
        self.command = None;
        if self.guards_lost < MOST_GUARDS_LOST {
            match begin::arm(self.containment, &self.options.command, child::stdin()) {
                Ok(guarded) => self.command = Some(guarded),
                Err(failure) => self.why = Some(failure.message(true)),
            }
        } else {
            self.why = Some("its guards end by themselves".to_owned());
        }
        if self.command.is_none() {
            self.decide(Event::CannotArm);
        }
    }

    fn command_says(&mut self, report: Report) -> Option<Event> {
        tracing::debug!(target: "tenure", ?report);
        match report {
            Report::Ready { .. } => Some(Event::Armed),
            Report::Refused { why } => {
                self.why = Some(format!("the command can no longer be held: {why}"));
                self.command = None;
                Some(Event::CannotArm)
            }
            Report::Ended { exit } => Some(Event::Ended(exit)),
            Report::Gone => {
                self.guards_lost += 1;
                tracing::warn!(target: "tenure", "the guard is gone; the command is killed");
                self.led_until(
                    "the watchdog had ended or did not answer, so the command was killed",
                );
                Some(Event::Unguarded)
            }
            Report::Empty { cause } => {
                tracing::info!(target: "tenure", ?cause, "nothing of the command is left");
                if matches!(cause, Cause::Deadline | Cause::Orphaned) {
                    self.led_until(FROZEN);
                }
                // The lock need not wait until the guard is gone, too.
                let guarded = self.command.take();
                tokio::task::spawn_blocking(move || drop(guarded));
                Some(Event::Empty(cause))
            }
            Report::Started { .. } | Report::Heard { .. } => None,
        }
    }

    fn acquired(&mut self, acquired: Result<Leadership, ElectionError>) -> Event {
        self.acquiring = None;
        match acquired {
            Ok(leadership) => {
                tracing::info!(
                    target: "tenure",
                    term = leadership.term(),
                    token = leadership.token().as_str(),
                    "leading"
                );
                self.valid_until = leadership.valid_until();
                self.told = Some(leadership.lost());
                self.leadership = Some(leadership);
                self.known_lost = false;
                self.why = None;
                self.leader = None;
                self.waited_for = None;
                Event::Leads
            }
            Err(error) => {
                self.why = Some(error.to_string());
                Event::CannotArm
            }
        }
    }

    fn ending(&mut self, reason: &LossReason) -> Option<Event> {
        tracing::debug!(target: "tenure", %reason, "leadership ends");
        let leadership = self.leadership.as_ref()?;
        if leadership.is_leading() {
            self.why = Some(format!("leadership is lost: {reason}"));
            let ends = [leadership.stop_by(), leadership.valid_until()];
            let by = ends.into_iter().flatten().min()?;
            return Some(Event::Foretold { by });
        }
        self.known_lost = true;
        self.ran_out(Some(reason));
        Some(Event::Lost)
    }

    /// With a lock for life: no renewal ever moves the guards' deadline.
    fn leads_without_end(&self) -> bool {
        let leadership = self.leadership.as_ref();
        leadership.is_some_and(|leadership| leadership.valid_until().is_none())
    }

    /// Tells the guards until when they have to guard; one that does not hear is done without.
    fn look_at_guards(&mut self) {
        let (until, patience) = (self.kill_at(), self.options.policy.margin);
        let hook = self.hook.as_mut().map(|hook| &mut hook.guarded);
        let guarded = self.command.as_mut().into_iter().chain(hook);
        guarded.for_each(|guarded| guarded.until(until, patience));
    }

    fn status_changed(&mut self) -> Option<Event> {
        if let Some(leadership) = &self.leadership {
            let valid_until = leadership.valid_until();
            let guarded = self.valid_until.is_some();
            if guarded && valid_until != self.valid_until && leadership.is_leading() {
                self.valid_until = valid_until;
                self.look_at_guards();
            }
            self.status.mark_unchanged();
            return None;
        }
        let status = self.status.borrow_and_update().clone();
        self.acquiring.as_ref()?;
        let (holder, error) = match status {
            Status::Standby { holder, error } => (holder, error),
            Status::Paused { paused, .. } => {
                self.leader = None;
                self.waits_for(format!("{paused}; `tenure resume` ends the pause"));
                return Some(Event::AnotherLeads);
            }
            _ => return None,
        };
        let own = self.election.identity();
        self.leader = holder.filter(|holder| *holder.identity != *own);
        if let Some(holder) = &self.leader {
            self.waits_for(format!("{} leads", holder.identity));
            return Some(Event::AnotherLeads);
        }
        self.why = error.map(|error| format!("who leads is not known: {error}"));
        None
    }

    /// When the guards kill, should nobody say otherwise.
    pub(super) fn kill_at(&self) -> Option<Instant> {
        self.valid_until
            .map(|until| until.before(self.options.policy.margin))
    }

    /// How long a guard may take to kill before it is done without.
    pub(super) fn patience(&self) -> Duration {
        self.options.policy.margin / 3
    }

    pub(super) fn environment(&self) -> Vec<(String, OsString)> {
        let set = |name: &str, value: &OsStr| (name.to_owned(), value.to_owned());
        let set_text = |name: &str, value: &str| set(name, OsStr::new(value));
        if let Some(file) = &self.state_file {
            return vec![
                set_text("TENURE_LOCK", self.election.lock_name()),
                set_text("TENURE_IDENTITY", self.election.identity()),
                set("TENURE_STATE_FILE", file.path().as_os_str()),
            ];
        }
        let Some(leadership) = &self.leadership else {
            return Vec::new();
        };
        vec![
            set_text("TENURE_LOCK", leadership.lock()),
            set_text("TENURE_IDENTITY", leadership.identity()),
            set_text("TENURE_TERM", &leadership.term().to_string()),
            set_text("TENURE_TOKEN", leadership.token().as_str()),
        ]
    }
}

impl Decider {
    fn poll(&mut self) -> Option<Action> {
        match self {
            Self::Leads(decider) => decider.poll(),
            Self::SignalOnly(decider) => decider.poll(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Leads(decider) => decider.deadline(),
            Self::SignalOnly(decider) => decider.deadline(),
        }
    }

    fn handle(&mut self, now: Instant, event: Event) {
        match self {
            Self::Leads(decider) => decider.handle(now, event),
            Self::SignalOnly(decider) => decider.handle(now, event),
        }
    }
}

async fn heard(guarded: Option<&mut Guarded>) -> Report {
    match guarded {
        Some(guarded) => guarded.next().await,
        None => std::future::pending().await,
    }
}

/// The future's result; never where there is none. Whoever gets it takes the future away.
async fn maybe<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn sleep_until(until: Option<Instant>) {
    use tenure::clock::{Clock as _, SystemClock};
    match until {
        Some(until) => SystemClock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}
