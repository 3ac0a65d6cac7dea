//! The candidates' processes.

use std::{io, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
};

use super::plan::{Order, Plan, Told};
use crate::failure::Failure;

/// All processes of the demo, and what they tell.
pub(crate) struct Crew {
    program: Arc<std::path::Path>,
    members: Vec<Member>,
    teller: mpsc::UnboundedSender<News>,
    news: mpsc::UnboundedReceiver<News>,
}

/// What one process told.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) process: usize,
    /// None: it has closed its output, which it does at its end.
    pub(crate) told: Option<Told>,
}

struct Member {
    process: usize,
    child: Child,
    stdin: Option<ChildStdin>,
}

/// How long a candidate may take to give up and end.
const END_LIMIT: Duration = Duration::from_secs(5);

impl Crew {
    pub(crate) fn new() -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::failed("cannot find this program to start candidates with it").because(error)
        })?;
        let (teller, news) = mpsc::unbounded_channel();
        Ok(Self {
            program: program.into(),
            members: Vec::new(),
            teller,
            news,
        })
    }

    /// Starts a candidate.
    pub(crate) async fn start(&mut self, process: usize, plan: &Plan) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::failed("cannot start a candidate; raise the limits of this process, or give fewer --candidates")
                .because(error)
        };
        let mut command = Command::new(&*self.program);
        command
            .arg("demo-candidate")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        // The interrupt key is for the demo, which tells its candidates in its own words.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(listen(process, stdout, self.teller.clone()));
        }
        self.members.push(Member {
            process,
            child,
            stdin,
        });
        let plan = serde_json::to_string(plan).map_err(|error| failed(error.into()))?;
        self.write(process, &plan).await.map_err(failed)
    }

    /// The next that a candidate tells. Cancel safe.
    pub(crate) async fn news(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            // It cannot end: this holds a sender of it.
            None => std::future::pending().await,
        }
    }

    /// Tells a candidate what to do. One that has died hears nothing, which its output tells.
    pub(crate) async fn order(&mut self, process: usize, order: Order) {
        let line = serde_json::to_string(&order).unwrap_or_default();
        let _ = self.write(process, &line).await;
    }

    /// SIGKILL, and nothing else. Returns when the process is gone and reaped.
    pub(crate) async fn kill(&mut self, process: usize) -> Result<u64, Failure> {
        let failed = |error: io::Error| {
            Failure::failed("cannot kill the leader; see whether the system forbids it")
                .because(error)
        };
        let Some(at) = self.position(process) else {
            return Err(Failure::failed("the leader to be killed has ended before"));
        };
        let mut member = self.members.remove(at);
        member.child.start_kill().map_err(failed)?;
        let killed = tenure::now().as_nanos();
        member.child.wait().await.map_err(failed)?;
        Ok(killed)
    }

    /// Lets all end in good order, those of `last` after the others; whoever does not is killed.
    pub(crate) async fn end(&mut self, last: Option<usize>) {
        let (then, first): (Vec<Member>, Vec<Member>) = self
            .members
            .drain(..)
            .partition(|member| Some(member.process) == last);
        for group in [first, then] {
            let ending = group.into_iter().map(Member::end);
            futures::future::join_all(ending).await;
        }
    }

    async fn write(&mut self, process: usize, line: &str) -> io::Result<()> {
        let Some(at) = self.position(process) else {
            return Ok(());
        };
        if let Some(stdin) = &mut self.members[at].stdin {
            stdin.write_all(format!("{line}\n").as_bytes()).await?;
            stdin.flush().await?;
        }
        Ok(())
    }

    fn position(&self, process: usize) -> Option<usize> {
        self.members
            .iter()
            .position(|member| member.process == process)
    }
}

impl Member {
    async fn end(mut self) {
        // The end of its input asks it to.
        self.stdin.take();
        if tokio::time::timeout(END_LIMIT, self.child.wait())
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

async fn listen(process: usize, stdout: ChildStdout, teller: mpsc::UnboundedSender<News>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(told) = serde_json::from_str(&line) {
            let told = Some(told);
            let _ = teller.send(News { process, told });
        }
    }
    let told = None;
    let _ = teller.send(News { process, told });
}
