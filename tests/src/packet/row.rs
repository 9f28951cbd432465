//! Services, pods and policies, a line each.

use std::cell::Cell;
use std::net::SocketAddr;

use abi::{
    BackendEntry, BackendId, BackendState, CgroupId, CidrKey, DeviceEntry, DeviceFlags, DeviceKind,
    FrontendKey, FrontendKind, FrontendValue, Generation, Identity, PodEntry, PodFlags, PodId, PolicyId,
    PolicyKey, PolicyRevision, PolicyValue, PortClassId, PortClassKey, PortClassValue, Protocol, RuleId,
    ServiceFlags, ServiceId, SetWord,
};

use super::{LINK_MTU, PacketNode};
use crate::address::abi_of;

/// Slots between the sets that a test makes: no set is larger.
const BLOCK: u32 = 8;

/// Where a backend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// On this node.
    Here,
    /// On another.
    Elsewhere,
}

/// A pod's policies and flags; by default it has its address and nothing isolates it.
#[derive(Clone, Copy, Debug)]
pub struct PodRow {
    /// Policies of what it sends.
    pub egress: PolicyId,
    /// Policies of what it receives.
    pub ingress: PolicyId,
    /// Flags.
    pub flags: PodFlags,
}

impl Default for PodRow {
    fn default() -> Self {
        Self { egress: PolicyId::NONE, ingress: PolicyId::NONE, flags: PodFlags::ADDRESSED }
    }
}

impl PodRow {
    /// A pod whose sockets are not translated.
    pub fn opted_out() -> Self {
        Self {
            flags: PodFlags::ADDRESSED.with(PodFlags::NO_SOCKET_LB).with(PodFlags::PER_PACKET),
            ..Self::default()
        }
    }
}

impl PacketNode {
    /// A new Service port without endpoints.
    pub fn service(&self, flags: ServiceFlags) -> ServiceId {
        let id = ServiceId(next(&self.last_service));
        self.tables().sets().put_flags(id, flags);
        id
    }

    /// A live backend of a Service port.
    pub fn backend(&self, service: ServiceId, at: SocketAddr, place: Where) -> BackendId {
        let id = BackendId(next(&self.last_backend));
        self.put_backend(id, service, at, place, BackendState::Live);
        id
    }

    /// Writes a backend's row again.
    pub fn put_backend(
        &self,
        id: BackendId,
        service: ServiceId,
        at: SocketAddr,
        place: Where,
        state: BackendState,
    ) {
        let (addr, port) = abi_of(at);
        let local = u8::from(place == Where::Here);
        let free = BackendEntry::gone(Generation(1));
        self.tables()
            .put_backend(id, BackendEntry { service, state: state as u8, local, addr, port, ..free });
    }

    /// Gives a backend's id to another endpoint.
    pub fn put_backend_again(&self, id: BackendId, service: ServiceId, at: SocketAddr, place: Where) {
        let (addr, port) = abi_of(at);
        let (local, state) = (u8::from(place == Where::Here), BackendState::Live as u8);
        let free = BackendEntry::gone(Generation(2));
        self.tables().put_backend(id, BackendEntry { service, state, local, addr, port, ..free });
    }

    /// Makes these the backends for the policy Cluster.
    pub fn use_cluster(&self, service: ServiceId, backends: &[BackendId]) {
        let set = self.set(backends);
        self.tables().sets().put_cluster(service, set);
    }

    /// Makes these the backends for the policy Local.
    pub fn use_local(&self, service: ServiceId, backends: &[BackendId]) {
        let set = self.set(backends);
        self.tables().sets().put_local(service, set);
    }

    fn set(&self, backends: &[BackendId]) -> SetWord {
        let base = next(&self.last_block) * BLOCK;
        self.tables().sets().put_slots(base, backends);
        SetWord::new(base, backends.len() as u32)
    }

