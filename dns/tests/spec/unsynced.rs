//! Before everything was listed: what is there is told, and nothing is said not to exist.

use dns::config::{Fallthrough, PodsMode};

use crate::cluster::Cluster;

const HALF: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: None}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}, ports: [{name: sql, port: 5432}],
 endpoints: [{addresses: [10.244.1.1], hostname: db-0}]}
---
{apiVersion: v1, kind: Service, metadata: {name: ext, namespace: shop}, spec: {type: ExternalName, externalName: db.bank.svc.cluster.local}}
---
{apiVersion: v1, kind: Service, metadata: {name: out, namespace: shop}, spec: {type: ExternalName, externalName: example.com}}
";

#[test]
fn what_is_known_is_answered() {
    Cluster::half_of(HALF).tells(&[
        ("A web.shop.svc", "10.96.0.1"),
        ("SRV _http._tcp.web.shop.svc", "0 100 80 web.shop.svc.cluster.local."),
        ("A db.shop.svc", "10.244.1.1"),
        ("A db-0.db.shop.svc", "10.244.1.1"),
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.cluster.local."),
        ("PTR 1.1.244.10.in-addr.arpa.", "db-0.db.shop.svc.cluster.local."),
        ("A out.shop.svc", "CNAME example.com., then example.com."),
        ("TXT dns-version", "1.1.0"),
        ("A ns.dns", "10.96.0.10"),
    ]);
}

#[test]
fn what_may_still_be_heard_of_is_a_failure_whatever_its_kind() {
    for fallthrough in [Fallthrough::None, Fallthrough::All] {
        let cluster = Cluster::half_of(HALF).served(|config| {
            config.fallthrough = fallthrough;
            config.pods = PodsMode::Verified;
        });
        for question in [
            "A gone.shop.svc",
            "A gone.svc",
            "A web.gone.svc",
            "A www.example.com",
            "SRV _https._tcp.web.shop.svc",
            "SRV _udp.db.shop.svc",
            "A db-1.db.shop.svc",
            "A 10-0-0-1.shop.pod",
            "A gone.pod",
            "PTR 2.0.96.10.in-addr.arpa.",
            // The other family's slice may follow.
            "AAAA db.shop.svc",
            "AAAA db-0.db.shop.svc",
        ] {
            assert_eq!(cluster.told(question), "SERVFAIL", "{question}");
        }
        assert_eq!(cluster.told("A ext.shop.svc"), "SERVFAIL");
    }
}

/// A client that asks for both families gives up if one of the two answers is a failure, so a hit of one family needs the
/// other's NODATA.
#[test]
fn what_is_certain_to_be_nodata_is_said_to_be() {
    Cluster::half_of(HALF).tells(&[
        ("AAAA web.shop.svc", "NODATA"),
        ("TXT web.shop.svc", "NODATA"),
        ("TXT db.shop.svc", "NODATA"),
        ("TXT db-0.db.shop.svc", "NODATA"),
        ("A _tcp.web.shop.svc", "NODATA"),
        ("A shop.svc", "NODATA"),
        ("A svc", "NODATA"),
        ("TXT cluster.local.", "NODATA"),
        ("A 1.0.96.10.in-addr.arpa.", "NODATA"),
    ]);
}

#[test]
fn once_everything_is_known_a_miss_does_not_exist() {
    let mut cluster = Cluster::half_of(HALF);
    assert!(!cluster.zone.is_synced());
    cluster.zone = cluster.zone.synced();
    assert!(cluster.zone.is_synced());
    cluster.tells(&[("A gone.shop.svc", "NXDOMAIN"), ("AAAA db.shop.svc", "NODATA")]);
}
