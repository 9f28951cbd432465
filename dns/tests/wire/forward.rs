//! Forwarding: bytes in, the same bytes out, and upstreams that do not work.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use dns::config::{ForwardConfig, Transport, Upstreams};

use crate::client::{Stream, ask, exchange, receive, socket_to, timed};
use crate::log;
use crate::packet::{
    A, AD, CD, FORMERR, NOERROR, NOTIMP, NXDOMAIN, REFUSED, Response, SERVFAIL, parse, query,
};
use crate::served::{LOCALHOST, Served, config, forward_to, free_addr, wait_until};
use crate::upstream::{Asked, Over, Upstream};

const NAME: &str = "www.example.org";

fn one_address(asked: &Asked) {
    asked.reply(&Response::to(&asked.packet, NOERROR).answer(NAME, A, &[192, 0, 2, 1]).bytes());
}

fn served(upstreams: &[SocketAddr]) -> Served {
    Served::start(&config(vec![forward_to(upstreams)]))
}

#[test]
fn packets_pass_both_ways_as_they_are_but_for_the_id() {
    // An answer with everything that one could lose: AA, AD, a type, a class and EDNS options that nobody knows.
    let make = |packet: &[u8]| {
        Response::to(packet, NXDOMAIN)
            .flags(0x04, AD)
            .answer(NAME, 65_399, b"\x00\x01anything")
            .authority("example.org", 46, b"signature")
            .additional("x.example.org", 1, 4711, b"1234")
            .additional("", crate::packet::OPT, 4096, b"\xff\xfe\x00\x03abc")
            .bytes()
    };
    let upstream = Upstream::new(move |asked| asked.reply(&make(&asked.packet)));
    let served = served(&[upstream.addr]);
    let asked = query("WwW.ExAmPlE.oRg", 65_400)
        .low_flags(AD | CD)
        .opt(1400, 0, true, &[(65_001, b"custom"), (10, b"cookie!!"), (8, b"\x00\x01\x18\x00\xc0\x00\x02")])
        .id(0xabcd)
        .bytes();
    let reply = exchange(served.addr, &asked);
    let [(Over::Udp, sent)] = &upstream.seen()[..] else { panic!("one query over UDP") };
    assert_eq!(sent[2..], asked[2..]);
    assert_ne!(sent[..2], asked[..2], "by chance once in 65,536 times");
    assert_eq!(reply, make(&asked));
}

