//! SRV records (RFC 2782).

use crate::cluster::{Cluster, lines};

const PORTS: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop},
 spec: {clusterIPs: [10.96.0.1, 'fd00:96::1'],
        ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}, {name: assoc, port: 9, protocol: SCTP}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: plain, namespace: shop}, spec: {clusterIP: 10.96.0.2, ports: [{port: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-4, namespace: shop, labels: {kubernetes.io/service-name: db}},
 ports: [{name: sql, port: 5432}, {port: 9}],
 endpoints: [{addresses: [10.244.1.1], hostname: db-0}, {addresses: [10.244.1.2]}, {addresses: [10.244.1.3], hostname: db-2}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-5, namespace: shop, labels: {kubernetes.io/service-name: db}}, ports: [{name: sql, port: 5432}],
 endpoints: [{addresses: [10.244.1.1], hostname: db-0}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv6,
 metadata: {name: db-6, namespace: shop, labels: {kubernetes.io/service-name: db}}, ports: [{name: sql, port: 5432}],
 endpoints: [{addresses: ['fd00:244::1'], hostname: db-0}]}
";

#[test]
fn a_named_port_leads_to_the_service_and_its_addresses() {
    let answer = Cluster::of(PORTS).answer("SRV _http._tcp.web.shop.svc");
    let owner = "_http._tcp.web.shop.svc.cluster.local.";
    let target = "web.shop.svc.cluster.local.";
    assert_eq!(lines(&answer.answers), [format!("{owner} 5 SRV 0 100 80 {target}")]);
    let expected = [format!("{target} 5 A 10.96.0.1"), format!("{target} 5 AAAA fd00:96::1")];
    assert_eq!(lines(&answer.additionals), expected);
    assert!(answer.authorities.is_empty());
}

#[test]
fn name_and_protocol_of_a_port_must_both_be_right() {
    Cluster::of(PORTS).tells(&[
        ("SRV _dns._udp.web.shop.svc", "0 100 53 web.shop.svc.cluster.local."),
        ("SRV _assoc._sctp.web.shop.svc", "0 100 9 web.shop.svc.cluster.local."),
        ("SRV _dns._tcp.web.shop.svc", "NXDOMAIN"),
        ("SRV _https._tcp.web.shop.svc", "NXDOMAIN"),
        ("SRV _http._quic.web.shop.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn names_of_ports_without_their_underscores_do_not_exist() {
    Cluster::of(PORTS).tells(&[
        ("SRV http.tcp.web.shop.svc", "NXDOMAIN"),
        ("SRV _http.tcp.web.shop.svc", "NXDOMAIN"),
        ("SRV http._tcp.web.shop.svc", "NXDOMAIN"),
        ("SRV _._tcp.web.shop.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn other_types_of_a_port_and_the_name_above_it_are_nodata() {
    Cluster::of(PORTS).tells(&[
        ("A _http._tcp.web.shop.svc", "NODATA"),
        ("AAAA _sql._tcp.db.shop.svc", "NODATA"),
        ("A _tcp.web.shop.svc", "NODATA"),
        ("SRV _tcp.web.shop.svc", "NODATA"),
        ("SRV _tcp.db.shop.svc", "NODATA"),
        ("SRV _udp.db.shop.svc", "NXDOMAIN"),
        ("SRV _tcp.plain.shop.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn an_unnamed_port_is_found_at_the_name_of_the_service_alone() {
    Cluster::of(PORTS).tells(&[
        ("SRV plain.shop.svc", "0 100 8080 plain.shop.svc.cluster.local."),
        ("SRV _8080._tcp.plain.shop.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn the_name_of_a_service_has_all_its_ports() {
    let target = "web.shop.svc.cluster.local.";
    let expected = format!("0 33 80 {target}, 0 33 53 {target}, 0 33 9 {target}");
    assert_eq!(Cluster::of(PORTS).told("SRV web.shop.svc"), expected);
}

#[test]
fn a_headless_port_leads_to_each_endpoint_once() {
    let cluster = Cluster::of(PORTS);
    let answer = cluster.answer("SRV _sql._tcp.db.shop.svc");
    let below = |label: &str| format!("{label}.db.shop.svc.cluster.local.");
    let owner = "_sql._tcp.db.shop.svc.cluster.local.";
    let srv = |label| format!("{owner} 5 SRV 0 33 5432 {}", below(label));
    assert_eq!(lines(&answer.answers), [srv("db-0"), srv("10-244-1-2"), srv("db-2")]);
    let mut additionals = lines(&answer.additionals);
    additionals.sort();
    let a = |label, addr| format!("{} 5 A {addr}", below(label));
    assert_eq!(
        additionals,
        [
            a("10-244-1-2", "10.244.1.2"),
            a("db-0", "10.244.1.1"),
            format!("{} 5 AAAA fd00:244::1", below("db-0")),
            a("db-2", "10.244.1.3"),
        ]
    );
}

#[test]
fn an_endpoint_has_its_own_ports() {
    let target = "db-2.db.shop.svc.cluster.local.";
    let expected = format!("0 50 5432 {target}, 0 50 9 {target}");
    assert_eq!(Cluster::of(PORTS).told("SRV db-2.db.shop.svc"), expected);
}

#[test]
fn weights_share_a_hundred_and_are_never_zero() {
    for (count, weight) in [(1, 100), (3, 33), (100, 1), (150, 1)] {
        let endpoints: Vec<String> =
            (0..count).map(|i| format!("{{addresses: [10.244.2.{i}], hostname: h{i}}}")).collect();
        let manifest = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: many}}, spec: {{clusterIP: None}}}}
---
{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {{name: many-1, labels: {{kubernetes.io/service-name: many}}}}, ports: [{{name: p, port: 1}}], endpoints: [{}]}}",
            endpoints.join(", ")
        );
        let answer = Cluster::of(&manifest).answer("SRV _p._tcp.many.default.svc");
        assert_eq!(answer.answers.len(), count);
        let expected = format!(" SRV 0 {weight} 1 ");
        assert!(lines(&answer.answers).iter().all(|line| line.contains(&expected)), "{count}");
    }
}

#[test]
fn a_service_without_ports_has_no_srv_records_and_exists() {
    let cluster =
        Cluster::of("{apiVersion: v1, kind: Service, metadata: {name: bare}, spec: {clusterIP: 10.96.0.1}}");
    cluster.tells(&[("SRV bare.default.svc", "NODATA"), ("SRV _tcp.bare.default.svc", "NXDOMAIN")]);
}
