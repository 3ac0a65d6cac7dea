//! What is missing, and what to add to which manifest.

use thiserror::Error;

/// What is not known about this process, or stands against it.
///
/// A Lease needs nothing but a namespace; everything about the own Pod is asked for by leader for
/// life alone ([`ContextInfo::own_pod`](super::ContextInfo::own_pod)).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContextError {
    /// Nobody says in which namespace this is.
    #[error(
        "the namespace is not known: NAMESPACE and POD_NAMESPACE are not set, there is no service \
         account, and the kubeconfig names none. Set the namespace of the election, or add to the \
         container in the Pod template:\n{NAMESPACE_YAML}"
    )]
    NamespaceUnknown,
    /// The namespace that was found cannot be one.
    #[error(
        "{namespace:?}, from {source_name}, cannot be a namespace: at most 63 lower-case letters, \
         digits and '-' (DNS-1123 label). Correct it, or add to the container in the Pod \
         template:\n{NAMESPACE_YAML}"
    )]
    NamespaceInvalid {
        /// What was found.
        namespace: String,
        /// Where.
        source_name: &'static str,
    },
    /// No client could be made from the configuration.
    #[error(
        "no Kubernetes client can be made from this configuration: {0}. Check its server address, \
         certificates and credentials"
    )]
    Client(String),
    /// The context was built by hand, without a Pod.
    #[error(
        "a leader for life is owned by its Pod, and this context was built without one: run in a \
         Pod, name it with ContextInfo::with_pod, or use a Lease, which needs no Pod"
    )]
    NoPod,
    /// The Pod's name is not known.
    #[error(
        "the name of the own Pod is not known: POD_NAME is not set, and no token says it. A leader \
         for life is owned by its Pod. Add to the container in the Pod template (Deployment, \
         StatefulSet: spec.template.spec.containers[]):\n{POD_YAML}\nOutside of a cluster use a \
         Lease, which needs no Pod"
    )]
    PodNameUnknown,
    /// There is no such Pod.
    #[error(
        "there is no Pod {name:?} in the namespace {namespace:?} ({told}), so it is not the own \
         one: POD_NAME or NAMESPACE is wrong. Let Kubernetes fill them in; in the Pod \
         template:\n{POD_YAML}"
    )]
    PodNotFound {
        /// The name that was asked for.
        name: String,
        /// The namespace that was asked.
        namespace: String,
        /// The server's words.
        told: String,
    },
    /// The server refuses to show the own Pod.
    #[error(
        "the own Pod cannot be read, which a leader for life has to ({0}). The rule that the \
         candidate's Role needs:\n{PODS_RULE_YAML}"
    )]
    PodRefused(String),
    /// The server did not answer, or not with a Pod.
    #[error(
        "the own Pod could not be read, which a leader for life has to: {0}. The API server did \
         not answer as it should; try again"
    )]
    PodUnread(String),
    /// A Pod of the own name is another Pod (rule F2).
    #[error(
        "the Pod {name:?} has the uid {found}, and this process runs in a Pod of the uid {claimed} \
         (from {source_name}): it was replaced under its name, and this process is on its way out; \
         or POD_NAME or {source_name} is wrong. Let Kubernetes fill them in; in the Pod \
         template:\n{POD_YAML}"
    )]
    PodReplaced {
        /// The Pod's name.
        name: String,
        /// The uid that the server told.
        found: String,
        /// The uid that this process was told.
        claimed: String,
        /// By what.
        source_name: &'static str,
    },
    /// Two sources name different uids for the own Pod (rule F2).
    #[error(
        "{first_source} says that the own Pod has the uid {first}, and {second_source} says \
         {second}. Let Kubernetes fill them in; in the Pod template:\n{POD_YAML}"
    )]
    UidsDisagree {
        /// One uid.
        first: String,
        /// Who says it.
        first_source: &'static str,
        /// The other.
        second: String,
        /// Who says that.
        second_source: &'static str,
    },
    /// The own Pod is the mirror of a static Pod (rule F2).
    #[error(
        "the Pod {0:?} is the mirror of a static Pod (annotation kubernetes.io/config.mirror): the \
         kubelet gives it a new uid under a living process, so it cannot own a lock for life. Use \
         a Lease, or run the program in a Deployment of one replica more"
    )]
    MirrorPod(String),
}

const POD_YAML: &str = "        env:
          - name: POD_NAME
            valueFrom: {fieldRef: {fieldPath: metadata.name}}
          - name: POD_UID
            valueFrom: {fieldRef: {fieldPath: metadata.uid}}
          - name: NAMESPACE
            valueFrom: {fieldRef: {fieldPath: metadata.namespace}}";

const NAMESPACE_YAML: &str = "        env:
          - name: NAMESPACE
            valueFrom: {fieldRef: {fieldPath: metadata.namespace}}";

const PODS_RULE_YAML: &str = "    rules:
      - apiGroups: [\"\"]
        resources: [pods]
        verbs: [get]";
