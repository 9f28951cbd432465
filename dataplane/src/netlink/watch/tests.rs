use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use futures_util::TryStreamExt;
use model::{DeviceType, IfIndex, Mac, Role, Wanted, classify};
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::{LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::time::timeout;

use super::*;
use crate::testing::skip;

/// Runs a test in a network namespace of its own, or says that it cannot.
fn in_a_new_netns<F: Future<Output = ()>>(test: &str, body: impl FnOnce() -> F + Send) {
    let work = || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            return skip(test, &format!("a network namespace: {error}"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body());
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

const LO: u32 = 1;

fn connect() -> Handle {
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    handle
}

async fn up(handle: &Handle, index: u32) {
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
}

async fn add(handle: &Handle, index: u32, addr: IpAddr) {
    add_net(handle, index, addr, if addr.is_ipv4() { 32 } else { 128 }).await;
}

async fn add_net(handle: &Handle, index: u32, addr: IpAddr, bits: u8) {
    handle.address().add(index, addr, bits).execute().await.unwrap();
}

async fn delete(handle: &Handle, addr: IpAddr) {
    let found = handle.address().get().set_address_filter(addr).execute().try_next().await.unwrap().unwrap();
    handle.address().del(found).execute().await.unwrap();
}

/// The index of a device by its name now.
async fn index(handle: &Handle, name: &str) -> u32 {
    handle.link().get().match_name(name.to_owned()).execute().try_next().await.unwrap().unwrap().header.index
}

/// A network namespace beside the test's.
struct Elsewhere(File);

impl Elsewhere {
    fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        Self(std::thread::scope(|scope| scope.spawn(make).join().unwrap()))
    }

    /// Brings a device there up, with an address.
    fn configure(&self, name: &str, addr: IpAddr, bits: u8) {
        let work = || {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let handle = connect();
                let index = index(&handle, name).await;
                add_net(&handle, index, addr, bits).await;
                up(&handle, index).await;
            });
        };
        std::thread::scope(|scope| scope.spawn(work).join().unwrap());
    }
}

/// A pair, its second end in another namespace; the index of the first.
async fn pair(handle: &Handle, here: &str, there: &str, elsewhere: &Elsewhere) -> u32 {
    handle.link().add(LinkVeth::new(here, there).build()).execute().await.unwrap();
    let peer = LinkUnspec::new_with_index(index(handle, there).await);
    handle.link().set(peer.setns_by_fd(elsewhere.0.as_raw_fd()).build()).execute().await.unwrap();
    index(handle, here).await
}

type Networks = watch::Receiver<Arc<Network>>;

async fn until(networks: &mut Networks, what: &str, wanted: impl Fn(&Network) -> bool) {
    let waited = timeout(Duration::from_secs(20), networks.wait_for(|network| wanted(network))).await;
    waited.unwrap_or_else(|_| panic!("{what}: not seen")).unwrap();
}

fn addrs(network: &Network) -> BTreeSet<IpAddr> {
    network.addrs().collect()
}

/// The role of a device for a node whose only pod has this address.
fn role(network: &Network, device: u32, pod: IpAddr) -> Option<Role<&'static str>> {
    let (peers, before) = (BTreeSet::new(), BTreeMap::new());
    let pods = BTreeMap::from([(pod, "the pod")]);
    let wanted = Wanted { pods: &pods, peers: &peers, uplinks: None, before: &before };
    classify(network, &wanted).remove(&IfIndex(device))
}

#[test]
fn addresses_are_followed_as_they_come_and_go() {
    in_a_new_netns("netlink::watch::tests::addresses_are_followed_as_they_come_and_go", || async {
        let handle = connect();
        up(&handle, LO).await;
        let [v4, v6]: [IpAddr; 2] = ["192.0.2.1", "2001:db8::1"].map(|a| a.parse().unwrap());
        add(&handle, LO, v4).await;
        let (mut networks, task) = watch_network().await.unwrap();
        assert_eq!(
            addrs(&networks.borrow()),
            BTreeSet::from([v4]),
            "what is there at the start, without loopback's own"
        );
        tokio::spawn(task);
        add(&handle, LO, v6).await;
        until(&mut networks, "a new address", |n| addrs(n) == BTreeSet::from([v4, v6])).await;
        delete(&handle, v4).await;
        until(&mut networks, "a lost address", |n| addrs(n) == BTreeSet::from([v6])).await;
    });
}

#[test]
fn an_ipv6_address_counts_when_duplicate_detection_is_over() {
    let name = "netlink::watch::tests::an_ipv6_address_counts_when_duplicate_detection_is_over";
    in_a_new_netns(name, || async {
        let handle = connect();
        handle.link().add(LinkVeth::new("v0", "v1").build()).execute().await.unwrap();
        let indices = [index(&handle, "v0").await, index(&handle, "v1").await];
        let (mut networks, task) = watch_network().await.unwrap();
        tokio::spawn(task);
        let addr = "2001:db8::2".parse().unwrap();
        // Without the other end there is no carrier and detection does not begin.
        up(&handle, indices[0]).await;
        add(&handle, indices[0], addr).await;
        let marker = "192.0.2.9".parse().unwrap();
        add(&handle, LO, marker).await;
        until(&mut networks, "the marker", |n| addrs(n).contains(&marker)).await;
        assert!(!addrs(&networks.borrow()).contains(&addr), "it is tentative");
        up(&handle, indices[1]).await;
        until(&mut networks, "the address", |n| addrs(n).contains(&addr)).await;
    });
}

