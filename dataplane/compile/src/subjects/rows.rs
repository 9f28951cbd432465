//! What the maps should hold.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use abi::{Addr, CgroupId, DeviceEntry, DeviceFlags, DeviceKind, Generation, PodEntry, PodFlags, PodId};
use model::{Device, DeviceType, IfIndex, Kind, NodeView, ObjectKey, ObjectName, Role, Snapshot, Wanted};

use super::{PolicyOf, Subjects};

impl Subjects {
    /// Finds the roles of devices anew.
    pub(super) fn classify(&mut self) {
        let mut pods: BTreeMap<IpAddr, PodId> = BTreeMap::new();
        for pod in self.pods.values().filter(|pod| pod.id != PodId::NONE) {
            for addr in &pod.addrs {
                pods.entry((*addr).into()).or_insert(pod.id);
            }
        }
        // Until everything is known, a pod that was there before is taken to be still there.
        for (addr, id) in self.local_pods.all_realised() {
            if self.recovered.values().any(|recovered| recovered == id) {
                pods.entry((*addr).into()).or_insert(*id);
            }
        }
        let wanted = Wanted {
            pods: &pods,
            peers: &self.peers,
            uplinks: self.uplinks.as_deref(),
            before: &self.owners,
        };
        self.roles = model::classify(&self.network, &wanted);
        self.owners = self
            .roles
            .iter()
            .filter_map(|(index, role)| match role {
                Role::Pod(id) => Some((*index, *id)),
                Role::Unclaimed | Role::Uplink | Role::Overlay => None,
            })
            .collect();
    }

    pub(super) fn set_local_pods(&mut self, view: &NodeView) {
        let mut wanted: BTreeMap<Addr, (PodId, ObjectName)> = BTreeMap::new();
        for (name, pod) in self.pods.iter().filter(|(_, pod)| pod.id != PodId::NONE) {
            for addr in &pod.addrs {
                // An address of the node is the node's, whatever a pod says.
                if !view.addrs.contains(&IpAddr::from(*addr)) {
                    wanted.entry(*addr).or_insert_with(|| (pod.id, name.clone()));
                }
            }
        }
        let rows = wanted.iter().map(|(addr, (id, _))| (*addr, *id)).collect();
        for addr in self.local_pods.want(rows, self.limits.local_pods) {
            if let Some((_, name)) = wanted.get(&addr) {
                self.warn(name, format!("LOCAL_PODS is full: the pod is not known by its address {addr}"));
            }
        }
    }

    pub(super) fn set_cgroups(&mut self, view: &NodeView) {
        let mut wanted: BTreeMap<CgroupId, (PodId, ObjectName)> = BTreeMap::new();
        for (name, pod) in self.pods.iter().filter(|(_, pod)| pod.id != PodId::NONE) {
            if let Some(cgroup) = view.cgroups.get(&pod.cgroup_uid) {
                wanted.insert(CgroupId(cgroup.0), (pod.id, name.clone()));
            }
        }
        let rows = wanted.iter().map(|(cgroup, (id, _))| (*cgroup, *id)).collect();
        for cgroup in self.cgroups.want(rows, self.limits.cgroups) {
            if let Some((_, name)) = wanted.get(&cgroup) {
                self.warn(name, "PODS_BY_CGROUP is full: the pod is known by its interface alone".to_owned());
            }
        }
    }

