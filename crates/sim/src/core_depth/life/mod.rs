//! A lock for life: the server that keeps it, the Pods of its candidates with all that befalls
//! them, the garbage collector, and people.
//!
//! | file | what it holds |
//! |---|---|
//! | `habits.rs` | how a seed sets its cluster up |
//! | `server.rs` | the lock object, as a server keeps it |
//! | `cluster.rs` | Pods, containers and processes, in truth and as they are shown |
//! | `kubelet.rs` | what becomes of Pods, containers and processes |
//! | `collector.rs` | the garbage collector |
//! | `people.rs` | who meddles with the lock |
//! | `rights.rs` | who may take up or delete a lock, in truth |
//! | `remedy.rs` | what people put right when the faults are over |

mod cluster;
mod collector;
mod habits;
mod kubelet;
mod people;
mod remedy;
mod rights;
mod server;

use std::sync::Arc;

use tenure_core::{
    Nonce, Outcome, Sight, Uid, Version,
    life::{Answer, LifeConfig, LifeElector, LifeWrite, LockObject, Me, ProcessSight, Request},
};

use crate::{
    clock::{Nanos, SECOND},
    fault::{Fault, FaultKind},
    plan::{Plan, SeatTiming},
    rng::{Rng, hashed},
    trace::{Author, Happening, ProcessId, Warrant, Write},
};

use super::{
    model::{Desk, Model, Newcomer, Victim},
    post::LATEST,
};
use cluster::Cluster;
use collector::Collector;
use habits::Habits;
use kubelet::excuse;
use server::{Content, Server};

pub(super) struct LifeModel {
    seed: u64,
    habits: Habits,
    server: Server,
    cluster: Cluster,
    collector: Collector,
    /// For how long messages may still be under way when the faults have ended.
    in_flight: Nanos,
    /// Who may not delete a lock leaves it to the collector.
    refusals: bool,
    restored: bool,
    peace: bool,
}

/// What happens later to Pods and locks.
#[derive(Clone, Debug)]
pub(super) enum Later {
    /// The kubelet reports on that Pod.
    Report(usize),
    /// That Pod's object goes.
    Remove(usize),
    /// What still runs of that Pod is told to end.
    TakeDown(usize),
    /// That Pod's node is given up on.
    GiveUpOn(usize),
    /// The collector comes.
    Collect,
    /// The finalizer lets go of the lock of that uid.
    Finalize(Uid),
    /// A process of that seat stands no more.
    Retire(usize),
    /// Somebody labels the lock.
    Label,
    /// Somebody looks after the lock.
    Remedy,
}

impl Model for LifeModel {
    type Elector = LifeElector;
    type Request = Request;
    type Answer = Answer;
    type Object = LockObject;
    type Later = Later;

    fn new(plan: &Plan) -> Self {
        use FaultKind as K;
        let refused = [
            K::Unauthorized,
            K::Forbidden,
            K::Gone,
            K::UnauthorizedAfter,
            K::ForbiddenAfter,
            K::GoneAfter,
        ];
        let has = |kinds: &[K]| plan.faults.iter().any(|fault| kinds.contains(&fault.kind));
        let slow = [K::Delays, K::Reordered, K::Duplicates, K::FreezeBeforeSend];
        let lost = [
            K::RequestsLost,
            K::PartitionOut,
            K::PartitionFlapping,
            K::PartitionLong,
        ];
        let in_flight = if has(&lost) {
            LATEST + 26 * SECOND
        } else if has(&slow) {
            26 * SECOND
        } else {
            0
        };
        Self {
            seed: plan.seed,
            habits: Habits::of(plan.seed),
            server: Server::default(),
            cluster: Cluster::new(),
            collector: Collector::default(),
            in_flight,
            refusals: has(&refused),
            restored: false,
            peace: false,
        }
    }

    fn vacant(&self, now: Nanos, seat: usize, _: bool) -> bool {
        let stays_away = self.habits.lonely && seat > 0 && !self.peace;
        !stays_away && self.cluster.vacant(now, seat, &self.habits)
    }

