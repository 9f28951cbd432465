use super::*;
use crate::{DeviceAddr, Mac, Route};

const NODE: &str = "172.31.0.11";
const PEER: &str = "172.31.0.12";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// A network that is built device by device; indices count from 1.
#[derive(Clone, Default)]
struct Sketch(Network);

impl Sketch {
    fn device(&mut self, name: &str, device_type: DeviceType) -> IfIndex {
        let index = IfIndex(self.0.devices.len() as u32 + 1);
        let device = Device {
            name: name.into(),
            device_type,
            mac: Some(mac(index.0 as u8)),
            mtu: 1500,
            master: None,
            is_peer_elsewhere: device_type == DeviceType::Pair,
            addrs: Vec::new(),
        };
        self.0.devices.insert(index, device);
        index
    }

    fn port(&mut self, name: &str, device_type: DeviceType, master: IfIndex) -> IfIndex {
        let index = self.device(name, device_type);
        self.0.devices.get_mut(&index).unwrap().master = Some(master);
        index
    }

    fn route(&mut self, to: &str, device: IfIndex) {
        self.0.routes.insert(Route { to: net(to), device, via: None, source: None });
    }

    fn via(&mut self, to: &str, via: &str, device: IfIndex) {
        self.0.routes.insert(Route { to: net(to), device, via: Some(ip(via)), source: None });
    }

    /// An address with the route that the kernel makes for it.
    fn addr(&mut self, addr: &str, device: IfIndex) {
        let addr = DeviceAddr { net: net(addr), is_source: true };
        self.0.devices.get_mut(&device).unwrap().addrs.push(addr);
        if !is_host(&addr.net) {
            self.route(&addr.net.trunc().to_string(), device);
        }
    }

    fn seen(&mut self, addr: &str, last: u8, bridge: IfIndex, port: IfIndex) {
        self.0.neighbours.insert((bridge, ip(addr)), mac(last));
        self.0.bridge_ports.insert((bridge, mac(last)), port);
    }

    fn roles(&self) -> Vec<String> {
        self.roles_of(None, &BTreeMap::new())
    }

    /// Each device's role as `name=role`, with pods `a` (10.244.1.5, fd00:244:1::5) and `b` (10.244.1.6) on this node.
    fn roles_of(&self, uplinks: Option<&[&str]>, before: &BTreeMap<IfIndex, &'static str>) -> Vec<String> {
        let pods =
            BTreeMap::from([(ip("10.244.1.5"), "a"), (ip("fd00:244:1::5"), "a"), (ip("10.244.1.6"), "b")]);
        let uplinks = uplinks.map(|names| names.iter().map(|name| Arc::from(*name)).collect());
        let peers = BTreeSet::from([ip(PEER)]);
        let wanted = Wanted { pods: &pods, peers: &peers, uplinks: uplinks.as_ref(), before };
        let text = |(index, role): (IfIndex, Role<&str>)| {
            let role = match role {
                Role::Pod(pod) => format!("pod {pod}"),
                Role::Unclaimed => "unclaimed".to_owned(),
                Role::Uplink => "uplink".to_owned(),
                Role::Overlay => "overlay".to_owned(),
            };
            format!("{}={role}", self.0.devices[&index].name)
        };
        classify(&self.0, &wanted).into_iter().map(text).collect()
    }
}

/// lo, and eth0 with a default route.
fn node() -> Sketch {
    let mut sketch = Sketch::default();
    let lo = sketch.device("lo", DeviceType::Other);
    sketch.addr("127.0.0.1/8", lo);
    let eth0 = sketch.device("eth0", DeviceType::Hardware);
    sketch.addr("172.31.0.11/24", eth0);
    sketch.via("0.0.0.0/0", "172.31.0.1", eth0);
    sketch.route("fe80::/64", eth0);
    sketch
}

#[test]
fn a_host_route_to_a_pod_names_its_interface() {
    let mut sketch = node();
    let a = sketch.device("vetha", DeviceType::Pair);
    sketch.route("10.244.1.5/32", a);
    let b = sketch.device("vethb", DeviceType::Pair);
    sketch.route("10.244.1.6/32", b);
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=pod a", "vethb=pod b"]);
}

