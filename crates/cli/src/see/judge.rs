//! How a lock is: words from objects and a time, and from nothing else.
//!
//! What each word means, and on what it rests, is told to people in docs/see.md.

use super::{
    lock::{ForLife, Hold, Lock, Renewed},
    pods::Pod,
    text::{harmless, span},
};

/// A word about a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    /// Held, and nothing speaks against it.
    Healthy,
    /// Held for life; whether the holder lives could not be seen.
    Held,
    /// Nobody holds it.
    Free,
    /// Its holder has not renewed it in time.
    Expired,
    /// Its holder has not renewed it in time although its Pod runs.
    Wedged,
    /// Who holds it is gone for good.
    Orphaned,
    /// Two may take themselves for its holder.
    Twin,
    /// Its duration makes no sense.
    OddDuration,
    /// Nobody of tenure takes it, for maintenance.
    Paused,
    /// Something about the object cannot be understood.
    Strange,
}

/// The present, as it is known on this side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// By the server's clock, in microseconds since 1970.
    pub(crate) now: i64,
    /// How far off that may be, either way, in microseconds.
    pub(crate) within: i64,
    /// How far the server's clock is ahead of this machine's; none if it did not tell.
    pub(crate) ahead: Option<i64>,
}

/// What is thought of a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// The most serious first; never empty.
    pub(crate) words: Vec<Word>,
    /// Why, a sentence each.
    pub(crate) because: Vec<String>,
    /// The holder's Pod, where it is known to be one.
    pub(crate) pod: Option<String>,
    pub(crate) node: Option<String>,
    /// Other candidates that make themselves known; none if Pods could not be seen.
    pub(crate) waiting: Option<Vec<String>>,
    /// Spans of time in microseconds.
    pub(crate) held_for: Option<i64>,
    pub(crate) renewed_ago: Option<i64>,
    pub(crate) expires_in: Option<i64>,
}

/// Clocks of machines that keep them well are not further apart.
const TOLERANCE: i64 = 2_000_000;
/// A lease of more than an hour is more likely a mistake than meant.
pub(crate) const LONGEST_SECONDS: i64 = 3_600;

impl Word {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Held => "held",
            Self::Free => "free",
            Self::Expired => "expired",
            Self::Wedged => "wedged",
            Self::Orphaned => "orphaned",
            Self::Twin => "twin",
            Self::OddDuration => "odd-duration",
            Self::Paused => "paused",
            Self::Strange => "strange",
        }
    }

    /// Whether somebody should look.
    pub(crate) fn is_bad(self) -> bool {
        !matches!(self, Self::Healthy | Self::Held | Self::Free | Self::Paused)
    }

    /// The most serious is least.
    pub(crate) fn weight(self) -> u8 {
        match self {
            Self::Twin => 0,
            Self::Wedged => 1,
            Self::Orphaned => 2,
            Self::Expired => 3,
            Self::Paused => 4,
            Self::OddDuration => 5,
            Self::Strange => 6,
            Self::Free => 7,
            Self::Held => 8,
            Self::Healthy => 9,
        }
    }
}

impl Judgement {
    pub(crate) fn is(&self, word: Word) -> bool {
        self.words.contains(&word)
    }

    /// The words with commas between.
    pub(crate) fn told(&self) -> String {
        let names: Vec<_> = self.words.iter().map(|word| word.name()).collect();
        names.join(",")
    }

    /// Whether whoever stands in the lock may be taken for leading: nobody else can have it yet.
    /// `None` where the object does not tell until when.
    pub(crate) fn leads(&self) -> Option<bool> {
        let ended = [Word::Free, Word::Expired, Word::Wedged, Word::Orphaned];
        if ended.iter().any(|word| self.is(*word)) {
            return Some(false);
        }
        let holds = self.is(Word::Healthy)
            || self.is(Word::Held)
            || self.expires_in.is_some_and(|left| left > 0);
        holds.then_some(true)
    }

    fn add(&mut self, word: Word, because: impl Into<String>) {
        if !self.is(word) {
            self.words.push(word);
        }
        self.because.push(because.into());
    }
}

/// What is to be thought of the lock. `pods` are all that could be seen, of any namespace; none
/// if they could not be.
pub(crate) fn judge(lock: &Lock, pods: Option<&[Pod]>, moment: Moment) -> Judgement {
    let pods: Option<Vec<&Pod>> = pods.map(|pods| {
        pods.iter()
            .filter(|pod| pod.namespace == lock.namespace)
            .collect()
    });
    let mut judgement = Judgement::default();
    let held = match &lock.hold {
        Hold::Renewed(renewed) => by_renewals(&mut judgement, renewed, pods.as_deref(), moment),
        Hold::ForLife(life) => for_life(&mut judgement, lock, life, pods.as_deref(), moment),
    };
    for remark in &lock.remarks {
        judgement.add(Word::Strange, remark.clone());
    }
    if lock.being_deleted {
        judgement
            .because
            .push("the object is being deleted; a finalizer holds it back".to_owned());
    }
    if let Some(paused) = &lock.paused {
        judgement.add(Word::Paused, paused.clone());
    }
    candidates(&mut judgement, lock, pods.as_deref());
    if held
        && !judgement
            .words
            .iter()
            .any(|word| word.is_bad() || *word == Word::Held)
    {
        judgement.words.push(Word::Healthy);
    }
    if judgement.words.is_empty() {
        judgement.words.push(Word::Strange);
    }
    judgement.words.sort_by_key(|word| word.weight());
    judgement
}

