//! UDP: refusals, sizes, addresses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::client::{Stream, ask, exchange, receive, socket_to};
use crate::packet::{
    A, FORMERR, NOERROR, NOTIMP, NXDOMAIN, OPT, Parsed, Query, RD, REFUSED, SERVFAIL, SRV, TXT, parse, query,
};
use crate::served::{LOCALHOST, Served, config, dns_config, free_addr, wait_until};
use dns::config::Block;

const WEB: &str = "web.demo.svc.cluster.local";

fn plain() -> Served {
    Served::start(&config(Vec::new()))
}

/// Two questions in one message.
fn two_questions() -> Vec<u8> {
    let query = query(WEB, A);
    let mut bytes = query.bytes();
    bytes[5] = 2;
    bytes.extend(query.question());
    bytes
}

fn no_question() -> Vec<u8> {
    let mut bytes = query(WEB, A).bytes();
    bytes.truncate(12);
    bytes[5] = 0;
    bytes
}

/// A question whose name is these bytes.
fn named(name: &[u8]) -> Vec<u8> {
    query("", A).wire_name(name.to_vec()).bytes()
}

fn cut(bytes: Vec<u8>, by: usize) -> Vec<u8> {
    bytes[..bytes.len() - by].to_vec()
}

/// Labels of 63, and a last one that makes the name as long as this.
fn long_name(length: usize) -> Vec<u8> {
    let mut name = Vec::new();
    while length - name.len() > 65 {
        name.push(63);
        name.extend([b'a'; 63]);
    }
    let last = length - name.len() - 2;
    name.push(u8::try_from(last).unwrap());
    name.extend(vec![b'b'; last]);
    name.push(0);
    assert_eq!(name.len(), length);
    name
}

