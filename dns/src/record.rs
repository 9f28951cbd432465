//! What a zone needs of the cluster, object by object: the unit in which a zone is changed and in which changes travel
//! to the DNS child.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use model::{Changes, ObjectName, Protocol, Service, ServiceType, Snapshot, is_dns_label};
use serde::{Deserialize, Serialize};

/// A change of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A Service is this now, or is gone.
    Service {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// What is served of it.
        record: Option<ServiceRecord>,
    },
    /// A namespace exists, or not any more.
    Namespace {
        /// Its name.
        name: Arc<str>,
        /// Whether it exists.
        exists: bool,
    },
    /// A pod has these addresses; none if it is gone or finished.
    Pod {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// Its addresses.
        addrs: Vec<IpAddr>,
    },
}

/// A Service as DNS sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// What its name stands for.
    pub kind: ServiceKind,
    /// Its ports.
    pub ports: Vec<PortRecord>,
    /// Its published endpoints by slice: all of a slice have the slice's ports.
    pub slices: Vec<SliceRecord>,
}

/// What the name of a Service stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceKind {
    /// Its ClusterIPs.
    ClusterIps(Vec<IpAddr>),
    /// Its endpoints.
    Headless,
    /// Another name, as written.
    ExternalName(Arc<str>),
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRecord {
    /// Name, empty if it has none.
    pub name: Arc<str>,
    /// Protocol.
    pub protocol: PortProtocol,
    /// Number.
    pub number: NonZeroU16,
}

/// Protocol of a port: the second label of SRV names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortProtocol {
    /// `_tcp`.
    Tcp,
    /// `_udp`.
    Udp,
    /// `_sctp`.
    Sctp,
}

/// Endpoints of one slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceRecord {
    /// Ports of each of them.
    pub ports: Vec<PortRecord>,
    /// Those that are published: ready, or all if the Service publishes addresses that are not.
    pub endpoints: Vec<EndpointRecord>,
}

/// A published endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// Address.
    pub addr: IpAddr,
    /// Hostname, empty if it has none.
    pub hostname: Arc<str>,
    /// Name of its pod, empty if it has none that is a label.
    pub pod: Arc<str>,
}

/// The whole snapshot as changes of an empty zone, made one by one.
pub fn all(snapshot: &Snapshot) -> impl Iterator<Item = Change> {
    let namespaces = snapshot.namespaces.keys().map(|name| namespace(snapshot, name));
    let services = snapshot.services.keys().map(|name| service(snapshot, name));
    let pods = snapshot.pods.keys().map(|name| pod(snapshot, name));
    namespaces.chain(services).chain(pods)
}

/// What changed up to this snapshot.
#[must_use]
pub fn changed(snapshot: &Snapshot, changes: &Changes) -> Vec<Change> {
    let namespaces = changes.namespaces.iter().map(|name| namespace(snapshot, name));
    let services = changes.services.iter().map(|name| service(snapshot, name));
    let pods = changes.pods.iter().map(|name| pod(snapshot, name));
    namespaces.chain(services).chain(pods).collect()
}

fn namespace(snapshot: &Snapshot, name: &Arc<str>) -> Change {
    Change::Namespace {
        name: Arc::clone(name),
        exists: is_dns_label(name) && snapshot.namespaces.contains_key(name),
    }
}

fn pod(snapshot: &Snapshot, name: &ObjectName) -> Change {
    let pod = snapshot.pods.get(name).filter(|pod| is_dns_label(&name.namespace) && !pod.is_finished);
    Change::Pod {
        namespace: Arc::clone(&name.namespace),
        name: Arc::clone(&name.name),
        addrs: pod.map(|pod| pod.addrs.clone()).unwrap_or_default(),
    }
}

fn service(snapshot: &Snapshot, name: &ObjectName) -> Change {
    // Nobody could ask for another: it would be two labels, or a label that no name can have. The conversion says so.
    let is_name = is_dns_label(&name.name) && is_dns_label(&name.namespace);
    let record = snapshot.services.get(name).filter(|_| is_name).map(|service| {
        let kind = if service.service_type == ServiceType::ExternalName {
            ServiceKind::ExternalName(Arc::clone(&service.external_name))
        } else if service.is_headless {
            ServiceKind::Headless
        } else {
            ServiceKind::ClusterIps(service.cluster_ips.clone())
        };
        ServiceRecord {
            ports: service.ports.iter().map(|p| port(&p.name, p.protocol, p.port)).collect(),
            slices: match kind {
                ServiceKind::ExternalName(_) => Vec::new(),
                ServiceKind::ClusterIps(_) | ServiceKind::Headless => slices(snapshot, service),
            },
            kind,
        }
    });
    Change::Service { namespace: Arc::clone(&name.namespace), name: Arc::clone(&name.name), record }
}

fn slices(snapshot: &Snapshot, service: &Service) -> Vec<SliceRecord> {
    let slices = snapshot.slices_of(&service.name).map(|slice| SliceRecord {
        ports: slice.ports.iter().map(|p| port(&p.name, p.protocol, p.port)).collect(),
        endpoints: slice
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.is_ready || service.publishes_not_ready)
            .map(|endpoint| EndpointRecord {
                addr: endpoint.addr,
                hostname: Arc::clone(&endpoint.hostname),
                pod: if is_dns_label(&endpoint.pod) { Arc::clone(&endpoint.pod) } else { Arc::default() },
            })
            .collect(),
    });
    slices.filter(|slice| !slice.endpoints.is_empty()).collect()
}

fn port(name: &Arc<str>, protocol: Protocol, number: NonZeroU16) -> PortRecord {
    let protocol = match protocol {
        Protocol::Tcp => PortProtocol::Tcp,
        Protocol::Udp => PortProtocol::Udp,
        Protocol::Sctp => PortProtocol::Sctp,
    };
    PortRecord { name: Arc::clone(name), protocol, number }
}

impl PortProtocol {
    /// The label of SRV names.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "_tcp",
            Self::Udp => "_udp",
            Self::Sctp => "_sctp",
        }
    }

    /// The protocol that the label names.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|protocol| protocol.label() == label)
    }
}
