//! The network between nodes and hosts outside, with nothing but Linux in it. Needs root.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::packet::{Body, Build, Packet};
use lab::{Capture, Keep, Lab, LabSpec, Outside, OutsideSpec, Pod, PodSpec, Probe, has_tx_checksum};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(5);

/// A pod with an echo server on each node.
fn pods(lab: &Lab) -> Vec<Pod> {
    lab.nodes()
        .iter()
        .map(|node| {
            let pod = node.add_pod(PodSpec::idle("default", &format!("pod-{}", node.name()))).unwrap();
            pod.site().echo(&[PORT]).unwrap();
            pod
        })
        .collect()
}

/// TCP and UDP to each address.
fn probes(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<Probe> {
    let both = |to: SocketAddr| [Probe::tcp(to), Probe::udp(to)];
    addresses.into_iter().flat_map(|address| both((address, PORT).into())).collect()
}

fn is_v6(packet: &Packet) -> bool {
    packet.source.is_ipv6()
}

#[test]
fn no_link_between_hosts_leaves_a_checksum_to_others() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let outside = lab.outside().unwrap();
    let hidden = lab.add_outside(OutsideSpec::new("far").behind_hop(1400)).unwrap();
    let pods = pods(&lab);
    for netns in lab.nodes().iter().map(lab::Node::netns).chain([outside.netns(), hidden.netns()]) {
        assert!(!netns.run(|| has_tx_checksum("eth0")).unwrap(), "{}", netns.name());
    }
    for port in ["port1", "port2", "outside0", "hop1"] {
        assert!(!lab.fabric().run(|| has_tx_checksum(port)).unwrap(), "{port}");
    }

    let captures: Vec<_> = ["port1", "port2", "outside0", "hop1"]
        .map(|port| Capture::start(lab.fabric(), port, Keep::All).unwrap())
        .into_iter()
        .collect();
    let to = probes(pods.iter().flat_map(|pod| pod.address().both()));
    for site in pods.iter().map(Pod::site).chain([outside.site(), hidden.site()]) {
        for (probe, result) in to.iter().zip(site.probe(&to, LIMIT).unwrap()) {
            result.answer().unwrap_or_else(|error| panic!("{probe:?} from {}: {error}", site.name()));
        }
    }
    for capture in &captures {
        let report = capture.ensure_clean().unwrap();
        assert!(report.seen > 20, "{report:?}");
        for of_family in [true, false] {
            assert!(capture.count(|packet| is_v6(packet) == of_family).unwrap() > 10);
        }
    }
}

#[test]
fn a_host_outside_keeps_its_address_and_is_answered_from_every_address_it_has() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let hosts = [
        lab.add_outside(OutsideSpec::new("near")).unwrap(),
        lab.add_outside(OutsideSpec::new("far").behind_hop(1400)).unwrap(),
    ];
    let pods = pods(&lab);
    for host in &hosts {
        let addresses = host.add_addresses(3).unwrap();
        assert_eq!((addresses.len(), addresses[0]), (4, host.address()));
        for pod in &pods {
            for source in addresses.iter().flat_map(|address| address.both()) {
                let to = pod.address().both().into_iter().find(|to| to.is_ipv4() == source.is_ipv4());
                let to = probes(to);
                let from_there: Vec<_> = to.iter().map(|probe| probe.source(source)).collect();
                for result in host.site().probe(&from_there, LIMIT).unwrap() {
                    let (by, seen) = result.answer().unwrap();
                    assert_eq!((by, seen.ip()), (pod.site().name(), source));
                }
            }
        }
        assert!(host.add_addresses(200).is_err(), "the address plan has an end");
    }
    assert!(lab.add_outside(OutsideSpec::new("near")).is_err(), "the name is taken");
}

#[test]
fn a_host_without_a_way_to_pods_reaches_nodes_only() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let host = lab.add_outside(OutsideSpec::new("stranger").without_pods()).unwrap();
    let pods = pods(&lab);
    for node in lab.nodes() {
        node.site().echo(&[PORT]).unwrap();
        for result in host.site().probe(&probes(node.address().both()), LIMIT).unwrap() {
            let (by, seen) = result.answer().unwrap();
            assert_eq!(by, node.name());
            assert!(host.address().both().contains(&seen.ip()));
        }
    }
    for result in host.site().probe(&probes(pods[0].address().both()), LIMIT).unwrap() {
        assert_eq!(result, lab::ProbeResult::Failed("ENETUNREACH".into()));
    }
}

