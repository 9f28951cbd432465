//! Names and addresses of a question, found in the cluster.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use abi::{Addr, FrontendKey, FrontendKind, Port, ServiceFlags};
use compile::{BackendView, ServiceView, protocol_number};
use model::{AddressFamily, ObjectName, Pod, Protocol, Snapshot};

use super::{ExplainError, Named, Place, Question, Sources};

/// Who has an address.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// A pod with a network of its own.
    Pod(Arc<Pod>),
    /// A node, or a pod that shares its network.
    Node(Arc<str>),
    /// Nobody in the cluster.
    Outside,
}

impl Who {
    pub(super) fn pod(&self) -> Option<&Arc<Pod>> {
        match self {
            Self::Pod(pod) => Some(pod),
            Self::Node(_) | Self::Outside => None,
        }
    }
}

/// One end.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) text: String,
    addrs: Vec<IpAddr>,
    pub(super) who: Who,
}

/// A connection that may come of the question.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) source: IpAddr,
    pub(super) destination: SocketAddr,
    pub(super) to: Who,
}

/// The question with everything found.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) from: End,
    pub(super) to_text: String,
    pub(super) protocol: abi::Protocol,
    pub(super) port: u16,
    pub(super) service: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) paths: Vec<Path>,
}

impl Ends {
    pub(super) fn find(sources: &Sources<'_>, question: &Question) -> Result<Self, ExplainError> {
        let from = match &question.from {
            Place::Pod(name) => pod_end(sources, name)?,
            Place::Addr(addr) => addr_end(sources, *addr)?,
            Place::Service(service, port) => {
                return Err(ExplainError::FromService(format!("{service}:{port}")));
            }
        };
        let to = match &question.to {
            Place::Service(service, port) => return to_service(sources, question, from, service, port),
            Place::Pod(name) => pod_end(sources, name)?,
            Place::Addr(addr) => addr_end(sources, *addr)?,
        };
        let port = question.port.ok_or(ExplainError::NoPort)?;
        let protocol = protocol_number(question.protocol.unwrap_or(Protocol::Tcp));
        if let Place::Addr(addr) = question.to
            && let Some(ends) = to_frontend(sources, &from, addr, port, protocol)
        {
            return Ok(ends);
        }
        let mut paths = Vec::new();
        for source in &from.addrs {
            for addr in to.addrs.iter().filter(|addr| addr.is_ipv4() == source.is_ipv4()) {
                let destination = SocketAddr::new(*addr, port);
                paths.push(Path { source: *source, destination, to: to.who.clone() });
            }
        }
        if paths.is_empty() {
            return Err(ExplainError::Families { from: from.text, to: to.text });
        }
        Ok(Self { from, to_text: to.text, protocol, port, service: None, notes: Vec::new(), paths })
    }
}

/// A pod by its name.
pub(crate) fn find_pod<'a>(snapshot: &'a Snapshot, name: &Named) -> Result<&'a Arc<Pod>, ExplainError> {
    let pods = &snapshot.pods;
    let found: Vec<&Arc<Pod>> = match &name.namespace {
        Some(namespace) => pods.get(&ObjectName::new(namespace, &name.name)).into_iter().collect(),
        None => pods.values().filter(|pod| name.is(&pod.name)).collect(),
    };
    match found.as_slice() {
        [] => Err(ExplainError::NoPod(name.clone())),
        [pod] => Ok(*pod),
        several => {
            let among = several.iter().map(|pod| pod.name.clone()).collect();
            Err(ExplainError::Ambiguous { what: "pod", name: name.clone(), among })
        }
    }
}

fn pod_end(sources: &Sources<'_>, name: &Named) -> Result<End, ExplainError> {
    let pod = find_pod(sources.snapshot, name)?;
    if pod.addrs.is_empty() || pod.is_finished {
        return Err(ExplainError::NoAddress(pod.name.clone()));
    }
    let node = pod.node.clone().unwrap_or_default();
    let who = if pod.is_host_network { Who::Node(Arc::clone(&node)) } else { Who::Pod(Arc::clone(pod)) };
    let network = if pod.is_host_network { ", with the node's network" } else { "" };
    Ok(End { text: format!("pod {} on {node}{network}", pod.name), addrs: pod.addrs.clone(), who })
}

