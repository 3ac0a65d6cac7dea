//! Pods, containers and processes, and what befalls them.

use std::sync::Arc;

use tenure_core::{Command, LifeTiming, Nonce, Uid, life::*};

use super::world::{Happening, Pid, Pod, Process, SEATS, What, World, pod_of};

impl World {
    pub(super) fn create_pod(&mut self, slot: usize) {
        if self.pods[slot].is_some() {
            if !self.faulty {
                self.start_processes(slot, 5000);
            }
            return;
        }
        let uid = Uid::new(format!("pod-{}", self.number()));
        let policy = [RestartPolicy::Always, RestartPolicy::Never][slot % 2];
        self.log(|| format!("pod {slot} is {uid}"));
        self.pods[slot] = Some(Pod {
            sight: PodSight {
                uid,
                terminal: false,
                being_deleted: false,
                restart_policy: policy,
                containers: vec![ContainerSight {
                    name: "main".into(),
                    restart_policy: None,
                    terminated: None,
                    last_terminated: None,
                }],
            },
            container_id: "".into(),
            ended: false,
        });
        self.new_container(slot);
        self.start_processes(slot, 3000);
    }

    /// In each of the seats of this Pod.
    fn start_processes(&mut self, pod: usize, spread: u64) {
        for seat in SEATS.filter(|seat| pod_of(*seat) == pod) {
            self.after(0, spread, Happening::StartProcess(seat));
        }
    }

    pub(super) fn new_container(&mut self, slot: usize) {
        let id: Arc<str> = format!("container-{}", self.number()).into();
        if let Some(pod) = &mut self.pods[slot] {
            pod.container_id = id;
            pod.ended = false;
        }
    }

    pub(super) fn start_process(&mut self, seat: usize) {
        if self.processes[seat].is_some() {
            return;
        }
        let Some(pod) = self.pods[pod_of(seat)].clone() else {
            return;
        };
        if pod.sight.being_deleted || pod.ended {
            return;
        }
        let pid = Pid::try_from(self.number()).unwrap();
        self.log(|| format!("process {pid} starts in seat {seat}"));
        let elector = LifeElector::new(LifeConfig {
            me: Me {
                pod_name: format!("pod-{}", pod_of(seat)).into(),
                pod_uid: pod.sight.uid,
                container: Some("main".into()),
                container_id: Some(Arc::clone(&pod.container_id)),
                single_container: true,
                process: Some(ProcessId {
                    pid,
                    start_time: 1,
                    boot_id: "boot".into(),
                    pid_namespace: pod.container_id,
                }),
            },
            nonce: Nonce::new(format!("nonce-of-{pid}")),
            timing: LifeTiming::default(),
            delete_on_release: true,
            seed: self.rng.next(),
        });
        self.processes[seat] = Some(Process {
            elector,
            pid,
            tick_at: None,
            watching: false,
            believes: false,
        });
        if self.faulty || self.quitter != Some(seat) {
            self.command(seat, 0, Command::Stand);
        }
        self.after(0, 3000, Happening::process(seat, pid, What::WatchOpened));
    }

    fn kill(&mut self, seat: usize) {
        if let Some(process) = self.processes[seat].take() {
            self.log(|| format!("process {} dies", process.pid));
        }
    }

    fn kill_all(&mut self, pod: usize) {
        for seat in SEATS.filter(|seat| pod_of(*seat) == pod) {
            self.kill(seat);
        }
    }

    pub(super) fn report(&mut self, slot: usize, uid: &Uid, id: &Arc<str>) {
        let Some(pod) = self.pods[slot].as_mut().filter(|pod| pod.sight.uid == *uid) else {
            return;
        };
        let end = Terminated {
            container_id: Arc::clone(id),
            reason: "Error".into(),
            exit_code: 1,
            finished: true,
        };
        let container = &mut pod.sight.containers[0];
        if pod.container_id == *id {
            container.terminated = Some(end);
        } else {
            container.terminated = None;
            container.last_terminated = Some(end);
        }
    }

    // === Faults ===

