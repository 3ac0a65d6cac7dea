//! A Lease: the server that keeps it, the people who meddle with it, and the candidates for it.

mod candidate;
mod client_go;
mod people;
mod server;
mod steering;

use std::sync::Arc;

use tenure_core::{
    Outcome, Sight,
    lease::{Observed, Request},
};

use crate::{
    clock::{Nanos, SECOND},
    fault::{Fault, FaultKind},
    plan::{Plan, SLOWEST},
    rng::Rng,
    trace::{Against, Author, Happening, ProcessId, Write},
};

#[cfg(feature = "stack")]
pub(crate) use client_go::ClientGo;

use super::model::{Desk, Model, Newcomer, Victim};
use candidate::LeaseCandidate;
use server::{Asks as _, Requests, Server, Stored, snapshot};

pub(super) struct LeaseModel {
    server: Server,
    identities: Vec<Arc<str>>,
    nonces: Vec<Arc<str>>,
    strict: bool,
    mixed: bool,
    longest_call: Nanos,
}

impl Model for LeaseModel {
    type Elector = LeaseCandidate;
    type Request = Request;
    type Answer = Observed;
    type Object = Observed;
    type Later = ();

    fn new(plan: &Plan) -> Self {
        let calls = plan
            .seats
            .iter()
            .map(|seat| seat.timing.lease().call_limit());
        Self {
            server: Server::holding(plan.left_behind),
            identities: Vec::new(),
            nonces: Vec::new(),
            strict: plan.strict,
            mixed: plan
                .seats
                .iter()
                .any(|seat| seat.timing != plan.seats[0].timing),
            longest_call: calls
                .max()
                .map_or(0, |call| u64::try_from(call.as_nanos()).unwrap_or(0)),
        }
    }

    fn start(&mut self, desk: &mut Desk<Self>, newcomer: &Newcomer<'_>) -> LeaseCandidate {
        let candidate = LeaseCandidate::new(newcomer, &self.identities);
        self.identities.push(candidate.identity());
        self.nonces.push(candidate.nonce());
        desk.tell(Happening::Started {
            process: newcomer.process,
            seat: newcomer.seat,
            identity: candidate.identity(),
            ours: candidate.is_ours() || newcomer.plan.client_go,
            grace: candidate.grace(),
            trusts: Some(newcomer.plan.seats[newcomer.seat].timing.trusts()),
            trusts_clocks: newcomer.plan.seats[newcomer.seat].max_skew.is_some(),
            cooldown: newcomer.plan.seats[newcomer.seat].cools_for(),
        });
        candidate
    }

    fn identity(&self, process: ProcessId) -> Option<Arc<str>> {
        self.identities.get(process.0 as usize).cloned()
    }

    fn reads(request: &Request) -> bool {
        matches!(request, Request::Read)
    }

    fn creates(request: &Request) -> bool {
        matches!(request, Request::Create(_))
    }

    fn apply(
        &mut self,
        desk: &mut Desk<Self>,
        process: ProcessId,
        request: Request,
    ) -> Outcome<Observed> {
        match request {
            Request::Read => match self.server.lease() {
                Some(lease) => Outcome::Done(lease.observed.clone()),
                None => Outcome::NotFound("there is no such Lease".into()),
            },
            Request::Create(_) if self.server.lease().is_some() => Outcome::AlreadyExists,
            Request::Create(write) => {
                let mark = (write.mark.counter > 0).then_some(write.mark);
                let author = Author::Process(process);
                let none = Requests::default();
                self.put(desk, author, None, write.spec, mark, none, true)
            }
            Request::Replace { base, write } => {
                let mark = if write.mark.counter == 0 {
                    // client-go leaves foreign annotations where they are.
                    self.server
                        .lease()
                        .and_then(|lease| lease.observed.mark.clone())
                } else {
                    Some(write.mark)
                };
                match self.server.lease() {
                    Some(lease) if lease.observed.version == base => {
                        let named = (
                            Arc::from(base.uid.as_str()),
                            server::number(&base.resource_version),
                        );
                        let mut requests = lease.observed.requests();
                        if write.acquires {
                            // L25: a request to an earlier term goes with it.
                            requests.step_down = None;
                        }
                        let author = Author::Process(process);
                        self.put(desk, author, Some(named), write.spec, mark, requests, false)
                    }
                    // A replace of a deleted Lease answers 409 too.
                    _ => Outcome::Conflict,
                }
            }
        }
    }

    fn answered(answer: &Observed) -> u64 {
        server::number(&answer.version.resource_version)
    }

    fn version(object: &Observed) -> u64 {
        server::number(&object.version.resource_version)
    }

    fn old_state(&self, then: Nanos) -> Option<Sight<Observed>> {
        self.server.state_at(then).cloned()
    }

