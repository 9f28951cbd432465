//! Pods.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Labels, ObjectName, PerPacket, PodUid, Protocol, SocketLb};

/// A Pod, as far as we use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.uid`, empty if absent.
    pub uid: Arc<str>,
    /// The UID in the name of the pod's cgroup: `uid`, but for static pods what their kubelet chose.
    pub cgroup_uid: PodUid,
    /// `spec.nodeName`, once bound.
    pub node: Option<Arc<str>>,
    /// `status.podIPs`, else `status.podIP`.
    pub addrs: Vec<IpAddr>,
    /// `spec.hostNetwork`.
    pub is_host_network: bool,
    /// `status.phase` is Succeeded or Failed.
    pub is_finished: bool,
    /// Labels.
    pub labels: Labels,
    /// Ports that containers name, by name and protocol: of two with one name the first container's, as Services
    /// choose. Init containers that run as long as the pod come after the others.
    pub named_ports: BTreeMap<(Arc<str>, Protocol), u16>,
    /// What its annotation says of translation at the socket.
    pub socket_lb: Option<SocketLb>,
    /// What its containers and its runtime class say of it. [`PerPacket::of`] has the answer.
    pub per_packet: Option<PerPacket>,
}