/// Whether somebody stands in it.
fn by_renewals(
    judgement: &mut Judgement,
    renewed: &Renewed,
    pods: Option<&[&Pod]>,
    moment: Moment,
) -> bool {
    judgement.renewed_ago = renewed.renew_time.map(|at| moment.now.saturating_sub(at));
    let Some(holder) = renewed.holder.as_deref() else {
        let why = if renewed.released {
            "its last holder has given it up"
        } else {
            "nobody stands in it"
        };
        judgement.add(Word::Free, why);
        let seconds = renewed.duration_seconds.unwrap_or_default();
        if seconds > LONGEST_SECONDS && !renewed.released {
            judgement.add(
                Word::OddDuration,
                format!(
                    "its duration is {seconds} s: candidates of tenure wait that long, since nobody \
                     has given it up (L13)"
                ),
            );
        }
        return false;
    };
    judgement.held_for = renewed.acquired.map(|at| moment.now.saturating_sub(at));
    judgement.expires_in = renewed.end().map(|end| end.saturating_sub(moment.now));
    odd_times(judgement, renewed, moment);
    let expired = judgement
        .expires_in
        .is_some_and(|left| left < -moment.within);
    let pod = holder_pod(judgement, renewed, pods);
    if expired {
        let ago = span(judgement.renewed_ago.unwrap_or_default());
        let skew = doubt(moment);
        let runs = pod.is_some_and(|pod| pod.runs() && !pod.being_deleted);
        if runs {
            judgement.add(Word::Wedged, format!(
                "its holder's Pod runs, but the last renewal was {ago} ago by the holder's clock{skew}"
            ));
        } else {
            judgement.add(Word::Expired, format!(
                "the last renewal was {ago} ago by the holder's clock{skew}; any candidate may take it"
            ));
        }
        if renewed.duration_seconds == Some(1) {
            judgement.because.push(
                "a duration of 1 s is what some programs leave behind when they give a Lease up"
                    .to_owned(),
            );
        }
    }
    if renewed.written_by_another {
        judgement.add(Word::Twin, format!(
            "{} is renewed by a program that is not the tenure process which wrote it last: two \
             use one identity",
            harmless(holder)
        ));
    }
    true
}

/// What its times and its duration say about the object rather than about the holder.
fn odd_times(judgement: &mut Judgement, renewed: &Renewed, moment: Moment) {
    match renewed.duration_seconds {
        None => judgement.add(
            Word::OddDuration,
            "it has no duration: each candidate waits its own",
        ),
        Some(seconds) if seconds <= 0 => judgement.add(
            Word::OddDuration,
            format!("its duration is {seconds} s: programs that go by it take it at once"),
        ),
        Some(seconds) if seconds > LONGEST_SECONDS => judgement.add(
            Word::OddDuration,
            format!("its duration is {seconds} s: a dead holder is waited for that long"),
        ),
        Some(_) => {}
    }
    match renewed.renew_time {
        None => judgement.add(
            Word::Strange,
            "it has a holder and no renewTime: nobody can tell when it ends",
        ),
        Some(at)
            if at
                > moment
                    .now
                    .saturating_add(moment.within)
                    .saturating_add(TOLERANCE) =>
        {
            let ahead = span(at.saturating_sub(moment.now));
            judgement.add(
                Word::Strange,
                format!(
                    "its renewTime is {ahead} in the future: the holder's clock is wrong, or the \
                     server's{}",
                    doubt(moment)
                ),
            );
        }
        Some(_) => {}
    }
}

