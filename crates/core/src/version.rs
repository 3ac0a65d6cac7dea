//! Which object, and which state of it.

use std::{cmp::Ordering, fmt, sync::Arc};

/// The uid that the server gave to an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(Arc<str>);

impl Uid {
    /// The uid as the server writes it.
    pub fn new(uid: impl Into<Arc<str>>) -> Self {
        Self(uid.into())
    }

    /// The uid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A resourceVersion. Comparable as a decimal number of any size (KEP-5504); one that is not such
/// a number compares with nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceVersion(Arc<str>);

impl ResourceVersion {
    /// The resourceVersion as the server writes it.
    pub fn new(version: impl Into<Arc<str>>) -> Self {
        Self(version.into())
    }

    /// The resourceVersion as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this state came after `other`; false where the two cannot be compared.
    pub fn newer_than(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Greater)
    }

    fn is_number(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|b| b.is_ascii_digit())
    }
}

impl PartialOrd for ResourceVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if self.0 == other.0 {
            return Some(Ordering::Equal);
        }
        if !self.is_number() || !other.is_number() {
            return None;
        }
        let (a, b) = (
            self.0.trim_start_matches('0'),
            other.0.trim_start_matches('0'),
        );
        match a.len().cmp(&b.len()).then_with(|| a.cmp(b)) {
            // "07" and "7" are the same number and not the same text.
            Ordering::Equal => None,
            unequal => Some(unequal),
        }
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One state of one object: what a write names as its precondition (rules L5, F5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Which object.
    pub uid: Uid,
    /// Which state of it.
    pub resource_version: ResourceVersion,
}

impl Version {
    /// The state `resource_version` of the object `uid`.
    pub fn new(uid: impl Into<Arc<str>>, resource_version: impl Into<Arc<str>>) -> Self {
        Self {
            uid: Uid::new(uid),
            resource_version: ResourceVersion::new(resource_version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_versions_compare_as_numbers_not_as_text() {
        let rv = ResourceVersion::new;
        assert!(rv("10").newer_than(&rv("9")));
        assert!(!rv("9").newer_than(&rv("10")));
        assert!(rv("100000000000000000000000000").newer_than(&rv("99")));
        assert!(!rv("abc").newer_than(&rv("1")));
        assert!(!rv("7").newer_than(&rv("7")));
        assert_eq!(rv("").partial_cmp(&rv("1")), None);
    }
}
