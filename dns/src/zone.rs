//! The index that answers come from: immutable once made, changed by copying what differs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::RandomState;
use model::ObjectName;

use crate::record::{Change, EndpointRecord, PortRecord, ServiceKind, ServiceRecord};

/// A map that costs what changes. Its hash is seeded at random: nobody finds names that collide.
type HashMap<K, V> = imbl::GenericHashMap<K, V, RandomState, imbl::shared_ptr::DefaultSharedPtr>;

/// Everything that the cluster's zones are made of. Cloning is O(1), a change costs what changed.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    namespaces: HashMap<Arc<str>, Namespace>,
    /// Address → Services that have it as a ClusterIP or an endpoint.
    reverse: HashMap<IpAddr, Holders>,
    serial: u32,
    is_synced: bool,
    /// What clients call the server: its addresses on port 53.
    service_addrs: Arc<[IpAddr]>,
}

/// The Services that have an address, by name. Nearly always it is one.
#[derive(Clone, Debug)]
enum Holders {
    One(ObjectName),
    /// In order.
    Many(Vec<ObjectName>),
}

impl Holders {
    fn names(&self) -> &[ObjectName] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }

    fn add(&mut self, name: &ObjectName) {
        let mut names = self.names().to_vec();
        if let Err(at) = names.binary_search(name) {
            names.insert(at, name.clone());
            *self = Self::Many(names);
        }
    }

    /// Takes a name out; whether none is left.
    fn remove(&mut self, name: &ObjectName) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(names) => {
                names.retain(|other| other != name);
                let (is_empty, last) =
                    (names.is_empty(), names.first().filter(|_| names.len() == 1).cloned());
                if let Some(last) = last {
                    *self = Self::One(last);
                }
                is_empty
            }
        }
    }
}

fn addrs_of(service: Option<&ServiceEntry>) -> &[IpAddr] {
    service.map_or(&[], |service| &service.addrs)
}

/// What is known below one namespace.
#[derive(Clone, Debug, Default)]
struct Namespace {
    is_declared: bool,
    services: HashMap<Arc<str>, Arc<ServiceEntry>>,
    pods: HashMap<Arc<str>, Arc<[IpAddr]>>,
    /// How many pods have an address.
    pod_addrs: HashMap<IpAddr, usize>,
}

/// A Service with what its name resolves to.
#[derive(Debug)]
pub(crate) struct ServiceEntry {
    pub(crate) name: ObjectName,
    pub(crate) record: ServiceRecord,
    /// What the Service's own name resolves to, each address once.
    pub(crate) v4: Vec<Ipv4Addr>,
    /// The same for IPv6.
    pub(crate) v6: Vec<Ipv6Addr>,
    /// All addresses whose reverse names lead here, sorted.
    addrs: Vec<IpAddr>,
}

impl ServiceEntry {
    fn new(name: ObjectName, record: ServiceRecord) -> Self {
        let mut addrs: Vec<IpAddr> =
            record.slices.iter().flat_map(|slice| &slice.endpoints).map(|endpoint| endpoint.addr).collect();
        addrs.sort_unstable();
        addrs.dedup();
        let cluster_ips = match &record.kind {
            ServiceKind::ClusterIps(ips) => Some(ips.clone()),
            ServiceKind::Headless => None,
            ServiceKind::ExternalName(_) => Some(Vec::new()),
        };
        let own = cluster_ips.as_ref().unwrap_or(&addrs);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for ip in own {
            match ip {
                IpAddr::V4(ip) => v4.push(*ip),
                IpAddr::V6(ip) => v6.push(*ip),
            }
        }
        addrs.extend(cluster_ips.into_iter().flatten());
        addrs.sort_unstable();
        addrs.dedup();
        Self { name, record, v4, v6, addrs }
    }

    /// Whether the address is one of its ClusterIPs.
    pub(crate) fn has_cluster_ip(&self, addr: IpAddr) -> bool {
        match &self.record.kind {
            ServiceKind::ClusterIps(ips) => ips.contains(&addr),
            ServiceKind::Headless | ServiceKind::ExternalName(_) => false,
        }
    }

    /// Whether it has published endpoints.
    pub(crate) fn has_endpoints(&self) -> bool {
        self.record.slices.iter().any(|slice| !slice.endpoints.is_empty())
    }

    /// Its published endpoints with the ports of each.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&EndpointRecord, &[PortRecord])> {
        self.record
            .slices
            .iter()
            .flat_map(|slice| slice.endpoints.iter().map(move |endpoint| (endpoint, slice.ports.as_slice())))
    }
}

