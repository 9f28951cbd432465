//! A host that is no node: where traffic comes from, or goes to, that is none of the cluster's.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;

use crate::address::{self, Dual, DualNet};
use crate::client::{Client, lock};
use crate::command::Output;
use crate::fabric::Fabric;
use crate::gate::Gate;
use crate::hop::Hop;
use crate::link::{IfIndex, PrefixRoute, Via};
use crate::netlink::Netlink;
use crate::netns::Netns;
use crate::node::Node;
use crate::place::Place;
use crate::registry::LabId;
use crate::site::Site;
use crate::upstream::Upstream;
use crate::wiring::everything;

/// Name among the places of the lab of the host that [`crate::Lab::outside`] makes.
pub(crate) const NAME: &str = "outside";
/// The interface to the fabric, or to the router before it.
const UPLINK: &str = "eth0";
/// Number of the first host's addresses on the fabric.
const FIRST: u8 = 100;
/// Numbers of the fabric that a host has.
const NUMBERS: u8 = 20;
/// Number of the host's first address in the network behind its routers.
const BEHIND: u8 = 10;
/// Hosts that a lab can have.
const HOSTS: usize = 7;

/// What a host outside the cluster is to be.
#[derive(Clone, Debug)]
pub struct OutsideSpec {
    /// Name among the places of the lab.
    pub name: String,
    /// The MTU of a link on the way to the fabric that the host does not see; nothing for a host on the fabric.
    pub hop: Option<u32>,
    /// Whether it knows the way to the nodes' pods, so that they reach it without masquerading.
    pub knows_pods: bool,
}

impl OutsideSpec {
    /// A host on the fabric that knows the way to the pods.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), hop: None, knows_pods: true }
    }

    /// The same behind two routers, the link between which takes packets of that many bytes.
    #[must_use]
    pub fn behind_hop(self, mtu_bytes: u32) -> Self {
        Self { hop: Some(mtu_bytes), ..self }
    }

    /// The same without a way to the pods: of the cluster it reaches the nodes' addresses only.
    #[must_use]
    pub fn without_pods(self) -> Self {
        Self { knows_pods: false, ..self }
    }
}

/// A host outside the cluster; clones are the same host.
#[derive(Clone, Debug)]
pub struct Outside(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: OutsideSpec,
    index: u8,
    place: Arc<Place>,
    netlink: Mutex<Netlink>,
    uplink: IfIndex,
    fabric: Arc<Fabric>,
    hop: Option<Hop>,
    /// How many addresses it has.
    addresses: Mutex<u8>,
    client: Client,
    site: Site,
    upstream: Mutex<Option<Upstream>>,
}

impl Outside {
    /// Makes the host. `index` counts the hosts from 0.
    pub(crate) fn new(
        id: &LabId,
        fabric: &Arc<Fabric>,
        nodes: &[Node],
        gate: &Arc<Gate>,
        (index, spec): (usize, OutsideSpec),
    ) -> Result<Self> {
        ensure!(index < HOSTS, "a lab has at most {HOSTS} hosts outside");
        let index = index as u8;
        let _open = gate.pass()?;
        let (netns, mut netlink) = Netns::create(&id.netns_name(&spec.name), &[])?;
        let end = (&netns, &mut netlink, UPLINK);
        let hop = match spec.hop {
            None => {
                fabric.join(&port(index), UPLINK, &netns, &mut netlink)?;
                None
            }
            Some(bytes) => Some(Hop::new(id, fabric, nodes, (index, &spec.name, bytes), end)?),
        };
        let uplink = netlink.index_of(UPLINK)?;
        for address in numbered(hop.is_some(), index, 0).both() {
            netlink.add_address(uplink, address, PrefixRoute::Yes)?;
        }
        if hop.is_some() {
            for gateway in Hop::gateway(index).both() {
                netlink.add_route(everything(gateway)?, Via::Gateway(gateway), uplink)?;
            }
        }
        let cgroup = id.cgroup()?.child(&spec.name);
        let place = Arc::new(Place::new(id, spec.name.clone(), netns, cgroup, Arc::clone(gate))?);
        let outside = Self(Arc::new(Inner {
            client: Client::new(Arc::clone(&place)),
            site: Site::new(&place),
            spec,
            index,
            place,
            netlink: Mutex::new(netlink),
            uplink,
            fabric: Arc::clone(fabric),
            hop,
            addresses: Mutex::new(1),
            upstream: Mutex::default(),
        }));
        if outside.0.spec.knows_pods {
            for node in nodes {
                node.pod_range().both().into_iter().try_for_each(|range| outside.route(range, node))?;
            }
        }
        Ok(outside)
    }

