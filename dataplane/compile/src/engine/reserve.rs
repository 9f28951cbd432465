//! Room for a compiled Service: ids and blocks are taken for all of it or for none of it.

use std::collections::{BTreeMap, BTreeSet};

use abi::{BackendId, Digest, FrontendKey, IdKey, IdKind, ServiceId};

use super::{Engine, SetBlocks};
use crate::ids::blocks::Block;
use crate::key::ServiceKey;
use crate::lb::{PortUnit, Target, Unit};

/// What one Service port will have.
pub(super) struct Placement {
    pub(super) id: ServiceId,
    pub(super) digest: Digest,
    pub(super) backends: BTreeMap<Target, BackendId>,
    pub(super) blocks: SetBlocks,
}

/// What was taken for a unit so far.
#[derive(Default)]
struct Taken {
    services: Vec<ServiceId>,
    backends: Vec<BackendId>,
    blocks: Vec<Block>,
}

impl Engine {
    /// Ids, their rows, and blocks for every port of a unit. The error names the map that is full; nothing is taken then.
    pub(super) fn reserve(&mut self, unit: &Unit) -> Result<Vec<Placement>, &'static str> {
        self.check_rows(unit)?;
        let mut taken = Taken::default();
        let mut placements = Vec::with_capacity(unit.ports.len());
        for (key, port) in &unit.ports {
            match self.reserve_port(key, port, &mut taken) {
                Ok(placement) => placements.push(placement),
                Err(full) => {
                    self.put_back(taken);
                    return Err(full);
                }
            }
        }
        // Before nodes and zones take what is left of the rows.
        for Placement { id, digest, .. } in &placements {
            self.ids.set_desired(IdKey::new(IdKind::Service, *digest), id.0);
        }
        // Their counters still hold what former owners counted.
        self.fresh_services.extend(taken.services);
        self.fresh_backends.extend(taken.backends);
        Ok(placements)
    }

    /// Whether the unit's rows fit into the hash maps beside everything that is there or will be.
    fn check_rows(&self, unit: &Unit) -> Result<(), &'static str> {
        let is_new_row = |key: &&ServiceKey| {
            !self.service_ids.contains_key(*key)
                && !self.ids.occupies(&IdKey::new(IdKind::Service, key.digest()))
        };
        let new_ids = unit.ports.keys().filter(is_new_row).count();
        if new_ids > 0 && self.ids.occupied() + new_ids > self.limits.ids as usize {
            return Err("IDS");
        }
        let keys: BTreeSet<&FrontendKey> =
            unit.ports.values().flat_map(|port| port.frontends.keys()).chain(&unit.other_ports).collect();
        let new_frontends = keys.into_iter().filter(|key| !self.frontends.occupies(key)).count();
        if new_frontends > 0 && self.frontends.occupied() + new_frontends > self.limits.frontends as usize {
            return Err("FRONTENDS");
        }
        Ok(())
    }

    fn reserve_port(
        &mut self,
        key: &ServiceKey,
        port: &PortUnit,
        taken: &mut Taken,
    ) -> Result<Placement, &'static str> {
        let digest = key.digest();
        let known = self.service_ids.get(key).or_else(|| self.recovered_services.get(&digest)).copied();
        let id = match known {
            Some(id) => id,
            None => {
                let (index, _) = self.service_pool.take().ok_or("SERVICES")?;
                taken.services.push(ServiceId(index));
                ServiceId(index)
            }
        };
        let mut backends = BTreeMap::new();
        for target in port.backends.keys() {
            let backend = match self.backend_ids.get(&(id, *target)) {
                Some(backend) => *backend,
                None => {
                    let (index, _) = self.backend_pool.take().ok_or("BACKENDS")?;
                    taken.backends.push(BackendId(index));
                    BackendId(index)
                }
            };
            backends.insert(*target, backend);
        }
        let current = self.set_blocks.get(&id).copied().unwrap_or_default();
        let blocks = SetBlocks {
            cluster: self.reserve_set(current.cluster, &content(&backends, &port.cluster), taken)?,
            local: self.reserve_set(current.local, &content(&backends, &port.local), taken)?,
        };
        Ok(Placement { id, digest, backends, blocks })
    }

    /// The block of a set: the current one if it holds just that, else a new one. An empty set has none.
    fn reserve_set(
        &mut self,
        current: Option<Block>,
        content: &[BackendId],
        taken: &mut Taken,
    ) -> Result<Option<Block>, &'static str> {
        let Ok(count) = u32::try_from(content.len()) else { return Err("SLOTS") };
        if count == 0 {
            return Ok(None);
        }
        if let Some(block) = current
            && self.block_content(block) == Some(content)
        {
            return Ok(Some(block));
        }
        let block = self.blocks.take(count).ok_or("SLOTS")?;
        taken.blocks.push(block);
        Ok(Some(block))
    }

    fn block_content(&self, block: Block) -> Option<&[BackendId]> {
        self.slots.desired(&block.base).or_else(|| self.slots.realised(&block.base)).map(Vec::as_slice)
    }

    fn put_back(&mut self, taken: Taken) {
        for id in taken.services {
            self.service_pool.undo(id.0);
        }
        for id in taken.backends {
            self.backend_pool.undo(id.0);
        }
        for block in taken.blocks {
            self.blocks.give_back(block);
        }
    }
}

/// The backends of a set in the order of its slots.
pub(super) fn content(backends: &BTreeMap<Target, BackendId>, set: &[Target]) -> Vec<BackendId> {
    set.iter().filter_map(|target| backends.get(target).copied()).collect()
}
