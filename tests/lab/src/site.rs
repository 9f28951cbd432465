//! A pod, a node's host network or a host outside, as packet tests want them: all alike.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::capture::{Capture, Keep};
use crate::echo::EchoServer;
use crate::netns::Netns;
use crate::packet::Mac;
use crate::place::Place;
use crate::probe::{Probe, ProbeResult, Prober};
use crate::raw::RawLink;
use crate::steady::Steady;

/// The device of every site towards its network.
const DEVICE: &str = "eth0";

/// Where traffic begins and ends. Clones are the same site.
#[derive(Clone, Debug)]
pub struct Site {
    place: Arc<Place>,
    prober: Prober,
}

impl Site {
    pub(crate) fn new(place: &Arc<Place>) -> Self {
        Self { place: Arc::clone(place), prober: Prober::default() }
    }

    /// `namespace.pod`, or the name of the node or host: what its echo servers answer with.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// Its network namespace.
    pub fn netns(&self) -> &Netns {
        &self.place.netns
    }

    /// Hardware address of its `eth0`.
    ///
    /// # Errors
    ///
    /// The kernel did not tell.
    pub fn mac(&self) -> Result<Mac> {
        Ok(self.raw()?.mac())
    }

    /// A raw socket on its `eth0`; [`RawLink::open`] takes any device.
    ///
    /// # Errors
    ///
    /// The kernel refused it.
    pub fn raw(&self) -> Result<RawLink> {
        RawLink::open(self.netns(), DEVICE)
    }

    /// Captures what passes its `eth0`; [`Capture::start`] takes any device.
    ///
    /// # Errors
    ///
    /// The kernel refused it.
    pub fn capture(&self, keep: Keep) -> Result<Capture> {
        Capture::start(self.netns(), DEVICE, keep)
    }

    /// Starts an echo server on these ports, TCP and UDP, both families; its sockets are open on return.
    ///
    /// # Errors
    ///
    /// A port is in use.
    pub fn echo(&self, ports: &[u16]) -> Result<EchoServer> {
        EchoServer::start(&self.place, ports, 1)
    }

    /// The same in four processes: one can open 20,000 files at most on some machines.
    ///
    /// # Errors
    ///
    /// As of [`Self::echo`].
    pub fn echo_wide(&self, ports: &[u16]) -> Result<EchoServer> {
        EchoServer::start(&self.place, ports, 4)
    }

    /// Sends all probes at once to echo servers and waits for the answers, up to `limit` for all.
    ///
    /// # Errors
    ///
    /// The process in the site died. A probe without an answer is a result.
    pub fn probe(&self, probes: &[Probe], limit: Duration) -> Result<Vec<ProbeResult>> {
        self.prober.probe(&self.place, probes, limit)
    }

    /// Opens one connection to an echo server and sends a line on it every `interval` until it is stopped.
    ///
    /// # Errors
    ///
    /// The process in the site could not be started. A connection that fails shows in its facts.
    pub fn steady(&self, to: SocketAddr, interval: Duration) -> Result<Steady> {
        Steady::start(&self.place, to, interval)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}
