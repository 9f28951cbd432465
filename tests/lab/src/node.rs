//! Nodes: a network namespace that joins the fabric and forwards for its pods, a cgroup subtree, a bpffs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

use crate::address::{self, Dual, DualNet};
use crate::cgroup::Cgroup;
use crate::client::{Client, lock};
use crate::command::Output;
use crate::fabric::Fabric;
use crate::gate::Gate;
use crate::link::{IfIndex, PrefixRoute, Via};
use crate::netlink::Netlink;
use crate::netns::{FORWARDING, Netns};
use crate::place::Place;
use crate::pod::{Pod, PodSpec};
use crate::process::Process;
use crate::registry::LabId;
use crate::wiring::{PodAddresses, Wires, Wiring, everything};
use crate::{ethtool, mounts};

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
    netlink: Mutex<Netlink>,
    wires: Wires,
    pods: Mutex<HostNumbers>,
    client: Client,
    daemon: Mutex<Option<Arc<Process>>>,
}

impl Node {
    /// Makes a node and joins it to the fabric. `index` counts from 1.
    pub(crate) fn new(
        id: &LabId,
        fabric: &Fabric,
        index: u8,
        spec: NodeSpec,
        gate: &Arc<Gate>,
    ) -> Result<Self> {
        let _open = gate.pass()?;
        let (netns, mut netlink) = Netns::create(&id.netns_name(&spec.name), FORWARDING)?;
        let address = address::node(index);
        fabric.join(&format!("port{index}"), UPLINK, &netns)?;
        let uplink = netlink.index_of(UPLINK)?;
        netlink.set_up(uplink)?;
        netns.run(|| ethtool::disable_tx_checksum(UPLINK))?;
        for (address, gateway) in address.both().into_iter().zip(address::fabric(1).both()) {
            netlink.add_address(uplink, address, PrefixRoute::Yes)?;
            let gateway = gateway.addr();
            netlink.add_route(everything(gateway)?, Via::Gateway(gateway), uplink)?;
        }
        let wires = Wires::new(spec.wiring, &mut netlink, index, address::gateway(index))?;

        let dir = id.dir().join(&spec.name);
        let cgroup = id.cgroup()?.child(&spec.name);
        let host = Place::new(id, spec.name.clone(), netns, cgroup.child("host"), Arc::clone(gate))?;
        let host = Arc::new(host);
        let inner = Inner {
            client: Client::new(Arc::clone(&host)),
            spec,
            index,
            id: id.clone(),
            dir,
            gate: Arc::clone(gate),
            host,
            cgroup,
            netlink: Mutex::new(netlink),
            wires,
            pods: Mutex::default(),
            daemon: Mutex::default(),
        };
        mounts::mount_bpffs(&inner.dir.join("bpf"))?;
        std::fs::create_dir(inner.dir.join("state")).context("creating the state directory")?;
        Ok(Self(Arc::new(inner)))
    }

    /// Adds a route to the pods of another node.
    pub(crate) fn add_route_to(&self, other: &Self) -> Result<()> {
        let mut netlink = lock(&self.0.netlink);
        let uplink = netlink.index_of(UPLINK)?;
        for (range, gateway) in other.pod_range().both().into_iter().zip(other.address().both()) {
            netlink.add_route(range, Via::Gateway(gateway), uplink)?;
        }
        Ok(())
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
        let DualNet { v4, v6 } = address::node(self.0.index);
        Dual { v4: v4.addr(), v6: v6.addr() }
    }

    /// The range of its pods.
    pub fn pod_range(&self) -> DualNet {
        address::pod_range(self.0.index)
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

    /// Gives a pod's namespace addresses and joins it to the node.
    pub(crate) fn wire(&self, uid: &str, netns: &Netns, pod: &mut Netlink) -> Result<(Dual, IfIndex)> {
        let inner = &*self.0;
        let number = lock(&inner.pods).take().context("all addresses of the node are in use")?;
        let addresses = PodAddresses {
            pod: address::pod(inner.index, number),
            gateway: address::pod(inner.index, 1),
            range: self.pod_range(),
        };
        let device = format!("veth{}", uid.get(..8).unwrap_or(uid));
        let host_end = inner.wires.add_pod(&device, &mut lock(&inner.netlink), netns, pod, &addresses)?;
        Ok((addresses.pod, host_end))
    }

    /// Removes a pod's wires and gives its addresses back.
    pub(crate) fn unwire(&self, pod: Dual, host_end: IfIndex) -> Result<()> {
        let inner = &*self.0;
        lock(&inner.netlink).remove_link(host_end)?;
        lock(&inner.pods).give_back(pod.v4.octets()[3]);
        Ok(())
    }
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
