//! Names of addresses.

use crate::cluster::{Cluster, name};

const ADDRS: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop},
 spec: {clusterIPs: [10.96.0.1, 'fd00:96::1'], externalIPs: [192.0.2.1], ports: [{port: 80}]},
 status: {loadBalancer: {ingress: [{ip: 192.0.2.2}]}}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}, ports: [{port: 80}],
 endpoints: [{addresses: [10.244.1.1]}, {addresses: [10.244.1.2]}]}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: bank}, spec: {clusterIP: None}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-1, namespace: bank, labels: {kubernetes.io/service-name: db}},
 endpoints: [{addresses: [10.244.1.2], hostname: db-0}, {addresses: [10.244.1.3]}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-2, namespace: bank, labels: {kubernetes.io/service-name: db}},
 endpoints: [{addresses: [10.244.1.2], hostname: db-0}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv6,
 metadata: {name: db-6, namespace: bank, labels: {kubernetes.io/service-name: db}},
 endpoints: [{addresses: ['fd00:244::1'], hostname: db-0}]}
";

const WEB_V6: &str = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa.";
const DB_V6: &str = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.4.2.0.0.0.d.f.ip6.arpa.";

#[test]
fn an_address_of_a_service_leads_to_it() {
    Cluster::of(ADDRS).tells(&[
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.cluster.local."),
        (&format!("PTR {WEB_V6}"), "web.shop.svc.cluster.local."),
    ]);
}

#[test]
fn an_endpoint_leads_to_its_name_in_each_service_that_has_it() {
    Cluster::of(ADDRS).tells(&[
        ("PTR 1.1.244.10.in-addr.arpa.", "10-244-1-1.web.shop.svc.cluster.local."),
        (
            "PTR 2.1.244.10.in-addr.arpa.",
            "db-0.db.bank.svc.cluster.local., 10-244-1-2.web.shop.svc.cluster.local.",
        ),
        ("PTR 3.1.244.10.in-addr.arpa.", "10-244-1-3.db.bank.svc.cluster.local."),
        (&format!("PTR {DB_V6}"), "db-0.db.bank.svc.cluster.local."),
    ]);
}

#[test]
fn an_address_of_a_service_and_of_endpoints_has_all_its_names_and_the_services_first() {
    let cluster = Cluster::of(
        "
{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}, spec: {clusterIP: None}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: a-1, namespace: shop, labels: {kubernetes.io/service-name: a}},
 endpoints: [{addresses: [10.96.0.1], hostname: one}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: a-2, namespace: shop, labels: {kubernetes.io/service-name: a}},
 endpoints: [{addresses: [10.96.0.1], hostname: two}, {addresses: [10.96.0.1], hostname: one}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1}}
",
    );
    let endpoints = "one.a.shop.svc.cluster.local., two.a.shop.svc.cluster.local.";
    cluster.tells(&[("PTR 1.0.96.10.in-addr.arpa.", &format!("web.shop.svc.cluster.local., {endpoints}"))]);
    let without = cluster.served(|config| config.has_endpoints = false);
    without.tells(&[("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.cluster.local.")]);
}

#[test]
fn the_apex_of_a_reverse_zone_exists_even_if_it_is_an_address() {
    let cluster = Cluster::of(ADDRS).served(|config| {
        let zones = ["1.0.96.10.in-addr.arpa.", "9.9.9.9.in-addr.arpa.", "0/25.2.0.192.in-addr.arpa."];
        config.reverse_zones = zones.map(name).to_vec();
    });
    cluster.tells(&[
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.cluster.local."),
        ("NS 1.0.96.10.in-addr.arpa.", "ns.dns.cluster.local."),
        ("PTR 9.9.9.9.in-addr.arpa.", "NODATA"),
        ("NS 9.9.9.9.in-addr.arpa.", "ns.dns.cluster.local."),
        ("A 0/25.2.0.192.in-addr.arpa.", "NODATA"),
        ("PTR 1.0/25.2.0.192.in-addr.arpa.", "NXDOMAIN"),
    ]);
    assert_eq!(cluster.answer("SOA 9.9.9.9.in-addr.arpa.").answers.len(), 1);
}

#[test]
fn external_addresses_and_strangers_have_no_name() {
    Cluster::of(ADDRS).tells(&[
        ("PTR 1.2.0.192.in-addr.arpa.", "NXDOMAIN"),
        ("PTR 2.2.0.192.in-addr.arpa.", "NXDOMAIN"),
        ("PTR 9.9.9.9.in-addr.arpa.", "NXDOMAIN"),
        ("PTR 1.0.96.10.ip6.arpa.", "NXDOMAIN"),
        ("PTR 256.0.96.10.in-addr.arpa.", "NXDOMAIN"),
        ("PTR 01.0.96.10.in-addr.arpa.", "NXDOMAIN"),
        ("PTR x.1.0.96.10.in-addr.arpa.", "NXDOMAIN"),
    ]);
}

#[test]
fn other_types_of_an_address_and_names_above_it_are_nodata() {
    Cluster::of(ADDRS).tells(&[
        ("A 1.0.96.10.in-addr.arpa.", "NODATA"),
        ("TXT 1.1.244.10.in-addr.arpa.", "NODATA"),
        ("PTR 0.96.10.in-addr.arpa.", "NODATA"),
        ("PTR in-addr.arpa.", "NODATA"),
        ("PTR d.f.ip6.arpa.", "NODATA"),
    ]);
}

#[test]
fn a_reverse_zone_that_is_not_listed_is_not_ours() {
    let cluster =
        Cluster::of(ADDRS).served(|config| config.reverse_zones = vec![name("96.10.in-addr.arpa.")]);
    cluster.tells(&[
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.cluster.local."),
        ("PTR 1.1.244.10.in-addr.arpa.", "not ours"),
        ("PTR 10.in-addr.arpa.", "not ours"),
        (&format!("PTR {WEB_V6}"), "not ours"),
    ]);
}
