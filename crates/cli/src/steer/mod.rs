//! `tenure step-down`, `hand-over`, `pause`, `resume` and `release`: what a person asks of a lock.
//! The first four ask by annotations (L25, L26, F12), and a holder of tenure does it in the ordinary
//! way; `release` takes the lock from a holder that is dead.
//!
//! | file | what it is about |
//! |---|---|
//! | `args.rs` | what was typed, and what it means |
//! | `lock.rs` | the lock as it is found, and changes of exactly that state |
//! | `release.rs` | breaking a dead lock: what is known, what it may do, the question |

pub(crate) mod args;
mod lock;
mod release;
mod rights;

use std::{process::ExitCode, time::Duration};

use serde_json::{Value, json};
use tenure::clock::{Clock as _, SystemClock};

pub(crate) use args::Order;
pub(crate) use rights::yaml as rights;

use self::{
    args::Verb,
    lock::{Changed, Found, Place},
};
use crate::{
    console,
    failure::Failure,
    see::{
        api::Api,
        judge::{Word, judge},
        kind::Kind,
        lock::Hold,
        patiently,
        text::harmless_json,
    },
};

/// How often a change is tried again when somebody was faster.
const TRIES: u32 = 8;
/// How often the lock is looked at while waiting.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) async fn run(order: Order) -> Result<ExitCode, Failure> {
    let api = Api::of(&order.cluster).await?;
    let namespace = match &order.namespace {
        Some(namespace) => namespace.clone(),
        None => api.namespace()?,
    };
    let place = Place {
        namespace,
        api,
        kind: order.kind,
        name: order.name.clone(),
    };
    for _ in 0..TRIES {
        let Some(found) = patiently(place.look()).await? else {
            return absent(&place, &order).await;
        };
        if let Some(done) = nothing_to_do(&place, &order, &found)? {
            console::print(&done)?;
            // Who was paused by somebody else may still be on the way out.
            return match order.wait {
                Some(wait) if order.pauses() && !order.dry_run && found.holder().is_some() => {
                    watch(&place, &order, &found, wait).await
                }
                _ => Ok(ExitCode::SUCCESS),
            };
        }
        let changed = if let Verb::Release { yes } = &order.verb {
            release::confirm(&place, &found, *yes || order.dry_run).await?;
            release::carry_out(&place, &found, order.dry_run).await?
        } else {
            let patch = json!({"metadata": {"annotations": annotations(&order, &found)}});
            if order.dry_run {
                console::print(&format!("{}\n", harmless_json(&patch.to_string())))?;
            }
            place.patch(&found, patch, order.dry_run).await?
        };
        match changed {
            // The holder that was looked at is gone: what was answered was about another.
            Changed::Conflict if matches!(order.verb, Verb::Release { .. }) => {
                return Err(Failure::failed(format!(
                    "the {} has changed meanwhile, so its holder may live; nothing was done, look again",
                    place.shown()
                )));
            }
            Changed::Conflict => {}
            Changed::HeldBack(finalizers) => {
                return Err(Failure::failed(format!(
                    "the {} is being deleted, and stays until its finalizers are gone ({finalizers}): \
                     until then it counts as held; see who has to take them away",
                    place.shown()
                )));
            }
            Changed::Done => return done(&place, &order, &found).await,
        }
    }
    Err(Failure::failed(format!(
        "the {} kept changing under {TRIES} tries; try again",
        place.shown()
    )))
}