    /// Name among the places of the lab.
    pub fn name(&self) -> &str {
        &self.0.spec.name
    }

    /// The first addresses: 172.31.0.100 and fd00:172:31::100 for the first host on the fabric.
    pub fn address(&self) -> Dual {
        self.numbered(0).addresses()
    }

    /// Gives it that many more addresses and returns them all, the first included.
    ///
    /// # Errors
    ///
    /// They are more than its part of the address plan has: 20 on the fabric.
    pub fn add_addresses(&self, more: u8) -> Result<Vec<Dual>> {
        let mut count = lock(&self.0.addresses);
        let wanted = count.checked_add(more).filter(|wanted| *wanted <= NUMBERS);
        let wanted = wanted.with_context(|| format!("a host outside has at most {NUMBERS} addresses"))?;
        let mut netlink = lock(&self.0.netlink);
        while *count < wanted {
            for address in self.numbered(*count).both() {
                netlink.add_address(self.0.uplink, address, PrefixRoute::No)?;
            }
            *count += 1;
        }
        Ok((0..wanted).map(|number| self.numbered(number).addresses()).collect())
    }

    /// Sends what goes to `destination` through that node from now on: a VIP, or pods.
    ///
    /// # Errors
    ///
    /// The kernel refused the route.
    pub fn route(&self, destination: IpNet, via: &Node) -> Result<()> {
        let [v4, v6] = via.address().both();
        let gateway: IpAddr = if destination.addr().is_ipv4() { v4 } else { v6 };
        match &self.0.hop {
            Some(hop) => hop.route(destination, gateway),
            None => lock(&self.0.netlink).replace_route(destination, Via::Gateway(gateway), self.0.uplink),
        }
    }

    /// Changes the MTU: of the hidden link of a host that has one, else of both ends of the link to the fabric.
    ///
    /// # Errors
    ///
    /// The kernel refused it.
    pub fn set_mtu(&self, bytes: u32) -> Result<()> {
        match &self.0.hop {
            Some(hop) => hop.set_mtu(bytes),
            None => {
                self.0.fabric.set_mtu(&port(self.0.index), bytes)?;
                lock(&self.0.netlink).set_mtu(self.0.uplink, bytes)
            }
        }
    }

    /// The host on the fabric from which the nodes hear of it: itself, or the router before it.
    pub fn on_fabric(&self) -> Dual {
        if self.0.hop.is_some() { Hop::on_fabric(self.0.index) } else { self.address() }
    }

    /// For packet tests: what can be sent, captured and measured from here.
    pub fn site(&self) -> Site {
        self.0.site.clone()
    }

    /// Sends requests from here.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// The network namespace.
    pub fn netns(&self) -> &Netns {
        &self.0.place.netns
    }

    /// Runs a program of this machine here.
    ///
    /// # Errors
    ///
    /// There is no such program, or it still ran after 30 seconds. How it ended is in the output.
    pub fn command(&self, command: &[&str]) -> Result<Output> {
        self.0.place.run(command)
    }

    /// The DNS server of the world outside, on port 53; started at the first use.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn upstream(&self) -> Result<Upstream> {
        let mut upstream = lock(&self.0.upstream);
        match &*upstream {
            Some(running) => Ok(running.clone()),
            None => {
                let started = Upstream::start(&self.0.place).context("outside the cluster")?;
                Ok(upstream.insert(started).clone())
            }
        }
    }

    fn numbered(&self, number: u8) -> DualNet {
        numbered(self.0.hop.is_some(), self.0.index, number)
    }
}

/// The host's address of that number.
fn numbered(is_behind_hop: bool, index: u8, number: u8) -> DualNet {
    if is_behind_hop {
        address::beyond(index, BEHIND + number)
    } else {
        address::fabric(FIRST + NUMBERS * index + number)
    }
}

/// Name of the fabric's end of the link to the host of that index.
fn port(index: u8) -> String {
    format!("outside{index}")
}
