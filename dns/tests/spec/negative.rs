//! What does not exist, and what exists without what was asked for (RFC 2308, 4592, 8020).

use hickory_proto::op::ResponseCode;

use crate::cluster::{Cluster, SERIAL, lines};

const WEB: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: quiet}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}
";

#[test]
fn names_above_others_exist() {
    let cluster = Cluster::of(WEB);
    for name in ["cluster.local.", "svc", "shop.svc", "quiet.svc", "dns", "_tcp.web.shop.svc"] {
        for record_type in ["A", "AAAA", "TXT", "SRV", "PTR", "CNAME"] {
            assert_eq!(cluster.told(&format!("{record_type} {name}")), "NODATA", "{record_type} {name}");
        }
    }
}

#[test]
fn names_that_the_schema_does_not_have_do_not_exist() {
    let cluster = Cluster::of(WEB);
    for name in [
        "other",
        "x.dns",
        "x.ns.dns",
        "x.dns-version",
        "gone.svc",
        "web.gone.svc",
        "x.web.shop.svc",
        "x.y.web.shop.svc",
        "_http._tcp.x.web.shop.svc",
        "x._http._tcp.web.shop.svc",
        "web.shop",
        "shop",
        "svc.svc",
        "svc.svc.svc",
        "www.example.com",
        "web.shop.svc.cluster.local",
        "pod",
        "shop.pod",
        "10-0-0-1.shop.pod",
    ] {
        for record_type in ["A", "SRV", "TXT", "SOA", "NS"] {
            assert_eq!(cluster.told(&format!("{record_type} {name}")), "NXDOMAIN", "{record_type} {name}");
        }
    }
}

#[test]
fn a_name_in_no_zone_is_not_ours() {
    Cluster::of(WEB).tells(&[
        ("A www.example.com.", "not ours"),
        ("A local.", "not ours"),
        ("A .", "not ours"),
        ("A xcluster.local.", "not ours"),
        ("A cluster.local.example.com.", "not ours"),
    ]);
}

#[test]
fn a_miss_has_the_soa_of_its_zone_and_is_remembered_as_long_as_a_hit() {
    for (ttl, soa_ttl) in [(0, 0), (5, 5), (30, 30), (300, 300), (3600, 300)] {
        let cluster = Cluster::of(WEB).served(|config| config.ttl_secs = ttl);
        let values = format!("{SERIAL} 7200 1800 86400 {ttl}");
        let soa = |zone: &str| {
            let names = "ns.dns.cluster.local. hostmaster.cluster.local.";
            format!("{zone} {soa_ttl} SOA {names} {values}")
        };
        for (question, code, zone) in [
            ("A gone.shop.svc", ResponseCode::NXDomain, "cluster.local."),
            ("AAAA web.shop.svc", ResponseCode::NoError, "cluster.local."),
            ("PTR 1.2.0.192.in-addr.arpa.", ResponseCode::NXDomain, "in-addr.arpa."),
            ("PTR 192.in-addr.arpa.", ResponseCode::NoError, "in-addr.arpa."),
            ("PTR x.ip6.arpa.", ResponseCode::NXDomain, "ip6.arpa."),
        ] {
            let answer = cluster.answer(question);
            assert_eq!((answer.code, lines(&answer.authorities)), (code, vec![soa(zone)]), "{question}");
            assert!(answer.answers.is_empty() && answer.additionals.is_empty());
        }
        assert_eq!(lines(&cluster.answer("SOA cluster.local.").answers), [soa("cluster.local.")]);
    }
}

#[test]
fn a_name_is_not_text_but_labels() {
    Cluster::of(WEB).tells(&[
        ("A web\\046shop.svc", "NXDOMAIN"),
        ("A \\255.shop.svc", "NXDOMAIN"),
        ("A web\\000.shop.svc", "NXDOMAIN"),
        ("A \\032web.shop.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn an_asterisk_is_a_label_as_any_other() {
    let cluster = Cluster::of(WEB);
    for name in
        ["*", "*.svc", "*.shop.svc", "*.web.shop.svc", "_http.*.web.shop.svc", "*._tcp.web.shop.svc", "*.*"]
    {
        for record_type in ["A", "SOA", "NS", "SRV"] {
            assert_eq!(cluster.told(&format!("{record_type} {name}")), "NXDOMAIN", "{record_type} {name}");
        }
    }
    let soa = lines(&cluster.answer("A *.cluster.local.").authorities);
    assert!(soa[0].starts_with("cluster.local. 5 SOA "), "{soa:?}");
}

#[test]
fn any_is_answered_with_one_record_wherever_a_name_exists() {
    let cluster = Cluster::of(WEB);
    for name in
        ["cluster.local.", "svc", "quiet.svc", "web.shop.svc", "_tcp.web.shop.svc", "1.0.96.10.in-addr.arpa."]
    {
        let told = cluster.told(&format!("ANY {name}"));
        assert!(told.starts_with("HINFO ") && told.contains("RFC8482"), "{name}: {told}");
    }
    cluster.tells(&[("ANY gone.shop.svc", "NXDOMAIN")]);
}
