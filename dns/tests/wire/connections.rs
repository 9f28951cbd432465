//! Many connections: how many, whose, and how many queries of each.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::client::{Stream, ask};
use crate::packet::{A, NOERROR, Response, parse, query};
use crate::served::{Served, config, forward_to, wait_until};
use crate::upstream::Upstream;

const WEB: &str = "web.demo.svc.cluster.local";

#[test]
fn the_connection_above_the_limit_takes_the_place_of_the_idlest() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= 10_000, "both ends of 4,097 connections need descriptors");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536), hard).unwrap();
    let upstream = Upstream::holding();
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    // The oldest waits for an answer, so it is not idle.
    let mut busy = Stream::to(served.addr);
    busy.send(&query("slow.example.org", A).bytes());
    wait_until("the upstream is asked", || upstream.count() == 1);
    let mut idlest = Stream::to(served.addr);
    wait_until("both are there", || served.counters().connections_open == 2);
    let mut idle: Vec<Stream> = (2..4096).map(|_| Stream::to(served.addr)).collect();
    wait_until("all are there", || served.counters().connections_open == 4096);
    for stream in idle.iter_mut().step_by(500) {
        assert_eq!(stream.ask(&query(WEB, A)).answers.len(), 1);
    }
    assert_eq!(ask(served.addr, &query(WEB, A)).answers.len(), 1);
    assert_eq!(served.counters().connections_cut, 0);
    assert_eq!(Stream::to(served.addr).ask(&query(WEB, A)).answers.len(), 1);
    wait_until("one is cut", || served.counters().connections_cut == 1);
    idlest.until_closed();
    for asked in upstream.release() {
        asked.reply(&Response::to(&asked.packet, NOERROR).bytes());
    }
    busy.receive();
}

#[test]
fn a_connection_has_so_many_queries_under_way_and_others_have_theirs() {
    let upstream = Upstream::holding();
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    let mut greedy = Stream::to(served.addr);
    for id in 0..100 {
        greedy.send(&query("greedy.example.org", A).id(id).bytes());
    }
    wait_until("its share is used up", || upstream.count() == 64);
    let mut modest = Stream::to(served.addr);
    modest.send(&query("modest.example.org", A).bytes());
    assert_eq!(modest.ask(&query(WEB, A)).answers.len(), 1);
    wait_until("the other one is forwarded", || upstream.count() > 64);
    assert_eq!(upstream.count(), 65);
    let mut ids: Vec<u16> = Vec::new();
    while ids.len() < 100 {
        for asked in upstream.release() {
            asked.reply(&Response::to(&asked.packet, NOERROR).bytes());
            if asked.packet.windows(6).any(|bytes| bytes == b"greedy") {
                ids.push(parse(&greedy.receive()).unwrap().id);
            }
        }
    }
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..100));
    modest.receive();
}