/// Finds the Pod behind an identity, and says what became of it.
fn holder_pod<'a>(
    judgement: &mut Judgement,
    renewed: &Renewed,
    pods: Option<&[&'a Pod]>,
) -> Option<&'a Pod> {
    let host = renewed.host().filter(|host| !host.is_empty())?;
    if let Some(uid) = renewed.pod_uid() {
        judgement.pod = Some(host.to_owned());
        let pods = pods?;
        let Some(pod) = pods.iter().copied().find(|pod| pod.uid == uid) else {
            let why = if pods.iter().any(|pod| pod.name == host) {
                format!("its holder's Pod {host} is gone; the Pod of that name is another one")
            } else {
                format!("its holder's Pod {host} is gone")
            };
            judgement.add(Word::Orphaned, harmless(&why));
            return None;
        };
        judgement.pod = Some(pod.name.clone());
        judgement.node.clone_from(&pod.node);
        ended(judgement, pod);
        return Some(pod);
    }
    let pods = pods?;
    let Some(pod) = pods.iter().copied().find(|pod| pod.name == host) else {
        // A host's name, as that of a program in the host's network.
        judgement.node = pods
            .iter()
            .filter_map(|pod| pod.node.as_deref())
            .find(|node| *node == host)
            .map(ToOwned::to_owned);
        return None;
    };
    judgement.pod = Some(pod.name.clone());
    judgement.node.clone_from(&pod.node);
    ended(judgement, pod);
    // Only a bare name is taken on by a Pod that comes later; a unique ending is not.
    let bare = renewed.holder.as_deref() == Some(host);
    let younger = pod
        .created
        .zip(renewed.acquired)
        .is_some_and(|(created, acquired)| created > acquired.saturating_add(TOLERANCE));
    if bare && younger {
        judgement.add(
            Word::Twin,
            format!(
                "the Pod {} was made after the term began: another of the same name acquired it, \
                 and both take each other's renewals for their own, unless the holder's clock is behind",
                harmless(host)
            ),
        );
    }
    Some(pod)
}

fn ended(judgement: &mut Judgement, pod: &Pod) {
    let name = harmless(&pod.name);
    if pod.has_ended() {
        let reason = if pod.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", harmless(&pod.reason))
        };
        let phase = harmless(&pod.phase);
        judgement.add(
            Word::Orphaned,
            format!("its holder's Pod {name} has ended ({phase}{reason})"),
        );
    } else if pod.being_deleted {
        judgement
            .because
            .push(format!("its holder's Pod {name} is being deleted"));
    }
}

fn for_life(
    judgement: &mut Judgement,
    lock: &Lock,
    life: &ForLife,
    pods: Option<&[&Pod]>,
    moment: Moment,
) -> bool {
    judgement.held_for = lock.created.map(|at| moment.now.saturating_sub(at));
    let Some(owner) = &life.owner else {
        return false;
    };
    judgement.pod = Some(owner.name.clone());
    let name = harmless(&owner.name);
    let Some(pods) = pods else {
        judgement.add(
            Word::Held,
            format!("whether its Pod {name} lives cannot be seen without the right to list Pods"),
        );
        return true;
    };
    let Some(pod) = pods.iter().copied().find(|pod| pod.uid == owner.uid) else {
        judgement.add(
            Word::Orphaned,
            format!(
                "its owner, the Pod {name}, is gone; the garbage collector, or a candidate, has yet to remove it"
            ),
        );
        if pods
            .iter()
            .any(|pod| pod.name == owner.name && !pod.has_ended())
        {
            judgement.add(
                Word::Twin,
                format!(
                    "another Pod is called {name} now: a program that goes by the name alone, as \
                     operator-lib, takes the lock for its own there"
                ),
            );
        }
        return true;
    };
    judgement.node.clone_from(&pod.node);
    ended(judgement, pod);
    if let Some((container, id)) = &life.container {
        let now = pod.containers.iter().find(|one| one.name == *container);
        if let Some(now) = now.filter(|now| !now.id.is_empty() && bare(&now.id) != bare(id)) {
            let runs = if now.runs {
                "another runs in its place"
            } else {
                "it has ended"
            };
            judgement.add(
                Word::Orphaned,
                format!(
                    "the container {} that took it is gone; {runs}",
                    harmless(container)
                ),
            );
        }
    }
    true
}

/// Who else stands, and who says that it leads.
fn candidates(judgement: &mut Judgement, lock: &Lock, pods: Option<&[&Pod]>) {
    let Some(pods) = pods else { return };
    let ours = |pod: &&&Pod| pod.candidate_for.as_deref() == Some(&lock.name) && !pod.has_ended();
    let standing: Vec<&Pod> = pods.iter().filter(ours).copied().collect();
    let leaders: Vec<&str> = standing
        .iter()
        .filter(|pod| pod.says_it_leads)
        .map(|pod| pod.name.as_str())
        .collect();
    if leaders.len() > 1 {
        let names: Vec<_> = leaders.iter().map(|name| harmless(name)).collect();
        judgement.add(
            Word::Twin,
            format!(
                "{} Pods are labelled as its leader: {}; a label lags behind, but not for longer \
                 than a lease",
                names.len(),
                names.join(", ")
            ),
        );
    }
    let waiting = standing
        .iter()
        .filter(|pod| judgement.pod.as_deref() != Some(&pod.name));
    let mut waiting: Vec<String> = waiting.map(|pod| pod.name.clone()).collect();
    waiting.sort();
    judgement.waiting = Some(waiting);
}

/// A container's id without its runtime's name.
fn bare(id: &str) -> &str {
    id.rsplit_once("://").map_or(id, |(_, id)| id)
}

/// How sure that is: what is compared are clocks of different machines.
fn doubt(moment: Moment) -> String {
    match moment.ahead {
        Some(_) => format!(" (seen from the server's, ±{})", span(moment.within)),
        None => " (seen from this machine's clock: the server told no time)".to_owned(),
    }
}

#[cfg(test)]
mod tests;
