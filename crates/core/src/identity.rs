//! Who a candidate is (rule L8).

use std::{fmt, sync::Arc};

/// A number that tells one start of one process from every other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce(Arc<str>);

impl Nonce {
    /// A nonce from 128 random bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}").into())
    }

    /// A nonce as somebody wrote it.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The nonce as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a candidate writes as `holderIdentity`.
///
/// Unique for each process start unless somebody fixed it: `<pod name>_<pod uid>_<nonce>`. A pod's
/// name cannot contain `_`, so the part before the first one is the pod's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Arc<str>);

/// The longest identity in bytes. Kubernetes sets no limit; a name that no screen can show is a
/// mistake.
pub const MAX_IDENTITY: usize = 1024;

/// Why a text cannot be an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidIdentity {
    /// An empty holder means that nobody leads.
    Empty,
    /// Longer than [`MAX_IDENTITY`].
    TooLong,
    /// It has a control character in it.
    Control,
}

impl Identity {
    /// An identity that stays the same over restarts.
    pub fn fixed(identity: &str) -> Result<Self, InvalidIdentity> {
        if identity.trim().is_empty() {
            return Err(InvalidIdentity::Empty);
        }
        if identity.len() > MAX_IDENTITY {
            return Err(InvalidIdentity::TooLong);
        }
        if identity.chars().any(char::is_control) {
            return Err(InvalidIdentity::Control);
        }
        Ok(Self(identity.into()))
    }

    /// The identity of one start of one process in a pod; without a pod, `uid` is left out.
    pub fn unique(name: &str, uid: Option<&str>, nonce: &Nonce) -> Result<Self, InvalidIdentity> {
        match uid {
            Some(uid) => Self::fixed(&format!("{name}_{uid}_{nonce}")),
            None => Self::fixed(&format!("{name}_{nonce}")),
        }
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` means this candidate: it is the identity itself, or the name or the uid of the
    /// Pod in a unique one.
    pub fn answers_to(&self, name: &str) -> bool {
        let mut parts = self.0.splitn(3, '_');
        let (pod, second, third) = (parts.next(), parts.next(), parts.next());
        // Without a Pod there is no uid, and the second part is the nonce.
        let uid = third.and(second);
        !name.is_empty() && (*self.0 == *name || second.and(pod) == Some(name) || uid == Some(name))
    }

    pub(crate) fn to_arc(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<Identity> for Arc<str> {
    fn from(identity: Identity) -> Self {
        identity.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "an identity must not be empty: an empty holder means that nobody leads; \
                 leave it out to get a unique one",
            ),
            Self::TooLong => write!(f, "an identity has at most {MAX_IDENTITY} bytes"),
            Self::Control => f.write_str("an identity must not contain control characters"),
        }
    }
}

impl std::error::Error for InvalidIdentity {}
