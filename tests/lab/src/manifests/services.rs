//! Services and their EndpointSlices, as users and the controllers write them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::objects::{Condition, Object};
use crate::address::Dual;
use crate::pod::Pod;

/// A Service: headless without an address of its own, of type LoadBalancer when it has an address of one, NodePort when one
/// of its ports has a node port, else ClusterIP.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// Its addresses; none makes it headless.
    pub cluster_ip: Option<Dual>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Whether pods that are not ready count as if they were.
    pub publish_not_ready_addresses: bool,
    /// Addresses that its clients outside dial, which lead to the nodes somehow.
    pub external_ips: Vec<Dual>,
    /// Addresses that a load balancer announces for it.
    pub load_balancer: Vec<Dual>,
    /// Whether clients outside get endpoints of the node that they come by, and no others.
    pub is_external_local: bool,
}

/// A port of a Service.
#[derive(Clone, Debug)]
pub struct ServicePort {
    /// Name.
    pub name: String,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// Port that clients dial.
    pub port: u16,
    /// Port that pods listen on.
    pub target_port: u16,
    /// Port on every node, if any.
    pub node_port: Option<u16>,
}

/// A pod behind a Service.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The pod.
    pub pod: Pod,
    /// What its conditions say.
    pub condition: Condition,
    /// Name of its own below a headless Service, as pods of a StatefulSet have.
    pub hostname: Option<String>,
}

impl ServiceSpec {
    /// A Service with addresses and without ports.
    pub fn cluster_ip(namespace: &str, name: &str, cluster_ip: Dual) -> Self {
        Self { cluster_ip: Some(cluster_ip), ..Self::headless(namespace, name) }
    }

    /// A headless Service without ports.
    pub fn headless(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            selector: BTreeMap::new(),
            cluster_ip: None,
            ports: Vec::new(),
            publish_not_ready_addresses: false,
            external_ips: Vec::new(),
            load_balancer: Vec::new(),
            is_external_local: false,
        }
    }

    /// The cluster DNS as kubeadm writes it, with its names of ports; `cluster_ip` is what pods' resolv.conf has.
    pub fn kube_dns(cluster_ip: Dual) -> Self {
        let service = Self::cluster_ip("kube-system", "kube-dns", cluster_ip).select("k8s-app", "kube-dns");
        service.port(ServicePort::udp("dns", 53, 53)).port(ServicePort::tcp("dns-tcp", 53, 53))
    }

    /// The same for pods with a label.
    #[must_use]
    pub fn select(mut self, key: &str, value: &str) -> Self {
        self.selector.insert(key.into(), value.into());
        self
    }

    /// The same with a port more.
    #[must_use]
    pub fn port(mut self, port: ServicePort) -> Self {
        self.ports.push(port);
        self
    }

    /// The same, its pods counting as ready.
    #[must_use]
    pub fn publish_not_ready_addresses(self) -> Self {
        Self { publish_not_ready_addresses: true, ..self }
    }

    /// The same with an externalIP of each family.
    #[must_use]
    pub fn external_ip(mut self, address: Dual) -> Self {
        self.external_ips.push(address);
        self
    }

    /// The same with a load balancer's address of each family.
    #[must_use]
    pub fn load_balancer(mut self, address: Dual) -> Self {
        self.load_balancer.push(address);
        self
    }

    /// The same with `externalTrafficPolicy: Local`.
    #[must_use]
    pub fn external_local(self) -> Self {
        Self { is_external_local: true, ..self }
    }

    fn metadata(&self) -> Value {
        json!({ "name": self.name, "namespace": self.namespace })
    }
}

impl ServicePort {
    /// A TCP port.
    pub fn tcp(name: &str, port: u16, target_port: u16) -> Self {
        Self { name: name.into(), protocol: "TCP", port, target_port, node_port: None }
    }

    /// A UDP port.
    pub fn udp(name: &str, port: u16, target_port: u16) -> Self {
        Self { protocol: "UDP", ..Self::tcp(name, port, target_port) }
    }

    /// The same with a port on every node.
    #[must_use]
    pub fn node_port(self, node_port: u16) -> Self {
        Self { node_port: Some(node_port), ..self }
    }
}

