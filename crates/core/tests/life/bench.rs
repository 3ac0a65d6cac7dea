//! A candidate on a bench: its clock, its calls and its notices in the test's hands.

use std::{collections::VecDeque, time::Duration};

use tenure_core::{
    Action, CallId, Command, Elector, Event, Instant, LifeTiming, MicroTime, Nonce, Notice, Now,
    Outcome, Sight, Status, Uid, Version, Warning,
    life::{
        Answer, ContainerSight, LifeConfig, LifeElector, LifeRecord, LifeWrite, LockObject, Me,
        OwnerRef, PodSight, ProcessId, Request, RestartPolicy, Terminated,
    },
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// More than any test hands in: a test whose loop would never end fails instead.
const MOST_EVENTS: u32 = 100_000;

pub(crate) struct Bench {
    pub(crate) elector: LifeElector,
    now: Instant,
    calls: VecDeque<(CallId, Request)>,
    pub(crate) notices: Vec<Notice>,
    events: u32,
}

impl Bench {
    pub(crate) fn new(config: LifeConfig) -> Self {
        Self {
            elector: LifeElector::new(config),
            now: Instant::from_nanos(1_000_000_000),
            calls: VecDeque::new(),
            notices: Vec::new(),
            events: 0,
        }
    }

    /// Candidate `a`, standing, with its first call under way.
    pub(crate) fn standing() -> Self {
        let mut bench = Self::new(config());
        bench.command(Command::Stand);
        bench
    }

    /// Candidate `a`, leading by the lock `L@10` that it created.
    pub(crate) fn leading() -> Self {
        let mut bench = Self::standing();
        bench.expect_read();
        bench.absent();
        let write = bench.expect_create();
        bench.lock(lock("L@10", &write));
        assert_eq!(bench.token().as_deref(), Some("10"));
        bench.notices.clear();
        bench
    }

    pub(crate) fn feed(&mut self, event: Event<Answer, LockObject>) {
        self.events += 1;
        assert!(self.events < MOST_EVENTS, "no end at {:?}", self.now);
        let now = Now {
            mono: self.now,
            wall: MicroTime::default(),
        };
        self.elector.handle(now, event);
        while let Some(action) = self.elector.poll() {
            match action {
                Action::Call { id, request } => self.calls.push_back((id, request)),
                Action::Notify(notice) => self.notices.push(notice),
            }
        }
        assert!(
            self.calls.len() <= 1,
            "more than one call: {:?}",
            self.calls
        );
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.feed(Event::Command(command));
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Let time pass, waking the candidate whenever it asked for it.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(due) = self.elector.deadline().filter(|due| *due <= end) {
            if !self.calls.is_empty() && due <= self.now {
                break;
            }
            self.now = self.now.max(due);
            self.feed(Event::Tick);
            if !self.calls.is_empty() {
                break;
            }
        }
        self.now = self.now.max(end);
    }

    /// Sleep until the candidate next wants something.
    pub(crate) fn sleep(&mut self) -> Duration {
        let due = self.elector.deadline().expect("nothing is planned");
        let slept = due.since(self.now);
        self.now = self.now.max(due);
        self.feed(Event::Tick);
        slept
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// The call under way.
    #[track_caller]
    pub(crate) fn request(&self) -> Request {
        self.calls.front().expect("no call is under way").1.clone()
    }

    #[track_caller]
    pub(crate) fn expect_read(&self) {
        assert_eq!(self.calls.front().map(|call| &call.1), Some(&Request::Read));
    }

    #[track_caller]
    pub(crate) fn expect_create(&self) -> LifeWrite {
        match self.calls.front() {
            Some((_, Request::Create(write))) => write.clone(),
            other => panic!("expected a create: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_replace(&self, base: &str) -> LifeWrite {
        match self.calls.front() {
            Some((_, Request::Replace { base: found, write })) => {
                assert_eq!(*found, version(base));
                write.clone()
            }
            other => panic!("expected a replace: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_delete(&self, state: &str) {
        let version = version(state);
        let call = self.calls.front().map(|call| &call.1);
        assert_eq!(call, Some(&Request::Delete { version }));
    }

    #[track_caller]
    pub(crate) fn expect_read_pod(&self, name: &str) {
        let name = name.into();
        let call = self.calls.front().map(|call| &call.1);
        assert_eq!(call, Some(&Request::ReadPod { name }));
    }

    #[track_caller]
    pub(crate) fn expect_inspect(&self, process: &ProcessId) {
        let call = self.calls.front().map(|call| &call.1);
        assert_eq!(call, Some(&Request::InspectProcess(process.clone())));
    }

    #[track_caller]
    pub(crate) fn expect_rest(&self) {
        assert!(self.is_idle(), "expected no call: {:?}", self.calls);
    }

    /// Take the call under way off the bench, to be answered late or never.
    pub(crate) fn hold_back(&mut self) -> CallId {
        self.calls.pop_front().expect("no call is under way").0
    }

    pub(crate) fn answer(&mut self, outcome: Outcome<Answer>) {
        let id = self.hold_back();
        self.answer_late(id, outcome);
    }

    pub(crate) fn answer_late(&mut self, id: CallId, outcome: Outcome<Answer>) {
        self.feed(Event::Answer { id, outcome });
    }

    pub(crate) fn lock(&mut self, lock: LockObject) {
        self.answer(Outcome::Done(Answer::Lock(lock)));
    }

    pub(crate) fn absent(&mut self) {
        self.answer(Outcome::NotFound("not found".into()));
    }

    pub(crate) fn unknown(&mut self) {
        self.answer(Outcome::Unknown("timed out".into()));
    }

    pub(crate) fn pod(&mut self, pod: PodSight) {
        self.answer(Outcome::Done(Answer::Pod(pod)));
    }

    pub(crate) fn watch(&mut self, lock: LockObject) {
        self.feed(Event::Watch(Sight::Seen(lock)));
    }

    pub(crate) fn watch_gone(&mut self, state: &str) {
        self.feed(Event::Watch(Sight::Gone(version(state))));
    }

    pub(crate) fn token(&self) -> Option<String> {
        let belief = self.elector.belief()?;
        assert_eq!((belief.term, belief.valid_until), (0, None));
        Some(belief.token.to_string())
    }

    pub(crate) fn leads(&self) -> bool {
        self.elector.belief().is_some()
    }

    pub(crate) fn is_lost(&self) -> bool {
        !self.leads() && matches!(self.elector.status(), Status::Lost { .. })
    }

    pub(crate) fn warned_of_no_lock(&self) -> usize {
        self.notices
            .iter()
            .filter(|notice| matches!(notice, Notice::Warn(Warning::NotALock { .. })))
            .count()
    }
}

pub(crate) fn config() -> LifeConfig {
    LifeConfig {
        me: me("a", "A"),
        nonce: Nonce::new("n"),
        timing: LifeTiming::default(),
        delete_on_release: true,
        seed: 1,
    }
}

/// The second container of a Pod of two: `main`, id `new`, process 7.
pub(crate) fn me(name: &str, uid: &str) -> Me {
    Me {
        pod_name: name.into(),
        pod_uid: Uid::new(uid),
        container: Some("main".into()),
        container_id: Some("new".into()),
        single_container: false,
        process: Some(process(7)),
    }
}

pub(crate) fn process(pid: u32) -> ProcessId {
    ProcessId {
        pid,
        start_time: 1000,
        boot_id: "boot".into(),
        pid_namespace: "pid:[1]".into(),
    }
}

/// `uid@resourceVersion`.
pub(crate) fn version(text: &str) -> Version {
    let (uid, resource_version) = text.split_once('@').expect("uid@resourceVersion");
    Version::new(uid, resource_version)
}

/// The lock as `write` made it.
pub(crate) fn lock(state: &str, write: &LifeWrite) -> LockObject {
    LockObject {
        version: version(state),
        being_deleted: false,
        owners: vec![write.owner.clone()],
        record: Some(write.record.clone()),
        foreign: None,
        step_down: None,
    }
}

/// What another process wrote: in container `main`, id `old`, process 5 of its own machine.
pub(crate) fn other_write(pod: &str, uid: &str) -> LifeWrite {
    let uid = Uid::new(uid);
    LifeWrite {
        owner: OwnerRef::pod(pod, uid.clone()),
        record: LifeRecord {
            pod_name: pod.into(),
            pod_uid: uid,
            container: Some("main".into()),
            container_id: Some("old".into()),
            process: Some(ProcessId {
                boot_id: "another boot".into(),
                ..process(5)
            }),
            nonce: Nonce::new("other-1"),
        },
    }
}

/// A lock of the Pod `b`.
pub(crate) fn lock_of_b(state: &str) -> LockObject {
    lock(state, &other_write("b", "B"))
}

/// What the seed's library writes: an owner reference and nothing else.
pub(crate) fn seeds_lock(state: &str, pod: &str, uid: &str) -> LockObject {
    let owner = OwnerRef {
        controller: Some(true),
        block_owner_deletion: Some(true),
        ..OwnerRef::pod(pod, Uid::new(uid))
    };
    LockObject {
        version: version(state),
        being_deleted: false,
        owners: vec![owner],
        record: None,
        foreign: None,
        step_down: None,
    }
}

/// A running Pod with the container `main` in it.
pub(crate) fn pod(uid: &str, terminated: Option<Terminated>) -> PodSight {
    PodSight {
        uid: Uid::new(uid),
        terminal: false,
        being_deleted: false,
        restart_policy: RestartPolicy::Never,
        containers: vec![ContainerSight {
            name: "main".into(),
            restart_policy: None,
            terminated,
            last_terminated: None,
        }],
    }
}

/// A death that is certain.
pub(crate) fn terminated(id: &str) -> Terminated {
    Terminated {
        container_id: id.into(),
        reason: "Error".into(),
        exit_code: 1,
        finished: true,
    }
}