    /// A frontend of a Service port.
    pub fn frontend(&self, at: SocketAddr, protocol: Protocol, kind: FrontendKind, service: ServiceId) {
        let (addr, port) = abi_of(at);
        self.tables().put_frontend(FrontendKey::new(addr, port, protocol), FrontendValue::new(service, kind));
    }

    /// A NodePort of the family.
    pub fn node_port(&self, port: u16, protocol: Protocol, service: ServiceId) {
        let at = SocketAddr::new(self.net.unspecified(), port);
        self.frontend(at, protocol, FrontendKind::NodePort, service);
    }

    /// The row that answers for all other ports of a ClusterIP.
    pub fn other_ports(&self, vip: std::net::IpAddr) {
        let value = FrontendValue::new(ServiceId::NONE, FrontendKind::OtherPorts);
        self.tables().put_frontend(FrontendKey::other_ports(vip.into()), value);
    }

    /// The range that contains the service addresses of the family.
    pub fn service_cidr(&self) {
        self.tables().put_cidr(CidrKey::new(self.net.vip(0).into(), self.net.bits(24, 112)));
    }

    /// The id of pod `i`.
    pub fn pod_id(&self, i: u8) -> PodId {
        PodId(PodId::FIRST.0 + u32::from(i))
    }

    /// Pod `i`, with its interface and its address.
    pub fn pod(&self, i: u8, row: PodRow) -> PodId {
        let id = self.put_pod(i, row);
        self.packet().put_local_pod(self.net.pod(i).into(), id);
        self.pod_device(i, id);
        id
    }

    /// Writes the row of pod `i` alone.
    pub fn put_pod(&self, i: u8, row: PodRow) -> PodId {
        let id = self.pod_id(i);
        let entry =
            PodEntry { egress: row.egress, ingress: row.ingress, ..PodEntry::new(Generation(1), row.flags) };
        self.packet().put_pod(id, PodEntry { ifindex: self.pod_link(i), ..entry });
        id
    }

    /// Writes whose the interface of pod `i` is.
    pub fn pod_device(&self, i: u8, id: PodId) {
        let device = DeviceEntry::new(DeviceKind::Pod, DeviceFlags::default(), LINK_MTU);
        let mut device = device.with_snat(self.net.node().into());
        device.pod = id;
        self.packet().put_device(self.pod_link(i), device);
    }

    /// A pod is in this cgroup.
    pub fn pod_of_cgroup(&self, cgroup: u64, id: PodId) {
        self.packet().put_pod_of_cgroup(CgroupId(cgroup), id);
    }

    /// A policy id's revision.
    pub fn revise(&self, policy: PolicyId, revision: u64) {
        self.packet().put_revision(policy, PolicyRevision(revision));
    }

    /// Everything passes between pods of a policy and peers of an identity.
    pub fn allow(&self, policy: PolicyId, peers: Identity, rule: RuleId) {
        self.packet().put_policy(PolicyKey::new(policy, peers), PolicyValue::allow_all(rule));
    }

    /// Nothing passes.
    pub fn deny(&self, policy: PolicyId, peers: Identity, rule: RuleId) {
        self.packet().put_policy(PolicyKey::new(policy, peers), PolicyValue::deny_all(rule));
    }

    /// A port class decides.
    pub fn by_port(&self, policy: PolicyId, peers: Identity, class: PortClassId, rule: RuleId) {
        self.packet().put_policy(PolicyKey::new(policy, peers), PolicyValue::ports(class, rule));
    }

    /// Ports of a class: those whose first `bits` bits are those of `port`.
    pub fn ports(
        &self,
        class: PortClassId,
        protocol: Protocol,
        (port, bits): (u16, u32),
        value: PortClassValue,
    ) {
        self.packet().put_ports(PortClassKey::new(class, protocol, abi::Port::new(port), bits), value);
    }
}

fn next(last: &Cell<u32>) -> u32 {
    last.set(last.get() + 1);
    last.get()
}
