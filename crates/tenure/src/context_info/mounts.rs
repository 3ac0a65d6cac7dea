//! What the kubelet's mounts and the container's control group tell (rules F2, F3).
//!
//! The kubelet mounts two files into each container from paths that name the Pod's uid:
//!
//! ```text
//! <root>/pods/<pod uid>/etc-hosts                         -> /etc/hosts
//! <root>/pods/<pod uid>/containers/<name>/<random>        -> /dev/termination-log
//! ```
//!
//! Everything here is best effort: where two sources disagree, or anything looks unlike what the
//! kubelet makes, the answer is `None`.

/// What the mounts say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    pub(crate) pod_uid: Option<String>,
    pub(crate) container: Option<String>,
}

/// What a `/proc/self/mountinfo` says.
pub(crate) fn parse_mountinfo(mountinfo: &str) -> Mounts {
    let (mut uids, mut containers) = (Vec::new(), Vec::new());
    for (root, target) in mountinfo.lines().filter_map(root_and_target) {
        let root: Vec<&str> = root.split('/').filter(|part| !part.is_empty()).collect();
        match *root.as_slice() {
            [.., "pods", uid, "etc-hosts"] if target == "/etc/hosts" => uids.push(uid.to_owned()),
            // `terminationMessagePath` may be any path.
            [.., "pods", uid, "containers", container, random] if is_random(random) => {
                uids.push(uid.to_owned());
                containers.push(container.to_owned());
            }
            _ => {}
        }
    }
    let pod_uid = only(uids);
    let container = pod_uid.as_ref().and_then(|_| only(containers));
    Mounts { pod_uid, container }
}

/// The id of the container that this process runs in, without the runtime's prefix, as far as
/// `/proc/self/cgroup` and `/proc/self/mountinfo` tie it to the process: the control group right
/// below that of the Pod with this uid. In a control-group namespace of its own (the usual case
/// with version 2) a process cannot see it, and the answer is `None`.
pub(crate) fn container_id(cgroup: &str, mountinfo: &str, pod_uid: &str) -> Option<String> {
    let groups = cgroup
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2).map(str::to_owned));
    let mounted = mountinfo
        .lines()
        .filter(|line| is_cgroup_mount(line))
        .filter_map(|line| root_and_target(line).map(|(root, _)| root));
    only(
        groups
            .chain(mounted)
            .filter_map(|path| id_in_group(&path, pod_uid))
            .collect(),
    )
}

/// The container's part of `/kubepods/burstable/pod<uid>/<id>`, or of the same with systemd's
/// names: `/kubepods.slice/kubepods-pod<uid, with _>.slice/cri-containerd-<id>.scope`.
fn id_in_group(path: &str, pod_uid: &str) -> Option<String> {
    let systemd_uid = pod_uid.replace('-', "_");
    let mut parts = path.split('/');
    parts.find(|part| {
        let pod = part.strip_suffix(".slice").unwrap_or(part);
        pod.ends_with(&format!("pod{pod_uid}")) || pod.ends_with(&format!("pod{systemd_uid}"))
    })?;
    let group = parts.next()?;
    let group = group.strip_suffix(".scope").unwrap_or(group);
    let id = group.rsplit(['-', ':']).next().unwrap_or(group);
    let is_id = id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| id.to_owned())
}

/// The fourth and fifth field of a line: what is mounted, within its file system, and where.
fn root_and_target(line: &str) -> Option<(String, String)> {
    let mut fields = line.split(' ');
    let (root, target) = (fields.nth(3)?, fields.next()?);
    Some((unescape(root), unescape(target)))
}

fn is_cgroup_mount(line: &str) -> bool {
    let kind = line
        .split_once(" - ")
        .and_then(|(_, rest)| rest.split(' ').next());
    matches!(kind, Some("cgroup" | "cgroup2"))
}

/// The kubelet's name for one run of a container: eight hexadecimal digits.
fn is_random(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Space, tab, newline and backslash stand as octal escapes in mountinfo.
fn unescape(field: &str) -> String {
    let mut text = field.to_owned();
    for (escape, plain) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        text = text.replace(escape, plain);
    }
    text
}

