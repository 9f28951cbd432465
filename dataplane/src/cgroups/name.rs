//! What a cgroup's name says.

use model::PodUid;

/// The UID of the pod that a cgroup of this name belongs to. systemd's names have `_` where a UID has `-`, because `-` is
/// a step of its hierarchy.
pub(super) fn pod_uid(name: &str) -> Option<PodUid> {
    let uid = match name.strip_suffix(".slice") {
        Some(slice) => slice.rsplit('-').next()?.strip_prefix("pod")?.replace('_', "-"),
        None => name.strip_prefix("pod")?.to_owned(),
    };
    // A kubelet makes UIDs of static pods itself, from a hash: there is no dash to look for.
    let is_uid = !uid.is_empty() && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_uid.then(|| uid.into())
}

/// Whether pods may be below a cgroup of this name. Units of systemd that hold processes have no pods below them.
pub(super) fn may_hold_pods(name: &str) -> bool {
    let unit = name.rsplit_once('.').map(|(_, suffix)| suffix);
    !matches!(unit, Some("service" | "scope" | "mount" | "socket" | "swap"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f3c1b9e-6f0e-4c55-9a57-1d2f3a4b5c6d";

    #[test]
    fn both_drivers_names_have_the_uid() {
        let underscored = UID.replace('-', "_");
        for name in [
            format!("pod{UID}"),
            format!("kubepods-pod{underscored}.slice"),
            format!("kubepods-besteffort-pod{underscored}.slice"),
            format!("kubelet-kubepods-burstable-pod{underscored}.slice"),
        ] {
            assert_eq!(pod_uid(&name).as_deref(), Some(UID), "{name}");
        }
        assert_eq!(pod_uid("pod5f2bd0ea6a1e4ad8").as_deref(), Some("5f2bd0ea6a1e4ad8"), "a static pod");
    }

    #[test]
    fn names_of_other_cgroups_have_none() {
        for name in [
            "kubepods",
            "kubepods.slice",
            "kubepods-besteffort.slice",
            "burstable",
            "pod",
            "kubepods-pod.slice",
            "libpod_parent",
            "system.slice",
            "pod/..",
            "cri-containerd-0f3c.scope",
        ] {
            assert_eq!(pod_uid(name), None, "{name}");
        }
    }

    #[test]
    fn slices_and_plain_names_may_hold_pods() {
        for name in ["kubepods", "kubepods.slice", "kubelet.slice", "ferrule-lab"] {
            assert!(may_hold_pods(name), "{name}");
        }
        for name in ["sshd.service", "init.scope", "dev-hugepages.mount"] {
            assert!(!may_hold_pods(name), "{name}");
        }
    }
}
