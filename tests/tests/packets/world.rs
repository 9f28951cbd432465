//! A lab with a server on each node, Services for them, and a client outside.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use lab::manifests::{self, Condition, Endpoint, ServicePort, ServiceSpec};
use lab::{Dual, Lab, LabSpec, Node, Outside, Pod, PodSpec, Probe, ProbeResult};

/// For anything that takes milliseconds when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Port of the servers.
pub(crate) const PORT: u16 = 3000;
pub(crate) const NAMESPACE: &str = "production";

/// Two nodes, a server pod on each, a host outside. Each server has a Service of its own.
pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) servers: Vec<Pod>,
    pub(crate) outside: Outside,
}

/// The NodePort of the Service whose only endpoint is the server of this number.
pub(crate) const fn node_port(server: usize) -> u16 {
    30_080 + server as u16
}

/// The ClusterIPs of that Service.
pub(crate) fn cluster_ip(server: usize) -> Dual {
    let last = 10 + server as u8;
    Dual { v4: [10, 96, 0, last].into(), v6: format!("fd00:10:96::{last:x}").parse().expect("an address") }
}

impl World {
    /// The world, its objects written and its daemons ready.
    pub(crate) fn new() -> Result<Self> {
        let world = Self::without_daemons()?;
        world.lab.start_ferrule(LIMIT)?;
        Ok(world)
    }

    /// The world and its objects; no daemon runs.
    pub(crate) fn without_daemons() -> Result<Self> {
        let lab = Lab::new(LabSpec::default())?;
        let outside = lab.outside()?;
        let mut servers = Vec::new();
        for (n, node) in lab.nodes().iter().enumerate() {
            lab.manifests().apply(&manifests::node(node))?;
            let server = node.add_pod(PodSpec::idle(NAMESPACE, &format!("server-{n}")))?;
            server.site().echo(&[PORT])?;
            lab.manifests().apply(&manifests::pod(&server, Condition::Ready))?;
            let service = ServiceSpec::cluster_ip(NAMESPACE, &format!("service-{n}"), cluster_ip(n))
                .port(ServicePort::tcp("tcp", 80, PORT).node_port(node_port(n)))
                .port(ServicePort::udp("udp", 80, PORT).node_port(node_port(n)));
            serve(&lab, &service, &[(&server, Condition::Ready)])?;
            servers.push(server);
        }
        Ok(Self { lab, servers, outside })
    }

    /// Writes a Service and who is behind it.
    pub(crate) fn serve(&self, service: &ServiceSpec, pods: &[&Pod]) -> Result<()> {
        let pods: Vec<_> = pods.iter().map(|pod| (*pod, Condition::Ready)).collect();
        serve(&self.lab, service, &pods)
    }

    /// Does it for every node.
    pub(crate) fn each_node<T>(&self, make: impl FnMut(&Node) -> Result<T>) -> Result<Vec<T>> {
        self.lab.nodes().iter().map(make).collect()
    }

    pub(crate) fn node(&self, n: usize) -> &Node {
        &self.lab.nodes()[n]
    }

    /// Probes over both protocols to a port of both of these addresses.
    pub(crate) fn probes(to: Dual, port: u16) -> Vec<Probe> {
        let to = to.both().map(|ip| SocketAddr::new(ip, port));
        to.iter().flat_map(|to| [Probe::tcp(*to), Probe::udp(*to)]).collect()
    }
}

fn serve(lab: &Lab, service: &ServiceSpec, pods: &[(&Pod, Condition)]) -> Result<()> {
    lab.manifests().apply(&manifests::service(service))?;
    let endpoints: Vec<_> = pods.iter().map(|(pod, condition)| Endpoint::new(pod, *condition)).collect();
    let slices = manifests::endpoint_slices(service, &endpoints);
    slices.iter().try_for_each(|slice| lab.manifests().apply(slice))
}

/// The name of who answered and the client that it saw.
pub(crate) fn answer(result: &ProbeResult) -> (String, IpAddr) {
    let (by, seen) = result.answer().expect("an answer");
    (by.to_owned(), seen.ip().to_canonical())
}