#[test]
fn a_pod_with_only_an_ipv6_route_is_known_too() {
    let mut sketch = node();
    let a = sketch.device("vetha", DeviceType::Pair);
    sketch.route("fd00:244:1::5/128", a);
    sketch.route("fe80::/64", a);
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=pod a"]);
}

#[test]
fn the_port_behind_which_a_pods_neighbour_entry_was_seen_is_its_interface() {
    let mut sketch = node();
    let bridge = sketch.device("cni0", DeviceType::Bridge);
    sketch.addr("10.244.1.1/24", bridge);
    let a = sketch.port("vetha", DeviceType::Pair, bridge);
    let b = sketch.port("vethb", DeviceType::Pair, bridge);
    sketch.seen("10.244.1.5", 50, bridge, a);
    sketch.seen("10.244.1.6", 60, bridge, b);
    assert_eq!(
        sketch.roles(),
        ["eth0=uplink", "vetha=pod a", "vethb=pod b"],
        "the bridge itself is left alone"
    );
}

#[test]
fn a_port_whose_pod_has_not_been_seen_is_unclaimed() {
    let mut sketch = node();
    let bridge = sketch.device("cni0", DeviceType::Bridge);
    let a = sketch.port("vetha", DeviceType::Pair, bridge);
    let other = sketch.device("br1", DeviceType::Bridge);
    sketch.0.neighbours.insert((bridge, ip("10.244.1.5")), mac(50));
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=unclaimed"], "no port was seen");
    sketch.0.bridge_ports.insert((other, mac(50)), a);
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=unclaimed"], "another bridge");
    sketch.0.bridge_ports.insert((bridge, mac(50)), IfIndex(99));
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=unclaimed"], "the port is gone");
    sketch.0.bridge_ports.insert((bridge, mac(50)), bridge);
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=unclaimed"], "the bridge's own address");
}

#[test]
fn an_interface_that_was_a_pods_stays_its_until_a_sign_or_the_pods_end() {
    let mut sketch = node();
    let bridge = sketch.device("cni0", DeviceType::Bridge);
    let a = sketch.port("vetha", DeviceType::Pair, bridge);
    let known = |pod| BTreeMap::from([(a, pod)]);
    assert_eq!(sketch.roles_of(None, &known("a")), ["eth0=uplink", "vetha=pod a"], "entries have aged");
    assert_eq!(sketch.roles_of(None, &known("gone")), ["eth0=uplink", "vetha=unclaimed"]);
    sketch.seen("10.244.1.6", 60, bridge, a);
    assert_eq!(sketch.roles_of(None, &known("a")), ["eth0=uplink", "vetha=pod b"]);
    sketch.0.devices.remove(&a);
    assert_eq!(sketch.roles_of(None, &known("a")), ["eth0=uplink"]);
    let ptp = sketch.device("vethb", DeviceType::Pair);
    let before = BTreeMap::from([(ptp, "a")]);
    assert_eq!(sketch.roles_of(None, &before), ["eth0=uplink", "vethb=unclaimed"], "its route went");
}

#[test]
fn a_route_counts_more_than_a_neighbour_entry() {
    let mut sketch = node();
    let bridge = sketch.device("cni0", DeviceType::Bridge);
    let a = sketch.port("vetha", DeviceType::Pair, bridge);
    sketch.seen("10.244.1.6", 60, bridge, a);
    sketch.route("10.244.1.5/32", a);
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=pod a"]);
}

#[test]
fn a_route_that_leads_elsewhere_makes_no_device_a_pods() {
    let mut sketch = node();
    let a = sketch.device("vetha", DeviceType::Pair);
    sketch.via("10.244.1.5/32", "10.0.0.9", a);
    sketch.route("10.244.1.0/24", a);
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=unclaimed"]);
    let eth0 = sketch.0.by_name("eth0").unwrap();
    sketch.route("10.244.1.5/32", eth0);
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=unclaimed"], "a pod's interface is an end of a pair");
}