impl Endpoint {
    /// A pod in that condition, without a hostname.
    pub fn new(pod: &Pod, condition: Condition) -> Self {
        Self { pod: pod.clone(), condition, hostname: None }
    }

    /// The same with a hostname.
    #[must_use]
    pub fn hostname(self, hostname: &str) -> Self {
        Self { hostname: Some(hostname.into()), ..self }
    }

    fn entry(&self, service: &ServiceSpec, address: fn(Dual) -> IpAddr) -> Value {
        let (serving, terminating) = match self.condition {
            Condition::Ready => (true, false),
            Condition::Unready => (false, false),
            Condition::Terminating => (true, true),
        };
        let pod = &self.pod;
        let reference = json!({
            "kind": "Pod",
            "namespace": pod.namespace(),
            "name": pod.name(),
            "uid": pod.uid(),
        });
        json!({
            "addresses": [address(pod.address())],
            "hostname": self.hostname,
            "conditions": {
                "ready": service.publish_not_ready_addresses || (serving && !terminating),
                "serving": serving,
                "terminating": terminating,
            },
            "nodeName": pod.node().name(),
            "zone": pod.node().zone(),
            "targetRef": reference,
        })
    }
}

/// A dual-stack Service.
pub fn service(spec: &ServiceSpec) -> Object {
    let ports: Vec<_> = spec
        .ports
        .iter()
        .map(|port| {
            json!({
                "name": port.name,
                "protocol": port.protocol,
                "port": port.port,
                "targetPort": port.target_port,
                "nodePort": port.node_port,
            })
        })
        .collect();
    let has_node_port = spec.ports.iter().any(|port| port.node_port.is_some());
    let addresses = match spec.cluster_ip {
        Some(Dual { v4, v6 }) => vec![v4.to_string(), v6.to_string()],
        None => vec!["None".to_owned()],
    };
    let service_type = match (&*spec.load_balancer, has_node_port) {
        ([], false) => "ClusterIP",
        ([], true) => "NodePort",
        (_, _) => "LoadBalancer",
    };
    let external_ips: Vec<_> = spec.external_ips.iter().flat_map(|address| address.both()).collect();
    let balancers = spec.load_balancer.iter().flat_map(|address| address.both());
    let ingress: Vec<_> = balancers.map(|ip| json!({ "ip": ip })).collect();
    let rest = json!({
        "spec": {
            "type": service_type,
            "selector": spec.selector,
            "ipFamilyPolicy": "RequireDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
            "clusterIP": addresses[0],
            "clusterIPs": addresses,
            "publishNotReadyAddresses": spec.publish_not_ready_addresses.then_some(true),
            "externalIPs": (!external_ips.is_empty()).then_some(external_ips),
            "externalTrafficPolicy": spec.is_external_local.then_some("Local"),
            "ports": ports,
        },
        "status": (!ingress.is_empty()).then(|| json!({ "loadBalancer": { "ingress": ingress } })),
    });
    Object::new("v1", "Service", spec.metadata(), rest)
}

/// A Service of type ExternalName: an alias of a name that may be anybody's.
pub fn external_name(namespace: &str, name: &str, target: &str) -> Object {
    let rest = json!({ "spec": { "type": "ExternalName", "externalName": target } });
    Object::new("v1", "Service", json!({ "name": name, "namespace": namespace }), rest)
}

