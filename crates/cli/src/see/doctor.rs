//! `tenure doctor`: whether a cluster, and this user's rights in it, are fit for leader election.

use std::{process::ExitCode, time::Duration};

use futures::{AsyncReadExt as _, pin_mut};
use serde_json::Value;

use super::{
    api::{Api, Refusal, collection},
    clock,
    explain::{SLOW, is_about_rights, needed},
    gather::Wanted,
    kind::Kind,
    table::Paper,
    text::{harmless, span, wrap},
};
use crate::{cluster::ClusterChoice, console, failure::Failure};

/// How often the latency is measured.
const ROUNDS: usize = 5;
/// Programs that go by `renewTime` take a lease too early or too late if clocks differ more.
const MUCH_SKEW: i64 = 2_000_000;
const WATCH_LIMIT: Duration = Duration::from_secs(5);

/// What came of one check.
enum Verdict {
    Good,
    /// It works, but somebody should know.
    Note,
    Bad,
}

pub(crate) async fn run(cluster: &ClusterChoice, wanted: Wanted) -> Result<ExitCode, Failure> {
    let api = Api::of(cluster).await?;
    let wanted = wanted.at(&api, false)?;
    let namespace = wanted.namespace.as_deref().unwrap_or_default();
    let mut sheet = Sheet {
        text: String::new(),
        width: Paper::of_stdout().width.unwrap_or(usize::MAX),
        bad: 0,
    };
    if !version(&api, &mut sheet).await {
        console::print(&sheet.text)?;
        return Ok(ExitCode::FAILURE);
    }
    home(&api, namespace, &mut sheet).await;
    let leader_locks = served(&api, &mut sheet).await;
    gates(&api, &mut sheet).await;
    for kind in Kind::ALL {
        if kind != Kind::LeaderLock || leader_locks {
            rights(&api, kind, namespace, &mut sheet).await;
        }
    }
    pods_and_events(&api, namespace, &mut sheet).await;
    watch(&api, namespace, &mut sheet).await;
    latency(&api, &mut sheet).await;
    skew(&api, &mut sheet);
    let end = match sheet.bad {
        0 => "Fit for leader election.\n".to_owned(),
        1 => "1 thing to mend.\n".to_owned(),
        many => format!("{many} things to mend.\n"),
    };
    sheet.text.push_str(&end);
    console::print(&sheet.text)?;
    Ok(if sheet.bad == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Sheet {
    text: String,
    width: usize,
    bad: usize,
}

impl Sheet {
    fn put(&mut self, verdict: &Verdict, told: &str) {
        let mark = match verdict {
            Verdict::Good => "ok  ",
            Verdict::Note => "note",
            Verdict::Bad => {
                self.bad += 1;
                "BAD "
            }
        };
        let width = self.width.saturating_sub(5);
        for (at, line) in wrap(&console::as_typed(told), width, 0)
            .into_iter()
            .enumerate()
        {
            self.text.push_str(if at == 0 { mark } else { "    " });
            self.text.push(' ');
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }
}

async fn version(api: &Api, sheet: &mut Sheet) -> bool {
    match api.get("/version").await {
        Ok(version) => {
            let told = version["gitVersion"]
                .as_str()
                .map_or("of no version".to_owned(), harmless);
            sheet.put(
                &Verdict::Good,
                &format!("API server {} is {told}", api.server),
            );
            true
        }
        // It may be hidden, and all else work.
        Err(Refusal::Forbidden(_) | Refusal::NotFound) => {
            sheet.put(&Verdict::Note, "the API server does not tell its version");
            true
        }
        Err(refusal) => {
            sheet.put(&Verdict::Bad, &refusal.told());
            false
        }
    }
}

/// Whether the namespace is there: rights in one that is not can all be had.
async fn home(api: &Api, namespace: &str, sheet: &mut Sheet) {
    let (verdict, told) = match api.get(&format!("/api/v1/namespaces/{namespace}")).await {
        Ok(_) => (Verdict::Good, format!("the namespace {namespace} is there")),
        Err(Refusal::NotFound) => (
            Verdict::Bad,
            format!(
                "there is no namespace {namespace}: create it (kubectl create namespace {namespace}), or \
                 name another with --namespace"
            ),
        ),
        Err(refusal) => (
            Verdict::Note,
            format!(
                "whether there is a namespace {namespace} cannot be seen: {}",
                refusal.told()
            ),
        ),
    };
    sheet.put(&verdict, &told);
}

/// Says which kinds there are, and whether LeaderLocks are.
async fn served(api: &Api, sheet: &mut Sheet) -> bool {
    if api.serves(Kind::Lease).await.unwrap_or(false) {
        sheet.put(&Verdict::Good, "Leases are served (coordination.k8s.io/v1)");
    } else {
        sheet.put(
            &Verdict::Bad,
            "Leases are not served (coordination.k8s.io/v1): use a cluster of Kubernetes 1.14 or later",
        );
    }
    let there = api.serves(Kind::LeaderLock).await.unwrap_or(false);
    if there {
        sheet.put(&Verdict::Good, "LeaderLocks are served (coralogix.com/v1)");
    } else {
        sheet.put(
            &Verdict::Note,
            "LeaderLocks are not served; only --lock leader-lock needs them: `tenure crd --install`",
        );
    }
    there
}

/// The one feature gate that is about elections, as far as what is served shows it: who may read the
/// gates themselves may read all metrics of the API server, which few may.
async fn gates(api: &Api, sheet: &mut Sheet) {
    let group = api.get("/apis/coordination.k8s.io").await;
    let versions = group
        .as_ref()
        .ok()
        .and_then(|group| group["versions"].as_array());
    let mut versions = versions
        .into_iter()
        .flatten()
        .filter_map(|one| one["version"].as_str());
    let told = match versions.find(|version| *version != "v1") {
        Some(version) => format!(
            "the API server can choose leaders itself (LeaseCandidates, coordination.k8s.io/{}: gate \
             CoordinatedLeaderElection); tenure takes no part in that, and needs no gate",
            harmless(version)
        ),
        None => "tenure needs no feature gate (CoordinatedLeaderElection is off)".to_owned(),
    };
    sheet.put(&Verdict::Good, &told);
}

async fn rights(api: &Api, kind: Kind, namespace: &str, sheet: &mut Sheet) {
    let mut lacking = Vec::new();
    for verb in needed(kind) {
        match api
            .may(verb, (kind.group(), kind.plural()), namespace, "")
            .await
        {
            Ok(true) => {}
            Ok(false) => lacking.push(*verb),
            Err(refusal) => {
                let told = format!(
                    "rights on {} cannot be asked for: {}",
                    kind.plural(),
                    refusal.told()
                );
                sheet.put(&Verdict::Note, &told);
                return;
            }
        }
    }
    if lacking.is_empty() {
        let told = format!("this user may stand for any {} in {namespace}", kind.name());
        sheet.put(&Verdict::Good, &told);
        return;
    }
    // Whoever uses Leases needs no other kind.
    let verdict = if kind == Kind::Lease {
        Verdict::Bad
    } else {
        Verdict::Note
    };
    sheet.put(
        &verdict,
        &format!(
            "this user may not {} {} in {namespace} (unless by name: `tenure explain NAME`); \
             `tenure rbac` prints the rights",
            lacking.join(", "),
            kind.plural()
        ),
    );
}

async fn pods_and_events(api: &Api, namespace: &str, sheet: &mut Sheet) {
    for (verb, group, resource, needed_for) in [
        (
            "list",
            "",
            "pods",
            "status and explain cannot tell wedged, orphaned and twin",
        ),
        ("get", "", "pods", "locks for life cannot be stood for"),
        (
            "list",
            "events.k8s.io",
            "events",
            "history has nothing to tell",
        ),
        (
            "list",
            "coordination.k8s.io",
            "leases",
            "status can show Leases by name only",
        ),
    ] {
        match api.may(verb, (group, resource), namespace, "").await {
            Ok(true) => sheet.put(
                &Verdict::Good,
                &format!("this user may {verb} {resource} in {namespace}"),
            ),
            Ok(false) => sheet.put(
                &Verdict::Note,
                &format!("this user may not {verb} {resource} in {namespace}: {needed_for}"),
            ),
            Err(_) => {}
        }
    }
}

/// Fencing tokens are resourceVersions, and have to be comparable (L19).
fn tokens(version: &str, sheet: &mut Sheet) {
    if version.parse::<u128>().is_ok() {
        sheet.put(
            &Verdict::Good,
            "resourceVersions are numbers, so fencing tokens can be compared (L19)",
        );
    } else {
        let told = format!(
            "resourceVersions are no numbers ({version}): fencing tokens cannot be compared (L19)"
        );
        sheet.put(&Verdict::Bad, &told);
    }
}

/// Opens a watch of Leases, and waits for its first word.
async fn watch(api: &Api, namespace: &str, sheet: &mut Sheet) {
    let path = collection("coordination.k8s.io", "v1", "leases", Some(namespace));
    let version = match api.get(&format!("{path}?limit=1")).await {
        Ok(list) => list
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .map(harmless),
        Err(refusal) if is_about_rights(&refusal) => {
            let told = "whether watches work cannot be tried without the right to list Leases";
            sheet.put(&Verdict::Note, told);
            return;
        }
        Err(refusal) => {
            sheet.put(
                &Verdict::Bad,
                &format!("Leases cannot be listed: {}", refusal.told()),
            );
            return;
        }
    };
    let version = version.unwrap_or_default();
    tokens(&version, sheet);
    // One second, and it ends by itself: so it is seen that it opens, and that its end arrives.
    let uri = format!(
        "{path}?watch=true&timeoutSeconds=1&resourceVersion={}",
        super::api::escaped(&version)
    );
    let begun = tenure::now();
    let opened = tokio::time::timeout(WATCH_LIMIT, async {
        let stream = api.watch(&uri).await.map_err(|refusal| refusal.told())?;
        let opened = tenure::now().since(begun);
        pin_mut!(stream);
        let mut some = [0; 512];
        loop {
            match stream.read(&mut some).await {
                Ok(0) => return Ok(opened),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    })
    .await;
    match opened {
        Ok(Ok(opened)) => {
            let opened = span(clock::micros(opened));
            sheet.put(
                &Verdict::Good,
                &format!("watches work: one opened in {opened}, and ended in time"),
            );
        }
        Ok(Err(error)) => {
            let error = harmless(error.lines().next().unwrap_or_default());
            let told = format!("a watch of Leases fails ({error}): candidates notice changes late");
            sheet.put(&Verdict::Bad, &told);
        }
        Err(_) => sheet.put(
            &Verdict::Bad,
            "a watch of one second did not end within 5 s: something between here and the API \
             server holds answers back; candidates notice changes late",
        ),
    }
}

async fn latency(api: &Api, sheet: &mut Sheet) {
    let before = api.latencies().len();
    for _ in 0..ROUNDS {
        // What it answers does not matter; that it does, is measured.
        let _ = api.get("/version").await;
    }
    let mut took = api.latencies().split_off(before);
    took.sort_unstable();
    let (Some(middle), Some(most)) = (took.get(took.len() / 2), took.last()) else {
        sheet.put(&Verdict::Bad, "the API server no longer answers");
        return;
    };
    let told = format!(
        "answers take {} ms (median), {} ms at most of {}",
        middle.as_millis(),
        most.as_millis(),
        took.len()
    );
    let verdict = if *most < SLOW {
        Verdict::Good
    } else {
        Verdict::Bad
    };
    sheet.put(&verdict, &told);
}

fn skew(api: &Api, sheet: &mut Sheet) {
    let moment = api.moment();
    let Some(ahead) = moment.ahead else {
        sheet.put(
            &Verdict::Note,
            "the API server tells no time, so clocks cannot be compared",
        );
        return;
    };
    let within = span(moment.within);
    let far = ahead.saturating_abs();
    if far <= MUCH_SKEW.saturating_add(moment.within) {
        let told = format!(
            "this machine's clock is the server's, to within {}",
            span(far.saturating_add(moment.within))
        );
        sheet.put(&Verdict::Good, &told);
    } else {
        let which = if ahead > 0 { "behind" } else { "ahead of" };
        sheet.put(
            &Verdict::Bad,
            &format!(
                "this machine's clock is {} {which} the server's (±{within}): tenure does not mind \
                 (L2), but programs that go by renewTime do; set it by NTP",
                span(far)
            ),
        );
    }
}
