//! Who and where am I.

/// Who and where this process is.
#[derive(Clone, Debug)]
pub struct ContextInfo {
    namespace: String,
    name: String,
    pod_uid: Option<String>,
}

/// What is missing.
#[derive(Debug)]
#[non_exhaustive]
pub enum ContextError {}

impl std::fmt::Display for ContextError {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}
impl std::error::Error for ContextError {}

impl ContextInfo {
    /// By hand, for a program outside of a cluster.
    pub fn outside(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            pod_uid: None,
        }
    }
    /// Discover.
    pub async fn discover(_: &kube::Config) -> Result<Self, ContextError> {
        Ok(Self::outside("default", "x"))
    }
    pub(crate) fn name_for_identity(&self) -> &str {
        &self.name
    }
    /// uid
    pub fn pod_uid(&self) -> Option<&str> {
        self.pod_uid.as_deref()
    }
    /// namespace
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}