/// What all agree on.
fn only(mut found: Vec<String>) -> Option<String> {
    found.sort();
    found.dedup();
    if found.len() == 1 { found.pop() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b1f8bb1-3b0c-4b7e-9c53-3b2f8d2f6c11";
    const ID: &str = "4a52b8a1f20d3e3f5a7c0f9b8d6e4c2a1b3d5f7e9c0a2b4d6f8e0c1a3b5d7f90";

    fn mountinfo(uid: &str, container: &str) -> String {
        format!(
            "1184 922 0:318 / / rw,relatime master:312 - overlay overlay rw\n\
             1185 1184 0:320 / /proc rw,nosuid - proc proc rw\n\
             1190 1184 259:1 /var/lib/kubelet/pods/{uid}/etc-hosts /etc/hosts rw - ext4 /dev/root rw\n\
             1191 1184 259:1 /var/lib/kubelet/pods/{uid}/containers/{container}/7d1c9ab3 \
             /dev/termination-log rw - ext4 /dev/root rw\n\
             1192 1184 259:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname \
             /etc/hostname rw - ext4 /dev/root rw\n\
             1193 1184 0:310 / /run/secrets/kubernetes.io/serviceaccount ro - tmpfs tmpfs rw\n"
        )
    }

    #[test]
    fn the_kubelets_mounts_name_pod_and_container() {
        let expected = Mounts {
            pod_uid: Some(UID.into()),
            container: Some("app".into()),
        };
        assert_eq!(parse_mountinfo(&mountinfo(UID, "app")), expected);
        // A kubelet with a disk of its own.
        let own_disk = mountinfo(UID, "app").replace("/var/lib/kubelet", "");
        assert_eq!(parse_mountinfo(&own_disk), expected);
        let elsewhere =
            mountinfo(UID, "app").replace("/dev/termination-log", "/tmp/last\\040words");
        assert_eq!(parse_mountinfo(&elsewhere), expected);
    }

    #[test]
    fn mounts_that_disagree_or_look_odd_name_nothing() {
        let twice = mountinfo(UID, "app") + &mountinfo(UID, "sidecar");
        let mounts = parse_mountinfo(&twice);
        assert_eq!(
            (mounts.pod_uid.as_deref(), mounts.container),
            (Some(UID), None)
        );
        let two_pods = mountinfo(UID, "app") + &mountinfo("other", "app");
        assert_eq!(parse_mountinfo(&two_pods), Mounts::default());
        let odd = mountinfo(UID, "app").replace("7d1c9ab3", "not-random");
        assert_eq!(parse_mountinfo(&odd).container, None);
        for text in ["", "x", "1 2 3", "1 2 3 4", "\n\n"] {
            assert_eq!(parse_mountinfo(text), Mounts::default());
        }
    }

    #[test]
    fn the_container_id_is_the_group_below_the_own_pods() {
        let systemd = UID.replace('-', "_");
        for path in [
            format!("/kubepods/besteffort/pod{UID}/{ID}"),
            format!("/kubepods/pod{UID}/{ID}"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{systemd}.slice/cri-containerd-{ID}.scope"
            ),
            format!("/kubepods.slice/kubepods-pod{systemd}.slice/crio-{ID}.scope"),
            // A container in the container: it ends with the outer one.
            format!("/kubepods/pod{UID}/{ID}/docker/{}", ID.replace('4', "5")),
        ] {
            let version_2 = format!("0::{path}\n");
            assert_eq!(
                container_id(&version_2, "", UID).as_deref(),
                Some(ID),
                "{path}"
            );
            let version_1 = format!("12:memory:{path}\n1:name=systemd:{path}\n");
            assert_eq!(
                container_id(&version_1, "", UID).as_deref(),
                Some(ID),
                "{path}"
            );
            let mounted =
                format!("9 8 0:1 {path} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
            assert_eq!(
                container_id("0::/\n", &mounted, UID).as_deref(),
                Some(ID),
                "{path}"
            );
        }
    }

    #[test]
    fn an_id_that_is_not_tied_to_the_own_pod_is_none() {
        for cgroup in [
            String::new(),
            "0::/\n".to_owned(),
            "nonsense".to_owned(),
            format!("0::/kubepods/podother/{ID}\n"),
            format!("0::/docker/{ID}\n"),
            format!("0::/kubepods/pod{UID}\n"),
            format!("0::/kubepods/pod{UID}/short\n"),
            format!("0::/kubepods/pod{UID}/{}\n", ID.to_uppercase()),
            format!(
                "1:a:/kubepods/pod{UID}/{ID}\n2:b:/kubepods/pod{UID}/{}\n",
                ID.replace('4', "5")
            ),
        ] {
            assert_eq!(container_id(&cgroup, "", UID), None, "{cgroup}");
        }
        // The sandbox' id stands in the mounts, and is not the container's.
        assert_eq!(container_id("0::/\n", &mountinfo(UID, "app"), UID), None);
    }
}