#[test]
fn other_operations_are_not_forwarded() {
    let upstream = Upstream::new(one_address);
    let served = served(&[upstream.addr]);
    for opcode in [2, 3, 5, 6, 15] {
        assert_eq!(ask(served.addr, &query(NAME, A).opcode(opcode)).code(), NOTIMP);
    }
    assert_eq!(ask(served.addr, &query(NAME, A).opcode(4)).code(), NOERROR);
    assert_eq!(ask(served.addr, &query(NAME, A).class(3)).code(), REFUSED);
    assert_eq!(upstream.count(), 0);
    assert_eq!(ask(served.addr, &query(NAME, A)).answers.len(), 1);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn an_answer_with_another_id_question_or_source_is_not_believed() {
    let upstream = Upstream::new(|asked| {
        let lie = |packet: &[u8]| Response::to(packet, NOERROR).answer(NAME, A, &[6, 6, 6, 6]).bytes();
        let with = |at: usize, byte: u8| {
            let mut packet = lie(&asked.packet);
            packet[at] = byte;
            packet
        };
        asked.reply_from_elsewhere(&lie(&asked.packet));
        asked.reply(&with(0, asked.packet[0] ^ 1));
        asked.reply(&with(1, asked.packet[1] ^ 0x80));
        // No response.
        asked.reply(&with(2, 0x01));
        // No question, two questions.
        asked.reply(&with(5, 0));
        asked.reply(&with(5, 2));
        // Another name, type, class.
        asked.reply(&with(13, b'v'));
        let end = parse(&asked.packet).unwrap().question.unwrap().end;
        asked.reply(&with(end - 3, 28));
        // HTTPS is 65; 97 is what lower case would make of it.
        asked.reply(&with(end - 3, 97));
        asked.reply(&with(end - 1, 3));
        asked.reply(&[]);
        asked.reply(&lie(&asked.packet)[..11]);
        asked.reply(&Response::to(&asked.packet, NOERROR).answer(NAME, 65, b"true").bytes());
    });
    let served = served(&[upstream.addr]);
    let parsed = ask(served.addr, &query(NAME, 65));
    let [record] = &parsed.answers[..] else { panic!("one record: {parsed:?}") };
    assert_eq!(record.data, b"true");
    assert_eq!(upstream.count(), 1);
    // Over TCP there is one answer, and it must be right.
    let upstream = Upstream::new(|asked| {
        let mut packet = Response::to(&asked.packet, NOERROR).answer(NAME, A, &[6, 6, 6, 6]).bytes();
        packet[13] = b'v';
        asked.reply(&packet);
    });
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    assert_eq!(Stream::to(served.addr).ask(&query(NAME, A)).code(), SERVFAIL);
}

#[test]
fn an_upstream_that_writes_the_name_in_another_case_is_believed() {
    let upstream = Upstream::new(|asked| {
        let mut packet = Response::to(&asked.packet, NOERROR).answer(NAME, A, &[192, 0, 2, 1]).bytes();
        packet[13..16].make_ascii_uppercase();
        asked.reply(&packet);
    });
    let served = served(&[upstream.addr]);
    assert_eq!(ask(served.addr, &query(NAME, A)).answers.len(), 1);
}

#[test]
fn a_refusal_without_the_question_is_an_answer() {
    // A server that cannot read the question does not repeat it (as ours).
    let upstream = Upstream::new(|asked| {
        let mut packet = asked.packet[..12].to_vec();
        packet[2..12].copy_from_slice(&[0x80, FORMERR, 0, 0, 0, 0, 0, 0, 0, 0]);
        asked.reply(&packet);
    });
    let served = served(&[upstream.addr]);
    let (parsed, took) = timed(served.addr, &query(NAME, A).id(7));
    assert_eq!((parsed.id, parsed.code()), (7, FORMERR));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn one_dead_upstream_costs_little_and_then_nothing() {
    for what in ["refuses", "is silent"] {
        let silent = Upstream::holding();
        let dead = if what == "refuses" { free_addr(LOCALHOST) } else { silent.addr };
        let good = Upstream::new(one_address);
        let served = served(&[dead, good.addr]);
        let times: Vec<Duration> = (0..5)
            .map(|_| {
                let (parsed, took) = timed(served.addr, &query(NAME, A));
                assert_eq!(parsed.answers.len(), 1);
                took
            })
            .collect();
        println!("the first of two upstreams {what}: {times:?}");
        let most = if what == "refuses" { 100 } else { 600 };
        assert!(times.iter().all(|took| *took < Duration::from_millis(most)), "{times:?}");
        // After max_fails it is asked last.
        assert!(times[3..].iter().all(|took| *took < Duration::from_millis(200)), "{times:?}");
        assert_eq!(good.count(), 5);
    }
}

#[test]
fn an_upstream_that_came_back_is_asked_first_again() {
    let addr = free_addr(LOCALHOST);
    let other = Upstream::new(one_address);
    let served = served(&[addr, other.addr]);
    for _ in 0..3 {
        assert_eq!(ask(served.addr, &query(NAME, A)).code(), NOERROR);
    }
    let back = Upstream::at(addr, one_address);
    wait_until("it is asked", || {
        let (parsed, took) = timed(served.addr, &query(NAME, A));
        assert_eq!(parsed.code(), NOERROR);
        assert!(took < Duration::from_millis(250), "nobody waits to find out: {took:?}");
        back.count() > 0
    });
    let before = other.count();
    wait_until("it alone is asked", || {
        let at_other = other.count();
        assert_eq!(ask(served.addr, &query(NAME, A)).code(), NOERROR);
        other.count() == at_other
    });
    assert!(other.count() <= before + 3);
}

#[test]
fn one_upstream_alone_is_asked_again_when_a_datagram_is_lost() {
    let (first, lost) = (std::sync::atomic::AtomicBool::new(true), std::sync::atomic::Ordering::Relaxed);
    let upstream = Upstream::new(move |asked| {
        if !first.swap(false, lost) {
            one_address(asked);
        }
    });
    let served = served(&[upstream.addr]);
    let (parsed, took) = timed(served.addr, &query(NAME, A));
    assert_eq!(parsed.answers.len(), 1);
    assert!((900..2000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_slow_upstream_alone_is_waited_for() {
    let upstream = Upstream::new(|asked| {
        let (_keep, time) = mpsc::channel::<()>();
        let _ = time.recv_timeout(Duration::from_millis(700));
        one_address(asked);
    });
    let served = served(&[upstream.addr]);
    let (parsed, took) = timed(served.addr, &query(NAME, A));
    assert_eq!(parsed.answers.len(), 1);
    assert!(took >= Duration::from_millis(690), "{took:?}");
}

#[test]
fn when_nobody_answers_the_client_hears_so_within_five_seconds() {
    let silent = [Upstream::holding(), Upstream::holding(), Upstream::holding()];
    let cases = [
        ("one that refuses", vec![free_addr(LOCALHOST)], 0..1000),
        ("two that refuse", vec![free_addr(LOCALHOST), free_addr(LOCALHOST)], 0..1000),
        ("one that is silent", vec![silent[0].addr], 1500..5500),
        ("two that are silent", vec![silent[1].addr, silent[2].addr], 1500..5500),
        ("none", Vec::new(), 0..1000),
    ];
    let waiting = cases.map(|(what, upstreams, expected)| {
        std::thread::spawn(move || {
            let served = served(&upstreams);
            let (parsed, took) = timed(served.addr, &query(NAME, A));
            println!("{what}: SERVFAIL after {took:?}");
            assert_eq!(parsed.code(), SERVFAIL, "{what}");
            assert!(expected.contains(&took.as_millis()), "{what}: {took:?}");
        })
    });
    for waiting in waiting {
        waiting.join().unwrap();
    }
}

#[test]
fn queries_above_the_limit_are_refused_until_there_is_room() {
    let upstream = Upstream::holding();
    let forward = ForwardConfig { max_concurrent: 10, ..forward_to(&[upstream.addr]) };
    let served = Served::start(&config(vec![forward]));
    let socket = socket_to(served.addr);
    for id in 0..10 {
        socket.send(&query(NAME, A).id(id).bytes()).unwrap();
    }
    wait_until("ten are under way", || upstream.count() == 10);
    socket.send(&query(NAME, A).id(10).bytes()).unwrap();
    let refused = parse(&receive(&socket)).unwrap();
    assert_eq!((refused.id, refused.code()), (10, REFUSED));
    assert_eq!(served.counters().forward_rejects, 1);
    // The zone is answered meanwhile.
    assert_eq!(ask(served.addr, &query("web.demo.svc.cluster.local", A)).answers.len(), 1);
    for asked in upstream.release() {
        one_address(&asked);
        assert_eq!(parse(&receive(&socket)).unwrap().code(), NOERROR);
    }
    socket.send(&query(NAME, A).id(11).bytes()).unwrap();
    wait_until("it is forwarded", || upstream.count() == 11);
}

/// Answers over UDP with TC, over TCP with 100 records.
fn large(asked: &Asked) {
    let response = Response::to(&asked.packet, NOERROR);
    asked.reply(&match asked.over {
        Over::Udp => response.flags(0x02, 0).bytes(),
        Over::Tcp => (0..100).fold(response, |r, i| r.answer(NAME, A, &[192, 0, 2, i])).bytes(),
    });
}

#[test]
fn a_truncated_answer_passes_and_the_client_that_comes_over_tcp_gets_all() {
    let upstream = Upstream::new(large);
    let served = served(&[upstream.addr]);
    let parsed = ask(served.addr, &query(NAME, A));
    assert_eq!((parsed.is_truncated(), parsed.answers.len()), (true, 0));
    let parsed = Stream::to(served.addr).ask(&query(NAME, A));
    assert_eq!((parsed.is_truncated(), parsed.answers.len()), (false, 100));
    let over: Vec<Over> = upstream.seen().into_iter().map(|(over, _)| over).collect();
    assert_eq!(over, [Over::Udp, Over::Tcp]);
}

fn over(transport: Transport, answer: impl Fn(&Asked) + Send + Sync + 'static) -> (Upstream, Served) {
    let upstream = Upstream::new(answer);
    let forward = ForwardConfig { transport, ..forward_to(&[upstream.addr]) };
    let served = Served::start(&config(vec![forward]));
    (upstream, served)
}

#[test]
fn force_tcp_is_tcp_and_an_answer_that_the_client_does_not_take_is_cut() {
    let (upstream, served) = over(Transport::ForceTcp, large);
    let asked = query(NAME, A).id(9).edns(1232);
    let reply = exchange(served.addr, &asked.bytes());
    let parsed = parse(&reply).unwrap();
    assert_eq!((parsed.id, parsed.is_truncated(), parsed.answers.len()), (9, true, 0));
    assert_eq!((parsed.opts.len(), parsed.flags[1] & 0x80), (1, 0x80));
    // A client that takes it has it as it came.
    assert_eq!(ask(served.addr, &query(NAME, A).edns(4096)).answers.len(), 100);
    assert!(upstream.seen().iter().all(|(over, _)| *over == Over::Tcp));
}

#[test]
fn prefer_udp_is_udp_and_tcp_for_a_client_of_tcp_if_the_answer_is_cut() {
    let (upstream, served) = over(Transport::PreferUdp, large);
    assert_eq!(Stream::to(served.addr).ask(&query(NAME, A)).answers.len(), 100);
    assert!(ask(served.addr, &query(NAME, A)).is_truncated());
    let overs: Vec<Over> = upstream.seen().into_iter().map(|(over, _)| over).collect();
    assert_eq!(overs, [Over::Udp, Over::Tcp, Over::Udp]);
    let (upstream, served) = over(Transport::PreferUdp, one_address);
    assert_eq!(Stream::to(served.addr).ask(&query(NAME, A)).answers.len(), 1);
    assert_eq!(upstream.seen()[0].0, Over::Udp);
}

#[test]
fn the_longest_zone_decides_who_is_asked() {
    let (all, inner) = (Upstream::new(one_address), Upstream::new(one_address));
    let corp = ForwardConfig { from: "corp.example.".parse().unwrap(), ..forward_to(&[inner.addr]) };
    let rest = ForwardConfig { except: vec!["secret.example.".parse().unwrap()], ..forward_to(&[all.addr]) };
    let served = Served::start(&config(vec![rest, corp]));
    for (name, code, at_all, at_inner) in [
        ("www.CORP.example", NOERROR, 0, 1),
        ("corp.example", NOERROR, 0, 2),
        ("xcorp.example", NOERROR, 1, 2),
        ("a.secret.example", SERVFAIL, 1, 2),
    ] {
        assert_eq!(ask(served.addr, &query(name, A)).code(), code, "{name}");
        assert_eq!((all.count(), inner.count()), (at_all, at_inner), "{name}");
    }
}

#[test]
fn many_queries_at_once_each_get_their_own_answer() {
    let upstream = Upstream::new(|asked| {
        // The answer says what was asked: the third label character by character.
        let data = asked.packet[13..17].to_vec();
        asked.reply(&Response::to(&asked.packet, NOERROR).answer(NAME, A, &data).bytes());
    });
    let served = served(&[upstream.addr]);
    let socket = socket_to(served.addr);
    let began = Instant::now();
    for round in 0..20_u16 {
        for i in 0..50 {
            let id = round * 50 + i;
            socket.send(&query(&format!("{id:04}.example.org"), A).id(id).bytes()).unwrap();
        }
        for _ in 0..50 {
            let parsed = parse(&receive(&socket)).unwrap();
            assert_eq!(parsed.answers[0].data, format!("{:04}", parsed.id).into_bytes());
        }
    }
    println!("1,000 forwarded queries in {:?}", began.elapsed());
}

#[test]
fn failures_are_logged_once_for_many_and_without_the_names_that_were_asked_for() {
    log::keep();
    let served = Served::start(&config(vec![forward_to(&[free_addr(LOCALHOST)])]));
    for i in 0..20 {
        assert_eq!(ask(served.addr, &query(&format!("private-{i}.example.org"), A)).code(), SERVFAIL);
    }
    wait_until("the warning", || log::has("no upstream answered"));
    assert!(!log::has("private"));
}

#[test]
fn forwarders_of_two_files_ask_whom_their_own_file_names() {
    let answer = |asked: &Asked| asked.reply(&Response::to(&asked.packet, NOERROR).bytes());
    let (here, there) = (Upstream::new(answer), Upstream::new(answer));
    let of = |zone: &str, file: &str| ForwardConfig::new(zone.parse().unwrap(), Upstreams::File(file.into()));
    let served = Served::start(&config(vec![of(".", "/etc/here"), of("example.org.", "/etc/there")]));
    served.resolver.set_file_upstreams("/etc/here".as_ref(), &[here.addr]);
    served.resolver.set_file_upstreams("/etc/there".as_ref(), &[there.addr]);
    ask(served.addr, &query("www.example.net", A));
    assert_eq!((here.count(), there.count()), (1, 0));
    ask(served.addr, &query("www.example.org", A));
    assert_eq!((here.count(), there.count()), (1, 1));
}
