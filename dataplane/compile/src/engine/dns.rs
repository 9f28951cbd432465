//! The DNS server of this node behind the cluster DNS addresses: behind the Service that has them, or behind a stand-in.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use abi::FrontendKey;
use model::{NodeView, ObjectName, Protocol, Snapshot};

use super::Engine;
use crate::lb::{DnsHere, compile_stand_in, dns_key, stand_in_name};

impl Engine {
    /// Takes what is known of the server; the Services that are compiled anew for it.
    pub(super) fn set_dns(&mut self, snapshot: &Snapshot, view: &NodeView) -> BTreeSet<ObjectName> {
        let dns = view.dns.as_ref().map_or_else(DnsHere::default, |dns| DnsHere {
            vips: dns.vips.addrs(snapshot),
            listeners: dns.listeners.clone(),
            is_healthy: dns.is_healthy,
        });
        if dns == self.dns {
            return BTreeSet::new();
        }
        let owners = |vips: &[IpAddr]| -> Vec<ObjectName> {
            vips.iter().flat_map(|vip| self.services_at(*vip)).cloned().collect()
        };
        let dirty = owners(&self.dns.vips).into_iter().chain(owners(&dns.vips)).collect();
        self.dns = dns;
        dirty
    }

    /// Compiles the stand-in for those addresses that no Service has, and for the protocol that the Service at an address
    /// does not have: clients ask over both (RFC 7766, 5).
    pub(super) fn compile_stand_in(&mut self) {
        let vips = || self.dns.vips.iter().copied();
        let alone: Vec<IpAddr> = vips().filter(|vip| self.services_at(*vip).next().is_none()).collect();
        let missing: Vec<(IpAddr, Protocol)> = vips()
            .flat_map(|vip| [(vip, Protocol::Udp), (vip, Protocol::Tcp)])
            .filter(|(vip, protocol)| self.claimants(dns_key(*vip, *protocol)).next().is_none())
            .collect();
        let unit = compile_stand_in(&self.topology, &self.dns, &missing, &alone);
        let name = stand_in_name();
        if unit.ports.is_empty() && !self.units.contains_key(&name) {
            return;
        }
        self.place_or_refuse(&name, &Arc::default(), unit);
    }

    /// The Services that claim an address as a ClusterIP, the stand-in aside.
    fn services_at(&self, vip: IpAddr) -> impl Iterator<Item = &ObjectName> {
        self.claimants(FrontendKey::other_ports(vip.into()))
    }

    /// The Services that claim a frontend, the stand-in aside.
    fn claimants(&self, frontend: FrontendKey) -> impl Iterator<Item = &ObjectName> {
        let stand_in = stand_in_name();
        let claims = self.claims.get(&frontend);
        claims.into_iter().flatten().map(|claim| &claim.service).filter(move |name| **name != stand_in)
    }
}