#[test]
fn a_pair_inside_this_namespace_is_nobodys() {
    let mut sketch = node();
    let inner = sketch.device("veth-in", DeviceType::Pair);
    sketch.0.devices.get_mut(&inner).unwrap().is_peer_elsewhere = false;
    assert_eq!(sketch.roles(), ["eth0=uplink"]);
}

#[test]
fn masters_are_uplinks_and_their_ports_are_not() {
    for (device_type, name) in [(DeviceType::Bond, "bond0"), (DeviceType::Bridge, "br-ex")] {
        let mut sketch = Sketch::default();
        let master = sketch.device(name, device_type);
        sketch.port("eth0", DeviceType::Hardware, master);
        sketch.port("eth1", DeviceType::Hardware, master);
        sketch.addr("172.31.0.11/24", master);
        assert_eq!(sketch.roles(), [format!("{name}=uplink")]);
    }
}

#[test]
fn a_port_is_no_uplink_even_if_a_route_leads_through_it() {
    let mut sketch = Sketch::default();
    let bond = sketch.device("bond0", DeviceType::Bond);
    let eth0 = sketch.port("eth0", DeviceType::Hardware, bond);
    sketch.via("0.0.0.0/0", "172.31.0.1", bond);
    sketch.via("0.0.0.0/0", "172.31.0.1", eth0);
    assert_eq!(sketch.roles(), ["bond0=uplink"]);
}

#[test]
fn a_port_of_a_routing_domain_is_routed_through_itself() {
    let mut sketch = Sketch::default();
    let vrf = sketch.device("red", DeviceType::Vrf);
    let eth0 = sketch.port("eth0", DeviceType::Hardware, vrf);
    sketch.addr("172.31.0.11/24", eth0);
    assert_eq!(sketch.roles(), ["eth0=uplink"]);
}

#[test]
fn a_vlan_and_the_device_below_it_are_uplinks_if_both_have_networks() {
    let mut sketch = node();
    let vlan = sketch.device("eth0.7", DeviceType::Vlan);
    assert_eq!(sketch.roles(), ["eth0=uplink"]);
    sketch.addr("10.7.0.2/24", vlan);
    assert_eq!(sketch.roles(), ["eth0=uplink", "eth0.7=uplink"]);
}

#[test]
fn tunnels_with_a_network_are_overlays() {
    let mut sketch = node();
    for (name, to) in [("flannel.1", "10.244.2.0/24"), ("wg0", "10.9.0.0/16"), ("tunl0", "10.244.3.0/26")] {
        let tunnel = sketch.device(name, DeviceType::Tunnel);
        sketch.via(to, "10.244.2.0", tunnel);
    }
    sketch.device("wg1", DeviceType::Tunnel);
    assert_eq!(sketch.roles(), ["eth0=uplink", "flannel.1=overlay", "wg0=overlay", "tunl0=overlay"]);
}

#[test]
fn bridges_between_containers_and_their_like_are_left_alone() {
    let mut sketch = node();
    for (name, addr) in [("docker0", "172.17.0.1/16"), ("virbr0", "192.168.122.1/24")] {
        let bridge = sketch.device(name, DeviceType::Bridge);
        sketch.addr(addr, bridge);
    }
    let virbr0 = sketch.0.by_name("virbr0").unwrap();
    sketch.port("vnet0", DeviceType::Other, virbr0);
    for (name, addr) in [("kube-ipvs0", "10.96.0.1/32"), ("dummy0", "10.1.0.1/24")] {
        let dummy = sketch.device(name, DeviceType::Other);
        sketch.addr(addr, dummy);
    }
    assert_eq!(sketch.roles(), ["eth0=uplink"]);
}

#[test]
fn a_node_that_hangs_on_a_pair_has_it_as_uplink() {
    let mut sketch = Sketch::default();
    let eth0 = sketch.device("eth0", DeviceType::Pair);
    sketch.addr("172.31.0.11/24", eth0);
    assert_eq!(sketch.roles(), ["eth0=uplink"], "a peer lies in its network");
    let mut sketch = Sketch::default();
    let eth0 = sketch.device("eth0", DeviceType::Pair);
    sketch.addr("10.0.0.2/30", eth0);
    assert_eq!(sketch.roles(), ["eth0=unclaimed"]);
    sketch.via("::/0", "fe80::1", eth0);
    assert_eq!(sketch.roles(), ["eth0=uplink"], "the way out");
}

