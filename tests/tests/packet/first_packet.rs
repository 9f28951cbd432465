//! A new pod sends before anybody knows its interface or its address: its cgroup says whose it is.

use std::net::SocketAddr;

use abi::{DropReason, FrontendKind, Identity, PodFlags, PodId, PolicyId, Protocol, RuleId, ServiceFlags};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::cgroup::ScratchCgroup;
use tests::packet::craft::{readdressed, tcp, udp};
use tests::packet::{PacketNode, PodRow, Where};

const POLICY: PolicyId = PolicyId(5);

#[test]
fn the_first_packet_of_a_new_pod_is_judged_by_its_cgroup() {
    PacketNode::run_each(|node, net| {
        let cgroup = ScratchCgroup::new();
        let unknown = PodRow { egress: POLICY, flags: PodFlags::default(), ..PodRow::default() };
        let id = node.put_pod(1, unknown);
        node.pod_device(1, PodId::NONE);
        node.deny(POLICY, Identity::ANY, RuleId(1));
        let (src, dst) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.remote(1), 80));
        let syn = tcp(src, dst, TcpFlags::SYN, b"");
        // Nobody has said whose the cgroup is: it may be no pod's.
        cgroup.hold(|| node.from_pod(1, &syn)).untouched();
        node.pod_of_cgroup(cgroup.id(), id);
        cgroup.hold(|| node.from_pod(1, &syn)).dropped(DropReason::EgressDenied);
        // Another process on the same kind of interface is another pod's, or none's.
        node.from_pod(1, &syn).untouched();
        // Once the interface is known, it decides.
        node.pod_device(1, id);
        node.from_pod(1, &syn).dropped(DropReason::EgressDenied);
    });
}

#[test]
fn a_new_pod_that_opted_out_reaches_services_from_its_first_packet() {
    PacketNode::run_each(|node, net| {
        let cgroup = ScratchCgroup::new();
        let unknown =
            PodRow { flags: PodFlags::NO_SOCKET_LB.with(PodFlags::PER_PACKET), ..PodRow::default() };
        let id = node.put_pod(1, unknown);
        node.pod_device(1, PodId::NONE);
        node.pod_of_cgroup(cgroup.id(), id);
        let service = node.service(ServiceFlags::default());
        let (pod, vip) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.vip(1), 80));
        let backend = SocketAddr::new(net.remote(1), 8080);
        let backend_id = node.backend(service, backend, Where::Elsewhere);
        node.use_cluster(service, &[backend_id]);
        node.frontend(vip, Protocol::TCP, FrontendKind::ClusterIp, service);
        let syn = tcp(pod, vip, TcpFlags::SYN, b"");
        let sent = Counters::none().sent(service, backend_id, 1);
        cgroup.hold(|| node.from_pod(1, &syn)).became(&readdressed(&syn, pod, backend), &sent);
    });
}

/// What it receives meanwhile is told by its address, if that is known first.
#[test]
fn what_a_new_pod_receives_is_judged_by_its_address() {
    PacketNode::run_each(|node, net| {
        let id = node.put_pod(1, PodRow { ingress: POLICY, ..PodRow::default() });
        node.pod_device(1, PodId::NONE);
        node.deny(POLICY, Identity::ANY, RuleId(1));
        let (src, dst) = (SocketAddr::new(net.remote(1), 999), SocketAddr::new(net.pod(1), 80));
        node.to_pod(1, &udp(src, dst, b"?")).untouched();
        node.packet().put_local_pod(net.pod(1).into(), id);
        node.to_pod(1, &udp(src, dst, b"?")).dropped(DropReason::IngressDenied);
    });
}
