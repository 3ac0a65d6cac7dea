//! Carries out what the supervisor decides, and tells it what happens.

use std::{ffi::OsString, os::fd::AsFd as _, process::ExitCode, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use tenure::{
    ElectionError, Instant, LeaderElection, Leadership, LossReason, Lost, Released, Status,
};
use tokio::sync::{mpsc, watch};

use super::{
    child::{self, Guarded},
    containment::Containment,
    exit::{self, Exit},
    notify,
    options::{self, RunOptions},
    reaper, signals,
    supervisor::{Action, Event, Hook, Supervisor},
    wire::{Order, Report},
};
use crate::{campaign::standing, console, failure::Failure};

/// How long the first guard may take to get ready.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// How long an end waits for a guard that has nothing to guard.
const DISARM_LIMIT: Duration = Duration::from_secs(1);

/// How many guards in a row may be gone before they have done anything.
const MOST_GUARDS_LOST: u32 = 5;

/// Stands for election, and runs the command while leading.
pub(crate) async fn run(options: RunOptions) -> Result<ExitCode, Failure> {
    let mut signals = signals::catch()?;
    reaper::start()?;
    let begun = {
        let begun = begin(&options);
        tokio::pin!(begun);
        loop {
            tokio::select! {
                begun = &mut begun => break begun?,
                // Before anything is begun all of the signals that end a program end it.
                Some(signal) = signals.recv() => if matches!(signal, 1 | 2 | 3 | 15) {
                    return Ok(ExitCode::from(exit::of_signal(signal)));
                },
            }
        }
    };
    let (containment, command, election) = begun;
    let mut status = election.status();
    status.mark_changed();
    let mut driver = Driver {
        supervisor: Supervisor::new(options.policy, tenure::now()),
        options,
        containment,
        command: Some(command),
        guards_lost: 0,
        hook: None,
        status,
        election,
        signals,
        acquiring: None,
        leadership: None,
        told: None,
        releasing: None,
        known_lost: true,
        valid_until: None,
        why: None,
    };
    notify::tell("READY=1\nSTATUS=standing by");
    let code = driver.drive().await;
    notify::tell("STOPPING=1");
    Ok(ExitCode::from(code))
}

async fn begin(options: &RunOptions) -> Result<(Containment, Guarded, LeaderElection), Failure> {
    let (containment, command) = ready(options).await?;
    tracing::info!(target: "tenure", containment = containment.name(), "the command is held by");
    let election = standing::election(&options.stand).await?;
    Ok((containment, command, election))
}

/// The first containment that the place allows, with a guard that is ready.
async fn ready(options: &RunOptions) -> Result<(Containment, Guarded), Failure> {
    let mut refused = Vec::new();
    for containment in &options.containments {
        let mut guarded = arm(*containment, &options.command)?;
        let report = tokio::time::timeout(READY_LIMIT, guarded.next()).await;
        let why = match report {
            Ok(Report::Ready { .. }) => return Ok((*containment, guarded)),
            Ok(Report::Refused { why }) => why,
            Ok(_) => "its guard has ended".to_owned(),
            Err(_) => format!("its guard was not ready within {READY_LIMIT:?}"),
        };
        refused.push(format!("{}: {why}", containment.name()));
    }
    Err(Failure::failed(format!(
        "this place does not allow the containment that was asked for ({}); leave --containment out, \
         or grant what it needs",
        refused.join("; ")
    )))
}

fn arm(containment: Containment, command: &[OsString]) -> Result<Guarded, Failure> {
    let failed = |error| {
        Failure::failed("cannot start a guard; raise the limits of this process").because(error)
    };
    let stdin = child::stdin().map_err(failed)?;
    Guarded::arm(containment, command, stdin.as_fd()).map_err(failed)
}

struct Driver {
    options: RunOptions,
    supervisor: Supervisor,
    containment: Containment,
    command: Option<Guarded>,
    guards_lost: u32,
    hook: Option<RunningHook>,
    status: watch::Receiver<Status>,
    election: LeaderElection,
    signals: mpsc::UnboundedReceiver<i32>,
    acquiring: Option<BoxFuture<'static, Result<Leadership, ElectionError>>>,
    leadership: Option<Leadership>,
    /// Resolves when leadership is about to end, or has.
    told: Option<Lost>,
    releasing: Option<BoxFuture<'static, Released>>,
    known_lost: bool,
    /// As the guards know it.
    valid_until: Option<Instant>,
    /// What to say at the end.
    why: Option<String>,
}

struct RunningHook {
    hook: Hook,
    guarded: Guarded,
    exit: Option<Exit>,
}

impl Driver {
    async fn drive(&mut self) -> u8 {
        loop {
            while let Some(action) = self.supervisor.poll() {
                if let Some(code) = self.carry_out(action) {
                    self.say_why(code);
                    self.disarm().await;
                    return code;
                }
            }
            if let Some(event) = self.happens().await {
                tracing::debug!(target: "tenure", ?event);
                self.supervisor.handle(tenure::now(), event);
            }
        }
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
            return Some(Event::Lost);
        }
        let end = leading.and_then(|leadership| leadership.valid_until());
        let tick = [self.supervisor.deadline(), end]
            .into_iter()
            .flatten()
            .min();
        tokio::select! {
            biased;
            Some(signal) = self.signals.recv() => Some(Event::Signal(signal)),
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
            changed = self.status.changed() => match changed {
                Ok(()) => self.status_changed(),
                Err(_) => Some(Event::Lost),
            },
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
                notify::tell("STATUS=standing by");
            }
            Action::Run => {
                let (until, env) = (self.kill_at(), self.environment());
                self.command.as_mut()?.start(until, env);
                self.guards_lost = 0;
                notify::tell("STATUS=leading");
            }
            Action::Forward(signal) => self.command.as_mut()?.tell(&Order::Signal {
                signal,
                first_alone: false,
            }),
            Action::Stop => {
                let signal = self.options.stop_signal;
                self.command.as_mut()?.tell(&Order::Stop { signal });
                notify::tell("STATUS=stopping the command");
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
                self.hook.as_mut()?.guarded.kill(patience);
            }
            Action::Release => {
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
            match arm(self.containment, &self.options.command) {
                Ok(guarded) => self.command = Some(guarded),
                Err(failure) => self.why = Some(failure.message(true)),
            }
        }
        if self.command.is_none() {
            self.why
                .get_or_insert_with(|| "its guards end by themselves".to_owned());
            self.supervisor.handle(tenure::now(), Event::CannotArm);
        }
    }

    fn run_hook(&mut self, hook: Hook) {
        let script = self
            .options
            .hook(hook)
            .map(options::shell)
            .unwrap_or_default();
        match arm(self.containment, &script) {
            Ok(guarded) => {
                self.hook = Some(RunningHook {
                    hook,
                    guarded,
                    exit: None,
                });
            }
            Err(failure) => {
                self.why = Some(failure.message(true));
                self.supervisor
                    .handle(tenure::now(), Event::HookOver { well: false });
            }
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
                Some(Event::Unguarded)
            }
            Report::Empty { cause } => {
                tracing::info!(target: "tenure", ?cause, "nothing of the command is left");
                self.command = None;
                Some(Event::Empty(cause))
            }
            Report::Started { .. } | Report::Heard { .. } => None,
        }
    }

    fn hook_says(&mut self, report: &Report) -> Option<Event> {
        let (until, mut env) = (self.kill_at(), self.environment());
        let running = self.hook.as_mut()?;
        match report {
            Report::Ready { .. } => {
                env.push(("TENURE_HOOK".to_owned(), running.hook.name().to_owned()));
                running.guarded.start(until, env);
                None
            }
            Report::Ended { exit } => {
                running.exit = Some(*exit);
                None
            }
            // What is left of it is killed, and then it is empty.
            Report::Gone | Report::Started { .. } | Report::Heard { .. } => None,
            Report::Empty { .. } | Report::Refused { .. } => {
                let well = running.exit == Some(Exit::Code(0));
                if !well {
                    let (name, how) = (running.hook.name(), running.exit);
                    let how = how.map_or("was killed".to_owned(), |exit| {
                        format!("ended with {}", exit.code())
                    });
                    let told = format!("the hook --{name} {how}");
                    tracing::warn!(target: "tenure", "{told}");
                    if running.hook == Hook::OnStart {
                        self.why = Some(format!("{told}; the command was not started"));
                    }
                }
                self.hook = None;
                Some(Event::HookOver { well })
            }
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
                Event::Leads
            }
            Err(error) => {
                self.why = Some(error.to_string());
                Event::CannotArm
            }
        }
    }

    fn ending(&mut self, reason: &LossReason) -> Option<Event> {
        tracing::warn!(target: "tenure", %reason, "leadership ends");
        self.why = Some(format!("leadership is lost: {reason}"));
        let leadership = self.leadership.as_ref()?;
        if leadership.is_leading() {
            let ends = [leadership.stop_by(), leadership.valid_until()];
            let by = ends.into_iter().flatten().min()?;
            return Some(Event::Foretold { by });
        }
        self.known_lost = true;
        Some(Event::Lost)
    }

    fn status_changed(&mut self) -> Option<Event> {
        if let Some(leadership) = &self.leadership {
            let valid_until = leadership.valid_until();
            if valid_until != self.valid_until && leadership.is_leading() {
                self.valid_until = valid_until;
                let until = self.kill_at();
                let hook = self.hook.as_mut().map(|hook| &mut hook.guarded);
                let guarded = self.command.as_mut().into_iter().chain(hook);
                guarded.for_each(|guarded| guarded.until(until));
            }
            self.status.mark_unchanged();
            return None;
        }
        let status = self.status.borrow_and_update().clone();
        let Status::Standby { holder, error } = status else {
            return None;
        };
        if let Some(holder) = holder.filter(|holder| *holder.identity != *self.election.identity())
        {
            self.why = Some(format!("{} leads", holder.identity));
            return Some(Event::AnotherLeads);
        }
        if let Some(error) = error {
            self.why = Some(format!("who leads is not known: {error}"));
        }
        None
    }

    /// When the guards kill, should nobody say otherwise.
    fn kill_at(&self) -> Option<Instant> {
        self.valid_until
            .map(|until| until.before(self.options.policy.margin))
    }

    /// How long a guard may take to kill before it is done without.
    fn patience(&self) -> Duration {
        self.options.policy.margin / 3
    }

    fn environment(&self) -> Vec<(String, String)> {
        let Some(leadership) = &self.leadership else {
            return Vec::new();
        };
        [
            ("TENURE_LOCK", leadership.lock().to_owned()),
            ("TENURE_IDENTITY", leadership.identity().to_owned()),
            ("TENURE_TERM", leadership.term().to_string()),
            ("TENURE_TOKEN", leadership.token().as_str().to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn say_why(&self, code: u8) {
        let name = &self.options.stand.name;
        let why = self.why.as_deref().unwrap_or("nobody is known to lead");
        match code {
            exit::LOST => console::note(&format!("tenure: {why} (lock {name:?})")),
            exit::WAITED => console::note(&format!("tenure: gave up the lock {name:?}: {why}")),
            exit::FAILED if self.why.is_some() => console::note(&format!("tenure: {why}")),
            _ => {}
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

async fn sleep_until(until: Option<Instant>) {
    use tenure::clock::{Clock as _, SystemClock};
    match until {
        Some(until) => SystemClock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}