    fn start(&mut self, desk: &mut Desk<Self>, newcomer: &Newcomer<'_>) -> LifeElector {
        let habits = &self.habits;
        let twin = newcomer
            .twin_of
            .and_then(|twin| self.cluster.process(twin))
            .map(|twin| (twin.pod, twin.container));
        let (pod, container) = if let Some(place) = twin {
            place
        } else {
            let usable = self.cluster.usable(newcomer.seat);
            let pod = usable.unwrap_or_else(|| self.cluster.create_pod(newcomer.seat, habits));
            let empty = self.cluster.empty_container(desk.now, pod);
            (pod, empty.unwrap_or(0))
        };
        let process = self
            .cluster
            .add(desk.now, (pod, container), newcomer.twin_of, habits);
        let (run, id) = (process.run, process.id.clone());
        let owner = &self.cluster.pods[pod];
        desk.tell(Happening::Started {
            process: newcomer.process,
            seat: newcomer.seat,
            identity: owner.uid.as_str().into(),
            ours: true,
            grace: u64::try_from(SeatTiming::life().grace.as_nanos()).unwrap_or(0),
            trusts: None,
            trusts_clocks: false,
            cooldown: 0,
        });
        if !owner.exists
            && let Some((_, kind)) = owner.why
        {
            desk.tell(excuse(newcomer.process, kind));
        }
        if owner.is_going() && !owner.lost {
            // A twin in a Pod that was told to end is told, too.
            let within = hashed([self.seed, desk.now, 123]) % (12 * SECOND);
            desk.ask_to_end.push((newcomer.process, within));
        }
        if owner.lost {
            desk.cut_off.push(newcomer.process);
        }
        if self.cluster.vacant(desk.now, newcomer.seat, habits) {
            desk.start.push((desk.now + SECOND / 10, newcomer.seat));
        }
        let place = &owner.containers[container];
        let known = |knows: bool, text: &Arc<str>| knows.then(|| Arc::clone(text));
        let me = Me {
            pod_name: Arc::clone(&owner.name),
            pod_uid: owner.uid.clone(),
            container: known(habits.knows_container, &place.name),
            container_id: known(habits.knows_container_id, &place.runs[run].id),
            single_container: owner.containers.len() == 1,
            process: habits.knows_process.then_some(id),
        };
        let delete_on_release = !habits.keeps_lock;
        self.will_report(desk, pod);
        LifeElector::new(LifeConfig {
            me,
            nonce: Nonce::new(format!("n{}", newcomer.process.0)),
            timing: SeatTiming::life(),
            delete_on_release,
            seed: newcomer.seed,
        })
    }

    fn ended(&mut self, desk: &mut Desk<Self>, process: ProcessId, _: usize) {
        self.process_ended(desk, process);
    }

    fn local(&mut self, asks: ProcessId, request: &Request) -> Option<Outcome<Answer>> {
        let Request::InspectProcess(process) = request else {
            return None;
        };
        let mine = &self.cluster.process(asks)?.id;
        let alive = self
            .cluster
            .processes
            .iter()
            .any(|other| other.alive && other.id == *process);
        let sight = if self.habits.blind {
            ProcessSight::Unknown
        } else if (&mine.boot_id, &mine.pid_namespace) != (&process.boot_id, &process.pid_namespace)
        {
            ProcessSight::OtherNamespace
        } else if alive {
            ProcessSight::Alive
        } else {
            ProcessSight::Gone
        };
        Some(Outcome::Done(Answer::Process(sight)))
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
    ) -> Outcome<Answer> {
        let author = Author::Process(process);
        let current = self.server.lock().map(|lock| lock.version.clone());
        match request {
            Request::Read => self.answer(),
            Request::Create(_) if current.is_some() => Outcome::AlreadyExists,
            Request::Create(write) => {
                let content = written(Content::default(), write);
                self.create(desk, author, content);
                self.answer()
            }
            Request::Replace { base, write } => match self.server.lock() {
                Some(lock) if lock.version == base => {
                    if let Some(what) = self.wrong_reentry(process) {
                        let process = Some(process);
                        desk.tell(Happening::Broken { process, what });
                    }
                    let content = written(lock.content.clone(), write);
                    self.put(desk, author, Some(&base), content);
                    self.answer()
                }
                None if self.habits.gone_is_not_found => gone(),
                _ => Outcome::Conflict,
            },
            Request::Delete { version } => match current {
                None => gone(),
                Some(current) if current != version => Outcome::Conflict,
                Some(_) => {
                    let warrant = self.warrant(process);
                    self.delete(desk, author, Some(&version), warrant);
                    match self.answer() {
                        Outcome::NotFound(_) => Outcome::Done(Answer::Deleted),
                        left => left,
                    }
                }
            },
            Request::ReadPod { name } => match self.cluster.read(&name) {
                Some(pod) => Outcome::Done(Answer::Pod(pod)),
                None => Outcome::NotFound("there is no such Pod".into()),
            },
            Request::InspectProcess(_) => Outcome::Done(Answer::Process(ProcessSight::Unknown)),
        }
    }