impl Zone {
    /// The zone after these changes. `serial` is the SOA's: the time of the change in seconds.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = Change>, serial: u32) -> Self {
        let mut zone = self.clone();
        zone.apply(changes, serial);
        zone
    }

    /// The same in place: cheaper where no other copy shares the parts.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>, serial: u32) {
        self.serial = serial;
        for change in changes {
            match change {
                Change::Service { namespace, name, record } => {
                    self.set_service(ObjectName { namespace, name }, record);
                }
                Change::Namespace { name, exists } => {
                    self.change_namespace(&name, |namespace| namespace.is_declared = exists);
                }
                Change::Pod { namespace, name, addrs } => {
                    self.change_namespace(&namespace, |namespace| namespace.set_pod(name, addrs));
                }
            }
        }
    }

    /// The same, everything being known: from now on what is not there does not exist.
    #[must_use]
    pub fn synced(self) -> Self {
        Self { is_synced: true, ..self }
    }

    /// The same, clients calling the server so.
    #[must_use]
    pub fn called(self, service_addrs: &[IpAddr]) -> Self {
        if *self.service_addrs == *service_addrs {
            self
        } else {
            Self { service_addrs: service_addrs.into(), ..self }
        }
    }

    /// What clients call the server.
    #[must_use]
    pub fn service_addrs(&self) -> &[IpAddr] {
        &self.service_addrs
    }

    /// Whether everything is known. Until then a miss may be something that was not heard of yet.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// The SOA's serial number.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Number of Services.
    #[must_use]
    pub fn services(&self) -> usize {
        self.namespaces.values().map(|namespace| namespace.services.len()).sum()
    }

    /// Whether a namespace exists: others are not kept.
    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&Arc<ServiceEntry>> {
        self.namespaces.get(namespace)?.services.get(name)
    }

    pub(crate) fn has_pod_addr(&self, namespace: &str, addr: IpAddr) -> bool {
        self.namespaces.get(namespace).is_some_and(|namespace| namespace.pod_addrs.contains_key(&addr))
    }

    /// The Services that an address belongs to, in the order of their names.
    pub(crate) fn services_of(&self, addr: IpAddr) -> impl Iterator<Item = &Arc<ServiceEntry>> {
        let names = self.reverse.get(&addr).map_or(&[][..], Holders::names);
        names.iter().filter_map(|name| self.service(&name.namespace, &name.name))
    }

    fn change_namespace(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Namespace)) {
        let namespace = self.namespaces.entry(Arc::clone(name)).or_default();
        change(namespace);
        if !namespace.exists() {
            self.namespaces.remove(name);
        }
    }

    fn set_service(&mut self, name: ObjectName, record: Option<ServiceRecord>) {
        let old = self.service(&name.namespace, &name.name).cloned();
        let new = record.map(|record| Arc::new(ServiceEntry::new(name.clone(), record)));
        let (before, after) = (addrs_of(old.as_deref()), addrs_of(new.as_deref()));
        for addr in before.iter().filter(|addr| after.binary_search(addr).is_err()) {
            if let Some(holders) = self.reverse.get_mut(addr)
                && holders.remove(&name)
            {
                self.reverse.remove(addr);
            }
        }
        for addr in after.iter().filter(|addr| before.binary_search(addr).is_err()) {
            match self.reverse.get_mut(addr) {
                Some(holders) => holders.add(&name),
                None => drop(self.reverse.insert(*addr, Holders::One(name.clone()))),
            }
        }
        self.change_namespace(&name.namespace, |namespace| {
            match new {
                Some(new) => namespace.services.insert(Arc::clone(&name.name), new),
                None => namespace.services.remove(&name.name),
            };
        });
    }
}

impl Namespace {
    /// A namespace with a Service or a pod exists, declared or not: a folder need not hold Namespace objects, and a name
    /// above a name that exists does too (RFC 8020).
    fn exists(&self) -> bool {
        self.is_declared || !self.services.is_empty() || !self.pods.is_empty()
    }

    fn set_pod(&mut self, name: Arc<str>, addrs: Vec<IpAddr>) {
        for addr in addrs.iter() {
            *self.pod_addrs.entry(*addr).or_default() += 1;
        }
        let old =
            if addrs.is_empty() { self.pods.remove(&name) } else { self.pods.insert(name, addrs.into()) };
        for addr in old.iter().flat_map(|old| old.iter()) {
            if let Some(count) = self.pod_addrs.get_mut(addr) {
                *count -= 1;
                if *count == 0 {
                    self.pod_addrs.remove(addr);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