#[test]
fn a_virtual_address_is_sent_through_the_chosen_node() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let vips: [(IpAddr, &str); 2] =
        [("192.0.2.10".parse().unwrap(), "192.0.2.0/24"), ("2001:db8::10".parse().unwrap(), "2001:db8::/64")];
    for host in [lab.outside().unwrap(), lab.add_outside(OutsideSpec::new("far").behind_hop(1400)).unwrap()] {
        for node in lab.nodes() {
            let capture = node.site().capture(Keep::All).unwrap();
            for (vip, range) in vips {
                host.route(range.parse().unwrap(), node).unwrap();
                let to = SocketAddr::new(vip, PORT);
                host.site().probe(&[Probe::udp(to)], Duration::from_millis(50)).unwrap();
                let seen = capture.wait_for("datagram", LIMIT, |packet| packet.to() == Some(to)).unwrap();
                assert!(host.address().both().contains(&seen.packet().unwrap().source), "{seen}");
            }
        }
    }
}

/// Bytes by TCP both ways and a datagram each way that fit no link of 1400 bytes.
fn send_much(host: &Outside, pod: &Pod) {
    for (from, to) in [(host.site(), pod.address()), (pod.site(), host.address())] {
        for address in to.both() {
            let tcp = Probe::tcp((address, PORT)).payload_bytes(300_000);
            let udp = Probe::udp((address, PORT)).payload_bytes(1440);
            for result in from.probe(&[tcp, udp], LIMIT).unwrap() {
                result.answer().unwrap_or_else(|error| panic!("{} to {address}: {error}", from.name()));
            }
        }
    }
}

#[test]
fn both_sides_learn_the_small_mtu_of_a_link_that_neither_sees() {
    const MTU: u32 = 1400;
    let lab = Lab::new(LabSpec::default()).unwrap();
    let host = lab.add_outside(OutsideSpec::new("far").behind_hop(MTU)).unwrap();
    host.site().echo(&[PORT]).unwrap();
    for pod in pods(&lab) {
        let captures = [host.site().capture(Keep::All).unwrap(), pod.site().capture(Keep::All).unwrap()];
        send_much(&host, &pod);
        for capture in &captures {
            for wants_v6 in [false, true] {
                let error = capture
                    .wait_for("packet-too-big", LIMIT, |packet| {
                        let kind = if wants_v6 { (2, 0) } else { (3, 4) };
                        is_v6(packet) == wants_v6
                            && matches!(packet.body, Body::Icmp { kind: k, code, .. } if (k, code) == kind)
                    })
                    .unwrap();
                let packet = error.packet().unwrap();
                let Body::Icmp { rest, .. } = packet.body else { panic!("{error}") };
                assert_eq!((rest, error.is_outgoing), (MTU, false), "{error}");
                assert!(packet.quoted().unwrap().source == packet.destination, "{error}");
            }
        }
    }
}

#[test]
fn a_link_s_mtu_can_be_changed_at_both_ends() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let outside = lab.outside().unwrap();
    let pods = pods(&lab);
    let [node, _] = lab.nodes() else { panic!("not two nodes") };
    let too_long = |site: &lab::Site, length: usize| {
        let [to, _] = outside.address().both();
        let frame = Build::new(pods[0].address().v4, to).udp((1, 2), &vec![0; length - 28]);
        site.raw().unwrap().send(lab::packet::Mac([2; 6]), &frame).is_err()
    };
    for site in [outside.site(), node.site(), pods[0].site()] {
        assert!(!too_long(&site, 1500) && too_long(&site, 1501), "{}", site.name());
    }
    outside.set_mtu(1300).unwrap();
    node.set_mtu(1310).unwrap();
    pods[0].set_mtu(1320).unwrap();
    for (site, mtu) in [(outside.site(), 1300), (node.site(), 1310), (pods[0].site(), 1320)] {
        assert!(!too_long(&site, mtu) && too_long(&site, mtu + 1), "{}", site.name());
    }
    for result in outside.site().probe(&probes(pods[0].address().both()), LIMIT).unwrap() {
        result.answer().unwrap();
    }
}