#[test]
fn what_is_no_question_is_refused_by_a_header_alone() {
    let served = plain();
    let cases: &[(&str, Vec<u8>, u8)] = &[
        ("no question", no_question(), FORMERR),
        ("two questions", two_questions(), FORMERR),
        ("a pointer to itself", named(&[0xc0, 12]), FORMERR),
        ("a label and a pointer to it", named(&[1, b'a', 0xc0, 12]), FORMERR),
        ("a pointer ahead", named(&[0xc0, 14, 1, b'a', 0]), FORMERR),
        ("a pointer into the header", named(&[1, b'a', 0xc0, 6]), FORMERR),
        ("a label of an unknown kind", named(&[0x41, b'a', 0]), FORMERR),
        ("a cut type", cut(query(WEB, A).bytes(), 3), FORMERR),
        ("a cut name", cut(query(WEB, A).bytes(), 10), FORMERR),
        (
            "an announced record that is not there",
            {
                let mut bytes = query(WEB, A).bytes();
                bytes[11] = 1;
                bytes
            },
            FORMERR,
        ),
        ("two OPT records", query(WEB, A).edns(1232).edns(1232).bytes(), FORMERR),
        ("a cut OPT record", cut(query(WEB, A).edns(1232).bytes(), 1), FORMERR),
        ("a name of 256 bytes", named(&long_name(256)), FORMERR),
        (
            "a name of 256 bytes in 128 labels",
            named(&[[1, b'a'].repeat(127), vec![1, b'a', 0]].concat()),
            FORMERR,
        ),
        ("a status query", query(WEB, A).opcode(2).bytes(), NOTIMP),
        ("an unassigned operation", query(WEB, A).opcode(3).bytes(), NOTIMP),
        ("an update", query(WEB, A).opcode(5).bytes(), NOTIMP),
        ("a stateful operation", query(WEB, A).opcode(6).bytes(), NOTIMP),
        ("a notice", query(WEB, A).opcode(4).bytes(), NOERROR),
        ("a header", query(WEB, A).bytes()[..12].to_vec(), FORMERR),
    ];
    for (what, packet, code) in cases {
        let reply = exchange(served.addr, packet);
        let expected = [0x12, 0x34, 0x80 | packet[2] & 0x79, *code, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(reply, expected, "{what}");
    }
}

#[test]
fn what_is_not_answered_at_all_is_a_response_and_less_than_a_header() {
    let served = plain();
    let mut response = query(WEB, A).bytes();
    response[2] |= 0x80;
    let socket = socket_to(served.addr);
    for packet in [&response[..], &query(WEB, A).bytes()[..11], &[], &[0x80], &response[..12]] {
        socket.send(packet).unwrap();
    }
    // They are read in order, so what comes first is for the last.
    socket.send(&query(WEB, A).id(77).bytes()).unwrap();
    assert_eq!(parse(&receive(&socket)).unwrap().id, 77);
    wait_until("five were counted", || served.counters().silent == 5);
}

#[test]
fn other_classes_and_transfers_are_refused_with_the_question() {
    let served = plain();
    let (axfr, ixfr, any) = (252, 251, 255);
    for refused in [
        query(WEB, A).class(3),
        query("version.bind", TXT).class(3),
        query(WEB, A).class(255),
        query(WEB, A).class(4),
        query("cluster.local", axfr),
        query("cluster.local", ixfr).edns(1232),
        query(WEB, any).class(254),
    ] {
        let reply = exchange(served.addr, &refused.bytes());
        let parsed = parse(&reply).unwrap();
        assert_eq!(parsed.code(), REFUSED);
        assert_eq!(reply[parsed.question.unwrap()], refused.question());
        assert!(parsed.answers.is_empty() && parsed.authorities.is_empty());
        assert_eq!(parsed.opts.len(), usize::from(refused.bytes()[11]));
    }
}

#[test]
fn a_later_version_of_edns_is_told_which_one_is_spoken() {
    let served = plain();
    for version in [1, 255] {
        let parsed = ask(served.addr, &query(WEB, A).opt(4096, version, true, &[]));
        let [opt] = &parsed.opts[..] else { panic!("one OPT") };
        assert_eq!((parsed.extended_code(), opt.ttl >> 16 & 0xff, opt.class), (16, 0, 1232));
        assert!(parsed.answers.is_empty());
    }
}

#[test]
fn opt_is_in_the_answer_to_whoever_sent_one_and_to_nobody_else() {
    let served = plain();
    let asked = [
        (query(WEB, A), NOERROR),
        (query("nothing.demo.svc.cluster.local", A), NXDOMAIN),
        (query("n-100.demo.svc.cluster.local", A), NOERROR),
        (query("n-8.demo.svc.cluster.local", SRV), NOERROR),
        (query("example.org", A), SERVFAIL),
        (query(WEB, A).class(3), REFUSED),
    ];
    for (asked, code) in asked {
        let without = ask(served.addr, &asked);
        assert_eq!((without.code(), without.opts.len()), (code, 0));
        for is_do in [false, true] {
            // A cookie is not understood, so it is not there (RFC 6891, 6.1.2).
            let with = ask(served.addr, &asked.clone().opt(512, 0, is_do, &[(10, b"12345678")]));
            let [opt] = &with.opts[..] else { panic!("one OPT") };
            assert_eq!((with.code(), opt.owner.as_str(), opt.record_type), (code, "", OPT));
            assert_eq!((opt.class, opt.ttl, opt.data.len()), (1232, if is_do { 0x8000 } else { 0 }, 0));
        }
    }
}

#[test]
fn names_up_to_255_bytes_are_answered() {
    let served = plain();
    let longest = query("", A).wire_name(long_name(255));
    let reply = exchange(served.addr, &longest.bytes());
    let parsed = parse(&reply).unwrap();
    assert_eq!(parsed.code(), SERVFAIL);
    assert_eq!(reply[parsed.question.unwrap()], longest.question());
    // In the zone as well: 255 bytes that end in its name.
    let mut inside = long_name(255 - 15 + 1);
    inside.pop();
    inside.extend(crate::packet::name("cluster.local"));
    let parsed = ask(served.addr, &query("", A).wire_name(inside));
    assert_eq!((parsed.code(), parsed.authorities.len()), (NXDOMAIN, 1));
    let root = ask(served.addr, &query("", A));
    assert_eq!(root.code(), SERVFAIL);
}

#[test]
fn labels_of_any_bytes_are_answered() {
    let served = plain();
    let mut name = vec![5, 0, 255, b'.', b'\\', b' '];
    name.extend(crate::packet::name("demo.svc.cluster.local"));
    let asked = query("", A).wire_name(name);
    let reply = exchange(served.addr, &asked.bytes());
    let parsed = parse(&reply).unwrap();
    assert_eq!(parsed.code(), NXDOMAIN);
    assert_eq!(reply[parsed.question.unwrap()], asked.question());
}

#[test]
fn a_zone_that_nobody_serves_is_refused_and_one_without_a_forwarder_fails() {
    let only = |zone: &str| {
        let block = Block { zones: vec![zone.parse().unwrap()], ..Block::default() };
        Served::start(&dns_config(vec![block]))
    };
    let served = only("example.org.");
    assert_eq!(ask(served.addr, &query("example.com", A)).code(), REFUSED);
    assert_eq!(ask(served.addr, &query("www.example.org", A)).code(), SERVFAIL);
}

/// What the answer to a question about 60 addresses is, over UDP.
fn sixty(served: &Served, asked: &Query) -> (Parsed, usize) {
    let reply = exchange(served.addr, &asked.bytes());
    (parse(&reply).unwrap(), reply.len())
}

#[test]
fn sixty_addresses_are_cut_to_what_the_client_takes() {
    let served = plain();
    let asked = query("n-60.demo.svc.cluster.local", A);
    let (parsed, length) = sixty(&served, &asked);
    println!("no EDNS: {} of 60 in {length} bytes", parsed.answers.len());
    assert!(parsed.is_truncated() && (497..=512).contains(&length), "{length}");
    assert_eq!(parsed.answers.len(), 29);
    let (parsed, length) = sixty(&served, &asked.clone().edns(512));
    println!("EDNS 512: {} of 60 in {length} bytes", parsed.answers.len());
    assert!(parsed.is_truncated() && (497..=512).contains(&length), "{length}");
    assert_eq!(parsed.answers.len(), 28);
    // Less than 512 is 512 (RFC 6891, 6.2.3).
    assert_eq!(sixty(&served, &asked.clone().edns(0)).0.answers.len(), 28);
    let (parsed, length) = sixty(&served, &asked.clone().edns(1232));
    println!("EDNS 1232: {} of 60 in {length} bytes", parsed.answers.len());
    assert!(!parsed.is_truncated());
    assert_eq!(parsed.answers.len(), 60);
    let mut addrs: Vec<_> = parsed.answers.iter().map(|record| record.data.clone()).collect();
    addrs.sort();
    addrs.dedup();
    assert_eq!(addrs.len(), 60);
}

#[test]
fn more_than_fits_on_any_path_is_not_sent_whatever_the_client_takes() {
    let served = plain();
    let asked = query("n-100.demo.svc.cluster.local", A).edns(65_535);
    let reply = exchange(served.addr, &asked.bytes());
    let parsed = parse(&reply).unwrap();
    assert!(parsed.is_truncated() && (1217..=1232).contains(&reply.len()), "{}", reply.len());
    let over_tcp = Stream::to(served.addr).ask(&asked);
    assert_eq!((over_tcp.is_truncated(), over_tcp.answers.len()), (false, 100));
}

#[test]
fn lost_additional_records_are_not_a_truncated_answer() {
    let served = plain();
    let asked = query("_http._tcp.n-8.demo.svc.cluster.local", SRV);
    let reply = exchange(served.addr, &asked.bytes());
    let parsed = parse(&reply).unwrap();
    assert!(reply.len() <= 512);
    assert_eq!((parsed.is_truncated(), parsed.answers.len(), parsed.additionals.len()), (false, 8, 0));
    let whole = ask(served.addr, &asked.edns(1232));
    assert_eq!((whole.is_truncated(), whole.answers.len(), whole.additionals.len()), (false, 8, 8));
}

#[test]
fn the_case_of_the_question_and_its_id_come_back() {
    let served = plain();
    for (id, text) in [(0, "wEb.DeMo.SvC.cLuStEr.LoCaL"), (0xffff, "WEB.demo.SVC.CLUSTER.local")] {
        let asked = query(text, A).id(id);
        let reply = exchange(served.addr, &asked.bytes());
        let parsed = parse(&reply).unwrap();
        assert_eq!(parsed.id, id);
        assert_eq!(reply[parsed.question.unwrap()], asked.question());
        assert_eq!(parsed.answers[0].owner, format!("{text}."));
    }
}

#[test]
fn rd_and_cd_come_back_and_an_answer_of_the_zone_is_authoritative() {
    let served = plain();
    let parsed = ask(served.addr, &query(WEB, A).low_flags(0x10));
    assert_eq!(parsed.flags, [0x80 | 0x04 | RD, 0x10]);
    let refused = ask(served.addr, &query(WEB, A).class(3));
    assert_eq!(refused.flags, [0x80 | RD, REFUSED]);
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    let port = free_addr(LOCALHOST).port();
    let all_v4 = Served::on(&[(Ipv4Addr::UNSPECIFIED, port).into()], 1, &config(Vec::new()));
    // A connected socket takes nothing from another address.
    for asked in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 3, 2, 1)] {
        let addr = SocketAddr::from((asked, port));
        assert_eq!(ask(addr, &query(WEB, A)).answers.len(), 1, "{addr}");
        assert_eq!(Stream::to(addr).ask(&query(WEB, A)).answers.len(), 1, "{addr}");
    }
    drop(all_v4);
    // IPv6 alone takes IPv4 as well.
    let port = free_addr(LOCALHOST).port();
    let both = Served::on(&[(Ipv6Addr::UNSPECIFIED, port).into()], 1, &config(Vec::new()));
    let asked = [Ipv6Addr::LOCALHOST.into(), LOCALHOST, Ipv4Addr::new(127, 0, 0, 2).into()];
    for addr in asked.map(|ip: std::net::IpAddr| SocketAddr::from((ip, port))) {
        assert_eq!(ask(addr, &query(WEB, A)).answers.len(), 1, "{addr}");
    }
    drop(both);
}