#[test]
fn the_longest_route_to_a_peer_counts_and_all_of_its_devices() {
    let mut sketch = Sketch::default();
    let wide = sketch.device("veth-w", DeviceType::Pair);
    sketch.route("172.16.0.0/12", wide);
    for name in ["veth-1", "veth-2"] {
        let narrow = sketch.device(name, DeviceType::Pair);
        sketch.via("172.31.0.0/24", "10.0.0.1", narrow);
    }
    assert_eq!(sketch.roles(), ["veth-w=unclaimed", "veth-1=uplink", "veth-2=uplink"]);
}

#[test]
fn named_uplinks_are_all_there_are() {
    let mut sketch = node();
    let eth1 = sketch.device("eth1", DeviceType::Hardware);
    sketch.addr("10.1.0.2/24", eth1);
    let tunnel = sketch.device("flannel.1", DeviceType::Tunnel);
    sketch.via("10.244.2.0/24", "10.244.2.0", tunnel);
    let a = sketch.device("vetha", DeviceType::Pair);
    sketch.route("10.244.1.5/32", a);
    let roles = sketch.roles_of(Some(&["eth1", "flannel.1", "absent0"]), &BTreeMap::new());
    assert_eq!(roles, ["eth1=uplink", "flannel.1=overlay", "vetha=pod a"]);
}

#[test]
fn a_pods_interface_is_never_an_uplink() {
    let mut sketch = node();
    let a = sketch.device("vetha", DeviceType::Pair);
    sketch.route("10.244.1.5/32", a);
    sketch.via("0.0.0.0/0", "10.244.1.5", a);
    assert_eq!(sketch.roles(), ["eth0=uplink", "vetha=pod a"]);
    assert_eq!(sketch.roles_of(Some(&["vetha"]), &BTreeMap::new()), ["vetha=pod a"]);
}

#[test]
fn devices_without_an_address_or_a_route_have_no_role() {
    let mut sketch = Sketch::default();
    let eth0 = sketch.device("eth0", DeviceType::Hardware);
    sketch.route("fe80::/64", eth0);
    sketch.route("169.254.0.0/16", eth0);
    sketch.route(&format!("{NODE}/32"), eth0);
    assert_eq!(sketch.roles(), Vec::<String>::new());
}

#[test]
fn a_source_is_what_the_widest_route_prefers_else_the_first_address_that_is_fit() {
    let mut sketch = Sketch::default();
    let eth0 = sketch.device("eth0", DeviceType::Hardware);
    sketch.addr("172.31.0.11/24", eth0);
    sketch.addr("172.31.0.99/24", eth0);
    sketch.addr("fd00::11/64", eth0);
    let first = &mut sketch.0.devices.get_mut(&eth0).unwrap().addrs[0];
    first.is_source = false;
    assert_eq!(sketch.0.source(eth0, true), Some(ip("172.31.0.99")));
    assert_eq!(sketch.0.source(eth0, false), Some(ip("fd00::11")));
    let prefer =
        |to: &str, source: &str| Route { to: net(to), device: eth0, via: None, source: Some(ip(source)) };
    sketch.0.routes.insert(prefer("172.31.0.0/24", "172.31.0.50"));
    assert_eq!(sketch.0.source(eth0, true), Some(ip("172.31.0.50")));
    sketch.0.routes.insert(prefer("0.0.0.0/0", "172.31.0.40"));
    assert_eq!(sketch.0.source(eth0, true), Some(ip("172.31.0.40")));
    assert_eq!(sketch.0.source(eth0, false), Some(ip("fd00::11")), "another family's preference");
    assert_eq!(sketch.0.source(IfIndex(9), true), None);
}

#[test]
fn all_addresses_but_loopbacks_are_the_nodes() {
    let sketch = node();
    assert_eq!(sketch.0.addrs().collect::<Vec<_>>(), [ip(NODE)]);
}
