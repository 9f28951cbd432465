//! Clients, servers and raw packets report what happens to them. Needs root.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::packet::{BadChecksum, Body, Build, Mac, Packet, TcpFlags, bad_checksums};
use lab::{
    Keep, Lab, LabSpec, Mass, MassSpec, Node, Outside, Pod, PodSpec, Probe, ProbeResult, Reach, Target,
    TruthTable,
};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(5);

struct World {
    lab: Lab,
    outside: Outside,
    /// One on each node.
    pods: Vec<Pod>,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new(LabSpec::default()).unwrap();
        let outside = lab.outside().unwrap();
        let pods = lab
            .nodes()
            .iter()
            .map(|node| node.add_pod(PodSpec::idle("default", &format!("pod-{}", node.name()))).unwrap())
            .collect();
        Self { lab, outside, pods }
    }

    /// Addresses of the host outside with those of a pod, by family.
    fn pairs(&self, pod: &Pod) -> [(IpAddr, IpAddr); 2] {
        let [from_v4, from_v6] = self.outside.address().both();
        let [to_v4, to_v6] = pod.address().both();
        [(from_v4, to_v4), (from_v6, to_v6)]
    }
}

/// Addresses in the node's range of pods; what goes there it drops without a word.
fn nobody(node: &Node) -> [IpAddr; 2] {
    let addresses = [IpAddr::from([10, 244, 1, 200]), "fd00:10:244:1::200".parse().unwrap()];
    for address in addresses {
        let family = if address.is_ipv4() { "-4" } else { "-6" };
        let dropping =
            node.command(&["ip", family, "route", "add", "blackhole", &address.to_string()]).unwrap();
        assert!(dropping.is_success(), "{dropping:?}");
    }
    addresses
}

#[test]
fn a_table_tells_answers_refusals_and_silence_apart() {
    let world = World::new();
    let [first, second] = &world.pods[..] else { panic!("not two pods") };
    first.site().echo(&[PORT]).unwrap();
    let unused = nobody(first.node());
    let mut targets = Target::of_pod(first, PORT);
    targets.extend(Target::of_pod(second, PORT));
    targets.extend(Target::dual("nobody", unused.map(|address| (address, PORT).into()), &[]));
    let sources = [second.site(), world.outside.site()];
    let found = TruthTable::probe(&sources, &targets, Duration::from_millis(400)).unwrap();
    let expected = "
                                      default.pod-node-2  outside
        default.pod-node-1:7000/tcp4          +              +
        default.pod-node-1:7000/tcp6          +              +
        default.pod-node-1:7000/udp4          +              +
        default.pod-node-1:7000/udp6          +              +
        default.pod-node-2:7000/tcp4          x              x
        default.pod-node-2:7000/tcp6          x              x
        default.pod-node-2:7000/udp4          x              x
        default.pod-node-2:7000/udp6          x              x
        nobody:7000/tcp4                      -              -
        nobody:7000/tcp6                      -              -
        nobody:7000/udp4                      -              -
        nobody:7000/udp6                      -              -
    ";
    found.ensure_is(&TruthTable::parse(expected).unwrap()).unwrap();

    let wrong: Vec<_> = Target::of_pod(first, PORT)
        .into_iter()
        .map(|target| Target { by: vec!["default.other".into()], ..target })
        .collect();
    let found = TruthTable::probe(&sources, &wrong, LIMIT).unwrap();
    let other = Reach::Other("answered by default.pod-node-1".into());
    found.ensure_is(&TruthTable::expected(&sources, &wrong, |_, _| other.clone())).unwrap();
}

#[test]
fn no_refusal_is_left_out_however_many_there_are() {
    let world = World::new();
    let to = world.pods[0].address().both();
    let probes: Vec<_> =
        (0..100).flat_map(|port| to.map(|address| Probe::udp((address, PORT + port)))).collect();
    for result in world.outside.site().probe(&probes, LIMIT).unwrap() {
        assert_eq!(result, ProbeResult::Failed("ECONNREFUSED".into()));
    }
}

