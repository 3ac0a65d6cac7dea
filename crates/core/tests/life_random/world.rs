//! The clock, what happens when, and the processes with their calls.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    ops::Range,
    sync::Arc,
};

use tenure_core::{
    Action, CallId, Command, Elector, Event, Instant, LifeTiming, Now, Outcome, ResourceVersion,
    Sight, Uid, life::*,
};

/// Milliseconds of true time.
const FAULTS_END: u64 = 200_000;
const END: u64 = FAULTS_END + 180_000;

/// SplitMix64.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Where processes run: one container in each of three Pods, and two processes in that of Pod 0.
pub(super) const SEATS: Range<usize> = 0..4;

pub(super) fn pod_of(seat: usize) -> usize {
    seat % 3
}

/// One process, by its number: unique over the whole schedule.
pub(super) type Pid = u32;

pub(super) enum What {
    Tick,
    Command(Command),
    /// A call reaches the server.
    Arrive(CallId, Request, bool),
    Answer(CallId, Outcome<Answer>),
    Watch(Sight<LockObject>),
    WatchOpened,
    WatchClosed,
}

pub(super) enum Happening {
    /// Something for one process, if it still lives (a call arrives in any case).
    Process(usize, Pid, Box<What>),
    Fault,
    StartProcess(usize),
    /// The kubelet reports that this container ended.
    Report(usize, Uid, Arc<str>),
    RemovePod(usize, Uid),
    CreatePod(usize),
    Collect(Uid),
    /// A finalizer lets go.
    Finalize(Uid),
    FaultsEnd,
    Remedy,
}

impl Happening {
    pub(super) fn process(slot: usize, pid: Pid, what: What) -> Self {
        Self::Process(slot, pid, Box::new(what))
    }
}

pub(super) struct Process {
    pub(super) elector: LifeElector,
    pub(super) pid: Pid,
    pub(super) tick_at: Option<u64>,
    pub(super) watching: bool,
    pub(super) believes: bool,
}

#[derive(Clone)]
pub(super) struct Pod {
    pub(super) sight: PodSight,
    pub(super) container_id: Arc<str>,
    /// The container has ended: no process runs in it any more.
    pub(super) ended: bool,
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now: u64,
    pub(super) queue: BinaryHeap<Reverse<(u64, u64)>>,
    pub(super) happenings: HashMap<u64, Happening>,
    pub(super) last: u64,
    /// The lock, and the newest resourceVersion there is.
    pub(super) lock: Option<LockObject>,
    pub(super) version: u64,
    pub(super) finalizers: bool,
    pub(super) down_until: u64,
    pub(super) loss: u64,
    pub(super) pods: [Option<Pod>; 3],
    pub(super) processes: [Option<Process>; 4],
    /// Who stands no more once the faults are over.
    pub(super) quitter: Option<usize>,
    pub(super) elections: u64,
    pub(super) faulty: bool,
    pub(super) seed: u64,
    pub(super) trace: bool,
}

