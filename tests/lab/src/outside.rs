//! A host on the fabric that is no node: where traffic comes from, or goes to, that is none of the cluster's.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

use crate::address::{self, Dual, DualNet};
use crate::client::{Client, lock};
use crate::command::Output;
use crate::ethtool;
use crate::fabric::Fabric;
use crate::gate::Gate;
use crate::link::{PrefixRoute, Via};
use crate::netns::Netns;
use crate::node::Node;
use crate::place::Place;
use crate::registry::LabId;
use crate::upstream::Upstream;

/// Its name among the places of the lab.
pub(crate) const NAME: &str = "outside";
/// Number of its addresses on the fabric.
const NUMBER: u8 = 100;
/// Its interface to the fabric.
const UPLINK: &str = "eth0";

/// A host outside the cluster; clones are the same host.
#[derive(Clone, Debug)]
pub struct Outside(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Arc<Place>,
    client: Client,
    upstream: Mutex<Option<Upstream>>,
}

impl Outside {
    /// Makes the host. It knows the way to the nodes' pods, so they reach it without masquerading.
    pub(crate) fn new(id: &LabId, fabric: &Fabric, nodes: &[Node], gate: &Arc<Gate>) -> Result<Self> {
        let _open = gate.pass()?;
        let (netns, mut netlink) = Netns::create(&id.netns_name(NAME), &[])?;
        fabric.join(NAME, UPLINK, &netns)?;
        let uplink = netlink.index_of(UPLINK)?;
        netlink.set_up(uplink)?;
        netns.run(|| ethtool::disable_tx_checksum(UPLINK))?;
        for address in address::fabric(NUMBER).both() {
            netlink.add_address(uplink, address, PrefixRoute::Yes)?;
        }
        for node in nodes {
            for (range, gateway) in node.pod_range().both().into_iter().zip(node.address().both()) {
                netlink.add_route(range, Via::Gateway(gateway), uplink)?;
            }
        }
        let place = Place::new(id, NAME.to_owned(), netns, id.cgroup()?.child(NAME), Arc::clone(gate))?;
        let place = Arc::new(place);
        let client = Client::new(Arc::clone(&place));
        Ok(Self(Arc::new(Inner { place, client, upstream: Mutex::default() })))
    }

    /// 172.31.0.100 and fd00:172:31::100.
    pub fn address(&self) -> Dual {
        let DualNet { v4, v6 } = address::fabric(NUMBER);
        Dual { v4: v4.addr(), v6: v6.addr() }
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
}
