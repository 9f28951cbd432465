//! External names: an alias in the zone, its target at an upstream.

use std::time::Duration;

use dns::config::{Block, ClusterConfig, DnsConfig, ForwardConfig};

use crate::client::{Stream, ask, timed};
use crate::packet::{
    A, CNAME, FORMERR, NOERROR, NXDOMAIN, Parsed, REFUSED, Response, SERVFAIL, SOA, TC, TXT, name, parse,
    query,
};
use crate::served::{LOCALHOST, Served, config, dns_config, forward_to, free_addr};
use crate::upstream::{Asked, Over, Upstream};

const SHOP: &str = "shop.demo.svc.cluster.local";
const TARGET: &str = "shop.example.org";

fn served(answer: impl Fn(Response) -> Response + Send + Sync + 'static) -> (Upstream, Served) {
    let upstream = Upstream::new(move |asked: &Asked| {
        asked.reply(&answer(Response::to(&asked.packet, NOERROR)).bytes());
    });
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    (upstream, served)
}

/// Owner, type and last byte of each answer.
fn told(parsed: &Parsed) -> Vec<(&str, u16, u8)> {
    parsed.answers.iter().map(|r| (r.owner.as_str(), r.record_type, *r.data.last().unwrap())).collect()
}

#[test]
fn the_alias_and_what_its_target_has_are_one_answer() {
    let (upstream, served) = served(|r| {
        r.answer(TARGET, CNAME, &name("cdn.example.net"))
            .answer("CDN.example.net", A, &[192, 0, 2, 1])
            .answer("cdn.example.net", A, &[192, 0, 2, 2])
    });
    let parsed = ask(served.addr, &query("Shop.demo.svc.cluster.local", A).id(3));
    assert_eq!((parsed.id, parsed.code(), parsed.is_truncated()), (3, NOERROR, false));
    assert_eq!(
        told(&parsed),
        [
            ("Shop.demo.svc.cluster.local.", CNAME, 0),
            ("shop.example.org.", CNAME, 0),
            ("CDN.example.net.", A, 1),
            ("cdn.example.net.", A, 2)
        ]
    );
    assert_eq!(parsed.answers[0].target, "shop.example.org.");
    // Without the detour of a connection.
    let seen = upstream.seen();
    let [(Over::Udp, sent)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(parse(sent).unwrap().opts.len(), 1);
    assert_eq!(
        parse(sent).unwrap().question.map(|range| sent[range].to_vec()),
        Some(query(TARGET, A).question())
    );
}

#[test]
fn any_type_is_asked_of_the_target_but_the_alias_itself() {
    let (upstream, served) = served(|r| r.answer(TARGET, TXT, b"\x02hi"));
    assert_eq!(told(&ask(served.addr, &query(SHOP, TXT))).len(), 2);
    assert_eq!(upstream.count(), 1);
    assert_eq!(told(&ask(served.addr, &query(SHOP, CNAME))).len(), 1);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn records_that_nobody_asked_for_are_not_passed_on() {
    let (_upstream, served) = served(|r| {
        r.answer("web.demo.svc.cluster.local", A, &[6, 6, 6, 6])
            .answer(TARGET, CNAME, &name("cdn.example.net"))
            .answer("bank.example.com", A, &[6, 6, 6, 7])
            .answer("cdn.example.net", A, &[192, 0, 2, 1])
            .authority("cluster.local", SOA, &soa())
            .authority("example.com", 2, &name("ns.evil.example"))
            .additional("ns.evil.example", A, 1, &[6, 6, 6, 8])
    });
    let parsed = ask(served.addr, &query(SHOP, A));
    assert_eq!(told(&parsed)[1..], [("shop.example.org.", CNAME, 0), ("cdn.example.net.", A, 1)]);
    assert!(parsed.authorities.is_empty() && parsed.additionals.is_empty(), "{parsed:?}");
}

fn soa() -> Vec<u8> {
    [name("ns.example.org"), name("hostmaster.example.org"), vec![0; 20]].concat()
}

#[test]
fn a_dead_target_does_not_exist_and_says_by_whose_word() {
    let upstream = Upstream::new(|asked| {
        let response = Response::to(&asked.packet, NXDOMAIN).authority("example.org", SOA, &soa());
        asked.reply(&response.bytes());
    });
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    let parsed = ask(served.addr, &query("dead.demo.svc.cluster.local", A));
    assert_eq!(parsed.code(), NXDOMAIN);
    assert_eq!(told(&parsed), [("dead.demo.svc.cluster.local.", CNAME, 0)]);
    let [authority] = &parsed.authorities[..] else { panic!("one record") };
    assert_eq!((authority.owner.as_str(), authority.record_type), ("example.org.", SOA));
}

#[test]
fn a_circle_of_aliases_ends_and_nothing_is_told_twice() {
    let (_upstream, served) = served(|r| {
        r.answer(TARGET, CNAME, &name("b.example.org")).answer("b.example.org", CNAME, &name(TARGET))
    });
    let parsed = ask(served.addr, &query(SHOP, A));
    let owners: Vec<_> = parsed.answers[1..].iter().map(|r| (r.owner.as_str(), r.record_type)).collect();
    assert_eq!(owners, [("shop.example.org.", CNAME), ("b.example.org.", CNAME)]);
}

#[test]
fn a_long_chain_is_told_as_far_as_it_was_followed() {
    let (_upstream, served) = served(|r| {
        let links = (0..9_u8).fold(r.answer(TARGET, CNAME, &name("c0.example.org")), |r, i| {
            r.answer(&format!("c{i}.example.org"), CNAME, &name(&format!("c{}.example.org", i + 1)))
        });
        links.answer("c9.example.org", A, &[192, 0, 2, 9])
    });
    let parsed = ask(served.addr, &query(SHOP, A).edns(1232));
    assert_eq!(told(&parsed).last(), Some(&("c9.example.org.", A, 9)));
    assert_eq!(parsed.answers.len(), 12);
}

#[test]
fn an_answer_about_a_target_is_cut_like_any_other() {
    let (_upstream, served) = served(|r| (0..100).fold(r, |r, i| r.answer(TARGET, A, &[192, 0, 2, i])));
    let parsed = ask(served.addr, &query(SHOP, A));
    assert!(parsed.is_truncated() && parsed.answers.len() > 10);
    let parsed = Stream::to(served.addr).ask(&query(SHOP, A));
    assert_eq!((parsed.is_truncated(), parsed.answers.len()), (false, 101));
}

#[test]
fn a_target_whose_answer_does_not_fit_is_asked_over_tcp() {
    let upstream = Upstream::new(|asked| {
        let response = Response::to(&asked.packet, NOERROR);
        asked.reply(&match asked.over {
            Over::Udp => response.flags(TC, 0).bytes(),
            Over::Tcp => (0..90).fold(response, |r, i| r.answer(TARGET, A, &[192, 0, 2, i])).bytes(),
        });
    });
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    let parsed = Stream::to(served.addr).ask(&query(SHOP, A));
    assert_eq!((parsed.is_truncated(), parsed.answers.len()), (false, 91));
    let over: Vec<Over> = upstream.seen().iter().map(|(over, _)| *over).collect();
    assert_eq!(over, [Over::Udp, Over::Tcp]);
}

#[test]
fn an_upstream_that_does_not_know_edns_is_asked_without() {
    let upstream = Upstream::new(|asked| {
        let has_opt = !parse(&asked.packet).unwrap().opts.is_empty();
        let response = Response::to(&asked.packet, if has_opt { FORMERR } else { NOERROR });
        let response = if has_opt { response } else { response.answer(TARGET, A, &[192, 0, 2, 1]) };
        asked.reply(&response.bytes());
    });
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    assert_eq!(told(&ask(served.addr, &query(SHOP, A))).last(), Some(&("shop.example.org.", A, 1)));
    assert_eq!(upstream.count(), 2);
}

/// `cluster.local` and, in a block of its own, `other.example`: the same Services in both. Only the second asks upstreams.
fn two_blocks(forwards: Vec<ForwardConfig>) -> DnsConfig {
    let block = |zone: &str, forwards| {
        let zones = vec![zone.parse().unwrap()];
        let cluster = ClusterConfig { zones: zones.clone(), ..ClusterConfig::default() };
        Block { zones, cluster: Some(cluster), forwards, logs_errors: true }
    };
    let root = Block { zones: vec![".".parse().unwrap()], cluster: None, forwards, logs_errors: true };
    dns_config(vec![block("cluster.local.", Vec::new()), block("other.example.", Vec::new()), root])
}

#[test]
fn a_target_in_the_zone_of_another_block_is_answered_there() {
    let upstream = Upstream::new(|asked| {
        let response = Response::to(&asked.packet, NOERROR).answer(TARGET, A, &[192, 0, 2, 1]);
        asked.reply(&response.bytes());
    });
    let served = Served::start(&two_blocks(vec![forward_to(&[upstream.addr])]));
    let ask = |name: &str, record_type| ask(served.addr, &query(name, record_type));
    let parsed = ask("beyond.demo.svc.cluster.local", A);
    assert_eq!(
        told(&parsed),
        [("beyond.demo.svc.cluster.local.", CNAME, 0), ("web.demo.svc.other.example.", A, 10)]
    );
    assert_eq!(upstream.count(), 0);
    // The target has no such record, and its zone says so.
    let parsed = ask("beyond.demo.svc.cluster.local", TXT);
    assert_eq!((parsed.code(), parsed.answers.len(), parsed.authorities.len()), (NOERROR, 1, 1));
    // From zone to zone, and out.
    let parsed = ask("out.demo.svc.cluster.local", A);
    let owners: Vec<&str> = parsed.answers.iter().map(|r| r.owner.as_str()).collect();
    assert_eq!(owners, ["out.demo.svc.cluster.local.", "shop.demo.svc.other.example.", "shop.example.org."]);
    assert_eq!(ask("circle.demo.svc.cluster.local", A).code(), SERVFAIL);
}

#[test]
fn a_target_that_cannot_be_had_is_a_failure() {
    let nobody = Served::start(&config(vec![forward_to(&[free_addr(LOCALHOST)])]));
    let (parsed, took) = timed(nobody.addr, &query(SHOP, A));
    assert_eq!(parsed.code(), SERVFAIL);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let silent = Upstream::holding();
    let waiting = Served::start(&config(vec![forward_to(&[silent.addr])]));
    let (parsed, took) = timed(waiting.addr, &query(SHOP, A));
    assert_eq!(parsed.code(), SERVFAIL);
    assert!(took < Duration::from_millis(5500), "{took:?}");
    let refusing = Upstream::new(|asked| asked.reply(&Response::to(&asked.packet, REFUSED).bytes()));
    let served = Served::start(&config(vec![forward_to(&[refusing.addr])]));
    assert_eq!(ask(served.addr, &query(SHOP, A)).code(), REFUSED);
}

#[test]
fn without_anybody_to_ask_the_client_gets_the_alias() {
    let served = Served::start(&config(Vec::new()));
    let parsed = ask(served.addr, &query(SHOP, A));
    assert_eq!((parsed.code(), told(&parsed).len()), (NOERROR, 1));
}

#[test]
fn junk_about_a_target_is_a_failure() {
    let upstream = Upstream::new(|asked| {
        let mut bytes = Response::to(&asked.packet, NOERROR).answer(TARGET, A, &[192, 0, 2, 1]).bytes();
        bytes.pop();
        asked.reply(&bytes);
    });
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    assert_eq!(ask(served.addr, &query(SHOP, A)).code(), SERVFAIL);
}
