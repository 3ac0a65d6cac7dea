//! The hooks: commands of their own, guarded like the one that they belong to.

use std::time::Duration;

use super::{
    begin,
    child::{self, Guarded},
    driver::Driver,
    exit::Exit,
    options,
    supervisor::{Event, Hook},
    wire::Report,
};

pub(super) struct RunningHook {
    hook: Hook,
    pub(super) guarded: Guarded,
    exit: Option<Exit>,
    killed: bool,
}

impl RunningHook {
    pub(super) fn kill(&mut self, patience: Duration) {
        self.killed = true;
        self.guarded.kill(patience);
    }
}

impl Driver {
    pub(super) fn run_hook(&mut self, hook: Hook) {
        let script = self
            .options
            .hook(hook)
            .map(options::shell)
            .unwrap_or_default();
        // What the command is to read is not for hooks.
        match begin::arm(self.containment, &script, child::nothing()) {
            Ok(guarded) => {
                self.hook = Some(RunningHook {
                    hook,
                    guarded,
                    exit: None,
                    killed: false,
                });
            }
            Err(failure) => {
                self.why = Some(failure.message(true));
                self.decide(Event::HookOver { well: false });
            }
        }
    }

    pub(super) fn hook_says(&mut self, report: &Report) -> Option<Event> {
        let (until, mut env) = (self.kill_at(), self.environment());
        let running = self.hook.as_mut()?;
        match report {
            Report::Ready { .. } => {
                env.push(("TENURE_HOOK".to_owned(), running.hook.name().into()));
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
                let well = running.exit == Some(Exit::Code(0)) && !running.killed;
                if !well {
                    let name = running.hook.name();
                    let how = match running.exit {
                        Some(Exit::Code(0)) if running.killed => {
                            "left something behind, which was killed".to_owned()
                        }
                        Some(exit) if !running.killed => format!("ended with {}", exit.code()),
                        _ => "was killed before it ended".to_owned(),
                    };
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
}
