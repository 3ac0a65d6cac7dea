//! Pods, containers and processes as they are in truth, and as the API server shows them.

use std::sync::Arc;

use tenure_core::{
    Uid,
    life::{ContainerSight, PodSight, ProcessId, RestartPolicy, Terminated},
};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::FaultKind,
    plan::SEATS,
    rng::hashed,
    trace,
};

use super::habits::{Habits, Namespace};

pub(super) struct Cluster {
    pub(super) pods: Vec<Pod>,
    /// By their numbers.
    pub(super) processes: Vec<Process>,
    pub(super) seats: Vec<Place>,
}

/// Where the Pods of a seat run.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The newest Pod.
    pub(super) pod: Option<usize>,
    /// How often its machine was booted.
    pub(super) boots: u32,
    /// How many Pods there were.
    pods: u32,
    /// The next Pod has this name again.
    pub(super) name: Option<Arc<str>>,
}

#[allow(
    clippy::struct_excessive_bools,
    reason = "each may hold without the others"
)]
pub(super) struct Pod {
    pub(super) name: Arc<str>,
    pub(super) uid: Uid,
    pub(super) seat: usize,
    pub(super) policy: RestartPolicy,
    pub(super) boot: Arc<str>,
    pub(super) containers: Vec<Container>,
    /// There is such an object.
    pub(super) exists: bool,
    pub(super) being_deleted: bool,
    /// It was given up on, and nothing in it is started again.
    pub(super) failed: bool,
    /// Its node was lost: nobody hears of it.
    pub(super) lost: bool,
    /// The fault that makes it go.
    pub(super) why: Option<(u32, FaultKind)>,
    /// What the kubelet has reported of it.
    pub(super) shown: PodSight,
}

pub(super) struct Container {
    pub(super) name: Arc<str>,
    /// Each start of it, in order.
    pub(super) runs: Vec<Run>,
    /// It is started again then, if it is.
    pub(super) again: Nanos,
}

pub(super) struct Run {
    pub(super) id: Arc<str>,
    namespace: Arc<str>,
    /// The process that it ends with.
    main: Option<u32>,
    pub(super) ended: Option<Terminated>,
}