fn addr_end(sources: &Sources<'_>, addr: IpAddr) -> Result<End, ExplainError> {
    let who = match claimants(sources, addr).as_slice() {
        [] => who_without_pod(sources, addr),
        [pod] => Who::Pod(Arc::clone(pod)),
        several => {
            let among = several.iter().map(|pod| pod.name.clone()).collect();
            return Err(ExplainError::Claimed { addr, among });
        }
    };
    let text = match &who {
        Who::Pod(pod) => {
            format!("{addr} of pod {} on {}", pod.name, pod.node.as_deref().unwrap_or("no node"))
        }
        Who::Node(node) => format!("{addr} of node {node}"),
        Who::Outside => format!("{addr} of nobody in the cluster"),
    };
    Ok(End { text, addrs: vec![addr], who })
}

fn claimants(sources: &Sources<'_>, addr: IpAddr) -> Vec<Arc<Pod>> {
    let pods = sources.snapshot.pods.values();
    let live = pods.filter(|pod| !pod.is_finished && !pod.is_host_network && pod.addrs.contains(&addr));
    live.cloned().collect()
}

fn who_without_pod(sources: &Sources<'_>, addr: IpAddr) -> Who {
    if sources.view.addrs.contains(&addr) {
        return Who::Node(Arc::clone(&sources.view.name));
    }
    let mut nodes = sources.snapshot.nodes.values();
    let node = nodes.find(|node| node.addrs.contains(&addr));
    node.map_or(Who::Outside, |node| Who::Node(Arc::clone(&node.name)))
}

/// A Service port by its name.
fn to_service(
    sources: &Sources<'_>,
    question: &Question,
    from: End,
    service: &Named,
    port: &str,
) -> Result<Ends, ExplainError> {
    if question.port.is_some() {
        return Err(ExplainError::TwoPorts);
    }
    let mut named: Vec<&ObjectName> =
        sources.snapshot.services.keys().filter(|name| service.is(name)).collect();
    let name = match (named.pop(), named.as_slice()) {
        (None, _) => return Err(ExplainError::NoService(service.clone())),
        (Some(name), []) => name,
        (Some(last), others) => {
            let among = others.iter().copied().chain([last]).cloned().collect();
            return Err(ExplainError::Ambiguous { what: "Service", name: service.clone(), among });
        }
    };
    let views: Vec<ServiceView> =
        sources.engine.services().filter(|view| view.key.port.service == *name).collect();
    let is_named = |view: &&ServiceView| {
        *view.key.port.port == *port || number(view).is_some_and(|number| number.to_string() == port)
    };
    let mut matching: Vec<&ServiceView> = views.iter().filter(is_named).collect();
    // Of TCP and UDP on one number the first is meant, unless the question says.
    let protocol = question.protocol.or_else(|| matching.iter().map(|view| view.key.port.protocol).min());
    matching.retain(|view| Some(view.key.port.protocol) == protocol);
    let Some(first) = matching.first() else {
        let mut has: Vec<String> = views.iter().map(port_text).collect();
        has.dedup();
        let has = if has.is_empty() { "none that is balanced".to_owned() } else { has.join(", ") };
        let (service, port) = (name.clone(), port.to_owned());
        return Err(ExplainError::NoServicePort { service, port, protocol: question.protocol, has });
    };
    let title = first.key.port.to_string();
    let number = number(first).unwrap_or_default();
    let to_text = format!("Service {}", first.key.port);
    let mut ends = Ends {
        from,
        to_text,
        protocol: protocol_number(first.key.port.protocol),
        port: number,
        service: Some(title),
        notes: Vec::new(),
        paths: Vec::new(),
    };
    for view in matching {
        ends.balance(sources, view, ServiceFlags::INTERNAL_LOCAL);
    }
    if ends.paths.is_empty() && ends.notes.is_empty() {
        return Err(ExplainError::Families { from: ends.from.text, to: ends.to_text });
    }
    Ok(ends)
}

