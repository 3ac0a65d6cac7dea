//! A server: one Lease, compare-and-swap, and a history for watchers.

use tenure_core::{
    Outcome, Sight, Version,
    lease::{LeaseWrite, Observed, Request, Spec, WriteMark},
};

#[derive(Default)]
pub(crate) struct Server {
    lease: Option<Stored>,
    revision: u64,
    uids: u64,
    /// Everything that was written, for those who check.
    pub(crate) accepted: Vec<Accepted>,
}

/// A write as it was applied.
pub(crate) struct Accepted {
    pub(crate) before: Option<Spec>,
    pub(crate) after: Option<Spec>,
    pub(crate) by_candidate: bool,
}

#[derive(Clone)]
struct Stored {
    uid: u64,
    revision: u64,
    spec: Spec,
    mark: Option<WriteMark>,
}

impl Server {
    pub(crate) fn apply(
        &mut self,
        request: Request,
    ) -> (Outcome<Observed>, Option<Sight<Observed>>) {
        match request {
            Request::Read => match &self.lease {
                Some(lease) => (Outcome::Done(lease.observed()), None),
                None => (Outcome::NotFound("no lease".into()), None),
            },
            Request::Create(_) if self.lease.is_some() => (Outcome::AlreadyExists, None),
            Request::Create(write) => {
                self.uids += 1;
                let uid = self.uids;
                self.put(uid, write.spec, Some(write.mark), true)
            }
            Request::Replace { base, write } => {
                let LeaseWrite { spec, mark, .. } = write;
                match &self.lease {
                    Some(lease) if lease.version() == base => {
                        let uid = lease.uid;
                        self.put(uid, spec, Some(mark), true)
                    }
                    // A replace of a deleted Lease answers 409 too.
                    _ => (Outcome::Conflict, None),
                }
            }
        }
    }

    /// Somebody edits the Lease by hand.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Spec)) -> Option<Sight<Observed>> {
        let lease = self.lease.clone()?;
        let mut spec = lease.spec;
        change(&mut spec);
        self.put(lease.uid, spec, lease.mark, false).1
    }

    /// Somebody deletes the Lease by hand.
    pub(crate) fn delete(&mut self) -> Option<Sight<Observed>> {
        let lease = self.lease.take()?;
        self.revision += 1;
        let (before, after) = (Some(lease.spec), None);
        self.accepted.push(Accepted {
            before,
            after,
            by_candidate: false,
        });
        Some(Sight::Gone(Version::new(
            lease.uid.to_string(),
            self.revision.to_string(),
        )))
    }

    pub(crate) fn now(&self) -> Option<Observed> {
        self.lease.as_ref().map(Stored::observed)
    }

    fn put(
        &mut self,
        uid: u64,
        spec: Spec,
        mark: Option<WriteMark>,
        by_candidate: bool,
    ) -> (Outcome<Observed>, Option<Sight<Observed>>) {
        self.revision += 1;
        let before = self.lease.take().map(|lease| lease.spec);
        let after = Some(spec.clone());
        self.accepted.push(Accepted {
            before,
            after,
            by_candidate,
        });
        let lease = Stored {
            uid,
            revision: self.revision,
            spec,
            mark,
        };
        let observed = lease.observed();
        self.lease = Some(lease);
        (Outcome::Done(observed.clone()), Some(Sight::Seen(observed)))
    }
}

impl Stored {
    fn version(&self) -> Version {
        Version::new(self.uid.to_string(), self.revision.to_string())
    }

    fn observed(&self) -> Observed {
        Observed {
            version: self.version(),
            spec: self.spec.clone(),
            mark: self.mark.clone(),
            step_down: None,
            paused: None,
        }
    }
}