pub(super) struct Process {
    pub(super) pod: usize,
    pub(super) container: usize,
    pub(super) run: usize,
    pub(super) alive: bool,
    /// It stands no more.
    pub(super) retired: bool,
    pub(super) twin: bool,
    pub(super) id: ProcessId,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let place = Place {
            pod: None,
            boots: 1,
            pods: 0,
            name: None,
        };
        Self {
            pods: Vec::new(),
            processes: Vec::new(),
            seats: vec![place; SEATS],
        }
    }

    pub(super) fn process(&self, id: trace::ProcessId) -> Option<&Process> {
        self.processes.get(id.0 as usize)
    }

    /// The Pod object of that uid.
    pub(super) fn pod(&self, uid: &Uid) -> Option<usize> {
        self.pods
            .iter()
            .position(|pod| pod.exists && pod.uid == *uid)
    }

    /// What a read of that Pod brings.
    pub(super) fn read(&self, name: &str) -> Option<PodSight> {
        let pod = self
            .pods
            .iter()
            .find(|pod| pod.exists && *pod.name == *name)?;
        Some(PodSight {
            being_deleted: pod.being_deleted,
            ..pod.shown.clone()
        })
    }

    /// The processes of a Pod that live.
    pub(super) fn living(&self, pod: usize) -> Vec<trace::ProcessId> {
        (0..)
            .map(trace::ProcessId)
            .zip(&self.processes)
            .filter(|(_, process)| process.alive && process.pod == pod)
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether a process is to be started in that seat now.
    pub(super) fn vacant(&self, now: Nanos, seat: usize, habits: &Habits) -> bool {
        match self.usable(seat) {
            Some(pod) => self.empty_container(now, pod).is_some(),
            // Nobody has given up on it yet.
            None if self.is_missed(seat) => false,
            None => {
                let name = self.next_name(seat, habits);
                !self.pods.iter().any(|pod| pod.exists && pod.name == name)
            }
        }
    }

    /// The seat's Pod, if processes may be started in it.
    pub(super) fn usable(&self, seat: usize) -> Option<usize> {
        self.seats[seat].pod.filter(|pod| {
            let pod = &self.pods[*pod];
            !pod.is_going() && !pod.lost && !pod.is_over()
        })
    }

    fn is_missed(&self, seat: usize) -> bool {
        self.seats[seat].pod.is_some_and(|pod| {
            let pod = &self.pods[pod];
            pod.lost && pod.exists && !pod.being_deleted
        })
    }

    pub(super) fn empty_container(&self, now: Nanos, pod: usize) -> Option<usize> {
        let containers = &self.pods[pod].containers;
        (0..containers.len()).find(|index| {
            let container = &containers[*index];
            match container.runs.last() {
                None => true,
                Some(_) if now < container.again => false,
                Some(run) if run.ended.is_some() => !self.pods[pod].has_ended_for_good(*index),
                // Under a supervisor, who starts another child.
                Some(_) => !self.processes.iter().any(|process| {
                    process.alive
                        && !process.twin
                        && (process.pod, process.container) == (pod, *index)
                }),
            }
        })
    }

    pub(super) fn create_pod(&mut self, seat: usize, habits: &Habits) -> usize {
        let name = self.next_name(seat, habits);
        let place = &mut self.seats[seat];
        place.pods += 1;
        place.name = None;
        let number = self.pods.len();
        place.pod = Some(number);
        let uid = Uid::new(format!("pod-{number}"));
        let names = ["main", "side"].map(Arc::<str>::from);
        let containers: Vec<Container> = names
            .into_iter()
            .take(habits.containers)
            .map(|name| Container {
                name,
                runs: Vec::new(),
                again: 0,
            })
            .collect();
        let policy = habits.policies[seat];
        let mut pod = Pod {
            name,
            uid: uid.clone(),
            seat,
            policy,
            boot: format!("boot-{seat}-{}", place.boots).into(),
            containers,
            exists: true,
            being_deleted: false,
            failed: false,
            lost: false,
            why: None,
            shown: PodSight {
                uid,
                terminal: false,
                being_deleted: false,
                restart_policy: policy,
                containers: Vec::new(),
            },
        };
        pod.report();
        self.pods.push(pod);
        number
    }

    /// A process starts in that container, which is started anew if it has ended.
    pub(super) fn add(
        &mut self,
        now: Nanos,
        (pod, container): (usize, usize),
        twin_of: Option<trace::ProcessId>,
        habits: &Habits,
    ) -> &Process {
        let salt = self.processes.len() as u64;
        let is_up = |run: &Run| run.ended.is_none();
        if !self.pods[pod].containers[container]
            .runs
            .last()
            .is_some_and(is_up)
        {
            self.new_run(pod, container, habits, salt);
        }
        let run = self.pods[pod].containers[container].runs.len() - 1;
        let twin = twin_of.and_then(|twin| self.process(twin));
        let shared = twin.filter(|_| habits.twins_share_a_process);
        let id = match shared {
            Some(twin) => twin.id.clone(),
            None => self.new_process(now, (pod, container, run), habits),
        };
        let is_first = twin.is_none() && !habits.supervised;
        if is_first {
            self.pods[pod].containers[container].runs[run].main = Some(id.pid);
        }
        self.processes.push(Process {
            pod,
            container,
            run,
            alive: true,
            retired: false,
            twin: twin_of.is_some(),
            id,
        });
        &self.processes[self.processes.len() - 1]
    }

    /// Whether the container ends with that process.
    pub(super) fn is_main(&self, process: &Process) -> bool {
        let run = &self.pods[process.pod].containers[process.container].runs[process.run];
        run.main == Some(process.id.pid)
    }

    fn new_run(&mut self, pod: usize, container: usize, habits: &Habits, salt: u64) {
        let owner = &mut self.pods[pod];
        let number = owner.containers[container].runs.len();
        // The number of a namespace that is gone is given out again.
        let reused = hashed([salt, 0, 61]).is_multiple_of(2);
        let inode = match habits.namespace {
            Namespace::Host => 4_026_531_836,
            Namespace::Pod => 4_026_532_000 + pod as u64,
            Namespace::Container if reused => 4_026_533_000 + container as u64 + 10 * pod as u64,
            Namespace::Container => 4_026_540_000 + salt,
        };
        let name = owner.containers[container].name.clone();
        owner.containers[container].runs.push(Run {
            id: format!("containerd://{}-{name}-{number}", owner.uid).into(),
            namespace: format!("pid:[{inode}]").into(),
            main: None,
            ended: None,
        });
    }

    /// Numbers are given out again as soon as they are free.
    fn new_process(
        &self,
        now: Nanos,
        (pod, container, run): (usize, usize, usize),
        habits: &Habits,
    ) -> ProcessId {
        let owner = &self.pods[pod];
        let namespace = owner.containers[container].runs[run].namespace.clone();
        let is_taken = |pid: u32| {
            self.processes.iter().any(|process| {
                process.alive
                    && process.id.pid == pid
                    && process.id.boot_id == owner.boot
                    && process.id.pid_namespace == namespace
            })
        };
        let alone = habits.namespace == Namespace::Container && !habits.supervised;
        let mut pid = if alone { 1 } else { 7 };
        while is_taken(pid) {
            pid += 1;
        }
        ProcessId {
            pid,
            start_time: (1000 * SECOND * (owner.seat as u64 + 1) + now) / (10 * MILLI),
            boot_id: Arc::clone(&owner.boot),
            pid_namespace: namespace,
        }
    }

    fn next_name(&self, seat: usize, habits: &Habits) -> Arc<str> {
        let place = &self.seats[seat];
        match &place.name {
            Some(name) => Arc::clone(name),
            None if habits.one_name => format!("c{seat}").into(),
            None => format!("c{seat}-{}", place.pods).into(),
        }
    }
}

