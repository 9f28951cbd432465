//! The engine's state for people.

use std::sync::Arc;

use abi::{BackendId, BackendState, FrontendKey, FrontendKind, ServiceFlags, ServiceId};

use super::Engine;
use crate::key::ServiceKey;

/// A frontend that a Service port has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendView {
    /// Address, port, protocol.
    pub key: FrontendKey,
    /// Kind.
    pub kind: FrontendKind,
    /// Whether the Service has it: false if an older Service claims it too.
    pub is_held: bool,
}

/// A backend of a Service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendView {
    /// Id.
    pub id: BackendId,
    /// Address.
    pub addr: std::net::IpAddr,
    /// Port.
    pub port: u16,
    /// State.
    pub state: BackendState,
    /// In the set for the policy Cluster: gets new connections.
    pub in_cluster: bool,
    /// In the set for the policy Local.
    pub in_local: bool,
    /// On this node.
    pub is_local: bool,
    /// Node.
    pub node: Option<Arc<str>>,
    /// Zone.
    pub zone: Option<Arc<str>>,
}

/// A Service port in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Name and family.
    pub key: ServiceKey,
    /// Id.
    pub id: ServiceId,
    /// Flags.
    pub flags: ServiceFlags,
    /// Frontends.
    pub frontends: Vec<FrontendView>,
    /// Backends.
    pub backends: Vec<BackendView>,
}

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The map.
    pub map: &'static str,
    /// Entries in use.
    pub used: u64,
    /// Maximum.
    pub max: u64,
}

impl Engine {
    /// Every Service port, in the order of the names.
    pub fn services(&self) -> impl Iterator<Item = ServiceView> + '_ {
        self.units.values().flat_map(|unit| &unit.ports).filter_map(|(key, port)| {
            let id = *self.service_ids.get(key)?;
            let frontends = port.frontends.iter().map(|(frontend, kind)| FrontendView {
                key: *frontend,
                kind: *kind,
                is_held: self.frontends.desired(frontend).is_some_and(|value| value.service() == id),
            });
            let backends = port.backends.iter().filter_map(|(target, info)| {
                Some(BackendView {
                    id: *self.backend_ids.get(&(id, *target))?,
                    addr: target.0.into(),
                    port: target.1.get(),
                    state: info.state,
                    in_cluster: port.cluster.binary_search(target).is_ok(),
                    in_local: port.local.binary_search(target).is_ok(),
                    is_local: info.is_local,
                    node: info.node.clone(),
                    zone: info.zone.clone(),
                })
            });
            Some(ServiceView {
                key: key.clone(),
                id,
                flags: port.flags,
                frontends: frontends.collect(),
                backends: backends.collect(),
            })
        })
    }

    /// How full the maps are that the engine fills.
    #[must_use]
    pub fn fill(&self) -> Vec<Fill> {
        let fill = |map, used: usize, max: u32| Fill { map, used: used as u64, max: u64::from(max) };
        let slots = u64::from(self.limits.slots);
        vec![
            fill("FRONTENDS", self.frontends.all_realised().len(), self.limits.frontends),
            fill("SERVICE_CIDRS", self.service_cidrs.all_realised().len(), self.limits.service_cidrs),
            fill("SERVICES", self.service_pool.used(), self.limits.services.saturating_sub(1)),
            Fill { map: "SLOTS", used: slots - self.blocks.free_slots(), max: slots },
            fill("BACKENDS", self.backend_pool.used(), self.limits.backends.saturating_sub(1)),
            fill("NODE_ADDRS", self.node_addrs.all_realised().len(), self.limits.node_addrs),
            fill("IDS", self.ids.all_realised().len(), self.limits.ids),
        ]
        .into_iter()
        .chain(self.policies.fill())
        .chain(self.subjects.fill())
        .collect()
    }

    /// Names of the ids in use, for [`crate::render::render`].
    #[must_use]
    pub fn names(&self) -> crate::render::Names {
        crate::render::Names {
            services: self.service_ids.iter().map(|(key, id)| (*id, key.clone())).collect(),
            nodes: self.nodes.by_id(),
            zones: self.zones.by_id(),
            policy: self.policies.names(),
            subjects: self.subjects.names(),
        }
    }
}
