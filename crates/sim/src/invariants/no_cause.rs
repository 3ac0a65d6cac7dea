//! Nobody loses leadership without a fault. A request to step down that is none to the present term is
//! no cause of anything (L25).

use tenure_core::{LossReason, Notice};

use crate::{
    clock::{Nanos, SECOND},
    ledger::Ledger,
    trace::Happening,
};

use super::{Invariant, named};

/// How long a fault may work on after it has struck: a Lease of the longest duration, and the
/// longest delay of a message.
const AFTERMATH: Nanos = 90 * SECOND;

pub(super) struct NoCause;

impl Invariant for NoCause {
    fn name(&self) -> &'static str {
        "no-cause"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        let Happening::Notice {
            process,
            notice: Notice::Lost(reason) | Notice::Stop { reason, .. },
        } = what
        else {
            return Ok(());
        };
        let struck = ledger
            .last_struck()
            .is_some_and(|then| at < then + AFTERMATH);
        if struck || matches!(reason, LossReason::SteppedDown | LossReason::Abandoned) {
            return Ok(());
        }
        Err(format!(
            "{} lost leadership, or is about to ({reason}), and nothing had happened",
            named(ledger, *process)
        ))
    }
}