impl Pod {
    /// Nothing is started in it any more.
    pub(super) fn is_going(&self) -> bool {
        self.being_deleted || self.failed || !self.exists
    }

    /// All its containers have ended and are not started again.
    pub(super) fn is_over(&self) -> bool {
        (0..self.containers.len()).all(|index| self.has_ended_for_good(index))
    }

    /// Nothing runs in it.
    pub(super) fn is_down(&self) -> bool {
        let is_down =
            |container: &Container| container.runs.last().is_none_or(|run| run.ended.is_some());
        self.containers.iter().all(is_down)
    }

    pub(super) fn has_ended_for_good(&self, container: usize) -> bool {
        let last = self.containers[container].runs.last();
        last.and_then(|run| run.ended.as_ref())
            .is_some_and(|end| match self.policy {
                _ if self.failed || !self.exists => true,
                RestartPolicy::Never => true,
                RestartPolicy::OnFailure => end.exit_code == 0,
                RestartPolicy::Always | RestartPolicy::Other => false,
            })
    }

    /// The kubelet reports what is so.
    pub(super) fn report(&mut self) {
        self.shown.terminal = self.failed || self.is_over();
        self.shown.containers = self
            .containers
            .iter()
            .map(|container| {
                let mut ends = container.runs.iter().rev().map(|run| run.ended.clone());
                ContainerSight {
                    name: Arc::clone(&container.name),
                    restart_policy: None,
                    terminated: ends.next().flatten(),
                    last_terminated: ends.next().flatten(),
                }
            })
            .collect();
    }

    /// Somebody who has lost sight of the Pod says that it has ended.
    pub(super) fn invent(&mut self) {
        self.shown.terminal = true;
        for (shown, container) in self.shown.containers.iter_mut().zip(&self.containers) {
            let Some(run) = container.runs.last().filter(|run| run.ended.is_none()) else {
                continue;
            };
            shown.terminated = Some(Terminated {
                container_id: Arc::clone(&run.id),
                reason: "ContainerStatusUnknown".into(),
                exit_code: 137,
                finished: true,
            });
        }
    }
}