#[test]
fn messages_that_were_lost_do_not_matter() {
    in_a_new_netns("netlink::watch::tests::messages_that_were_lost_do_not_matter", || async {
        up(&connect(), LO).await;
        let (mut networks, task) = watch_network().await.unwrap();
        tokio::spawn(task);
        let all: BTreeSet<IpAddr> =
            (0..4_000u32).map(|i| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0001 + i))).collect();
        // From another thread, while this one, which reads the socket, waits: its buffer overflows.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let handle = connect();
                    for addr in &all {
                        add(&handle, LO, *addr).await;
                    }
                });
            });
        });
        until(&mut networks, "all of them", |n| addrs(n) == all).await;
    });
}

#[test]
fn a_pods_interface_of_ptp_wiring_is_followed_from_its_making_to_its_end() {
    let name = "netlink::watch::tests::a_pods_interface_of_ptp_wiring_is_followed_from_its_making_to_its_end";
    in_a_new_netns(name, || async {
        let handle = connect();
        let (mut networks, task) = watch_network().await.unwrap();
        tokio::spawn(task);
        let elsewhere = Elsewhere::new();
        let (v4, v6): (Ipv4Addr, Ipv6Addr) = ("10.244.1.5".parse().unwrap(), "fd00:244::5".parse().unwrap());
        let veth = pair(&handle, "veth-a", "eth0", &elsewhere).await;
        until(&mut networks, "the interface", |n| role(n, veth, v4.into()) == Some(Role::Unclaimed)).await;
        up(&handle, veth).await;
        elsewhere.configure("eth0", v4.into(), 32);
        let route = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(v6, 128);
        handle.route().add(route.output_interface(veth).build()).execute().await.unwrap();
        until(&mut networks, "the IPv6 route", |n| role(n, veth, v6.into()) == Some(Role::Pod("the pod")))
            .await;
        let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(v4, 32);
        handle.route().add(route.output_interface(veth).build()).execute().await.unwrap();
        until(&mut networks, "the IPv4 route", |n| role(n, veth, v4.into()) == Some(Role::Pod("the pod")))
            .await;
        let renamed = LinkUnspec::new_with_index(veth).name("cali-a".to_owned()).build();
        handle.link().set(renamed).execute().await.unwrap();
        until(&mut networks, "the new name", |n| n.by_name("cali-a") == Some(IfIndex(veth))).await;
        assert_eq!(role(&networks.borrow(), veth, v4.into()), Some(Role::Pod("the pod")));
        handle.link().del(veth).execute().await.unwrap();
        until(&mut networks, "its end", |n| {
            !n.devices.contains_key(&IfIndex(veth)) && n.routes.iter().all(|r| r.device != IfIndex(veth))
        })
        .await;
    });
}

#[test]
fn a_pods_port_of_a_bridge_is_known_once_the_pod_has_answered() {
    let name = "netlink::watch::tests::a_pods_port_of_a_bridge_is_known_once_the_pod_has_answered";
    in_a_new_netns(name, || async {
        let handle = connect();
        let (mut networks, task) = watch_network().await.unwrap();
        tokio::spawn(task);
        let elsewhere = Elsewhere::new();
        let pod: IpAddr = "10.244.1.5".parse().unwrap();
        handle.link().add(LinkBridge::new("cni0").build()).execute().await.unwrap();
        let bridge = index(&handle, "cni0").await;
        add_net(&handle, bridge, "10.244.1.1".parse().unwrap(), 24).await;
        up(&handle, bridge).await;
        let veth = pair(&handle, "veth-a", "eth0", &elsewhere).await;
        let port = LinkUnspec::new_with_index(veth).controller(bridge).up().build();
        handle.link().set(port).execute().await.unwrap();
        elsewhere.configure("eth0", pod, 24);
        until(&mut networks, "the port", |n| {
            let device = n.devices.get(&IfIndex(veth));
            device.is_some_and(|d| d.master == Some(IfIndex(bridge)) && d.device_type == DeviceType::Pair)
        })
        .await;
        assert_eq!(role(&networks.borrow(), veth, pod), Some(Role::Unclaimed));
        // A datagram from here: the bridge asks for the pod's MAC address, and the answer comes in by the port.
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"?", (pod, 9)).unwrap();
        until(&mut networks, "the answer", |n| role(n, veth, pod) == Some(Role::Pod("the pod"))).await;
        let network = Arc::clone(&networks.borrow());
        let mac: Option<Mac> = network.neighbour(pod, IfIndex(veth));
        assert!(mac.is_some_and(|mac| network.devices[&IfIndex(veth)].mac != Some(mac)), "the pod's own");
        assert_eq!(role(&network, bridge, pod), None, "the bridge itself is left alone");
        handle.link().del(veth).execute().await.unwrap();
        until(&mut networks, "its end", |n| {
            n.bridge_ports.values().all(|port| *port != IfIndex(veth)) && role(n, veth, pod).is_none()
        })
        .await;
    });
}

#[test]
fn routes_that_vanish_without_a_message_are_missed() {
    let name = "netlink::watch::tests::routes_that_vanish_without_a_message_are_missed";
    in_a_new_netns(name, || async {
        let handle = connect();
        let veth = pair(&handle, "eth0", "eth1", &Elsewhere::new()).await;
        up(&handle, veth).await;
        add_net(&handle, veth, "172.31.0.11".parse().unwrap(), 24).await;
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway("172.31.0.1".parse().unwrap());
        handle.route().add(route.build()).execute().await.unwrap();
        let (mut networks, task) = watch_network().await.unwrap();
        tokio::spawn(task);
        let nowhere = "192.0.2.1".parse().unwrap();
        assert_eq!(role(&networks.borrow(), veth, nowhere), Some(Role::Uplink), "the default route");
        let down = LinkUnspec::new_with_index(veth).down().build();
        handle.link().set(down).execute().await.unwrap();
        until(&mut networks, "the end of the route", |n| role(n, veth, nowhere) == Some(Role::Unclaimed))
            .await;
    });
}
