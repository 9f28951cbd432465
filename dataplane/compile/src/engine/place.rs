//! A compiled Service takes the place of its old one: ids, backends, sets, claims. All of it or nothing.

use std::sync::Arc;

use abi::{
    Addr, BackendEntry, BackendId, BackendState, Digest, IdKey, IdKind, Port, ServiceEntry, ServiceId,
    SetWord,
};
use model::ObjectName;

use super::reserve::{Placement, content};
use super::{Engine, SetBlocks};
use crate::ids::blocks::Block;
use crate::key::ServiceKey;
use crate::lb::{BackendInfo, PortUnit, Target, Unit};

impl Engine {
    /// Puts a unit in the place of the Service's old one. The error names the map that is full; the old unit stays.
    pub(super) fn place(
        &mut self,
        name: &ObjectName,
        created: &Arc<str>,
        unit: Unit,
    ) -> Result<(), &'static str> {
        if self.units.get(name) == Some(&unit) {
            // The Service may have become older or younger.
            self.set_claims(name, created, &unit);
            return Ok(());
        }
        let placements = self.reserve(&unit)?;
        let old = self.units.remove(name).unwrap_or_default();
        for ((key, port), placement) in unit.ports.iter().zip(placements) {
            self.place_port(key, old.ports.get(key), port, &placement);
        }
        for (key, port) in old.ports.iter().filter(|(key, _)| !unit.ports.contains_key(*key)) {
            self.remove_port(key, port);
        }
        self.set_claims(name, created, &unit);
        if !unit.ports.is_empty() {
            self.units.insert(name.clone(), unit);
        }
        Ok(())
    }

    fn place_port(
        &mut self,
        key: &ServiceKey,
        old: Option<&PortUnit>,
        port: &PortUnit,
        placement: &Placement,
    ) {
        let id = placement.id;
        let is_new = self.service_ids.insert(key.clone(), id).is_none();
        self.recovered_services.remove(&placement.digest);
        for (target, info) in &port.backends {
            let Some(backend) = placement.backends.get(target) else { continue };
            self.place_backend(id, *backend, *target, old.and_then(|o| o.backends.get(target)), info);
        }
        let (cluster, local) = self.place_sets(placement, port);
        let generation = self.service_pool.generation(id.0);
        let entry = ServiceEntry { cluster, local, flags: port.flags, ..ServiceEntry::empty(generation) };
        self.services.set_desired(id, entry);
        for (target, info) in old.iter().flat_map(|o| &o.backends) {
            if !port.backends.contains_key(target) {
                self.let_go_names(info);
                self.remove_backend(id, *target);
            }
        }
        if is_new {
            self.drop_strays(id, port);
        }
    }

    fn place_backend(
        &mut self,
        service: ServiceId,
        backend: BackendId,
        target: Target,
        old: Option<&BackendInfo>,
        info: &BackendInfo,
    ) {
        let known = self.backend_ids.insert((service, target), backend);
        if known == Some(backend) && old == Some(info) {
            return;
        }
        // The new names are taken before the old ones are let go: one that both have keeps its id.
        let limit = self.limits.ids;
        let node = info.node.as_ref().map_or(0, |name| self.nodes.acquire(name, &mut self.ids, limit));
        let zone = info.zone.as_ref().map_or(0, |name| self.zones.acquire(name, &mut self.ids, limit));
        if let Some(old) = old {
            self.let_go_names(old);
        }
        let entry = BackendEntry {
            service,
            node,
            zone: u16::try_from(zone).unwrap_or(0),
            state: info.state as u8,
            local: u8::from(info.is_local),
            addr: target.0,
            port: target.1,
            ..BackendEntry::gone(self.backend_pool.generation(backend.0))
        };
        self.backends.set_desired(backend, entry);
    }

    fn let_go_names(&mut self, info: &BackendInfo) {
        if let Some(name) = &info.node {
            self.nodes.let_go(name, &mut self.ids);
        }
        if let Some(name) = &info.zone {
            self.zones.let_go(name, &mut self.ids);
        }
    }

    /// The words of the two sets. Blocks that they no longer name are freed once the words are written and no program
    /// can still be reading.
    fn place_sets(&mut self, placement: &Placement, port: &PortUnit) -> (SetWord, SetWord) {
        let Placement { id, blocks, backends, .. } = placement;
        let mut word = |block: Option<Block>, set: &[Target]| {
            let Some(block) = block else { return SetWord::EMPTY };
            let content = content(backends, set);
            let count = u32::try_from(content.len()).unwrap_or(0);
            self.slots.set_desired(block.base, content);
            self.slot_owners.insert(block.base, *id);
            SetWord::new(block.base, count)
        };
        let words = (word(blocks.cluster, &port.cluster), word(blocks.local, &port.local));
        let before = self.set_blocks.insert(*id, *blocks).unwrap_or_default();
        for replaced in before.iter().filter(|block| blocks.iter().all(|kept| kept != *block)) {
            self.replaced_blocks.entry(*id).or_default().push(replaced);
        }
        words
    }

    /// Backends of a former run that the Service port does not have any more.
    fn drop_strays(&mut self, id: ServiceId, port: &PortUnit) {
        let first = (id, (Addr::ANY_V6, Port::ANY));
        let strays: Vec<Target> = self
            .backend_ids
            .range(first..)
            .take_while(|((service, _), _)| *service == id)
            .map(|((_, target), _)| *target)
            .filter(|target| !port.backends.contains_key(target))
            .collect();
        for target in strays {
            self.remove_backend(id, target);
        }
    }

    fn remove_port(&mut self, key: &ServiceKey, port: &PortUnit) {
        let Some(id) = self.service_ids.remove(key) else { return };
        for (target, info) in &port.backends {
            self.let_go_names(info);
            self.remove_backend(id, *target);
        }
        self.retire_service(id, key.digest());
    }

    fn remove_backend(&mut self, id: ServiceId, target: Target) {
        if let Some(backend) = self.backend_ids.remove(&(id, target)) {
            self.retire_backend(backend);
        }
    }

    /// The id is to be cleared and, once nothing can see it any more, given back.
    pub(super) fn retire_service(&mut self, id: ServiceId, digest: Digest) {
        self.ids.remove_desired(&IdKey::new(IdKind::Service, digest));
        let blocks = self.set_blocks.remove(&id).unwrap_or_default();
        self.replaced_blocks.entry(id).or_default().extend(SetBlocks::iter(blocks));
        self.fresh_services.remove(&id);
        self.services.set_desired(id, ServiceEntry::empty(self.service_pool.generation(id.0)));
        self.leaving_services.insert(id, digest);
    }

    /// The id is to be marked gone and, once nothing can see it any more, given back. Only the state changes: a program
    /// that is reading the element must not find half of an address.
    pub(super) fn retire_backend(&mut self, id: BackendId) {
        self.fresh_backends.remove(&id);
        let generation = self.backend_pool.generation(id.0);
        let entry = match self.backends.realised(&id) {
            Some(written) => BackendEntry { state: BackendState::Gone as u8, generation, ..*written },
            None => BackendEntry::gone(generation),
        };
        self.backends.set_desired(id, entry);
        self.leaving_backends.insert(id);
    }
}
