//! Where it is measured: two nodes alike, one with few Services and one with many, so that both take turns in one run.
//!
//! Every Service is real: its endpoints are addresses of their own, all of which the node's one server pod answers for.
//! So a client can dial Services one after the other as it could in a cluster, and the maps are as cold as they are
//! there; `direct` dials the same endpoints.

use std::fmt::Write;
use std::fs::File;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use ipnet::{IpNet, Ipv4Net};
use nix::sched::{CloneFlags, setns};

use super::driver::{self, Driver};
use super::order::{BARE_PORT, SERVER_PORT, Targets};
use crate::cgroup::Cgroup;
use crate::lab::{Lab, LabSpec};
use crate::link::{LOOPBACK, PrefixRoute, Via};
use crate::manifests::{self, Manifests};
use crate::netlink::Netlink;
use crate::netns;
use crate::node::{Node, NodeSpec};
use crate::pod::{Pod, PodSpec};
use crate::wiring::Wiring;

/// A cluster with few Services and one with many.
pub(super) const SERVICES: [u32; 2] = [10, 10_000];
/// Port of every Service, TCP and UDP.
pub(super) const PORT: u16 = 80;
/// Address of the first Service.
const FIRST_VIP: Ipv4Addr = Ipv4Addr::new(10, 97, 0, 1);
/// How long a daemon may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Service `i` has `i % 10 + 1` endpoints, so ten of them have 55.
const ENDPOINTS_OF_TEN: u32 = 55;
/// Endpoints of the Services that are dialled alone.
const ENDPOINTS_OF_ONE: u32 = 10;

/// The two nodes. Dropping it takes the lab away.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) sides: [Side; 2],
    /// Last: everything above is inside.
    _lab: Lab,
}

/// One node with its daemon, its client pod and its server pod.
#[derive(Debug)]
pub(super) struct Side {
    /// Number of Services of a port each for TCP and UDP, besides the one across nodes.
    pub(super) services: u32,
    pub(super) node: Node,
    pub(super) manifests: Manifests,
    /// In the client pod and its cgroup.
    pub(super) client: Driver,
    /// Cgroup of the server.
    pub(super) server: Cgroup,
    /// The same two once more, in the pods' networks but in cgroups that no program is attached to.
    pub(super) bare_client: Driver,
    pub(super) bare_server: Cgroup,
    /// Addresses of the Services.
    pub(super) vips: Targets,
    /// Addresses of their endpoints.
    pub(super) endpoints: Targets,
    /// Endpoints on the other node, of the Service across nodes.
    pub(super) across_endpoints: Targets,
}

impl Field {
    pub(super) fn new() -> Result<Self> {
        let node = |name: &str| NodeSpec { name: name.into(), zone: "zone-a".into(), wiring: Wiring::Ptp };
        let lab = Lab::new(LabSpec { nodes: vec![node("node-1"), node("node-2")] })?;
        let [few, many] = [place(&lab, 1)?, place(&lab, 2)?];
        add_route(&few, range(2), many.address().v4, "eth0")?;
        add_route(&many, range(1), few.address().v4, "eth0")?;
        let sides = [
            Side::new(&lab, few, SERVICES[0], endpoints(1), endpoints(2))?,
            Side::new(&lab, many, SERVICES[1], endpoints(2), endpoints(1))?,
        ];
        Ok(Self { sides, _lab: lab })
    }
}

/// The node of that number.
fn place(lab: &Lab, number: usize) -> Result<Node> {
    lab.nodes().get(number - 1).cloned().with_context(|| format!("the lab has no node {number}"))
}

/// Addresses that the server of a node answers for.
fn range(number: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 200 + number, 0, 0), 16)
}

/// All that Services may have as endpoints on a node.
fn endpoints(number: u8) -> Targets {
    Targets { first: Ipv4Addr::new(10, 200 + number, 0, 1), count: ENDPOINTS_OF_TEN, port: SERVER_PORT }
}

fn add_route(node: &Node, range: Ipv4Net, via: Ipv4Addr, device: &str) -> Result<()> {
    node.netns().run(|| {
        let mut netlink = Netlink::open()?;
        let link = netlink.index_of(device)?;
        netlink.add_route(IpNet::V4(range), Via::Gateway(via.into()), link)
    })
}