async fn absent(place: &Place, order: &Order) -> Result<ExitCode, Failure> {
    let what = match order.verb {
        _ if !place.api.serves(place.kind).await.unwrap_or(true) => {
            "the API server does not know that kind; for LeaderLocks, `tenure crd --install`"
        }
        Verb::Resume => {
            console::print(&format!(
                "there is no {}: it is not paused\n",
                place.shown()
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Pause { .. } => {
            "an absent Lease cannot be paused, and candidates create it; create an empty one first"
        }
        _ => "nobody holds it; check --lock and --namespace",
    };
    Err(Failure::failed(format!(
        "there is no {}: {what}",
        place.shown()
    )))
}

/// What to say where nothing has to be done; an error where nothing can be.
fn nothing_to_do(place: &Place, order: &Order, found: &Found) -> Result<Option<String>, Failure> {
    let shown = place.shown();
    is_a_lock(place, order, found)?;
    let is_paused = found.lock.paused.is_some();
    if let (Verb::Pause { reason }, Some(paused)) = (&order.verb, &found.lock.paused) {
        if !reason.is_empty() {
            console::note(
                "tenure: it keeps its own reason; `tenure resume` it first to give another",
            );
        }
        return Ok(Some(format!("the {shown} is already {paused}\n")));
    }
    let Some(holder) = found.holder() else {
        return Ok(match order.verb {
            Verb::StepDown { .. } | Verb::Release { .. } => {
                Some(format!("nobody holds the {shown}: nothing to do\n"))
            }
            Verb::Resume if !is_paused => Some(format!("the {shown} is not paused\n")),
            _ => None,
        });
    };
    match &order.verb {
        Verb::Resume if !is_paused => return Ok(Some(format!("the {shown} is not paused\n"))),
        Verb::Resume | Verb::Release { .. } => return Ok(None),
        Verb::StepDown { to: Some(to) } if found.is_held_by(to) => {
            return Ok(Some(format!(
                "{holder} holds the {shown} already: nothing to do\n"
            )));
        }
        Verb::StepDown { .. } | Verb::Pause { .. } => {}
    }
    if found.asked_as().is_none() && !order.anyway {
        return Err(Failure::failed(format!(
            "{holder} holds the {shown} and is no tenure: it will not listen, and nothing was \
             written; restart its Pod, or end it and wait until the lock is free (--anyway writes \
             the annotation all the same)"
        )));
    }
    Ok(None)
}

/// What is no lock is not touched (F11).
fn is_a_lock(place: &Place, order: &Order, found: &Found) -> Result<(), Failure> {
    let (shown, kind) = (place.shown(), place.kind);
    match &found.lock.hold {
        Hold::ForLife(life) => match &life.foreign {
            Some(why) => Err(Failure::failed(format!(
                "the {shown} is no lock: {why}; nothing was done, check --lock and the name"
            ))),
            None => Ok(()),
        },
        Hold::Renewed(_) if kind != Kind::Lease && matches!(order.verb, Verb::Release { .. }) => {
            Err(Failure::failed(format!(
                "the {shown} is a lock of client-go from before Leases: it runs out by itself when \
                 its holder is dead, and nothing was done"
            )))
        }
        Hold::Renewed(_) => Ok(()),
    }
}

fn annotations(order: &Order, found: &Found) -> Value {
    let (at, by) = (now(), somebody());
    match &order.verb {
        Verb::StepDown { to } => {
            let mut asked = json!({
                "holder": found.asked_as().or(found.lock.holder()),
                "uid": found.lock.uid,
                "at": at,
                "by": by,
            });
            if order.kind == Kind::Lease {
                asked["transitions"] = found.transitions().into();
            }
            if let Some(to) = to {
                asked["to"] = to.as_str().into();
            }
            json!({"tenure.dev/step-down": asked.to_string()})
        }
        Verb::Pause { reason } => {
            let paused = json!({"since": at, "by": by, "reason": reason});
            json!({"tenure.dev/paused": paused.to_string()})
        }
        Verb::Resume | Verb::Release { .. } => json!({"tenure.dev/paused": null}),
    }
}

async fn done(place: &Place, order: &Order, before: &Found) -> Result<ExitCode, Failure> {
    let shown = place.shown();
    let holder = before.holder();
    let told = match (&order.verb, &holder) {
        (Verb::StepDown { to: None }, Some(holder)) => format!("asked {holder} to step down"),
        (Verb::StepDown { to: Some(to) }, Some(holder)) => {
            format!("asked {holder} to hand over to {to}")
        }
        (Verb::Pause { .. }, Some(holder)) => {
            format!("paused the {shown}; {holder} steps down")
        }
        (Verb::Resume, _) => format!("resumed the {shown}"),
        (Verb::Release { .. }, _) => format!("released the {shown}"),
        _ => format!("paused the {shown}"),
    };
    let note = if order.dry_run {
        " (dry run: nothing was changed)"
    } else {
        ""
    };
    console::print(&format!("{told}{note}\n"))?;
    let judgement = judge(&before.lock, None, place.api.moment());
    if judgement.is(Word::Expired)
        && matches!(order.verb, Verb::StepDown { .. } | Verb::Pause { .. })
    {
        console::note(&format!(
            "tenure: whether it hears that is doubtful: {}",
            judgement.because.join("; ")
        ));
    }
    if let Verb::StepDown { to: Some(to) } = &order.verb
        && let Some(doubt) = place.doubt_about(to).await
    {
        console::note(&format!("tenure: {doubt}"));
    }
    match order.wait {
        Some(wait) if !order.dry_run && holder.is_some() => watch(place, order, before, wait).await,
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Look until it has happened.
async fn watch(
    place: &Place,
    order: &Order,
    before: &Found,
    wait: Duration,
) -> Result<ExitCode, Failure> {
    let pausing = order.pauses();
    let to = match &order.verb {
        Verb::StepDown { to } => to.as_deref(),
        _ => None,
    };
    if console::stderr_is_terminal() {
        console::note("waiting until it has happened ...");
    }
    let happens = async {
        loop {
            tokio::time::sleep(LOOK).await;
            // An answer that fails is asked for again, as long as there is time.
            let Ok(now) = place.look().await else {
                continue;
            };
            let gone = now
                .as_ref()
                .is_none_or(|now| now.is_another_term_than(before));
            let now = now.filter(|now| now.lock.holder().is_some());
            match now {
                Some(now) if gone && !pausing => return Some(now),
                None if gone && pausing => return None,
                _ => {}
            }
        }
    };
    if let Ok(now) = tokio::time::timeout(wait, happens).await {
        let holder = now.as_ref().and_then(Found::holder);
        let holder = holder.unwrap_or_else(|| "nobody".to_owned());
        // Who is named goes first, and is not waited for (L22).
        if let Some(to) = to.filter(|to| now.is_some_and(|now| !now.is_held_by(to))) {
            return Err(Failure::failed(format!(
                "{holder} leads now, and by its identity that is not {to}, who was not there in time or \
                 goes by another name"
            )));
        }
        console::print(&format!("{holder} leads now\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = place.look().await?.and_then(|now| now.holder());
    let now = now.map_or("nobody leads".to_owned(), |holder| {
        format!("{holder} leads")
    });
    Err(Failure::failed(format!(
        "it has not happened within {wait:?}: {now} now; the request stands, look again, or at the \
         holder's log"
    )))
}

fn now() -> String {
    let micros = SystemClock.wall().as_micros();
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    format!("{time:.0}")
}

/// Who asks: a name for people, which proves nothing.
fn somebody() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let user = user.filter(|user| !user.is_empty());
    user.unwrap_or_else(|| "tenure".to_owned())
}
