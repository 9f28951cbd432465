//! Headless Services and the names of endpoints.

use crate::cluster::Cluster;

const DB: &str = "
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop},
 spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-4a, namespace: shop, labels: {kubernetes.io/service-name: db}}, ports: [{name: sql, port: 5432}],
 endpoints: [{addresses: [10.244.1.1], hostname: db-0, targetRef: {kind: Pod, name: db-0}},
             {addresses: [10.244.1.2], targetRef: {kind: Pod, name: db-7f9c}},
             {addresses: [10.244.1.3], hostname: db-2, conditions: {ready: false}},
             {addresses: [10.244.1.4], hostname: db-3, conditions: {ready: false, serving: true, terminating: true}}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-4b, namespace: shop, labels: {kubernetes.io/service-name: db}}, ports: [{name: sql, port: 5432}],
 endpoints: [{addresses: [10.244.1.1], hostname: db-0}, {addresses: [10.244.0.9], hostname: db-9}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv6,
 metadata: {name: db-6, namespace: shop, labels: {kubernetes.io/service-name: db}}, ports: [{name: sql, port: 5432}],
 endpoints: [{addresses: ['fd00:244::1'], hostname: db-0}, {addresses: ['fd00:244::']}, {addresses: ['::1:2']}]}
---
{apiVersion: v1, kind: Service, metadata: {name: empty, namespace: shop}, spec: {clusterIP: None, ports: [{name: x, port: 1}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: empty-1, namespace: shop, labels: {kubernetes.io/service-name: empty}}, ports: [{name: x, port: 1}],
 endpoints: [{addresses: [10.244.1.5], hostname: e-0, conditions: {ready: false}}]}
---
{apiVersion: v1, kind: Service, metadata: {name: early, namespace: shop},
 spec: {clusterIP: None, publishNotReadyAddresses: true, ports: [{name: x, port: 1}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: early-1, namespace: shop, labels: {kubernetes.io/service-name: early}}, ports: [{name: x, port: 1}],
 endpoints: [{addresses: [10.244.1.6], hostname: e-0, conditions: {ready: false}},
             {addresses: [10.244.1.7], hostname: e-1, conditions: {ready: false, serving: false, terminating: true}}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}, ports: [{port: 80}],
 endpoints: [{addresses: [10.244.1.8]}, {addresses: [10.244.1.9], hostname: web-1}]}
---
{apiVersion: v1, kind: Service, metadata: {name: four, namespace: shop}, spec: {clusterIP: None}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: four-1, namespace: shop, labels: {kubernetes.io/service-name: four}},
 endpoints: [{addresses: [10.244.2.1], hostname: h}]}
";

#[test]
fn a_headless_service_has_its_ready_endpoints_of_each_family_once() {
    Cluster::of(DB).tells(&[
        ("A db.shop.svc", "10.244.0.9, 10.244.1.1, 10.244.1.2"),
        ("AAAA db.shop.svc", "::1:2, fd00:244::, fd00:244::1"),
    ]);
}

#[test]
fn a_family_without_endpoints_is_nodata_at_the_service_and_at_the_endpoint() {
    Cluster::of(DB).tells(&[
        ("A four.shop.svc", "10.244.2.1"),
        ("AAAA four.shop.svc", "NODATA"),
        ("AAAA h.four.shop.svc", "NODATA"),
        ("TXT h.four.shop.svc", "NODATA"),
    ]);
}

#[test]
fn a_headless_service_without_ready_endpoints_does_not_exist_nor_anything_below() {
    Cluster::of(DB).tells(&[
        ("A empty.shop.svc", "NXDOMAIN"),
        ("TXT empty.shop.svc", "NXDOMAIN"),
        ("SRV _x._tcp.empty.shop.svc", "NXDOMAIN"),
        ("A _tcp.empty.shop.svc", "NXDOMAIN"),
        ("A e-0.empty.shop.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn endpoints_that_are_not_ready_are_named_where_the_service_publishes_them() {
    Cluster::of(DB).tells(&[
        ("A early.shop.svc", "10.244.1.6, 10.244.1.7"),
        ("A e-0.early.shop.svc", "10.244.1.6"),
        ("PTR 7.1.244.10.in-addr.arpa.", "e-1.early.shop.svc.cluster.local."),
        ("A db-2.db.shop.svc", "NXDOMAIN"),
        ("A db-3.db.shop.svc", "NXDOMAIN"),
        ("PTR 3.1.244.10.in-addr.arpa.", "NXDOMAIN"),
    ]);
}

#[test]
fn an_endpoint_is_named_by_its_hostname_or_its_address_with_dashes() {
    Cluster::of(DB).tells(&[
        ("A db-0.db.shop.svc", "10.244.1.1"),
        ("AAAA db-0.db.shop.svc", "fd00:244::1"),
        ("A db-9.db.shop.svc", "10.244.0.9"),
        ("A 10-244-1-2.db.shop.svc", "10.244.1.2"),
        ("AAAA 10-244-1-2.db.shop.svc", "NODATA"),
        ("AAAA fd00-244--0.db.shop.svc", "fd00:244::"),
        ("AAAA --1-2.db.shop.svc", "::1:2"),
        // One that has a hostname is not named by its address.
        ("A 10-244-1-1.db.shop.svc", "NXDOMAIN"),
        ("A db-7f9c.db.shop.svc", "NXDOMAIN"),
        ("A x.db-0.db.shop.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn endpoints_of_a_service_with_a_cluster_ip_have_names_too() {
    Cluster::of(DB).tells(&[
        ("A web.shop.svc", "10.96.0.1"),
        ("A 10-244-1-8.web.shop.svc", "10.244.1.8"),
        ("A web-1.web.shop.svc", "10.244.1.9"),
        ("A web-2.web.shop.svc", "NXDOMAIN"),
    ]);
}