    fn shown(sight: &Sight<LockObject>) -> Option<u64> {
        let version = match sight {
            Sight::Seen(lock) => &lock.version,
            Sight::Gone(version) => version,
        };
        Some(server::number(&version.resource_version))
    }

    fn retires(&mut self, process: ProcessId) -> bool {
        if self.holder() == Some(process) {
            return false;
        }
        if let Some(process) = self.cluster.processes.get_mut(process.0 as usize) {
            process.retired = true;
        }
        true
    }

    fn old_state(&self, then: Nanos) -> Option<Sight<LockObject>> {
        self.server.state_at(then)
    }

    fn strike(&mut self, desk: &mut Desk<Self>, fault: &Fault, victim: Option<Victim>) -> bool {
        match (fault.kind, victim) {
            (FaultKind::Evict, Some(victim)) => self.evict(desk, fault, victim),
            (FaultKind::ForceDelete, Some(victim)) => self.force_delete(desk, fault, victim),
            (FaultKind::NodeLost, Some(victim)) => self.lose_node(desk, fault, victim),
            (FaultKind::NameReuse, Some(victim)) => self.reuse_name(desk, fault, victim),
            (FaultKind::GcLate, _) => {
                self.collector.late_until = fault.ends();
                true
            }
            (FaultKind::GcOff, _) => {
                self.collector.off_until = fault.ends();
                true
            }
            (FaultKind::PeopleLabel, _) => {
                self.label(desk);
                true
            }
            (FaultKind::Restore, _) => self.restore(desk, fault),
            _ => self.meddle(desk, fault),
        }
    }

    fn later(&mut self, desk: &mut Desk<Self>, what: Later) {
        match what {
            Later::Report(pod) => self.report(pod),
            Later::Remove(pod) => self.remove_pod(desk, pod),
            Later::TakeDown(pod) => self.take_down(desk, pod),
            Later::GiveUpOn(pod) => self.give_up_on(desk, pod),
            Later::Collect => self.collect(desk),
            Later::Finalize(uid) => {
                let is_it = |lock: &server::Stored| lock.being_deleted && lock.version.uid == uid;
                if self.server.lock().is_some_and(is_it) {
                    desk.news.extend(self.server.remove(desk.now));
                }
            }
            Later::Retire(seat) => self.retire(desk, seat),
            Later::Label => self.label(desk),
            Later::Remedy => self.remedy(desk),
        }
    }

    fn peace(&mut self, desk: &mut Desk<Self>) -> Nanos {
        self.make_peace(desk)
    }
}

impl LifeModel {
    /// Numbers for something that happens now. What else happens in the run does not change them.
    fn dice(&self, now: Nanos, salt: u64) -> Rng {
        Rng::new(hashed([self.seed, now, salt]), 120)
    }

    fn create(&mut self, desk: &mut Desk<Self>, by: Author, content: Content) {
        self.wrote(desk, by, None, |server, now| {
            server.create(now, content);
        });
    }

    fn put(&mut self, desk: &mut Desk<Self>, by: Author, base: Option<&Version>, content: Content) {
        self.wrote(desk, by, base, |server, now| {
            server.put(now, content);
        });
    }

