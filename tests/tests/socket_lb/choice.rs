//! Which backends a frontend may choose from.

use std::net::SocketAddr;

use abi::{BackendState, FrontendKind, Protocol, ServiceFlags};
use tests::socket::{tcp_connect, udp_connect};
use tests::{Counters, Family, Node};

/// Chosen 300 times of three: 100 each, give or take 8 (one standard deviation); 60 is five of them away.
#[test]
fn sockets_spread_over_all_backends() {
    Node::run(|node| {
        let service = node.service(ServiceFlags::default());
        let backends = node.backends(Family::V4, service, 8080, 3);
        node.use_cluster(service, &[&backends[0], &backends[1], &backends[2]]);
        let vip = SocketAddr::new(Family::V4.vip(1), 53);
        node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);

        let (_, counted) = node.counted(|| {
            for _ in 0..300 {
                udp_connect(Family::V4, vip).expect("a socket");
            }
        });
        let each = [0, 1, 2].map(|i| counted.of_backend(backends[i].id));
        assert_eq!(each.iter().sum::<u64>(), 300);
        assert!(each.iter().all(|n| *n > 60), "{each:?}");
    });
}

#[test]
fn internal_traffic_policy_local_holds_for_the_cluster_ip_alone() {
    Node::run_each(|node, family| {
        let service = node.service(ServiceFlags::INTERNAL_LOCAL);
        let backends = node.backends(family, service, 8080, 2);
        let (remote, local) = (&backends[0], &backends[1]);
        node.use_cluster(service, &[remote]);
        node.use_local(service, &[local]);
        node.node_port(family, 30080, Protocol::TCP, service);
        node.node_addr(family.node());

        let kinds = [
            (FrontendKind::ClusterIp, SocketAddr::new(family.vip(1), 80), local),
            (FrontendKind::ExternalIp, SocketAddr::new(family.vip(2), 80), remote),
            (FrontendKind::LoadBalancer, SocketAddr::new(family.vip(3), 80), remote),
        ];
        for (kind, vip, expected) in kinds {
            node.frontend(vip, Protocol::TCP, kind, service);
            let (_stream, counted) = node.counted(|| tcp_connect(vip).expect("a connection"));
            assert_eq!(counted, Counters::none().sent(service, expected.id, 1), "{kind:?} {family:?}");
        }
        let to = SocketAddr::new(family.node(), 30080);
        let (_stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
        assert_eq!(counted, Counters::none().sent(service, remote.id, 1));
    });
}

/// kube-proxy sends what comes from the node itself to all endpoints.
#[test]
fn external_traffic_policy_local_does_not_bite_at_a_local_socket() {
    Node::run_each(|node, family| {
        let service = node.service(ServiceFlags::EXTERNAL_LOCAL);
        let backends = node.backends(family, service, 8080, 1);
        node.use_cluster(service, &[&backends[0]]);
        node.node_port(family, 30080, Protocol::TCP, service);
        node.node_addr(family.node());

        let mut frontends = vec![SocketAddr::new(family.node(), 30080)];
        for (i, kind) in
            (1..).zip([FrontendKind::ClusterIp, FrontendKind::ExternalIp, FrontendKind::LoadBalancer])
        {
            let vip = SocketAddr::new(family.vip(i), 80);
            node.frontend(vip, Protocol::TCP, kind, service);
            frontends.push(vip);
        }
        for to in frontends {
            let (_stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
            assert_eq!(counted, Counters::none().sent(service, backends[0].id, 1), "{to}");
        }
    });
}

#[test]
fn a_terminating_backend_that_is_in_the_set_is_used() {
    Node::run(|node| {
        let service = node.service(ServiceFlags::default());
        let backends = node.backends(Family::V4, service, 8080, 1);
        node.put_backend(service, &backends[0], BackendState::Terminating);
        node.use_cluster(service, &[&backends[0]]);
        let vip = SocketAddr::new(Family::V4.vip(1), 80);
        node.frontend(vip, Protocol::TCP, FrontendKind::ClusterIp, service);
        let (_stream, counted) = node.counted(|| tcp_connect(vip).expect("a connection"));
        assert_eq!(counted, Counters::none().sent(service, backends[0].id, 1));
    });
}

/// A set is read anew after each backend that has left, so one that stays is found; which of two comes first is chance.
#[test]
fn a_backend_that_left_or_serves_another_service_is_never_chosen() {
    Node::run(|node| {
        let service = node.service(ServiceFlags::default());
        let other = node.service(ServiceFlags::default());
        let backends = node.backends(Family::V4, service, 8080, 3);
        let [stays, left, moved] = [0, 1, 2].map(|i| &backends[i]);
        node.put_backend(service, left, BackendState::Gone);
        node.put_backend(other, moved, BackendState::Live);
        node.use_cluster(service, &[stays, left, moved, stays]);
        let vip = SocketAddr::new(Family::V4.vip(1), 53);
        node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);

        let (connected, counted) =
            node.counted(|| (0..200).filter(|_| udp_connect(Family::V4, vip).is_ok()).count() as u64);
        // Four tries miss with (1/2)^4: about 12 of 200 sockets, and not 100 as with one try.
        assert!(connected > 150, "{connected} of 200");
        assert_eq!(counted.of_backend(stays.id), connected);
        assert_eq!((counted.of_backend(left.id), counted.of_backend(moved.id)), (0, 0));
    });
}
