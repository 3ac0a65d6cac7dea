//! The registry of kinds: what is served where, and which rules its writes follow.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

/// How the objects of a resource are decoded.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// As the Go type of that name.
    Builtin(&'static str),
    /// By the schema of a CustomResourceDefinition's version.
    Custom(Arc<Value>),
}

/// What differs between kinds in create, replace and delete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // a table of independent facts
pub(crate) struct Rules {
    /// A PUT to a name that does not exist creates.
    pub(crate) create_on_update: bool,
    /// A PUT without resourceVersion overwrites whatever is there.
    pub(crate) unconditional_update: bool,
    /// A DELETE answers with the object instead of a `Status`.
    pub(crate) returns_deleted: bool,
    /// Spec changes count in `metadata.generation`.
    pub(crate) generation: bool,
}

/// One served resource in one version.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) has_status: bool,
    pub(crate) shape: Shape,
    pub(crate) rules: Rules,
    /// `plural.group`, as errors name it.
    pub(crate) qualified: Arc<str>,
    /// Where its objects are stored: another resource's where both show the same objects.
    pub(crate) storage: Arc<str>,
    /// The printer columns of a custom resource.
    pub(crate) columns: Value,
}

/// Everything that is served: the built-in kinds, and those of CustomResourceDefinitions.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// By `plural.group`, then by version.
    custom: BTreeMap<String, Vec<Arc<Resource>>>,
}

pub(crate) const PODS: &str = "pods";
pub(crate) const CONFIG_MAPS: &str = "configmaps";
pub(crate) const NAMESPACES: &str = "namespaces";
pub(crate) const EVENTS: &str = "events";
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

impl Resource {
    /// `coordination.k8s.io/v1`, or `v1` for the core group.
    pub(crate) fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// `Lease.coordination.k8s.io`, as errors of validation name the kind.
    pub(crate) fn qualified_kind(&self) -> String {
        qualify(&self.kind, &self.group)
    }

    pub(crate) fn is(&self, qualified: &str) -> bool {
        &*self.qualified == qualified
    }

    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.shape, Shape::Custom(_))
    }
}

impl Registry {
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.all()
            .find(|r| r.group == group && r.version == version && r.plural == plural)
            .cloned()
    }

    pub(crate) fn find_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.all()
            .find(|r| r.kind == kind && r.api_version() == api_version)
            .cloned()
    }

    /// The resource of that name in its first version, for the server's own deletions.
    pub(crate) fn find_qualified(&self, qualified: &str) -> Option<Arc<Resource>> {
        self.all().find(|r| &*r.qualified == qualified).cloned()
    }

    pub(crate) fn has_group_version(&self, group: &str, version: &str) -> bool {
        self.all().any(|r| r.group == group && r.version == version)
    }

    /// Everything that is served, built-in kinds first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        BUILTIN.iter().chain(self.custom.values().flatten())
    }

    /// Serves the versions of one CustomResourceDefinition, in place of what it served before.
    pub(crate) fn set_custom(&mut self, qualified: &str, versions: Vec<Resource>) {
        self.custom.insert(
            qualified.to_owned(),
            versions.into_iter().map(Arc::new).collect(),
        );
    }

    pub(crate) fn remove_custom(&mut self, qualified: &str) {
        self.custom.remove(qualified);
    }
}

/// Whether built-in kinds are served there.
pub(crate) fn is_builtin_group(group: &str, version: &str) -> bool {
    BUILTIN
        .iter()
        .any(|r| r.group == group && r.version == version)
}