/// The EndpointSlices of a dual-stack Service, one for each family, as the controller writes them.
pub fn endpoint_slices(service: &ServiceSpec, endpoints: &[Endpoint]) -> [Object; 2] {
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| json!({ "name": port.name, "protocol": port.protocol, "port": port.target_port }))
        .collect();
    let slice = |kind: &str, address: fn(Dual) -> IpAddr| {
        let metadata = json!({
            "name": format!("{}-{}", service.name, kind.to_lowercase()),
            "namespace": service.namespace,
            "labels": {
                "kubernetes.io/service-name": service.name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "service.kubernetes.io/headless": service.cluster_ip.is_none().then_some(""),
            },
        });
        let endpoints: Vec<_> = endpoints.iter().map(|endpoint| endpoint.entry(service, address)).collect();
        let rest = json!({ "addressType": kind, "ports": ports, "endpoints": endpoints });
        Object::new("discovery.k8s.io/v1", "EndpointSlice", metadata, rest)
    };
    [slice("IPv4", |address| address.v4.into()), slice("IPv6", |address| address.v6.into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(object: &Object) -> Value {
        serde_saphyr::from_str(&object.to_yaml().unwrap()).unwrap()
    }

    fn dual(last: u16) -> Dual {
        let [_, last_byte] = last.to_be_bytes();
        let v6 = std::net::Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, last);
        Dual { v4: [10, 96, 0, last_byte].into(), v6 }
    }

    #[test]
    fn an_object_is_written_as_people_write_it() {
        let spec = ServiceSpec::cluster_ip("production", "backend-api-svc", dual(44))
            .select("app", "backend-api")
            .port(ServicePort::tcp("http", 80, 3000).node_port(30080));
        let object = service(&spec);
        assert_eq!(object.file_name(), "service-production-backend-api-svc.yaml");
        let text = object.to_yaml().unwrap();
        assert!(
            text.starts_with("apiVersion: v1\nkind: Service\nmetadata:\n  name: backend-api-svc\n"),
            "{text}"
        );
        let read = read(&object);
        assert_eq!(read["spec"]["clusterIPs"], json!(["10.96.0.44", "fd00:10:96::2c"]));
        assert_eq!(read["spec"]["type"], "NodePort");
        assert_eq!(read["spec"]["ports"][0]["nodePort"], 30080);
    }

    #[test]
    fn a_slice_without_endpoints_is_an_empty_list() {
        for slice in endpoint_slices(&ServiceSpec::cluster_ip("production", "none", dual(2)), &[]) {
            let read = read(&slice);
            assert_eq!(read["endpoints"], json!([]));
            assert_eq!(read["metadata"]["labels"].get("service.kubernetes.io/headless"), None);
        }
    }

    #[test]
    fn a_headless_service_has_no_address_and_its_slices_say_so() {
        let spec = ServiceSpec::headless("production", "db").publish_not_ready_addresses();
        let text = read(&service(&spec));
        assert_eq!(text["spec"]["clusterIP"], "None");
        assert_eq!(text["spec"]["publishNotReadyAddresses"], true);
        for slice in endpoint_slices(&spec, &[]) {
            assert_eq!(read(&slice)["metadata"]["labels"]["service.kubernetes.io/headless"], "");
        }
    }

    #[test]
    fn addresses_for_clients_outside_are_where_the_api_has_them() {
        let spec = ServiceSpec::cluster_ip("production", "web", dual(3)).external_ip(dual(4));
        let text = read(&service(&spec));
        assert_eq!(text["spec"]["externalIPs"], json!(["10.96.0.4", "fd00:10:96::4"]));
        assert_eq!((&text["spec"]["type"], text.get("status")), (&json!("ClusterIP"), None));
        let text = read(&service(&spec.load_balancer(dual(5)).external_local()));
        assert_eq!(text["spec"]["type"], "LoadBalancer");
        assert_eq!(text["spec"]["externalTrafficPolicy"], "Local");
        assert_eq!(text["status"]["loadBalancer"]["ingress"][1]["ip"], "fd00:10:96::5");
    }

    #[test]
    fn an_external_name_is_an_alias_and_the_cluster_dns_has_its_two_ports() {
        let alias = read(&external_name("production", "outside", "www.example.org"));
        assert_eq!(alias["spec"], json!({ "type": "ExternalName", "externalName": "www.example.org" }));
        let dns = read(&service(&ServiceSpec::kube_dns(dual(10))));
        assert_eq!(dns["spec"]["clusterIPs"], json!(["10.96.0.10", "fd00:10:96::a"]));
        let ports = dns["spec"]["ports"].as_array().unwrap();
        assert_eq!(ports.iter().map(|port| &port["protocol"]).collect::<Vec<_>>(), ["UDP", "TCP"]);
    }
}