    /// Write, tell of it, and show it to whoever watches.
    fn wrote(
        &mut self,
        desk: &mut Desk<Self>,
        by: Author,
        base: Option<&Version>,
        write: impl FnOnce(&mut Server, Nanos),
    ) {
        let before = self.server.lock().cloned();
        write(&mut self.server, desk.now);
        let after = self.server.lock();
        desk.tell(Happening::Wrote(Write {
            by,
            base: base.map(named),
            since: before.as_ref().map_or(desk.now, |before| before.since),
            before: before.as_ref().map(server::Stored::snapshot),
            after: after.map(server::Stored::snapshot),
            sent: desk.sent,
            warrant: None,
        }));
        desk.news
            .extend(after.map(|after| Sight::Seen(after.object())));
        self.look_for_orphans(desk);
    }

    /// Delete the lock: it goes at once, or waits for its finalizer. To the checkers it is gone from
    /// now on.
    fn delete(
        &mut self,
        desk: &mut Desk<Self>,
        by: Author,
        base: Option<&Version>,
        warrant: Option<Warrant>,
    ) {
        let Some(lock) = self.server.lock().filter(|lock| !lock.being_deleted) else {
            return;
        };
        desk.tell(Happening::Wrote(Write {
            by,
            base: base.map(named),
            before: Some(lock.snapshot()),
            after: None,
            since: lock.since,
            sent: desk.sent,
            warrant,
        }));
        self.somebody_may_quit(desk);
        if self.habits.finalizer {
            let within = self.finalizer_takes(desk.now);
            let uid = lock.version.uid.clone();
            desk.later.push((desk.now + within, Later::Finalize(uid)));
            let marked = self.server.mark_deleted(desk.now);
            desk.news
                .extend(marked.map(|marked| Sight::Seen(marked.object())));
        } else {
            desk.news.extend(self.server.remove(desk.now));
        }
    }

    /// Now and then what the finalizer waits for is long in coming.
    fn finalizer_takes(&self, now: Nanos) -> Nanos {
        let mut rng = self.dice(now, 121);
        match rng.below(4) {
            0 if !self.peace => rng.between(20 * SECOND, 120 * SECOND),
            _ => rng.below(8 * SECOND),
        }
    }

    fn answer(&self) -> Outcome<Answer> {
        match self.server.lock() {
            Some(lock) => Outcome::Done(Answer::Lock(lock.object())),
            None => gone(),
        }
    }

    fn restore(&mut self, desk: &mut Desk<Self>, fault: &Fault) -> bool {
        let back = Rng::new(fault.salt, 122).between(SECOND, 60 * SECOND);
        let before = self.server.lock().map(server::Stored::snapshot);
        if !self.server.restore(desk.now.saturating_sub(back)) {
            return false;
        }
        self.restored = true;
        desk.tell(Happening::Restored);
        for id in 0..u32::try_from(self.cluster.processes.len()).unwrap_or(u32::MAX) {
            desk.tell(excuse(ProcessId(id), fault.kind));
        }
        let lock = self.server.lock();
        if let Some(lock) = lock.filter(|lock| lock.being_deleted) {
            let finalize = Later::Finalize(lock.version.uid.clone());
            desk.later.push((desk.now + SECOND, finalize));
        }
        desk.tell(Happening::Wrote(Write {
            by: Author::Restore,
            base: None,
            before,
            after: lock.map(server::Stored::snapshot),
            since: desk.now,
            sent: desk.sent,
            warrant: None,
        }));
        self.look_for_orphans(desk);
        true
    }
}

/// What a write of ours makes of what stood there: everything of others stays.
fn written(content: Content, write: LifeWrite) -> Content {
    Content {
        owners: vec![write.owner],
        record: Some(write.record),
        // A request to an earlier term goes with it (F12).
        asked: None,
        ..content
    }
}

fn named(version: &Version) -> (Arc<str>, u64) {
    (
        version.uid.as_str().into(),
        server::number(&version.resource_version),
    )
}

fn gone<T>() -> Outcome<T> {
    Outcome::NotFound("there is no such lock".into())
}
