//! Services that stand for other names.

use dns::answer::MAX_CHAIN;
use hickory_proto::op::ResponseCode;

use crate::cluster::{Cluster, lines};

fn external(name: &str, target: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: shop}}, \
         spec: {{type: ExternalName, externalName: {target:?}}}}}\n"
    )
}

const INSIDE: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: bank}, spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: bank}, spec: {clusterIP: None}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-1, namespace: bank, labels: {kubernetes.io/service-name: db}},
 endpoints: [{addresses: [10.244.1.1]}, {addresses: [10.244.1.2]}]}
";

fn cluster(targets: &[(&str, &str)]) -> Cluster {
    let services: String = targets.iter().map(|(name, target)| external(name, target)).collect();
    Cluster::of(&format!("{INSIDE}{services}"))
}

#[test]
fn an_external_name_is_an_alias_for_every_type() {
    let cluster = cluster(&[("ext", "db.example.com")]);
    for record_type in ["A", "AAAA", "TXT", "SRV", "MX", "HTTPS"] {
        let expected = "CNAME db.example.com., then db.example.com.";
        assert_eq!(cluster.told(&format!("{record_type} ext.shop.svc")), expected, "{record_type}");
    }
    cluster.tells(&[
        ("CNAME ext.shop.svc", "db.example.com."),
        ("ANY ext.shop.svc", "CNAME db.example.com."),
        ("A _tcp.ext.shop.svc", "NXDOMAIN"),
        ("SRV _http._tcp.ext.shop.svc", "NXDOMAIN"),
        ("A x.ext.shop.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn the_target_may_end_with_a_dot_have_capitals_and_underscores() {
    let cluster =
        cluster(&[("dotted", "db.example.com."), ("case", "DB.example.com"), ("under", "_db.example.com")]);
    cluster.tells(&[
        ("CNAME dotted.shop.svc", "db.example.com."),
        ("CNAME case.shop.svc", "DB.example.com."),
        ("CNAME under.shop.svc", "_db.example.com."),
    ]);
}

#[test]
fn what_is_no_name_does_not_resolve() {
    let too_long = [&"x".repeat(63)[..]; 4].join(".");
    let label = "x".repeat(64);
    let targets = ["192.0.2.1", "2001:db8::1", "", "a..b", ".", &too_long, &label];
    for target in targets {
        let cluster = cluster(&[("ext", target)]);
        cluster.tells(&[("A ext.shop.svc", "NXDOMAIN"), ("CNAME ext.shop.svc", "NXDOMAIN")]);
    }
}

#[test]
fn a_target_of_253_characters_is_told_in_full() {
    let label = "x".repeat(63);
    let target = [&label[..], &label, &label, &"y".repeat(61)].join(".");
    assert_eq!(target.len(), 253);
    let cluster = cluster(&[("ext", &target)]);
    cluster.tells(&[("CNAME ext.shop.svc", &format!("{target}."))]);
}

#[test]
fn a_target_in_the_cluster_is_followed_inside_one_answer() {
    let cluster = cluster(&[
        ("web", "web.bank.svc.cluster.local"),
        ("db", "db.bank.svc.cluster.local."),
        ("gone", "no.bank.svc.cluster.local"),
        ("twice", "web.shop.svc.cluster.local"),
        ("port", "_http._tcp.web.bank.svc.cluster.local"),
        ("pod", "10-0-0-1.bank.pod.cluster.local"),
        ("zone", "cluster.local"),
    ]);
    cluster.tells(&[
        ("A web.shop.svc", "CNAME web.bank.svc.cluster.local., 10.96.0.1"),
        // The target exists with the other family only.
        ("AAAA web.shop.svc", "CNAME web.bank.svc.cluster.local., NODATA"),
        ("A db.shop.svc", "CNAME db.bank.svc.cluster.local., 10.244.1.1, 10.244.1.2"),
        ("A gone.shop.svc", "CNAME no.bank.svc.cluster.local., NXDOMAIN"),
        (
            "A twice.shop.svc",
            "CNAME web.shop.svc.cluster.local., CNAME web.bank.svc.cluster.local., 10.96.0.1",
        ),
        (
            "SRV port.shop.svc",
            "CNAME _http._tcp.web.bank.svc.cluster.local., 0 100 80 web.bank.svc.cluster.local.",
        ),
        ("A pod.shop.svc", "CNAME 10-0-0-1.bank.pod.cluster.local., NXDOMAIN"),
        ("A zone.shop.svc", "CNAME cluster.local., NODATA"),
    ]);
    // Each record is its own name's, and a miss at the end of the chain has the SOA.
    let answer = cluster.answer("A twice.shop.svc");
    let owners: Vec<String> = answer.answers.iter().map(|record| record.name.to_string()).collect();
    let expected =
        ["twice.shop.svc", "web.shop.svc", "web.bank.svc"].map(|name| format!("{name}.cluster.local."));
    assert_eq!(owners, expected);
    for question in ["A gone.shop.svc", "AAAA web.shop.svc"] {
        assert!(lines(&cluster.answer(question).authorities)[0].starts_with("cluster.local. 5 SOA "));
    }
    assert!(lines(&cluster.answer("SRV port.shop.svc").additionals)[0].ends_with(" 5 A 10.96.0.1"));
}

#[test]
fn a_chain_ends_at_the_limit() {
    let chain = |length: usize| {
        let mut targets: Vec<(String, String)> =
            (0..length).map(|i| (format!("e{i}"), format!("e{}.shop.svc.cluster.local", i + 1))).collect();
        targets.push((format!("e{length}"), "web.bank.svc.cluster.local".to_owned()));
        let targets: Vec<(&str, &str)> = targets.iter().map(|(a, b)| (&a[..], &b[..])).collect();
        cluster(&targets).answer("A e0.shop.svc")
    };
    // Ten aliases and the address.
    let longest = chain(MAX_CHAIN - 1);
    assert_eq!(longest.answers.len(), MAX_CHAIN + 1);
    assert!(lines(&longest.answers)[MAX_CHAIN].ends_with(" A 10.96.0.1"));
    let too_long = chain(MAX_CHAIN);
    assert_eq!((too_long.code, too_long.answers.len()), (ResponseCode::ServFail, 0));
}

#[test]
fn a_loop_is_a_failure_without_its_records() {
    let cluster = cluster(&[
        ("self", "self.shop.svc.cluster.local"),
        ("ping", "pong.shop.svc.cluster.local"),
        ("pong", "PING.shop.svc.cluster.local"),
    ]);
    cluster.tells(&[
        ("A self.shop.svc", "SERVFAIL"),
        ("A ping.shop.svc", "SERVFAIL"),
        ("CNAME ping.shop.svc", "pong.shop.svc.cluster.local."),
    ]);
}

#[test]
fn a_zone_that_goes_on_is_gone_on_with_from_a_missing_target() {
    let cluster = cluster(&[("gone", "no.bank.svc.cluster.local")])
        .served(|config| config.fallthrough = dns::config::Fallthrough::All);
    let expected = "CNAME no.bank.svc.cluster.local., then no.bank.svc.cluster.local.";
    cluster.tells(&[("A gone.shop.svc", expected)]);
}
