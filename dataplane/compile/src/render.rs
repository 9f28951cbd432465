//! Map rows as sorted lines of text: for scenarios, for tests of laws "up to renaming of ids", and for the admin socket.
//!
//! Ids, generations, revisions and slots are not shown: names and addresses stand for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use abi::{
    Addr, BackendEntry, BackendId, BackendState, FrontendKey, FrontendKind, Port, ServiceFlags, ServiceId,
    SetWord,
};

use crate::dump::Dump;
use crate::key::ServiceKey;
use crate::subjects::SubjectNames;

mod subjects;

mod policy;

pub use policy::{PolicyNames, cidr_text};

/// What ids stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Service ports.
    pub services: BTreeMap<ServiceId, ServiceKey>,
    /// Nodes.
    pub nodes: BTreeMap<u32, Arc<str>>,
    /// Zones.
    pub zones: BTreeMap<u32, Arc<str>>,
    /// What ids of NetworkPolicy stand for.
    pub policy: PolicyNames,
    /// Pods and devices.
    pub subjects: SubjectNames,
}

/// The rows of all maps, one a line, sorted. Unused array elements have none.
#[must_use]
pub fn render(dump: &Dump, names: &Names) -> Vec<String> {
    let mut rows = Vec::new();
    for (key, value) in &dump.frontends {
        let kind = FrontendKind::try_from(value.kind_code()).map_or("unknown kind", kind_text);
        let row = format!("frontend {} {kind}", frontend_text(key));
        rows.push(match value.service() {
            ServiceId::NONE => row,
            id => format!("{row} -> {}", service_text(names, id)),
        });
    }
    for (id, entry) in &dump.services {
        let is_unused = entry.cluster.0 | entry.local.0 == 0 && !names.services.contains_key(id);
        if !is_unused {
            rows.push(format!(
                "service {} cluster=[{}] local=[{}] flags=[{}]",
                service_text(names, *id),
                set_text(dump, entry.cluster),
                set_text(dump, entry.local),
                flags_text(entry.flags),
            ));
        }
    }
    for entry in dump.backends.values().filter(|entry| entry.state != BackendState::Gone as u8) {
        rows.push(backend_text(entry, names));
    }
    rows.extend(dump.service_cidrs.keys().map(|key| format!("service-cidr {}", cidr_text(key))));
    rows.extend(dump.node_addrs.keys().map(|addr| format!("node-addr {addr}")));
    rows.extend(policy::rows(&dump.policy, &names.policy));
    rows.extend(subjects::rows(&dump.subjects, &names.subjects));
    rows.sort();
    rows
}

/// A frontend as `address:port/PROTOCOL`; `node` stands for the node's own addresses, `*` for all other ports.
#[must_use]
pub fn frontend_text(key: &FrontendKey) -> String {
    let addr = key.addr();
    if key.port() == Port::ANY {
        return format!("{}:*", bracketed(addr));
    }
    let place = match addr {
        Addr::ANY_V4 => "node-v4".to_owned(),
        Addr::ANY_V6 => "node-v6".to_owned(),
        addr => bracketed(addr),
    };
    format!("{place}:{}/{}", key.port().get(), key.protocol())
}

/// The name of a kind of frontend.
#[must_use]
pub const fn kind_text(kind: FrontendKind) -> &'static str {
    match kind {
        FrontendKind::ClusterIp => "ClusterIP",
        FrontendKind::NodePort => "NodePort",
        FrontendKind::ExternalIp => "ExternalIP",
        FrontendKind::LoadBalancer => "LoadBalancer",
        FrontendKind::OtherPorts => "other ports: refused",
    }
}

/// The name of a backend's state.
#[must_use]
pub const fn state_text(state: BackendState) -> &'static str {
    match state {
        BackendState::Gone => "gone",
        BackendState::Live => "live",
        BackendState::Terminating => "terminating",
    }
}

/// The names of the flags, separated by spaces.
#[must_use]
pub fn flags_text(flags: ServiceFlags) -> String {
    let known =
        [(ServiceFlags::INTERNAL_LOCAL, "internal-local"), (ServiceFlags::EXTERNAL_LOCAL, "external-local")];
    known.iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

fn bracketed(addr: Addr) -> String {
    if addr.is_v4() { addr.to_string() } else { format!("[{addr}]") }
}

fn target_text(entry: &BackendEntry) -> String {
    format!("{}:{}", bracketed(entry.addr), entry.port.get())
}

fn service_text(names: &Names, id: ServiceId) -> String {
    names.services.get(&id).map_or_else(|| "a service without a name".to_owned(), ToString::to_string)
}

fn set_text(dump: &Dump, set: SetWord) -> String {
    let slots = set.base()..set.base().saturating_add(set.count());
    let mut targets: Vec<String> = slots
        .map(|slot| {
            let id = dump.slots.get(&slot).copied().unwrap_or(BackendId(0));
            dump.backends.get(&id).map_or_else(|| format!("backend {} missing", id.0), target_text)
        })
        .collect();
    targets.sort();
    targets.join(" ")
}

fn backend_text(entry: &BackendEntry, names: &Names) -> String {
    let state = BackendState::try_from(entry.state).map_or("unknown state", state_text);
    let mut row = format!("backend {} of {} {state}", target_text(entry), service_text(names, entry.service));
    if entry.local != 0 {
        row.push_str(" local");
    }
    if let Some(node) = names.nodes.get(&entry.node) {
        row.push_str(" node=");
        row.push_str(node);
    }
    if let Some(zone) = names.zones.get(&u32::from(entry.zone)) {
        row.push_str(" zone=");
        row.push_str(zone);
    }
    row
}
