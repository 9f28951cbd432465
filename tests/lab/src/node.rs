//! Nodes: a network namespace that joins the fabric and forwards for its pods, a cgroup subtree, a bpffs.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use ipnet::IpNet;

use crate::address::{self, Dual, DualNet};
use crate::cgroup::Cgroup;
use crate::client::{Client, lock};
use crate::command::Output;
use crate::fabric::Fabric;
use crate::gate::Gate;
use crate::link::{IfIndex, PrefixRoute, Via};
use crate::mounts;
use crate::netlink::Netlink;
use crate::netns::{FORWARDING, Netns};
use crate::packet::Mac;
use crate::place::Place;
use crate::pod::{Pod, PodSpec};
use crate::process::Process;
use crate::registry::LabId;
use crate::site::Site;
use crate::wiring::{PodAddresses, Sides, Wires, Wiring, everything};

/// Name of a node's interface to the other nodes.
const UPLINK: &str = "eth0";

/// What a node is to be.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Name.
    pub name: String,
    /// Topology zone.
    pub zone: String,
    /// How its pods are wired.
    pub wiring: Wiring,
}

/// A node; clones are the same node.
#[derive(Clone, Debug)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: NodeSpec,
    index: u8,
    id: LabId,
    dir: PathBuf,
    gate: Arc<Gate>,
    /// The host's network, where the daemon and host-network processes run.
    host: Arc<Place>,
    /// Subtree of the whole node, the daemon's `--cgroup-root`.
    cgroup: Cgroup,
    fabric: Arc<Fabric>,
    netlink: Mutex<Netlink>,
    wires: Mutex<Wires>,
    pods: Mutex<HostNumbers>,
    client: Client,
    site: Site,
    daemon: Mutex<Option<Arc<Process>>>,
}

impl Node {
    /// Makes a node and joins it to the fabric. `index` counts from 1.
    pub(crate) fn new(
        id: &LabId,
        fabric: &Arc<Fabric>,
        index: u8,
        spec: NodeSpec,
        gate: &Arc<Gate>,
    ) -> Result<Self> {
        let _open = gate.pass()?;
        let (netns, mut netlink) = Netns::create(&id.netns_name(&spec.name), FORWARDING)?;
        let address = address::node(index);
        let uplink = fabric.join(&port(index), UPLINK, &netns, &mut netlink)?;
        for (address, gateway) in address.both().into_iter().zip(address::fabric(1).both()) {
            netlink.add_address(uplink, address, PrefixRoute::Yes)?;
            let gateway = gateway.addr();
            netlink.add_route(everything(gateway)?, Via::Gateway(gateway), uplink)?;
        }
        let wires = Wires::new(spec.wiring, &netns, &mut netlink, index, address::gateway(index))?;

        let dir = id.dir().join(&spec.name);
        let cgroup = id.cgroup()?.child(&spec.name);
        let host = Place::new(id, spec.name.clone(), netns, cgroup.child("host"), Arc::clone(gate))?;
        let host = Arc::new(host);
        let inner = Inner {
            client: Client::new(Arc::clone(&host)),
            site: Site::new(&host),
            spec,
            index,
            id: id.clone(),
            dir,
            gate: Arc::clone(gate),
            host,
            cgroup,
            fabric: Arc::clone(fabric),
            netlink: Mutex::new(netlink),
            wires: Mutex::new(wires),
            pods: Mutex::default(),
            daemon: Mutex::default(),
        };
        mounts::mount_bpffs(&inner.dir.join("bpf"))?;
        std::fs::create_dir(inner.dir.join("state")).context("creating the state directory")?;
        Ok(Self(Arc::new(inner)))
    }

    /// Adds a route to the pods of another node.
    pub(crate) fn add_route_to(&self, other: &Self) -> Result<()> {
        let ways = other.pod_range().both().into_iter().zip(other.address().both());
        ways.into_iter().try_for_each(|(range, gateway)| self.add_route(range, gateway))
    }

    /// Adds a route by a host on the fabric.
    pub(crate) fn add_route(&self, destination: IpNet, gateway: IpAddr) -> Result<()> {
        let mut netlink = lock(&self.0.netlink);
        let uplink = netlink.index_of(UPLINK)?;
        netlink.add_route(destination, Via::Gateway(gateway), uplink)
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.0.spec.name
    }

    /// Topology zone.
    pub fn zone(&self) -> &str {
        &self.0.spec.zone
    }

    /// Addresses on the fabric.
    pub fn address(&self) -> Dual {
        address::node(self.0.index).addresses()
    }

    /// The range of its pods.
    pub fn pod_range(&self) -> DualNet {
        address::pod_range(self.0.index)
    }

    /// The address by which its pods know it as a gateway, with [`Wiring::Ptp`] and [`Wiring::Bridge`].
    pub fn gateway(&self) -> Dual {
        address::gateway(self.0.index).addresses()
    }

    /// Changes the MTU of both ends of the link to the fabric.
    ///
    /// # Errors
    ///
    /// The kernel refused it.
    pub fn set_mtu(&self, bytes: u32) -> Result<()> {
        self.0.fabric.set_mtu(&port(self.0.index), bytes)?;
        let mut netlink = lock(&self.0.netlink);
        let uplink = netlink.index_of(UPLINK)?;
        netlink.set_mtu(uplink, bytes)
    }

    /// For packet tests: what can be sent, captured and measured from the host's network.
    pub fn site(&self) -> Site {
        self.0.site.clone()
    }

