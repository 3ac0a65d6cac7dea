//! The hooks: commands of their own, guarded like the one that they belong to.

use super::{
    begin,
    child::Guarded,
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
}

impl Driver {
    pub(super) fn run_hook(&mut self, hook: Hook) {
        let script = self
            .options
            .hook(hook)
            .map(options::shell)
            .unwrap_or_default();
        match begin::arm(self.containment, &script) {
            Ok(guarded) => {
                self.hook = Some(RunningHook {
                    hook,
                    guarded,
                    exit: None,
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
}
