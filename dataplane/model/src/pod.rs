//! Pods.

use std::net::IpAddr;
use std::sync::Arc;

use crate::ObjectName;

/// A Pod, as far as we use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.uid`, empty if absent.
    pub uid: Arc<str>,
    /// `spec.nodeName`, once bound.
    pub node: Option<Arc<str>>,
    /// `status.podIPs`, else `status.podIP`.
    pub addrs: Vec<IpAddr>,
    /// `spec.hostNetwork`.
    pub is_host_network: bool,
    /// `status.phase` is Succeeded or Failed.
    pub is_finished: bool,
}