impl Side {
    /// Fills a node and starts its daemon.
    fn new(lab: &Lab, node: Node, services: u32, here: Targets, there: Targets) -> Result<Self> {
        let name = node.name().to_owned();
        let endpoints = Targets { count: services / 10 * ENDPOINTS_OF_TEN, ..here };
        let client = node.add_pod(PodSpec::idle("bench", &format!("client-{name}")))?;
        let server = node.add_pod(PodSpec::idle("bench", &format!("server-{name}")))?;
        answer_for(&node, lab, &server, here)?;
        let outside = |what: &str| -> Result<Cgroup> {
            let cgroup = lab.id().cgroup()?.child(format!("bare-{what}-{name}"));
            cgroup.create()?;
            Ok(cgroup)
        };
        let (inside, bare_server) = (server.cgroup().clone(), outside("server")?);
        driver::start_server(&node, server.place(), &inside, SERVER_PORT)?;
        driver::start_server(&node, server.place(), &bare_server, BARE_PORT)?;

        let dir = lab.id().dir().join("bench").join(&name);
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let manifests = Manifests::new(&dir)?;
        manifests.apply(&manifests::node(&node))?;
        let vips = Targets { first: FIRST_VIP, count: services, port: PORT };
        let across_endpoints = there.part(0, ENDPOINTS_OF_ONE);
        manifests.write("services.yaml", &yaml(vips, endpoints, across_endpoints)?)?;
        node.start_ferrule(manifests.dir(), &[])?;
        node.wait_ready(READY_LIMIT)?;

        Ok(Self {
            services,
            client: Driver::start(&node, client.place(), client.cgroup().clone())?,
            bare_client: Driver::start(&node, client.place(), outside("client")?)?,
            node,
            manifests,
            server: inside,
            bare_server,
            vips,
            endpoints,
            across_endpoints,
        })
    }

    /// The Service with ten endpoints that is dialled alone.
    pub(super) fn one_vip(&self) -> Targets {
        self.vips.part(ENDPOINTS_OF_ONE - 1, 1)
    }

    /// Its endpoints.
    pub(super) fn its_endpoints(&self) -> Targets {
        self.endpoints.part(first_endpoint(ENDPOINTS_OF_ONE - 1), ENDPOINTS_OF_ONE)
    }

    /// The Service whose endpoints are on the other node.
    pub(super) fn across_vip(&self) -> Targets {
        self.vips.part(self.services, 1)
    }
}

/// Makes the pod the host of a whole range: a prefix on loopback makes each of its addresses local.
fn answer_for(node: &Node, lab: &Lab, server: &Pod, here: Targets) -> Result<()> {
    let range = Ipv4Net::new(here.first, 16)?;
    let netns = netns::path_of(&lab.id().netns_name(server.place()));
    let netns = File::open(&netns).with_context(|| format!("opening {}", netns.display()))?;
    let add = || {
        setns(&netns, CloneFlags::CLONE_NEWNET).context("entering the network of the pod")?;
        Netlink::open()?.add_address(LOOPBACK, range.into(), PrefixRoute::Yes)
    };
    // A namespace belongs to a thread, and this one keeps its own.
    thread::scope(|scope| scope.spawn(add).join()).map_err(|_| anyhow!("the thread panicked"))??;
    let host_end = format!("veth{}", server.uid().get(..8).unwrap_or_default());
    add_route(node, range.trunc(), server.address().v4, &host_end)
}

/// Where the endpoints of a Service begin.
fn first_endpoint(service: u32) -> u32 {
    let in_ten = service % 10;
    service / 10 * ENDPOINTS_OF_TEN + in_ten * (in_ten + 1) / 2
}

/// All Services with their slices, and one more with the endpoints `across`.
fn yaml(vips: Targets, endpoints: Targets, across: Targets) -> Result<String> {
    let mut text = String::new();
    for service in 0..vips.count {
        let its = endpoints.part(first_endpoint(service), service % 10 + 1);
        write_service(&mut text, &format!("service-{service}"), *vips.at(service).ip(), &its)?;
    }
    write_service(&mut text, "across", *vips.at(vips.count).ip(), &across)?;
    Ok(text)
}

/// A Service and its slice, two documents.
pub(super) fn write_service(text: &mut String, name: &str, vip: Ipv4Addr, endpoints: &Targets) -> Result<()> {
    write!(
        text,
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: bench}}
spec:
  clusterIP: {vip}
  clusterIPs: [{vip}]
  ipFamilies: [IPv4]
  ports:
  - {{name: http, protocol: TCP, port: {PORT}, targetPort: {SERVER_PORT}}}
  - {{name: echo, protocol: UDP, port: {PORT}, targetPort: {SERVER_PORT}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-ipv4
  namespace: bench
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports:
- {{name: http, protocol: TCP, port: {SERVER_PORT}}}
- {{name: echo, protocol: UDP, port: {SERVER_PORT}}}
endpoints:
"
    )?;
    for index in 0..endpoints.count {
        writeln!(text, "- addresses: [{}]\n  conditions: {{ready: true}}", endpoints.at(index).ip())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_services_follow_each_other_without_a_gap() {
        let mut next = 0;
        for service in 0..1_000 {
            assert_eq!(first_endpoint(service), next, "service {service}");
            next += service % 10 + 1;
        }
        assert_eq!(next, 100 * ENDPOINTS_OF_TEN);
    }
}
