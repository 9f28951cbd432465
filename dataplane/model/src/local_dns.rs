//! The DNS server of a node, and the addresses that its pods ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::{ObjectName, Snapshot};

/// The DNS server of this node: what pods ask at the cluster DNS addresses is answered by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDns {
    /// What pods have as `nameserver`.
    pub vips: ClusterDns,
    /// Where it listens, UDP and TCP; at most one address of each family is used.
    pub listeners: Vec<SocketAddr>,
    /// Whether it answers. While it does not, the Service's ordinary endpoints are asked, where there are any.
    pub is_healthy: bool,
}

/// The addresses of the cluster DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterDns {
    /// Those of the Service `kube-system/kube-dns`. Without one, the tenth address of each ServiceCIDR, where kubeadm
    /// puts it; without those too, 10.96.0.10, kubeadm's default.
    Auto,
    /// These.
    Addrs(Vec<IpAddr>),
}

/// Host part of the cluster DNS address in a service range (kubeadm, `GetDNSIP`).
const DNS_HOST: u8 = 10;
/// In kubeadm's default service range, 10.96.0.0/12.
const DEFAULT_ADDR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, DNS_HOST));

impl ClusterDns {
    /// The addresses now.
    #[must_use]
    pub fn addrs(&self, snapshot: &Snapshot) -> Vec<IpAddr> {
        match self {
            Self::Addrs(addrs) => addrs.clone(),
            Self::Auto => found(snapshot),
        }
    }
}

fn found(snapshot: &Snapshot) -> Vec<IpAddr> {
    let service = snapshot.services.get(&ObjectName::new("kube-system", "kube-dns"));
    if let Some(service) = service.filter(|service| !service.cluster_ips.is_empty()) {
        return service.cluster_ips.clone();
    }
    let ranges = snapshot.service_cidrs.values().flat_map(|object| &object.cidrs);
    let mut addrs: Vec<IpAddr> = ranges.filter_map(tenth).collect();
    addrs.sort_unstable();
    addrs.dedup();
    if addrs.is_empty() { vec![DEFAULT_ADDR] } else { addrs }
}

/// The tenth address of a range, if it has as many.
fn tenth(range: &IpNet) -> Option<IpAddr> {
    let addr = match range.network() {
        IpAddr::V4(first) => IpAddr::V4(u32::from(first).checked_add(u32::from(DNS_HOST))?.into()),
        IpAddr::V6(first) => IpAddr::V6(u128::from(first).checked_add(u128::from(DNS_HOST))?.into()),
    };
    range.contains(&addr).then_some(addr)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{Event, Kind, Store, api};

    fn snapshot(documents: &[Value]) -> Snapshot {
        let mut store = Store::new(&Kind::ALL);
        for document in documents {
            for object in api::decode(document.clone()).unwrap().objects {
                store.apply(Event::Apply(Arc::new(object)));
            }
        }
        store.snapshot()
    }

    fn addrs(documents: &[Value]) -> Vec<String> {
        ClusterDns::Auto.addrs(&snapshot(documents)).iter().map(IpAddr::to_string).collect()
    }

    fn range(name: &str, cidrs: &[&str]) -> Value {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": name}, "spec": {"cidrs": cidrs}})
    }

    fn kube_dns(ips: &[&str]) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": ips[0], "clusterIPs": ips, "ports": [{"port": 53, "protocol": "UDP"}]}})
    }

    #[test]
    fn the_service_says_where_it_is_then_the_ranges_then_kubeadm() {
        assert_eq!(addrs(&[]), ["10.96.0.10"]);
        assert_eq!(
            addrs(&[range("kubernetes", &["10.43.0.0/16", "fd00:43::/112"])]),
            ["10.43.0.10", "fd00:43::a"]
        );
        assert_eq!(
            addrs(&[range("small", &["10.43.0.0/29"])]),
            ["10.96.0.10"],
            "eight addresses have no tenth"
        );
        let both = [range("kubernetes", &["10.43.0.0/16"]), kube_dns(&["10.43.0.53", "fd00:43::53"])];
        assert_eq!(addrs(&both), ["10.43.0.53", "fd00:43::53"]);
        assert_eq!(addrs(&[kube_dns(&["None"])]), ["10.96.0.10"]);
    }

    #[test]
    fn addresses_that_were_given_count() {
        let given = ClusterDns::Addrs(vec!["10.1.1.1".parse().unwrap()]);
        assert_eq!(
            given.addrs(&snapshot(&[kube_dns(&["10.43.0.53"])])),
            ["10.1.1.1".parse::<IpAddr>().unwrap()]
        );
    }
}