    /// Sends requests from the host's network.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// The subtree of the node, pods and host, as `--cgroup-root` wants it.
    pub fn cgroup(&self) -> &Cgroup {
        &self.0.cgroup
    }

    /// The host's network namespace.
    pub fn netns(&self) -> &Netns {
        &self.0.host.netns
    }

    /// A bpffs of its own, as `--bpf-root` wants it.
    pub fn bpf_root(&self) -> PathBuf {
        self.0.dir.join("bpf")
    }

    /// As `--state-dir` wants it.
    pub fn state_dir(&self) -> PathBuf {
        self.0.dir.join("state")
    }

    /// What the daemon printed.
    pub fn log(&self) -> &Path {
        self.0.host.log()
    }

    /// Makes a pod; its server is ready on return.
    ///
    /// # Errors
    ///
    /// The kernel refused a part, or the server did not start.
    pub fn add_pod(&self, spec: PodSpec) -> Result<Pod> {
        let name = spec.name.clone();
        Pod::new(self, spec).with_context(|| format!("adding pod {name} to {}", self.name()))
    }

    /// Runs a program of this machine in the host's network.
    ///
    /// # Errors
    ///
    /// There is no such program, or it still ran after 30 seconds. How it ended is in the output.
    pub fn command(&self, command: &[&str]) -> Result<Output> {
        self.0.host.run(command)
    }

    pub(crate) fn lab_id(&self) -> &LabId {
        &self.0.id
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.0.gate
    }

    pub(crate) fn host(&self) -> &Place {
        &self.0.host
    }

    pub(crate) fn daemon(&self) -> &Mutex<Option<Arc<Process>>> {
        &self.0.daemon
    }

    /// Addresses for a new pod.
    pub(crate) fn take_addresses(&self) -> Result<Dual> {
        let number = lock(&self.0.pods).take().context("all addresses of the node are in use")?;
        Ok(address::pod(self.0.index, number))
    }

    /// Joins a pod's namespace to the node and gives it its addresses.
    pub(crate) fn wire(&self, pod: Dual, wiring: Option<Wiring>, uid: &str, netns: &Netns) -> Result<Wire> {
        let inner = &*self.0;
        let addresses = PodAddresses { pod, gateway: self.gateway(), range: self.pod_range() };
        let device = format!("veth{}", uid.get(..8).unwrap_or(uid));
        let wiring = wiring.unwrap_or(inner.spec.wiring);
        let mut node = lock(&inner.netlink);
        let mut sides = Sides {
            node_netns: &inner.host.netns,
            node: &mut node,
            pod_netns: netns,
            pod: &mut netns.netlink()?,
        };
        let host_end = lock(&inner.wires).add_pod(wiring, &device, &mut sides, &addresses)?;
        let gateway_mac = match wiring {
            Wiring::Ptp | Wiring::Routed => node.mac_of(host_end)?,
            Wiring::Bridge => Wires::bridge_mac(inner.index),
        };
        Ok(Wire { wiring, device, host_end, gateway_mac })
    }

    /// Removes a pod's wire and gives its addresses back.
    pub(crate) fn unwire(&self, pod: Dual, host_end: IfIndex) -> Result<()> {
        let inner = &*self.0;
        lock(&inner.wires).remove_pod(&mut lock(&inner.netlink), pod, host_end)?;
        lock(&inner.pods).give_back(pod.v4.octets()[3]);
        Ok(())
    }

    /// Sets the MTU of the node's end of a pod's wire.
    pub(crate) fn set_wire_mtu(&self, host_end: IfIndex, bytes: u32) -> Result<()> {
        lock(&self.0.netlink).set_mtu(host_end, bytes)
    }
}

/// A pod's wire, from the node's side.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) wiring: Wiring,
    /// Name of the node's end.
    pub(crate) device: String,
    pub(crate) host_end: IfIndex,
    /// Where the pod sends what leaves its link.
    pub(crate) gateway_mac: Mac,
}

/// Name of the fabric's end of the link to the node of that index.
fn port(index: u8) -> String {
    format!("port{index}")
}

/// Last numbers of pods' addresses. A number is used again as late as possible, as the `host-local` plugin does: what
/// still remembers an address shall not meet another pod.
#[derive(Debug, Default)]
struct HostNumbers {
    used: BTreeSet<u8>,
    last: u8,
}

impl HostNumbers {
    /// 0 is the network, 1 the gateway, 255 the broadcast address.
    const FIRST: u8 = 2;
    const LAST: u8 = 254;

    fn take(&mut self) -> Option<u8> {
        let after = (self.last + 1).max(Self::FIRST)..=Self::LAST;
        let number = after.chain(Self::FIRST..=Self::LAST).find(|number| !self.used.contains(number))?;
        self.used.insert(number);
        self.last = number;
        Some(number)
    }

    fn give_back(&mut self, number: u8) {
        self.used.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_used_again_as_late_as_possible() {
        let mut numbers = HostNumbers::default();
        assert_eq!(numbers.take(), Some(2));
        assert_eq!(numbers.take(), Some(3));
        numbers.give_back(2);
        assert_eq!(numbers.take(), Some(4));
        for number in 5..=254 {
            assert_eq!(numbers.take(), Some(number));
        }
        assert_eq!(numbers.take(), Some(2), "2 was given back and the others are in use");
        assert_eq!(numbers.take(), None);
    }
}