#[test]
fn a_long_connection_reports_a_pause_and_its_end() {
    const PAUSE: Duration = Duration::from_millis(300);
    let world = World::new();
    let [server, client] = &world.pods[..] else { panic!("not two pods") };
    for address in server.address().both() {
        let echo = server.site().echo(&[PORT]).unwrap();
        let line = client.site().steady((address, PORT).into(), Duration::from_millis(2)).unwrap();
        let facts = line.wait_for_more(50, LIMIT).unwrap();
        assert_eq!(facts.server.as_deref(), Some("default.pod-node-1"));
        assert_eq!(facts.seen.map(|seen| client.address().both().contains(&seen.ip())), Some(true));
        line.forget_pause().unwrap();

        let node = server.node();
        let route = |kind: &[&str]| {
            let family = if address.is_ipv4() { "-4" } else { "-6" };
            let address = address.to_string();
            let command = [&["ip", family, "route", "replace"], kind, &[address.as_str()][..]].concat();
            let done = node.command(&command).unwrap();
            assert!(done.is_success(), "{done:?}");
        };
        route(&["blackhole"]);
        let silence = lab::until("a pause", LIMIT, || Ok(line.sample()?.longest_pause > PAUSE)).unwrap();
        assert!(silence >= PAUSE / 2, "{silence:?}");
        route(&["dev", server.host_device()]);
        let facts = line.wait_for_more(20, Duration::from_secs(20)).unwrap();
        assert!(facts.longest_pause > PAUSE && facts.wrong == 0, "{facts:?}");

        echo.stop().unwrap();
        lab::until("the end", LIMIT, || Ok(line.sample()?.ended.is_some())).unwrap();
        let facts = line.stop().unwrap();
        let reason = facts.ended.as_deref().unwrap();
        assert!(["ECONNRESET", "EPIPE", "closed by the other side"].contains(&reason), "{facts:?}");
    }
    let refused = client.site().steady((server.address().v4, PORT).into(), Duration::from_millis(2)).unwrap();
    lab::until("a refusal", LIMIT, || Ok(refused.sample()?.ended.is_some())).unwrap();
    assert_eq!(refused.stop().unwrap().ended.as_deref(), Some("ECONNREFUSED"));
}

