//! One candidate of the demo: a process of its own, told on its standard input what to do.

use std::{io::Write as _, process::ExitCode, time::Duration};

use tenure::{ContextInfo, LeaderElection, Leadership, Status, context_info::OwnPod};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, Stdin},
    sync::watch,
};

use super::{
    plan::{Order, Plan, Told},
    sampler::Sampler,
};
use crate::{cluster::ClusterChoice, failure::Failure};

/// Stands for election until it is told to end, or whoever tells it is gone.
pub(crate) async fn run() -> Result<ExitCode, Failure> {
    let mut orders = Orders {
        lines: BufReader::new(tokio::io::stdin()).lines(),
    };
    let plan = orders.plan().await?;
    if let Err(failure) = campaign(&plan, &mut orders).await {
        tell(&Told::Failed {
            why: failure.message(false),
        });
        return Err(failure);
    }
    Ok(ExitCode::SUCCESS)
}

async fn campaign(plan: &Plan, orders: &mut Orders) -> Result<(), Failure> {
    let sampler = Sampler::start(&plan.marks).map_err(|error| {
        Failure::failed(format!("cannot write marks to {}", plan.marks.display())).because(error)
    })?;
    let election = election(plan).await?;
    let mut status = election.status();
    loop {
        let Some(leadership) = stand_by(&election, &mut status, orders).await? else {
            return Ok(());
        };
        sampler.watch(leadership.handle());
        tell(&Told::Leading {
            term: leadership.term(),
            token: leadership.token().to_string(),
        });
        match lead(leadership, orders).await {
            Order::End => return Ok(()),
            Order::Stand => {}
            Order::StepDown => {
                tell(&Told::Released);
                if orders.until_not(Order::StepDown).await == Order::End {
                    return Ok(());
                }
            }
        }
    }
}

async fn election(plan: &Plan) -> Result<LeaderElection, Failure> {
    let choice = ClusterChoice {
        kubeconfig: plan.kubeconfig.clone(),
        context: plan.context.clone(),
    };
    let config = choice.config().await?;
    let pod = OwnPod::new(&plan.namespace, &plan.pod, &plan.pod_uid)
        .with_container(super::stage::CONTAINER)
        .with_containers(&[super::stage::CONTAINER])
        .with_restart_policy("Always");
    let context = ContextInfo::outside(&plan.namespace, &plan.pod).with_pod(pod);
    plan.builder()
        .build(config, context)
        .map_err(|error| Failure::failed(error.to_string()).because(error))
}

/// Leadership, or none if it is to end.
async fn stand_by(
    election: &LeaderElection,
    status: &mut watch::Receiver<Status>,
    orders: &mut Orders,
) -> Result<Option<Leadership>, Failure> {
    let acquiring = election.acquire();
    tokio::pin!(acquiring);
    let mut told = None;
    loop {
        if let Status::Standby { error, .. } = status.borrow_and_update().clone() {
            let standby = Told::Standby {
                error: error.map(|error| error.to_string()),
            };
            if told.as_ref() != Some(&standby) {
                tell(&standby);
                told = Some(standby);
            }
        }
        tokio::select! {
            leadership = &mut acquiring => {
                return leadership
                    .map(Some)
                    .map_err(|error| Failure::failed(error.to_string()).because(error));
            }
            order = orders.next() => if order == Order::End {
                return Ok(None);
            },
            // An error means that the election is over, which `acquire` tells.
            Ok(()) = status.changed() => {}
        }
    }
}

/// What is to be done after this term, which has been given up or lost.
async fn lead(leadership: Leadership, orders: &mut Orders) -> Order {
    let next = tokio::select! {
        reason = leadership.lost() => {
            tell(&Told::Lost { reason: reason.to_string() });
            Order::Stand
        }
        order = orders.until_not(Order::Stand) => order,
    };
    // Belief ends with the call. A server that is gone is not waited for: nor is anybody else.
    let _ = tokio::time::timeout(RELEASE_LIMIT, leadership.release()).await;
    next
}

/// How long a release may take; less than the demo waits for a candidate's end.
const RELEASE_LIMIT: Duration = Duration::from_secs(3);

struct Orders {
    lines: Lines<BufReader<Stdin>>,
}

impl Orders {
    async fn plan(&mut self) -> Result<Plan, Failure> {
        let line = self.lines.next_line().await.ok().flatten();
        let plan = line.and_then(|line| serde_json::from_str(&line).ok());
        plan.ok_or_else(|| {
            Failure::usage("demo-candidate is a part of `tenure demo`, which starts it; use that")
        })
    }

    /// The next order; [`Order::End`] when nobody gives any more. Cancel safe.
    async fn next(&mut self) -> Order {
        match self.lines.next_line().await {
            Ok(Some(line)) => serde_json::from_str(&line).unwrap_or(Order::End),
            _ => Order::End,
        }
    }

    async fn until_not(&mut self, passed_over: Order) -> Order {
        loop {
            let order = self.next().await;
            if order != passed_over {
                return order;
            }
        }
    }
}

fn tell(told: &Told) {
    let mut line = serde_json::to_string(told).unwrap_or_default();
    line.push('\n');
    // Whoever listened is gone: then the end of standard input says so too.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.flush());
}