impl World {
    pub(super) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let finalizers = rng.one_in(8);
        let loss = [0, 5, 20, 40][usize::try_from(seed % 4).unwrap()];
        let seat = usize::try_from(rng.below(4)).unwrap();
        let quitter = rng.one_in(2).then_some(seat);
        Self {
            rng,
            now: 1000,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            last: 0,
            lock: None,
            version: 7,
            finalizers,
            down_until: 0,
            loss,
            quitter,
            pods: [None, None, None],
            processes: [None, None, None, None],
            elections: 0,
            faulty: true,
            seed,
            trace,
        }
    }

    pub(super) fn play(mut self) -> u64 {
        for slot in 0..3 {
            self.after(0, 2000, Happening::CreatePod(slot));
        }
        for _ in 0..16 {
            self.after(0, FAULTS_END, Happening::Fault);
        }
        self.at(FAULTS_END, Happening::FaultsEnd);
        self.at(FAULTS_END + 70_000, Happening::Remedy);
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > END {
                break;
            }
            self.now = at;
            if let Some(happening) = self.happenings.remove(&number) {
                self.happen(happening);
            }
        }
        let seed = self.seed;
        assert!(
            self.believer().is_some(),
            "nobody leads in the end: TENURE_SEED={seed}"
        );
        self.elections
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Process(slot, pid, what) => self.process(slot, pid, *what),
            Happening::Fault => self.fault(),
            Happening::StartProcess(slot) => self.start_process(slot),
            Happening::Report(slot, uid, id) => self.report(slot, &uid, &id),
            Happening::RemovePod(slot, uid) => {
                self.log(|| format!("pod {slot} {uid} is gone"));
                self.pods[slot].take_if(|pod| pod.sight.uid == uid);
            }
            Happening::CreatePod(slot) => self.create_pod(slot),
            Happening::Collect(uid) => {
                let owned = |lock: &LockObject| lock.owners.iter().any(|o| o.uid == uid);
                if self.lock.as_ref().is_some_and(owned) {
                    self.log(|| format!("the collector deletes the lock of {uid}"));
                    self.delete();
                }
            }
            Happening::Finalize(uid) => {
                if self
                    .lock
                    .as_ref()
                    .is_some_and(|lock| lock.version.uid == uid)
                {
                    self.remove();
                }
            }
            Happening::FaultsEnd => {
                self.log(|| "faults are over".to_owned());
                (self.faulty, self.loss, self.down_until) = (false, 0, 0);
                for pod in 0..3 {
                    self.after(0, 1000, Happening::CreatePod(pod));
                }
                for seat in SEATS {
                    if self.quitter == Some(seat) {
                        self.command(seat, 0, Command::Withdraw);
                        self.command(seat, 0, Command::WorkEnded { release: true });
                    } else {
                        self.command(seat, 0, Command::Stand);
                    }
                }
            }
            Happening::Remedy => self.remedy(),
        }
    }

    /// A dead process's lock in a Pod that stays is for the Pod's other processes to take up again
    /// (F3). Where none of them stands, or where the container was restarted twice meanwhile, so
    /// that its end is reported no more, the lock is freed with its Pod, which a person deletes.
    pub(super) fn remedy(&mut self) {
        let Some(record) = self.lock.as_ref().and_then(|lock| lock.record.clone()) else {
            return;
        };
        let is_owner =
            |pod: &Option<Pod>| pod.as_ref().map(|p| &p.sight.uid) == Some(&record.pod_uid);
        let (Some(pod), Some(process)) = (self.pods.iter().position(is_owner), record.process)
        else {
            return;
        };
        if self
            .processes
            .iter()
            .flatten()
            .any(|p| p.pid == process.pid)
        {
            return;
        }
        let mut seats = SEATS.filter(|seat| pod_of(*seat) == pod && self.quitter != Some(*seat));
        let somebody_stands = seats.any(|seat| self.processes[seat].is_some());
        let proven = self.pods[pod].as_ref().is_some_and(|pod| {
            let status = &pod.sight.containers[0];
            let mut ends = [&status.terminated, &status.last_terminated]
                .into_iter()
                .flatten();
            pod.container_id == process.pid_namespace
                || ends.any(|end| end.container_id == process.pid_namespace)
        });
        if !proven || !somebody_stands {
            self.log(|| format!("a person deletes pod {pod}"));
            self.delete_pod(pod);
        }
    }

    // === What processes do ===

    pub(super) fn process(&mut self, seat: usize, pid: Pid, what: What) {
        let what = match what {
            // What is on its way arrives, whether its caller still lives or not.
            What::Arrive(id, request, answered) => {
                let outcome = self.serve(request);
                if answered {
                    let answer = What::Answer(id, outcome);
                    self.after(1, 30, Happening::process(seat, pid, answer));
                }
                return;
            }
            what => what,
        };
        let mut shown = None;
        let Some(process) = self.processes[seat].as_mut().filter(|p| p.pid == pid) else {
            return;
        };
        let event = match what {
            What::Arrive(..) => return,
            What::Tick if process.tick_at != Some(self.now) => return,
            What::Tick => {
                process.tick_at = None;
                Event::Tick
            }
            What::Command(Command::Stand) if !self.faulty && self.quitter == Some(seat) => return,
            What::Command(command) => Event::Command(command),
            What::Answer(id, outcome) => Event::Answer { id, outcome },
            What::Watch(_) if !process.watching => return,
            What::Watch(sight) => Event::Watch(sight),
            What::WatchOpened => {
                process.watching = true;
                shown.clone_from(&self.lock);
                Event::WatchOpened
            }
            What::WatchClosed => {
                process.watching = false;
                Event::WatchClosed
            }
        };
        self.feed(seat, event);
        if let Some(lock) = shown {
            let seen = What::Watch(Sight::Seen(lock));
            self.after(1, 100, Happening::process(seat, pid, seen));
        }
    }

    pub(super) fn feed(&mut self, seat: usize, event: Event<Answer, LockObject>) {
        let now = Now {
            mono: Instant::from_nanos(self.now * 1_000_000),
            ..Now::default()
        };
        let Some(mut process) = self.processes[seat].take() else {
            return;
        };
        let pid = process.pid;
        self.log(|| format!("{pid}: {event:?}"));
        process.elector.handle(now, event);
        let believes = process.elector.belief().is_some();
        if believes && !process.believes {
            self.elections += 1;
            self.log(|| format!("{pid} leads"));
        }
        process.believes = believes;
        let mut calls = Vec::new();
        while let Some(action) = process.elector.poll() {
            if let Action::Call { id, request } = action {
                self.log(|| format!("{pid}: {request:?}"));
                calls.push((id, request));
            }
        }
        let due = process.elector.deadline();
        let due = due.map(|due| due.as_nanos().div_ceil(1_000_000).max(self.now));
        if let Some(due) = due.filter(|due| process.tick_at.is_none_or(|at| *due < at)) {
            process.tick_at = Some(due);
            self.at(due, Happening::process(seat, pid, What::Tick));
        }
        self.processes[seat] = Some(process);
        let believers = self.processes.iter().flatten().filter(|p| p.believes);
        let believers: Vec<Pid> = believers.map(|p| p.pid).collect();
        let seed = self.seed;
        assert!(
            believers.len() <= 1,
            "{believers:?} lead: TENURE_SEED={seed}"
        );
        for (id, request) in calls {
            self.call(seat, pid, id, request);
        }
    }

    /// Send a call on its way: it may be lost, come late, or lose its answer.
    pub(super) fn call(&mut self, seat: usize, pid: Pid, id: CallId, request: Request) {
        let limit = u64::try_from(LifeTiming::default().call_limit.as_millis()).unwrap();
        let bad = self.now < self.down_until || self.rng.below(100) < self.loss;
        let local = matches!(request, Request::InspectProcess(_));
        let fate = if bad && !local { self.rng.below(4) } else { 3 };
        let delay = match fate {
            // Lost on its way there.
            0 | 1 => None,
            // Lands while its caller waits no more, up to a minute late.
            2 => Some(self.rng.below(60_000)),
            _ => Some(1 + self.rng.below(40)),
        };
        let answered = fate == 3 && (!bad || local);
        if let Some(delay) = delay {
            let arrive = What::Arrive(id, request, answered);
            self.at(self.now + delay, Happening::process(seat, pid, arrive));
        }
        if !answered {
            let outcome = Outcome::Unknown("no answer in time".into());
            let answer = What::Answer(id, outcome);
            self.at(self.now + limit, Happening::process(seat, pid, answer));
        }
    }

    pub(super) fn command(&mut self, seat: usize, delay: u64, command: Command) {
        if let Some(pid) = self.processes[seat].as_ref().map(|process| process.pid) {
            let command = Happening::process(seat, pid, What::Command(command));
            self.at(self.now + delay, command);
        }
    }

    pub(super) fn believer(&self) -> Option<usize> {
        self.processes
            .iter()
            .position(|process| process.as_ref().is_some_and(|process| process.believes))
    }

    // === Time and numbers ===

    pub(super) fn at(&mut self, at: u64, happening: Happening) {
        let number = self.number();
        self.queue.push(Reverse((at, number)));
        self.happenings.insert(number, happening);
    }

    pub(super) fn after(&mut self, least: u64, spread: u64, happening: Happening) {
        let delay = least + self.rng.below(spread.max(1));
        self.at(self.now + delay, happening);
    }

    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn next_version(&mut self) -> ResourceVersion {
        self.version += 1;
        ResourceVersion::new(self.version.to_string())
    }

    pub(super) fn log(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!(
                "{:8.3} {}",
                f64::from(u32::try_from(self.now).unwrap()) / 1000.0,
                text()
            );
        }
    }
}