#[test]
fn both_families_by_name_are_two_sockets_of_one_port() {
    let port = free_addr(LOCALHOST).port();
    let addrs: [SocketAddr; 2] = [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()];
    let served = Served::on(&addrs, 2, &config(Vec::new()));
    for addr in [(Ipv6Addr::LOCALHOST, port).into(), SocketAddr::from((LOCALHOST, port))] {
        assert_eq!(ask(addr, &query(WEB, A)).answers.len(), 1, "{addr}");
    }
    assert_eq!(served.counters().queries(), 2);
}

#[test]
fn several_servers_share_a_port() {
    let first = plain();
    let second = Served::on(&[first.addr], 2, &config(Vec::new()));
    wait_until("both are asked", || {
        assert_eq!(ask(first.addr, &query(WEB, A)).answers.len(), 1);
        first.counters().queries() > 0 && second.counters().queries() > 0
    });
}

#[test]
fn a_port_that_somebody_else_has_is_named() {
    let taken = std::net::UdpSocket::bind((LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _owner = std::net::UdpSocket::bind(taken).unwrap();
    let error = dns::server::bind(&[taken], 1).unwrap_err();
    assert_eq!((error.addr, error.protocol), (taken, "UDP"));
    assert!(error.to_string().contains("another server has the port"), "{error}");
}