    pub(super) fn set_devices(&mut self, snapshot: &Snapshot, view: &NodeView) {
        let own = snapshot.nodes.get(&view.name).map(|node| node.addrs.clone()).unwrap_or_default();
        let own: Vec<IpAddr> = own.into_iter().filter(|addr| view.addrs.contains(addr)).collect();
        let mut uplinks = Vec::new();
        let mut pods = Vec::new();
        for (index, role) in &self.roles {
            let Some(device) = self.network.devices.get(index) else { continue };
            let (kind, pod) = match role {
                Role::Pod(id) => (DeviceKind::Pod, *id),
                Role::Unclaimed => (DeviceKind::Pod, PodId::NONE),
                Role::Uplink => (DeviceKind::Uplink, PodId::NONE),
                Role::Overlay => (DeviceKind::Overlay, PodId::NONE),
            };
            let mut entry = DeviceEntry::new(kind, self.flags(device), device.mtu);
            entry.pod = pod;
            entry.mac = device.mac.map(|mac| mac.0).unwrap_or_default();
            for is_v4 in [true, false] {
                let master = || self.network.source(device.master?, is_v4);
                let node = || own.iter().find(|addr| addr.is_ipv4() == is_v4).copied();
                if let Some(source) = self.network.source(*index, is_v4).or_else(master).or_else(node) {
                    entry = entry.with_snat(source.into());
                }
            }
            let devices = if kind == DeviceKind::Pod { &mut pods } else { &mut uplinks };
            devices.push((abi::IfIndex(index.0), entry));
        }
        // A node without its uplinks serves nobody, without a pod's interface it fails one pod: the last to come.
        let room = (self.limits.devices as usize).saturating_sub(uplinks.len());
        pods.sort_by_key(|(index, _)| self.devices.desired(index).is_none());
        let mut refused: Vec<abi::IfIndex> = pods.iter().skip(room).map(|(index, _)| *index).collect();
        pods.truncate(room);
        uplinks.append(&mut pods);
        refused.append(&mut self.devices.want(uplinks, self.limits.devices));
        for index in refused {
            let name = self.network.devices.get(&IfIndex(index.0)).map(|device| Arc::clone(&device.name));
            let object = ObjectKey { kind: Kind::Node, name: ObjectName::new("", &view.name) };
            let detail = format!("DEVICES is full: {} carries no programs", name.unwrap_or_default());
            self.full.entry(object).or_default().insert(detail);
        }
    }

    fn flags(&self, device: &Device) -> DeviceFlags {
        let is_bridge = |master: &IfIndex| {
            self.network.devices.get(master).is_some_and(|master| master.device_type == DeviceType::Bridge)
        };
        let l3 = if device.mac.is_none() { DeviceFlags::L3 } else { DeviceFlags::default() };
        let is_port = device.master.as_ref().is_some_and(is_bridge);
        if is_port { l3.with(DeviceFlags::BRIDGE_PORT) } else { l3 }
    }

    pub(super) fn set_entries(&mut self, policy_of: PolicyOf<'_>) {
        let mut interfaces: BTreeMap<PodId, IfIndex> = BTreeMap::new();
        for (index, id) in &self.owners {
            interfaces.entry(*id).or_insert(*index);
        }
        let mut host = PodEntry::new(Generation(0), PodFlags::HOST);
        // Until everything is known, some pod has it that had it.
        let had = self.entries.realised(&PodId::HOST).filter(|_| !self.is_synced);
        if had.is_some_and(|had| had.flags.has(PodFlags::NO_SOCKET_LB)) {
            host.flags = host.flags.with(PodFlags::NO_SOCKET_LB);
        }
        for (name, pod) in self.pods.iter().filter(|(_, pod)| pod.id >= PodId::FIRST) {
            let mut entry = PodEntry::new(self.pool.generation(pod.id.0), PodFlags::default());
            (entry.egress, entry.ingress) = policy_of(name);
            let before = self.entries.desired(&pod.id).or_else(|| self.entries.realised(&pod.id));
            let before = before.filter(|before| before.generation == entry.generation).copied();
            if pod.is_per_packet {
                entry.flags = entry.flags.with(PodFlags::NO_SOCKET_LB).with(PodFlags::PER_PACKET);
                host.flags = host.flags.with(PodFlags::NO_SOCKET_LB);
            } else if before.is_some_and(|before| before.flags.has(PodFlags::PER_PACKET)) {
                entry.flags = entry.flags.with(PodFlags::PER_PACKET);
            }
            let is_found = |addr: &Addr| self.local_pods.desired(addr) == Some(&pod.id);
            if !pod.addrs.is_empty() && pod.addrs.iter().all(is_found) {
                entry.flags = entry.flags.with(PodFlags::ADDRESSED);
            }
            if let Some(interface) = interfaces.get(&pod.id) {
                entry.ifindex = abi::IfIndex(interface.0);
                let seen =
                    pod.addrs.iter().find_map(|addr| self.network.neighbour((*addr).into(), *interface));
                // Neighbour entries age; a pod keeps its MAC address as long as its interface.
                let known = before.filter(|before| before.ifindex == entry.ifindex).map(|before| before.mac);
                entry.mac = seen.map(|mac| mac.0).or(known).unwrap_or_default();
            }
            self.entries.set_desired(pod.id, entry);
        }
        self.entries.set_desired(PodId::HOST, host);
    }

    pub(super) fn warn(&mut self, pod: &ObjectName, detail: String) {
        let object = ObjectKey { kind: Kind::Pod, name: pod.clone() };
        self.full.entry(object).or_default().insert(detail);
    }
}