    fn strike(&mut self, desk: &mut Desk<Self>, fault: &Fault, victim: Option<Victim>) -> bool {
        match fault.kind {
            FaultKind::Evict => {
                let Some(victim) = victim else { return false };
                let mut rng = Rng::new(fault.salt, 30);
                let within = rng.between(SECOND, 30 * SECOND);
                desk.ask_to_end.push((victim.process, within));
                desk.start.push((desk.now + rng.below(within), victim.seat));
                true
            }
            FaultKind::NodeLost => {
                let Some(victim) = victim else { return false };
                desk.cut_off.push(victim.process);
                desk.start.push((desk.now + 20 * SECOND, victim.seat));
                true
            }
            FaultKind::NameReuse => {
                let Some(victim) = victim else { return false };
                desk.end.push(victim.process);
                desk.start.push((desk.now + SECOND / 4, victim.seat));
                true
            }
            FaultKind::Restore => self.restore(desk, fault),
            FaultKind::PeopleLabel => {
                self.later(desk, ());
                true
            }
            kind if kind.is_a_request() => self.steer(desk, fault),
            _ => self.meddle(desk, fault),
        }
    }

    fn strike_ends(&mut self, desk: &mut Desk<Self>, fault: &Fault) {
        if fault.kind == FaultKind::PauseLease && self.resume(desk) {
            desk.tell(Happening::Struck {
                fault: fault.id,
                kind: fault.kind,
                process: None,
            });
        }
    }

    /// A controller that labels what it finds, again and again.
    fn later(&mut self, desk: &mut Desk<Self>, (): ()) {
        desk.news.extend(self.server.touch(desk.now));
        desk.later.push((desk.now + 3 * SECOND, ()));
    }

    fn peace(&mut self, desk: &mut Desk<Self>) -> Nanos {
        // No pause is for ever: who waits leads from here on.
        self.resume(desk);
        let longest = self.server.longest_written().max(15 * SECOND);
        let calls = 4 * self.longest_call + 3 * SECOND;
        2 * (longest / SLOWEST * 1_000_000 + calls)
    }
}

impl LeaseModel {
    /// Put a state there, tell of it, and show it to whoever watches.
    #[allow(clippy::too_many_arguments, reason = "each is a part of the write")]
    fn put(
        &mut self,
        desk: &mut Desk<Self>,
        by: Author,
        base: Option<(Arc<str>, u64)>,
        spec: tenure_core::lease::Spec,
        mark: Option<tenure_core::lease::WriteMark>,
        requests: Requests,
        creates: bool,
    ) -> Outcome<Observed> {
        let mut spec = spec;
        if by == Author::Person && !server::speaks(&spec, mark.as_ref()) {
            // 68 years in a stranger's name are honoured (L20): nobody would lead within this run.
            spec.duration_seconds = spec.duration_seconds.map(|seconds| seconds.min(60));
        }
        if let Some(text) = server::invalid(&spec) {
            return Outcome::Refused(text.into());
        }
        let before = self.server.lease().map(Stored::snapshot);
        let since = self.server.lease().map_or(desk.now, |lease| lease.since);
        if !self.server.put(desk.now, spec, mark, requests, creates) {
            // A byte-identical replace does not move the resourceVersion.
            return self.answer();
        }
        if by == Author::Person {
            self.server.note_copy();
        }
        let after = self.server.lease().map(Stored::snapshot);
        desk.tell(Happening::Wrote(Write {
            by,
            base,
            before,
            after,
            since,
            sent: desk.sent,
            warrant: None,
        }));
        let answer = self.answer();
        if let Outcome::Done(observed) = &answer {
            desk.news.push(Sight::Seen(observed.clone()));
        }
        answer
    }

    fn delete(&mut self, desk: &mut Desk<Self>, by: Author) -> bool {
        let Some((lease, sight)) = self.server.delete(desk.now) else {
            return false;
        };
        desk.tell(Happening::Wrote(Write {
            by,
            base: None,
            before: Some(snapshot(&lease.observed)),
            after: None,
            since: lease.since,
            sent: desk.sent,
            warrant: None,
        }));
        desk.news.push(sight);
        true
    }

    fn answer(&self) -> Outcome<Observed> {
        match self.server.lease() {
            Some(lease) => Outcome::Done(lease.observed.clone()),
            None => Outcome::NotFound("there is no such Lease".into()),
        }
    }

    /// The process whose record stands there.
    fn holder(&self) -> Option<ProcessId> {
        let mark = self.server.lease()?.observed.mark.as_ref()?;
        let index = self
            .nonces
            .iter()
            .position(|nonce| **nonce == *mark.nonce.as_str())?;
        u32::try_from(index).ok().map(ProcessId)
    }

    fn restore(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let back = Rng::new(fault.salt, 31).between(SECOND, 60 * SECOND);
        let before = self.server.lease().map(Stored::snapshot);
        if !self.server.restore(desk.now.saturating_sub(back)) {
            return false;
        }
        desk.tell(Happening::Restored);
        // Whoever remembers a resourceVersion that will be given out again may mistake what it names.
        for id in 0..u32::try_from(self.identities.len()).unwrap_or(u32::MAX) {
            desk.tell(Happening::Excused {
                process: ProcessId(id),
                kind: fault.kind,
                against: Against::Everybody,
                for_good: true,
            });
        }
        let after = self.server.lease().map(Stored::snapshot);
        desk.tell(Happening::Wrote(Write {
            by: Author::Restore,
            base: None,
            before,
            after,
            since: desk.now,
            sent: desk.sent,
            warrant: None,
        }));
        true
    }
}
