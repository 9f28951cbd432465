//! Pods reach each other as on a real node, whichever way they are wired. Needs root.

use std::net::SocketAddr;
use std::time::Duration;

use lab::{Dial, Lab, LabSpec, Pod, PodSpec, Workload};

const PORT: u16 = 3000;
const DIALS: [Dial; 4] = [Dial::Tcp, Dial::UdpConnected, Dial::UdpUnconnected, Dial::UdpOneSocket];

/// Both addresses of a pod, and the IPv4 one as an IPv6 socket dials it.
fn addresses(pod: &Pod) -> [SocketAddr; 3] {
    let address = pod.address();
    [(address.v4, PORT).into(), (address.v6, PORT).into(), (address.v4.to_ipv6_mapped(), PORT).into()]
}

#[test]
fn every_pod_reaches_every_server_in_both_wirings_and_families() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let mut servers = Vec::new();
    let mut clients = Vec::new();
    for node in lab.nodes() {
        servers.push(
            node.add_pod(PodSpec::server("default", &format!("server-{}", node.name()), PORT)).unwrap(),
        );
        clients.push(node.add_pod(PodSpec::idle("default", &format!("client-{}", node.name()))).unwrap());
    }
    for client in clients.iter().map(Pod::client).chain(lab.nodes().iter().map(lab::Node::client)) {
        for server in &servers {
            for to in addresses(server) {
                for dial in DIALS {
                    let tally = client.run(Workload::new(dial, to), 5).unwrap();
                    assert_eq!(tally.answered.get(server.name()), Some(&5), "{dial:?} to {to}: {tally:?}");
                    assert_eq!(tally.failures(), 0, "{dial:?} to {to}: {tally:?}");
                    assert!(tally.saw_only(to), "{dial:?} to {to}: {tally:?}");
                }
            }
        }
    }
}

#[test]
fn a_closed_port_is_refused_and_a_deleted_pod_answers_no_more() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    for node in lab.nodes() {
        let server = node.add_pod(PodSpec::server("default", "server", PORT)).unwrap();
        let client = node.add_pod(PodSpec::idle("default", &format!("client-{}", node.name()))).unwrap();
        let closed = SocketAddr::from((server.address().v4, PORT + 1));
        let refused = client.client().run(Workload::new(Dial::Tcp, closed), 1).unwrap();
        assert_eq!(refused.failed.get("ECONNREFUSED"), Some(&1), "{refused:?}");

        server.delete().unwrap();
        let gone = Workload {
            timeout: Duration::from_millis(200),
            ..Workload::new(Dial::UdpUnconnected, addresses(&server)[0])
        };
        let silent = client.client().run(gone, 1).unwrap();
        assert_eq!(silent.failures(), 1, "{silent:?}");
    }
}

#[test]
fn a_pod_goes_on_serving_for_its_grace_period() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let [node, ..] = lab.nodes() else { panic!("a lab without nodes") };
    let grace = Duration::from_millis(500);
    let server = node.add_pod(PodSpec::server("default", "server", PORT).grace(grace)).unwrap();
    let load = node.client().start_load(Workload::new(Dial::Tcp, addresses(&server)[0])).unwrap();
    lab::until("the first answer", Duration::from_secs(5), || Ok(load.sample()?.requests > 0)).unwrap();
    let before = lab::monotonic_ns();
    server.terminate().unwrap();
    let served = |after: Duration| {
        let last = load.sample()?.last_answer_ns.get("server").copied().unwrap_or_default();
        Ok(last > before + after.as_nanos() as u64)
    };
    lab::until("an answer late in the grace period", grace, || served(grace / 2)).unwrap();
    server.delete().unwrap();
    let tally = load.stop().unwrap();
    assert!(tally.failures() > 0, "it ends at last: {tally:?}");
}
