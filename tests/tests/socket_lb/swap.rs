//! The set of a Service is swapped by one store while sockets connect.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abi::{BackendState, FrontendKind, Protocol, ServiceFlags, ServiceId, SetWord};
use tests::socket::udp_connect;
use tests::{Backend, Counters, Family, Node};

/// A Service with two sets: one slot that names the first backend, and eight that name the second. The slots behind the
/// small set name a third, live and of the same Service, that is in no set: who mixes the place of one set with the
/// size of the other is sent there.
struct Swapping {
    service: ServiceId,
    members: [Backend; 2],
    trap: Backend,
    sets: [SetWord; 2],
    vip: SocketAddr,
}

impl Swapping {
    fn new(node: &Node) -> Self {
        let service = node.service(ServiceFlags::default());
        let backend = |port| node.backend(service, SocketAddr::new(Family::V4.pod(0), port));
        let (members, trap) = ([backend(5301), backend(5302)], backend(5303));
        let small = node.set(&[&members[0]]);
        node.sets().put_slots(small.base() + 1, &[trap.id; 7]);
        let sets = [small, node.set(&[&members[1]; 8])];
        node.sets().put_cluster(service, sets[0]);
        let vip = SocketAddr::new(Family::V4.vip(1), 53);
        node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);
        Self { service, members, trap, sets, vip }
    }

    fn connect(&self) -> Result<(), i32> {
        udp_connect(Family::V4, self.vip).map(drop)
    }

    /// Asserts that `n` sockets were made, each to a member of a set, and that nothing else was counted.
    fn assert_only_members(&self, counted: &Counters, n: u64) {
        let of = |b: &Backend| counted.of_backend(b.id);
        let expected = self.members.iter().fold(Counters::none(), |c, b| c.sent(self.service, b.id, of(b)));
        assert_eq!(counted, &expected, "{:?} is in no set", self.trap.id);
        assert_eq!(self.members.iter().map(of).sum::<u64>(), n);
    }
}

#[test]
fn a_connect_that_follows_the_store_sees_the_new_set() {
    Node::run(|node| {
        let case = Swapping::new(node);
        for i in 0..2_000 {
            let which = i % 2;
            node.sets().put_cluster(case.service, case.sets[which]);
            let (result, counted) = node.counted(|| case.connect());
            let expected = Counters::none().sent(case.service, case.members[which].id, 1);
            assert_eq!((result, counted), (Ok(()), expected), "swap {i}");
        }
    });
}

/// Read once for the place and once for the size, the word shows a mix in some ten of these connects (measured).
#[test]
fn a_reader_never_mixes_two_sets() {
    const CONNECTS: u64 = 100_000;
    Node::run(|node| {
        let case = Swapping::new(node);
        let (sets, done) = (node.sets(), AtomicBool::new(false));
        let (result, counted) = node.counted(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for set in case.sets.iter().cycle() {
                        sets.put_cluster(case.service, *set);
                        if done.load(Ordering::Acquire) {
                            return;
                        }
                    }
                });
                let result = (0..CONNECTS).try_for_each(|_| case.connect());
                done.store(true, Ordering::Release);
                result
            })
        });
        assert_eq!(result, Ok(()));
        case.assert_only_members(&counted, CONNECTS);
    });
}

/// The writer goes round as the daemon does: brings the new set's backend to life, swaps, marks the old one gone.
#[test]
fn sockets_that_connect_while_backends_leave_are_not_refused() {
    Node::run(|node| {
        let case = Swapping::new(node);
        let (made, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let (swaps, counted) = node.counted(|| {
            std::thread::scope(|scope| {
                let connects = scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        case.connect()?;
                        made.fetch_add(1, Ordering::Release);
                    }
                    Ok::<(), i32>(())
                });
                let swaps = go_round(node, &case, &made, &|| connects.is_finished());
                done.store(true, Ordering::Release);
                assert_eq!(connects.join().expect("no panic"), Ok(()), "after {swaps} swaps");
                swaps
            })
        });
        assert!(swaps > 100, "{swaps} swaps");
        case.assert_only_members(&counted, made.into_inner());
    });
}

/// Swaps 5,000 times, or less often if both threads get too little time for it. Each swap waits for a connection, so
/// that a reader meets one or two of them and never four in a row.
fn go_round(node: &Node, case: &Swapping, made: &AtomicU64, has_failed: &dyn Fn() -> bool) -> usize {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut swaps = 0;
    while swaps < 5_000 && Instant::now() < deadline && !has_failed() {
        let (new, old) = ((swaps + 1) % 2, swaps % 2);
        node.put_backend(case.service, &case.members[new], BackendState::Live);
        node.sets().put_cluster(case.service, case.sets[new]);
        node.put_backend(case.service, &case.members[old], BackendState::Gone);
        swaps += 1;
        let seen = made.load(Ordering::Acquire);
        while made.load(Ordering::Acquire) == seen && !has_failed() {
            std::thread::yield_now();
        }
    }
    swaps
}
