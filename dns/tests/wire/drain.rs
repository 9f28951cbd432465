//! The end of a server.

use std::time::Duration;

use crate::client::{Stream, receive, socket_to};
use crate::packet::{A, NOERROR, Response, parse, query};
use crate::served::{Served, config, forward_to, wait_until};
use crate::upstream::Upstream;

#[test]
fn what_was_asked_before_the_end_is_answered_and_connections_are_closed() {
    let upstream = Upstream::holding();
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    let udp = socket_to(served.addr);
    udp.send(&query("udp.example.org", A).id(1).bytes()).unwrap();
    let mut busy = Stream::to(served.addr);
    busy.send(&query("tcp.example.org", A).id(2).bytes());
    let mut idle = Stream::to(served.addr);
    wait_until("both are under way", || upstream.count() == 2);
    wait_until("both connections are there", || served.counters().connections_open == 2);
    served.drain();
    assert!(idle.until_closed() < Duration::from_secs(2));
    assert!(!served.is_drained());
    for asked in upstream.release() {
        asked.reply(&Response::to(&asked.packet, NOERROR).bytes());
    }
    assert_eq!(parse(&receive(&udp)).unwrap().id, 1);
    assert_eq!(parse(&busy.receive()).unwrap().id, 2);
    assert!(busy.until_closed() < Duration::from_secs(2));
    wait_until("the threads have ended", || served.is_drained());
}

#[test]
fn queries_of_a_connection_that_were_read_are_answered_before_it_is_closed() {
    let served = Served::start(&config(Vec::new()));
    let mut stream = Stream::to(served.addr);
    let all: Vec<u8> = (0..100)
        .flat_map(|id| crate::client::framed(&query("web.demo.svc.cluster.local", A).id(id).bytes()))
        .collect();
    std::io::Write::write_all(&mut stream.tcp, &all).unwrap();
    assert_eq!(parse(&stream.receive()).unwrap().id, 0);
    // One read took them all: less than 8 KiB.
    served.drain();
    for id in 1..100 {
        assert_eq!(parse(&stream.receive()).unwrap().id, id);
    }
    assert!(stream.until_closed() < Duration::from_secs(2));
}
