//! Rights taken away for tests, and the real server's words when one is missing.

use crate::request::{RequestInfo, Target};
use crate::resources::qualify;
use crate::status::Refusal;

/// One right that is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    /// `*` for every verb.
    pub(crate) verb: String,
    /// The plural, with its group or without; with a subresource as `pods/status`; `*` for all.
    pub(crate) resource: String,
    /// `None` for everybody.
    pub(crate) user: Option<String>,
}

impl Denial {
    pub(crate) fn matches(&self, verb: &str, target: &Target, user: &str) -> bool {
        let with_subresource = |plural: &str| {
            if target.subresource.is_empty() {
                plural.to_owned()
            } else {
                format!("{plural}/{}", target.subresource)
            }
        };
        let named = self.resource == "*"
            || self.resource == with_subresource(&target.plural)
            || self.resource == with_subresource(&qualify(&target.plural, &target.group));
        (self.verb == "*" || self.verb == verb)
            && named
            && self.user.as_deref().is_none_or(|only| only == user)
    }
}

/// The 403 of a request whose right is missing.
pub(crate) fn refusal(info: &RequestInfo, target: &Target, user: &str) -> Refusal {
    let verb = info.verb;
    let resource = if target.subresource.is_empty() {
        target.plural.clone()
    } else {
        format!("{}/{}", target.plural, target.subresource)
    };
    let place = if target.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", target.namespace)
    };
    let why = format!(
        "User {user:?} cannot {verb} resource {resource:?} in API group {:?} {place}",
        target.group
    );
    Refusal::forbidden(&qualify(&target.plural, &target.group), &target.name, &why)
}