#[test]
fn twenty_thousand_connections_are_open_at_once_and_twice_within_a_minute() {
    const CONNECTIONS: u32 = 20_000;
    let world = World::new();
    let pod = &world.pods[0];
    pod.site().echo_wide(&[PORT]).unwrap();
    let sources: Vec<_> =
        world.outside.add_addresses(7).unwrap().into_iter().flat_map(lab::Dual::both).collect();
    let begun = lab::monotonic_ns();
    for address in [pod.address().both(), pod.address().both()].concat() {
        let spec = MassSpec::new((address, PORT), CONNECTIONS).sources(&sources);
        let (mut mass, opened) = Mass::open(&[world.outside.site()], &spec).unwrap();
        assert_eq!((opened.open, opened.failures()), (CONNECTIONS.into(), 0), "{opened:?}");
        let exchanged = mass.exchange().unwrap();
        assert_eq!(exchanged.answered.get("default.pod-node-1"), Some(&CONNECTIONS.into()), "{exchanged:?}");
        assert_eq!((exchanged.seen, exchanged.failures()), (CONNECTIONS.into(), 0), "{exchanged:?}");
        let closed = mass.close().unwrap();
        assert_eq!((closed.open, closed.failures()), (0, 0), "{closed:?}");
        println!("open {:?}, exchange {:?}, close {:?}", opened.took, exchanged.took, closed.took);
    }
    let took = Duration::from_nanos(lab::monotonic_ns() - begun);
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn many_connections_that_fail_are_counted_by_reason() {
    let world = World::new();
    let pod = &world.pods[0];
    let sites: Vec<_> = world.pods.iter().map(Pod::site).collect();
    let spec = MassSpec::new((pod.address().v4, PORT), 10);
    let (_, refused) = Mass::open(&sites, &spec).unwrap();
    assert_eq!((refused.open, refused.failed.get("ECONNREFUSED")), (0, Some(&20)), "{refused:?}");

    let [nobody, _] = nobody(pod.node());
    let silent =
        MassSpec { limit: Duration::from_millis(300), in_flight: 4, ..MassSpec::new((nobody, PORT), 10) };
    let (_, silent) = Mass::open(&[world.outside.site()], &silent).unwrap();
    assert_eq!(silent.failed.get("timeout"), Some(&10), "{silent:?}");

    let echo = pod.site().echo(&[PORT]).unwrap();
    let (mut mass, opened) = Mass::open(&sites, &spec).unwrap();
    assert_eq!((opened.open, opened.failures()), (20, 0), "{opened:?}");
    echo.stop().unwrap();
    let lost = mass.exchange().unwrap();
    assert_eq!((lost.open, lost.failures(), lost.answered.len()), (0, 20, 0), "{lost:?}");
}

#[test]
fn raw_packets_arrive_byte_by_byte_and_bad_checksums_are_reported() {
    let world = World::new();
    let raw = world.outside.site().raw().unwrap();
    for (node, pod) in world.lab.nodes().iter().zip(&world.pods) {
        let to_node = node.site().mac().unwrap();
        let on_node = node.site().capture(Keep::Bad).unwrap();
        let in_pod = pod.site().capture(Keep::All).unwrap();
        let mut number = 0;
        for (from, to) in world.pairs(pod) {
            let spoofed: IpAddr =
                if from.is_ipv4() { [198, 51, 100, 7].into() } else { "2001:db8::7".parse().unwrap() };
            let build = Build::new(spoofed, to);
            let about = Build::new(to, spoofed).udp((PORT, 9), b"never sent");
            let mut packets = vec![
                build.tcp((1000, PORT), TcpFlags::ACK, (7, 8), b"without a SYN"),
                build.udp((1000, PORT), b"datagram"),
                build.too_big(1400, &about),
                build.port_unreachable(&about),
                build.with(132, b"another protocol"),
            ];
            // A pod takes what its checksum says is wrong no further, but its device sees it.
            let mut spoilt = build.udp((1000, PORT), b"spoilt");
            let last = spoilt.len() - 1;
            spoilt[last] ^= 1;
            packets.push(spoilt.clone());
            for packet in &packets {
                raw.send(to_node, packet).unwrap();
                number += 1;
            }
            for packet in &packets {
                let mut forwarded = packet.clone();
                forwarded[if from.is_ipv4() { 8 } else { 7 }] = 63;
                let seen = in_pod
                    .wait_for("raw packet", LIMIT, |seen| *seen == Packet::parse(&forwarded).unwrap())
                    .unwrap();
                let is_spoilt = *packet == spoilt;
                assert_eq!(seen.bad, if is_spoilt { vec![BadChecksum::Udp] } else { vec![] }, "{seen}");
                if from.is_ipv4() {
                    // The router has changed the header's checksum with the TTL.
                    forwarded[10..12].copy_from_slice(&seen.ip().unwrap()[10..12]);
                }
                assert_eq!(seen.ip().unwrap(), forwarded, "{seen}");
                assert_eq!(bad_checksums(packet).unwrap(), seen.bad);
            }
        }
        let report = on_node.report().unwrap();
        assert_eq!((report.bad.len(), report.lost), (2, 0), "{report:?}");
        assert!(report.bad[0].contains("bad UDP checksum"), "{report:?}");
        assert!(on_node.ensure_clean().unwrap_err().to_string().contains("bad UDP checksum"));
        assert_eq!(on_node.kept().unwrap().len(), 2, "only the bad ones are kept");
        assert!(in_pod.report().unwrap().seen >= number);
    }
}

#[test]
fn a_pod_sends_raw_packets_to_its_gateway() {
    let world = World::new();
    for pod in &world.pods {
        let capture = world.outside.site().capture(Keep::All).unwrap();
        for (outside, address) in world.pairs(pod) {
            let echo =
                Build::new(address, outside).icmp(if address.is_ipv4() { 8 } else { 128 }, 0, 7, b"ping");
            pod.site().raw().unwrap().send(pod.gateway_mac(), &echo).unwrap();
            let is_it = |packet: &Packet| {
                packet.source == address && matches!(packet.body, Body::Icmp { rest: 7, .. })
            };
            let seen = capture.wait_for("echo", LIMIT, is_it).unwrap();
            assert_eq!(seen.packet().unwrap().hop_limit, 63);
        }
        let report = capture.ensure_clean().unwrap();
        assert!(capture.count(|packet| packet.hop_limit == 63).unwrap() >= 2);
        capture.forget().unwrap();
        assert_eq!(capture.count(|packet| packet.hop_limit == 63).unwrap(), 0);
        assert!(capture.report().unwrap().seen >= report.seen, "the report stays");
        let raw = pod.site().raw().unwrap();
        assert_eq!(raw.mac(), pod.site().mac().unwrap());
        assert!(raw.send(Mac([2; 6]), &[0x45; 2000]).is_err(), "longer than the MTU");
    }
}

#[test]
fn a_capture_tells_partial_checksums_from_bad_ones() {
    let world = World::new();
    let [_, pod] = &world.pods[..] else { panic!("not two pods") };
    pod.site().echo(&[PORT]).unwrap();
    let neighbour = pod.node().add_pod(PodSpec::idle("default", "neighbour")).unwrap();
    let capture = pod.site().capture(Keep::All).unwrap();
    let to = SocketAddr::from((pod.address().v4, PORT));
    let results = neighbour.site().probe(&[Probe::tcp(to), Probe::udp(to)], LIMIT).unwrap();
    assert!(results.iter().all(|result| matches!(result, ProbeResult::Answered { .. })), "{results:?}");
    let report = capture.report().unwrap();
    assert!(report.partial > 0 && report.bad.is_empty(), "between pods of a node: {report:?}");
    assert!(capture.ensure_clean().unwrap_err().to_string().contains("not all was verified"));
    let idle = neighbour.site().capture(Keep::Bad).unwrap();
    assert!(idle.ensure_clean().unwrap_err().to_string().contains("nothing passed"));
}
