//! Which pods' connections are not translated at the socket: what an object says of it, and what is known of such pods.

use crate::{Labels, Namespace, Pod};

/// What the annotation [`SocketLb::ANNOTATION`] of an object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketLb {
    /// Translate at the socket, whatever else is known of the pod.
    Enabled,
    /// Translate packet by packet.
    Disabled,
}

impl SocketLb {
    /// On a Pod or a Namespace: `enabled` or `disabled`. The pod's own comes first.
    pub const ANNOTATION: &str = "ferrule.io/socket-lb";

    /// What a value says; `None` if it is neither word.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        match value {
            "enabled" => Some(Self::Enabled),
            "disabled" => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// Why a pod's connections are balanced packet by packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PerPacket {
    /// An annotation says so.
    Annotation,
    /// A mesh's proxy in the pod, or on the node for it, must see the Service's address as the destination.
    Mesh,
    /// The pod has a kernel of its own: its sockets are not this kernel's.
    Sandbox,
}

/// Container names of mesh proxies: Istio's and Linkerd's.
const SIDECARS: [&str; 2] = ["istio-proxy", "linkerd-proxy"];
/// Istio's label for pods whose traffic the node's proxy takes. On a pod it overrides the namespace's.
const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";

impl PerPacket {
    /// Why a pod with these containers and this runtime class needs it whatever its labels are.
    pub(crate) fn by_spec<'a>(
        mut containers: impl Iterator<Item = &'a str>,
        runtime_class: Option<&str>,
    ) -> Option<Self> {
        if containers.any(|name| SIDECARS.contains(&name)) {
            return Some(Self::Mesh);
        }
        // Common names: a class is the cluster's own choice, and one by another name needs the annotation.
        let is_sandbox = |class: &str| matches!(class, "gvisor" | "runsc") || class.starts_with("kata");
        runtime_class.is_some_and(is_sandbox).then_some(Self::Sandbox)
    }

    /// Why the pod's connections are balanced packet by packet, if they are: by its annotation, its namespace's, or what
    /// it is made of.
    #[must_use]
    pub fn of(pod: &Pod, namespace: Option<&Namespace>) -> Option<Self> {
        match pod.socket_lb.or(namespace.and_then(|namespace| namespace.socket_lb)) {
            Some(SocketLb::Enabled) => None,
            Some(SocketLb::Disabled) => Some(Self::Annotation),
            None => pod.per_packet.or_else(|| {
                let own = mode(&pod.labels);
                let mode = own.or_else(|| namespace.and_then(|namespace| mode(&namespace.labels)));
                (mode == Some("ambient")).then_some(Self::Mesh)
            }),
        }
    }
}

fn mode(labels: &Labels) -> Option<&str> {
    labels.get(DATAPLANE_MODE).map(|mode| &**mode)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{api, convert};

    fn of(pod: Value, namespace: Value) -> Option<PerPacket> {
        let pod: api::Pod = serde_json::from_value(pod).unwrap();
        let namespace: api::Namespace = serde_json::from_value(namespace).unwrap();
        let (pod, namespace) =
            (convert::pod::from_object(&pod).0, convert::namespace::from_object(&namespace).0);
        PerPacket::of(&pod, Some(&namespace))
    }

    fn said(value: &str) -> Value {
        json!({"metadata": {"name": "a", "annotations": {SocketLb::ANNOTATION: value}}})
    }

    fn labelled(value: &str) -> Value {
        json!({"metadata": {"name": "a", "labels": {DATAPLANE_MODE: value}}})
    }

    fn spec(spec: Value) -> Value {
        json!({"metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn an_ordinary_pod_is_balanced_at_its_sockets() {
        let plain = || spec(json!({"containers": [{"name": "web"}], "runtimeClassName": "nvidia"}));
        assert_eq!(of(plain(), json!({})), None);
        let pod: api::Pod = serde_json::from_value(plain()).unwrap();
        assert_eq!(PerPacket::of(&convert::pod::from_object(&pod).0, None), None);
    }

    #[test]
    fn the_annotation_of_the_pod_comes_before_its_namespaces() {
        assert_eq!(of(said("disabled"), json!({})), Some(PerPacket::Annotation));
        assert_eq!(of(json!({}), said("disabled")), Some(PerPacket::Annotation));
        assert_eq!(of(said("enabled"), said("disabled")), None);
        assert_eq!(of(said("disabled"), said("enabled")), Some(PerPacket::Annotation));
        assert_eq!(of(said("Disabled"), json!({})), None, "neither word: as if it were not there");
    }

    #[test]
    fn pods_of_meshes_are_balanced_packet_by_packet() {
        for name in SIDECARS {
            let containers = json!([{"name": "web"}, {"name": name}]);
            assert_eq!(
                of(spec(json!({"containers": containers})), json!({})),
                Some(PerPacket::Mesh),
                "{name}"
            );
            assert_eq!(
                of(spec(json!({"initContainers": containers})), json!({})),
                Some(PerPacket::Mesh),
                "{name}"
            );
        }
        assert_eq!(of(labelled("ambient"), json!({})), Some(PerPacket::Mesh));
        assert_eq!(of(json!({}), labelled("ambient")), Some(PerPacket::Mesh));
        assert_eq!(of(labelled("none"), labelled("ambient")), None);
    }

    #[test]
    fn sandboxed_pods_are_balanced_packet_by_packet() {
        for class in ["gvisor", "runsc", "kata", "kata-qemu"] {
            assert_eq!(
                of(spec(json!({"runtimeClassName": class})), json!({})),
                Some(PerPacket::Sandbox),
                "{class}"
            );
        }
    }

    #[test]
    fn a_pod_that_says_enabled_has_it_whatever_it_is_made_of() {
        let annotations = json!({SocketLb::ANNOTATION: "enabled"});
        let pod = json!({
            "metadata": {"name": "a", "annotations": annotations},
            "spec": {"containers": [{"name": "istio-proxy"}]},
        });
        assert_eq!(of(pod, labelled("ambient")), None);
    }
}
