//! Options of the plugin `kubernetes`.

use dns::config::Fallthrough;

use crate::cluster::{Cluster, name};

const SHOP: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}, ports: [{name: http, port: 8080}],
 endpoints: [{addresses: [10.244.1.1], targetRef: {kind: Pod, name: web-7f9c}},
             {addresses: [10.244.1.2], hostname: named, targetRef: {kind: Pod, name: web-7f9d}},
             {addresses: [10.244.1.3], targetRef: {kind: Pod, name: web.dotted}},
             {addresses: [10.244.1.4], targetRef: {kind: Node, name: node-1}},
             {addresses: [10.244.1.5], targetRef: {kind: Pod, name: Capital}},
             {addresses: [10.244.1.6], targetRef: {kind: Pod, name: _tcp}}]}
---
{apiVersion: v1, kind: Service, metadata: {name: idle, namespace: shop}, spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: idle-1, namespace: shop, labels: {kubernetes.io/service-name: idle}}, ports: [{name: http, port: 8080}],
 endpoints: [{addresses: [10.244.1.9], conditions: {ready: false}}]}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}, ports: [{name: sql, port: 5432}],
 endpoints: [{addresses: [10.244.2.1], hostname: db-0}]}
---
{apiVersion: v1, kind: Service, metadata: {name: ext, namespace: shop}, spec: {type: ExternalName, externalName: example.com}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: bank}, spec: {clusterIP: 10.96.1.1, ports: [{port: 80}]}}
";

#[test]
fn a_miss_goes_on_where_it_is_wished_and_nodata_never_does() {
    let all = Cluster::of(SHOP).served(|config| config.fallthrough = Fallthrough::All);
    all.tells(&[
        ("A gone.shop.svc", "goes on"),
        ("A www.example.com", "goes on"),
        ("PTR 1.2.0.192.in-addr.arpa.", "goes on"),
        ("PTR 2.0.192.in-addr.arpa.", "goes on"),
        ("AAAA web.shop.svc", "NODATA"),
        ("A web.shop.svc", "10.96.0.1"),
        ("A 1.0.96.10.in-addr.arpa.", "NODATA"),
        ("A www.example.com.", "not ours"),
    ]);
    let reverse = Cluster::of(SHOP).served(|config| {
        config.fallthrough = Fallthrough::Zones(vec![name("in-addr.arpa."), name("ip6.arpa.")]);
    });
    reverse.tells(&[
        ("A gone.shop.svc", "NXDOMAIN"),
        ("PTR 1.2.0.192.in-addr.arpa.", "goes on"),
        ("PTR 2.0.192.in-addr.arpa.", "goes on"),
        ("SOA 2.0.192.in-addr.arpa.", "goes on"),
        ("PTR x.ip6.arpa.", "goes on"),
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.cluster.local."),
        ("A in-addr.arpa.", "NODATA"),
    ]);
    let part = Cluster::of(SHOP)
        .served(|config| config.fallthrough = Fallthrough::Zones(vec![name("bank.svc.cluster.local.")]));
    part.tells(&[("A gone.bank.svc", "goes on"), ("A gone.shop.svc", "NXDOMAIN")]);
}

#[test]
fn namespaces_that_are_not_served_do_not_exist() {
    let only_bank =
        Cluster::of(SHOP).served(|config| config.namespaces = Some(["bank".into()].into_iter().collect()));
    only_bank.tells(&[
        ("A web.bank.svc", "10.96.1.1"),
        ("A bank.svc", "NODATA"),
        ("A shop.svc", "NXDOMAIN"),
        ("A web.shop.svc", "NXDOMAIN"),
        ("SRV _http._tcp.web.shop.svc", "NXDOMAIN"),
        ("A _tcp.web.shop.svc", "NXDOMAIN"),
        ("A db-0.db.shop.svc", "NXDOMAIN"),
        ("A ext.shop.svc", "NXDOMAIN"),
        ("PTR 1.1.96.10.in-addr.arpa.", "web.bank.svc.cluster.local."),
        ("PTR 1.0.96.10.in-addr.arpa.", "NXDOMAIN"),
        ("PTR 1.2.244.10.in-addr.arpa.", "NXDOMAIN"),
    ]);
}

#[test]
fn without_endpoints_headless_services_and_names_of_endpoints_do_not_exist() {
    Cluster::of(SHOP).served(|config| config.has_endpoints = false).tells(&[
        ("A web.shop.svc", "10.96.0.1"),
        ("SRV _http._tcp.web.shop.svc", "0 100 80 web.shop.svc.cluster.local."),
        ("A named.web.shop.svc", "NXDOMAIN"),
        ("A 10-244-1-1.web.shop.svc", "NXDOMAIN"),
        ("A db.shop.svc", "NXDOMAIN"),
        ("A db-0.db.shop.svc", "NXDOMAIN"),
        ("SRV _sql._tcp.db.shop.svc", "NXDOMAIN"),
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.cluster.local."),
        ("PTR 1.1.244.10.in-addr.arpa.", "NXDOMAIN"),
    ]);
}

#[test]
fn endpoints_are_named_after_their_pods_where_that_is_wished() {
    Cluster::of(SHOP).served(|config| config.uses_pod_names = true).tells(&[
        ("A web-7f9c.web.shop.svc", "10.244.1.1"),
        ("A 10-244-1-1.web.shop.svc", "NXDOMAIN"),
        ("PTR 1.1.244.10.in-addr.arpa.", "web-7f9c.web.shop.svc.cluster.local."),
        // A hostname goes first.
        ("A named.web.shop.svc", "10.244.1.2"),
        ("A web-7f9d.web.shop.svc", "NXDOMAIN"),
        // A name that is no label, or no pod's, is not used.
        ("A 10-244-1-3.web.shop.svc", "10.244.1.3"),
        ("A 10-244-1-4.web.shop.svc", "10.244.1.4"),
        ("A node-1.web.shop.svc", "NXDOMAIN"),
        ("A 10-244-1-5.web.shop.svc", "10.244.1.5"),
        ("PTR 6.1.244.10.in-addr.arpa.", "10-244-1-6.web.shop.svc.cluster.local."),
    ]);
}

#[test]
fn a_service_without_ready_endpoints_can_be_left_out() {
    Cluster::of(SHOP).tells(&[
        ("A idle.shop.svc", "10.96.0.2"),
        ("PTR 2.0.96.10.in-addr.arpa.", "idle.shop.svc.cluster.local."),
    ]);
    Cluster::of(SHOP).served(|config| config.ignores_empty_services = true).tells(&[
        ("A web.shop.svc", "10.96.0.1"),
        ("A idle.shop.svc", "NXDOMAIN"),
        ("PTR 2.0.96.10.in-addr.arpa.", "NXDOMAIN"),
        ("TXT idle.shop.svc", "NXDOMAIN"),
        ("SRV _http._tcp.idle.shop.svc", "NXDOMAIN"),
        ("A _tcp.idle.shop.svc", "NXDOMAIN"),
        ("CNAME ext.shop.svc", "example.com."),
    ]);
}
