//! Rows that no Service owns: service ranges and the node's own addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use abi::{Addr, CidrKey, NodeAddrValue};
use ipnet::IpNet;
use model::{Kind, NodeView, ObjectKey, ObjectName, Snapshot, Warning, WarningKind};

use super::Engine;

impl Engine {
    pub(super) fn set_service_cidrs(&mut self, snapshot: &Snapshot) {
        let mut named: BTreeMap<CidrKey, (&Arc<str>, &IpNet)> = BTreeMap::new();
        for (name, object) in &snapshot.service_cidrs {
            for cidr in &object.cidrs {
                named.entry(key_of(cidr)).or_insert((name, cidr));
            }
        }
        let wanted = named.keys().map(|key| (*key, 1)).collect();
        let refused = self.service_cidrs.want(wanted, self.limits.service_cidrs);
        self.full.retain(|object, _| object.kind != Kind::ServiceCidr);
        for (name, cidr) in refused.iter().filter_map(|key| named.get(key)) {
            let detail = format!("SERVICE_CIDRS is full: unallocated addresses of {cidr} pass");
            self.warn_full(Kind::ServiceCidr, name, detail);
        }
    }

    pub(super) fn set_node_addrs(&mut self, view: &NodeView) {
        let usable = view.addrs.iter().filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
        let wanted = usable.map(|ip| (Addr::from(*ip), NodeAddrValue::NODE_PORT)).collect();
        let refused = self.node_addrs.want(wanted, self.limits.node_addrs);
        self.full.retain(|object, _| object.kind != Kind::Node);
        if let Some(first) = refused.first() {
            let (ip, count) = (IpAddr::from(*first), refused.len());
            let detail = format!("NODE_ADDRS is full: NodePorts do not answer on {ip} ({count} in all)");
            self.warn_full(Kind::Node, &view.name, detail);
        }
    }

    fn warn_full(&mut self, kind: Kind, name: &Arc<str>, detail: String) {
        let name = ObjectName { namespace: Arc::default(), name: Arc::clone(name) };
        let object = ObjectKey { kind, name };
        self.full.insert(object.clone(), Warning { object, kind: WarningKind::MapFull, detail });
    }
}

/// The prefix in the 16-byte form, where an IPv4 address has 96 bits before it.
fn key_of(cidr: &IpNet) -> CidrKey {
    let before = if cidr.addr().is_ipv4() { 96 } else { 0 };
    CidrKey::new(cidr.addr().into(), before + u32::from(cidr.prefix_len()))
}