/// `group/version`, or the version alone for the core group.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// `name.group`, or the name alone for the core group.
pub(crate) fn qualify(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

/// The rules of resources that are stored as they come.
const PLAIN: Rules = Rules {
    create_on_update: false,
    unconditional_update: true,
    returns_deleted: false,
    generation: false,
};
const RETURNED: Rules = Rules {
    returns_deleted: true,
    ..PLAIN
};
const UPSERT: Rules = Rules {
    create_on_update: true,
    ..PLAIN
};

static BUILTIN: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let core = |plural, kind, short: &[&str], rules| builtin("", plural, kind, short, rules);
    let rbac = |plural, kind| builtin(RBAC, plural, kind, &[], UPSERT);
    let lease_rules = Rules {
        create_on_update: true,
        ..Rules::default()
    };
    let crd_rules = Rules {
        generation: true,
        ..Rules::default()
    };
    let mut events = builtin("events.k8s.io", "events", "Event", &["ev"], UPSERT);
    events.storage = Arc::from(EVENTS);
    vec![
        core("configmaps", "ConfigMap", &["cm"], PLAIN),
        core("events", "Event", &["ev"], UPSERT),
        cluster(with_status(core(
            "namespaces",
            "Namespace",
            &["ns"],
            RETURNED,
        ))),
        cluster(with_status(core("nodes", "Node", &["no"], PLAIN))),
        with_status(categories(
            core(
                "pods",
                "Pod",
                &["po"],
                Rules {
                    generation: true,
                    ..RETURNED
                },
            ),
            &["all"],
        )),
        core("secrets", "Secret", &[], PLAIN),
        core("serviceaccounts", "ServiceAccount", &["sa"], RETURNED),
        cluster(with_status(categories(
            builtin(
                "apiextensions.k8s.io",
                "customresourcedefinitions",
                "CustomResourceDefinition",
                &["crd", "crds"],
                crd_rules,
            ),
            &["api-extensions"],
        ))),
        builtin("coordination.k8s.io", "leases", "Lease", &[], lease_rules),
        events,
        cluster(rbac("clusterrolebindings", "ClusterRoleBinding")),
        cluster(rbac("clusterroles", "ClusterRole")),
        rbac("rolebindings", "RoleBinding"),
        rbac("roles", "Role"),
    ]
    .into_iter()
    .map(Arc::new)
    .collect()
});

fn builtin(
    group: &str,
    plural: &'static str,
    kind: &'static str,
    short_names: &[&str],
    rules: Rules,
) -> Resource {
    let qualified: Arc<str> = Arc::from(qualify(plural, group));
    Resource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: short_names.iter().map(|&s| s.to_owned()).collect(),
        categories: Vec::new(),
        namespaced: true,
        has_status: false,
        shape: Shape::Builtin(type_name(group, kind)),
        rules,
        storage: qualified.clone(),
        qualified,
        columns: Value::Null,
    }
}

/// The Go type behind a built-in kind.
fn type_name(group: &str, kind: &str) -> &'static str {
    match (group, kind) {
        ("", "ConfigMap") => "io.k8s.api.core.v1.ConfigMap",
        ("", "Event") => "io.k8s.api.core.v1.Event",
        ("", "Namespace") => "io.k8s.api.core.v1.Namespace",
        ("", "Node") => "io.k8s.api.core.v1.Node",
        ("", "Pod") => "io.k8s.api.core.v1.Pod",
        ("", "Secret") => "io.k8s.api.core.v1.Secret",
        ("", "ServiceAccount") => "io.k8s.api.core.v1.ServiceAccount",
        ("coordination.k8s.io", _) => "io.k8s.api.coordination.v1.Lease",
        ("events.k8s.io", _) => "io.k8s.api.events.v1.Event",
        ("apiextensions.k8s.io", _) => {
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
        }
        (_, "ClusterRole") => "io.k8s.api.rbac.v1.ClusterRole",
        (_, "ClusterRoleBinding") => "io.k8s.api.rbac.v1.ClusterRoleBinding",
        (_, "Role") => "io.k8s.api.rbac.v1.Role",
        _ => "io.k8s.api.rbac.v1.RoleBinding",
    }
}

fn cluster(mut resource: Resource) -> Resource {
    resource.namespaced = false;
    resource
}

fn with_status(mut resource: Resource) -> Resource {
    resource.has_status = true;
    resource
}

fn categories(mut resource: Resource, names: &[&str]) -> Resource {
    resource.categories = names.iter().map(|&s| s.to_owned()).collect();
    resource
}
