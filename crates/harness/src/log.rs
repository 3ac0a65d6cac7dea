//! Who wrote what, as the server saw it.

use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenure_apiserver::Write;

use crate::server::{Kind, TestServer};

/// One write that was applied.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WriteEntry {
    /// `create`, `update`, `patch`, `delete`; from a real server `deletecollection` too.
    pub verb: String,
    /// The plural with its group, as `leases.coordination.k8s.io`.
    pub resource: String,
    /// Empty where the request named none.
    pub subresource: String,
    /// Empty for a resource without namespaces.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Who wrote.
    pub user: String,
    /// The request's `User-Agent`.
    pub user_agent: String,
    /// When: the server's wall clock, at the write or, from a real server, when it answered.
    pub time: SystemTime,
    /// What the object's resourceVersion is since then; `None` where the answer did not say, as
    /// for most deletions by a real server.
    pub resource_version: Option<u64>,
    /// The object after the write, where the log has it.
    pub object: Option<Value>,
}

impl TestServer {
    /// The writes since the start of the server, in the order in which they were answered. What
    /// the server's own controllers wrote is among them.
    ///
    /// # Errors
    ///
    /// Where there is no audit log: in a given cluster, or when the server was started without.
    pub async fn write_log(&self) -> Result<Vec<WriteEntry>> {
        match &self.inner.kind {
            Kind::Embedded(embedded) => Ok(embedded.server.writes().iter().map(of_write).collect()),
            Kind::Real(plane) => {
                let path = plane.audit_log.as_ref().context("there is no audit log")?;
                let text = tokio::fs::read_to_string(path)
                    .await
                    .with_context(|| format!("cannot read {}", path.display()))?;
                // The last line may be half written.
                let events = text
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok());
                Ok(events.filter_map(|event| of_audit(&event)).collect())
            }
            Kind::Given => bail!("a given cluster's audit log cannot be read"),
        }
    }

    /// [`TestServer::write_log`] of one object.
    pub async fn writes_of(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<WriteEntry>> {
        let mut log = self.write_log().await?;
        log.retain(|write| {
            write.resource == resource && write.namespace == namespace && write.name == name
        });
        Ok(log)
    }
}

fn of_write(write: &Write) -> WriteEntry {
    WriteEntry {
        verb: write.verb.clone(),
        resource: write.resource.clone(),
        subresource: write.subresource.clone(),
        namespace: write.namespace.clone(),
        name: write.name.clone(),
        user: write.user.clone(),
        user_agent: write.user_agent.clone(),
        time: write.wall_time,
        resource_version: Some(write.resource_version),
        object: Some(Value::clone(&write.object)),
    }
}

/// A write in an audit event; `None` for reads, for what was refused, and for what was only tried.
fn of_audit(event: &Value) -> Option<WriteEntry> {
    let text = |pointer: &str| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let verb = text("/verb");
    let writes = ["create", "update", "patch", "delete", "deletecollection"];
    let code = event
        .pointer("/responseStatus/code")
        .and_then(Value::as_u64)?;
    if text("/stage") != "ResponseComplete"
        || !writes.contains(&verb.as_str())
        || !(200..300).contains(&code)
        || text("/requestURI").contains("dryRun=")
    {
        return None;
    }
    let object = event
        .get("responseObject")
        .filter(|object| object["kind"] != "Status");
    let (plural, group) = (text("/objectRef/resource"), text("/objectRef/apiGroup"));
    let resource = if group.is_empty() {
        plural
    } else {
        format!("{plural}.{group}")
    };
    let named = text("/objectRef/name");
    let given = text("/responseObject/metadata/name");
    let time: jiff::Timestamp = text("/stageTimestamp").parse().ok()?;
    Some(WriteEntry {
        verb,
        resource,
        subresource: text("/objectRef/subresource"),
        namespace: text("/objectRef/namespace"),
        name: if named.is_empty() { given } else { named },
        user: text("/user/username"),
        user_agent: text("/userAgent"),
        time: time.into(),
        resource_version: text("/responseObject/metadata/resourceVersion")
            .parse()
            .ok(),
        object: object.cloned(),
    })
}