/// An address and port that clients dial.
fn to_frontend(
    sources: &Sources<'_>,
    from: &End,
    addr: IpAddr,
    port: u16,
    protocol: abi::Protocol,
) -> Option<Ends> {
    let addr_key = Addr::from(addr);
    let is_own = sources.view.addrs.contains(&addr);
    let keys = [Some(addr_key), is_own.then(|| addr_key.any_of_family())];
    let keys: Vec<FrontendKey> =
        keys.into_iter().flatten().map(|addr| FrontendKey::new(addr, Port::new(port), protocol)).collect();
    let mut is_service_addr = false;
    let views = sources.engine.services();
    let found = views.filter_map(|view| {
        let held = view.frontends.iter().filter(|frontend| frontend.is_held);
        is_service_addr |= held.clone().any(|frontend| frontend.key.addr() == addr_key);
        let kind = held.clone().find(|frontend| keys.contains(&frontend.key))?.kind;
        Some((view, kind))
    });
    // All are looked at: any may have the address.
    let found = found.last();
    let mut ends = Ends {
        from: from.clone(),
        to_text: addr.to_string(),
        protocol,
        port,
        service: None,
        notes: Vec::new(),
        paths: Vec::new(),
    };
    match found {
        Some((view, kind)) => {
            let local = match kind {
                FrontendKind::ClusterIp | FrontendKind::OtherPorts => ServiceFlags::INTERNAL_LOCAL,
                FrontendKind::NodePort | FrontendKind::ExternalIp | FrontendKind::LoadBalancer => {
                    ServiceFlags::EXTERNAL_LOCAL
                }
            };
            ends.to_text = format!("{addr} of Service {}", view.key.port);
            ends.service = Some(view.key.port.to_string());
            ends.balance(sources, &view, local);
            Some(ends)
        }
        None if is_service_addr => {
            ends.to_text = format!("{addr} of a Service");
            ends.notes.push(format!("no Service has port {port}/{protocol} there: refused"));
            Some(ends)
        }
        None => None,
    }
}

impl Ends {
    /// Adds a path for each backend that a new connection may go to.
    fn balance(&mut self, sources: &Sources<'_>, view: &ServiceView, local: ServiceFlags) {
        let is_v4 = view.key.family == AddressFamily::V4;
        let Some(source) = self.from.addrs.iter().copied().find(|addr| addr.is_ipv4() == is_v4) else {
            return;
        };
        let is_balanced_here = match &self.from.who {
            Who::Pod(pod) => pod.node.as_deref() == Some(&*sources.view.name),
            Who::Node(node) => *node == sources.view.name,
            Who::Outside => true,
        };
        let is_local = view.flags.has(local);
        if !is_balanced_here {
            self.notes
                .push("the opener's node chooses the backend: by its own view of the cluster".to_owned());
        }
        let is_chosen = |backend: &&BackendView| match is_local && is_balanced_here {
            true => backend.in_local,
            false => backend.in_cluster,
        };
        let before = self.paths.len();
        for backend in view.backends.iter().filter(is_chosen) {
            let to = match claimants(sources, backend.addr).as_slice() {
                [] => who_without_pod(sources, backend.addr),
                [pod] => Who::Pod(Arc::clone(pod)),
                [first, ..] => {
                    self.notes.push(format!("several pods claim {}: {} is judged", backend.addr, first.name));
                    Who::Pod(Arc::clone(first))
                }
            };
            self.paths.push(Path { source, destination: SocketAddr::new(backend.addr, backend.port), to });
        }
        if self.paths.len() == before {
            let family = if is_v4 { "IPv4" } else { "IPv6" };
            let note = if is_local && view.backends.iter().any(|backend| backend.in_cluster) {
                "no endpoint on this node, and the traffic policy is Local: dropped"
            } else {
                "no endpoint: refused"
            };
            self.notes.push(format!("{family}: {note}"));
        }
    }
}

/// The number of a Service port.
fn number(view: &ServiceView) -> Option<u16> {
    let own = view.frontends.iter().find(|frontend| frontend.kind == FrontendKind::ClusterIp);
    own.map(|frontend| frontend.key.port().get())
}

fn port_text(view: &ServiceView) -> String {
    let port = &view.key.port;
    let number = number(view).map(|number| format!(" ({number}/{})", port.protocol)).unwrap_or_default();
    if port.port.is_empty() { number.trim().to_owned() } else { format!("{}{number}", port.port) }
}
