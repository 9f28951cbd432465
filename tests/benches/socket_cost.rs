//! What the socket programs cost a socket: the same calls outside the programs' cgroup, inside without a Service, and
//! inside with one. Arms take turns; each number is the median of the rounds.
//!
//! `cargo bench -p tests --bench socket_cost`

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use abi::{FrontendKind, Protocol, ServiceFlags};
use tests::{Family, Node};

const ROUNDS: usize = 21;
const CALLS: u32 = 20_000;

fn main() {
    println!("ns a call               | outside |  plain | Service");
    for family in [Family::V4, Family::V6] {
        Node::run(|node| {
            let service = node.service(ServiceFlags::default());
            let backends = node.backends(family, service, 5353, 3);
            node.use_cluster(service, &backends.iter().collect::<Vec<_>>());
            let vip = SocketAddr::new(family.vip(1), 53);
            node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);
            node.service_cidr(family);
            node.other_ports(vip.ip());
            node.node_addr(family.node());

            let plain = backends[0].addr;
            let connect = |to| {
                let socket = UdpSocket::bind((family.any(), 0)).expect("a socket");
                socket.connect(to).expect("connect");
            };
            report(
                &format!("connect, close     {family:?}"),
                [&|| node.outside(|| timed(|| connect(plain))), &|| timed(|| connect(plain)), &|| {
                    timed(|| connect(vip))
                }],
            );
            let outside = node.outside(|| UdpSocket::bind((family.any(), 0)).expect("a socket"));
            let inside = UdpSocket::bind((family.any(), 0)).expect("a socket");
            // Datagrams beyond the receiver's buffer are dropped there, after the path that is measured.
            let send = |socket: &UdpSocket, to| {
                socket.send_to(b"x", to).expect("sendto");
            };
            report(
                &format!("sendto             {family:?}"),
                [&|| timed(|| send(&outside, plain)), &|| timed(|| send(&inside, plain)), &|| {
                    timed(|| send(&inside, vip))
                }],
            );
        });
    }
}

/// Nanoseconds a call.
fn timed(call: impl Fn()) -> u128 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed().as_nanos() / u128::from(CALLS)
}

fn report(what: &str, arms: [&dyn Fn() -> u128; 3]) {
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (times, arm) in rounds.iter_mut().zip(arms) {
            times.push(arm());
        }
    }
    let [outside, plain, service] = rounds.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2]
    });
    println!("{what:<23} | {outside:>7} | {plain:>6} | {service:>7}");
}