    pub(super) fn fault(&mut self) {
        let seat = usize::try_from(self.rng.below(4)).unwrap();
        // Leaders are where it hurts.
        let seat = self
            .believer()
            .filter(|_| self.rng.one_in(2))
            .unwrap_or(seat);
        let kind = self.rng.below(11);
        let pid = self.processes[seat].as_ref().map(|process| process.pid);
        self.log(|| format!("fault {kind} on seat {seat}"));
        match kind {
            0 => {
                self.kill(seat);
                self.after(0, 5000, Happening::StartProcess(seat));
            }
            1 => self.end_container(pod_of(seat)),
            2 | 3 => self.delete_pod(pod_of(seat)),
            4 => self.down_until = self.now + 5000 + self.rng.below(35_000),
            5 => {
                if let Some(mut lock) = self.lock.take() {
                    lock.version.resource_version = self.next_version();
                    self.put(lock);
                }
            }
            6 => {
                if let Some(pid) = pid {
                    self.after(0, 1, Happening::process(seat, pid, What::WatchClosed));
                    let opened = Happening::process(seat, pid, What::WatchOpened);
                    self.after(5000, 60_000, opened);
                }
            }
            7 => self.invent(pod_of(seat)),
            8 | 9 => {
                let release = self.quitter.is_some() || !self.rng.one_in(4);
                let ended = self.rng.below(3000);
                self.command(seat, 0, Command::StepDown);
                self.command(seat, ended, Command::WorkEnded { release });
                let again = ended + self.rng.below(20_000) * self.rng.below(2);
                self.command(seat, again, Command::Stand);
            }
            _ => {
                self.command(seat, 0, Command::Withdraw);
                let again = self.rng.below(10_000);
                self.command(seat, again, Command::Stand);
            }
        }
    }

    /// The kubelet has lost sight of a container, and says that it ended; the Pod's phase follows.
    /// The process lives.
    fn invent(&mut self, pod: usize) {
        if let Some(pod) = &mut self.pods[pod] {
            pod.sight.terminal = true;
            pod.sight.containers[0].terminated = Some(Terminated {
                container_id: Arc::clone(&pod.container_id),
                reason: "ContainerStatusUnknown".into(),
                exit_code: 137,
                finished: true,
            });
        }
    }

    pub(super) fn end_container(&mut self, slot: usize) {
        self.kill_all(slot);
        let Some(pod) = &mut self.pods[slot] else {
            return;
        };
        pod.ended = true;
        let pod = pod.clone();
        let report = Happening::Report(slot, pod.sight.uid.clone(), pod.container_id);
        self.after(0, 5000, report);
        if pod.sight.restart_policy == RestartPolicy::Never {
            let wait = 30_000 + self.rng.below(60_000);
            self.at(self.now + wait, Happening::RemovePod(slot, pod.sight.uid));
            self.at(self.now + wait + 1, Happening::CreatePod(slot));
        } else {
            self.new_container(slot);
            self.start_processes(slot, 8000);
        }
    }

    /// The Pod object goes when its process has gone: no force deletion.
    pub(super) fn delete_pod(&mut self, slot: usize) {
        let Some(pod) = &mut self.pods[slot] else {
            return;
        };
        pod.sight.being_deleted = true;
        let uid = pod.sight.uid.clone();
        self.kill_all(slot);
        let gone = self.rng.below(5000);
        self.at(self.now + gone, Happening::RemovePod(slot, uid.clone()));
        self.after(gone + 1, 20_000, Happening::CreatePod(slot));
        match self.rng.below(4) {
            0 => {}
            1 => {
                // `--cascade=orphan`
                let owned = |lock: &LockObject| lock.owners.iter().any(|o| o.uid == uid);
                if self.lock.as_ref().is_some_and(owned)
                    && let Some(mut lock) = self.lock.take()
                {
                    lock.owners.clear();
                    lock.version.resource_version = self.next_version();
                    self.put(lock);
                }
            }
            _ => self.after(gone, 40_000, Happening::Collect(uid)),
        }
    }
}
