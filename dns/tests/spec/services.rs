//! Services with a ClusterIP.

use dns::config::PodsMode;

use crate::cluster::{Cluster, lines};

const WEB: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop},
 spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: six, namespace: shop},
 spec: {clusterIPs: ['fd00:96::6'], ipFamilies: [IPv6], ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: dual, namespace: shop},
 spec: {clusterIPs: [10.96.0.2, 'fd00:96::2'], ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: front, namespace: shop},
 spec: {type: LoadBalancer, clusterIP: 10.96.0.3, externalIPs: [192.0.2.1], ports: [{port: 80, nodePort: 30080}]},
 status: {loadBalancer: {ingress: [{ip: 192.0.2.2}]}}}
---
{apiVersion: v1, kind: Service, metadata: {name: other, namespace: shop, labels: {service.kubernetes.io/service-proxy-name: mesh}},
 spec: {clusterIP: 10.96.0.4, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: pending, namespace: shop}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: bank},
 spec: {clusterIP: 10.96.1.1, ports: [{name: http, port: 80}]}}
";

#[test]
fn a_service_has_one_record_for_each_family_and_nodata_for_the_other() {
    Cluster::of(WEB).tells(&[
        ("A web.shop.svc", "10.96.0.1"),
        ("AAAA web.shop.svc", "NODATA"),
        ("A six.shop.svc", "NODATA"),
        ("AAAA six.shop.svc", "fd00:96::6"),
        ("A dual.shop.svc", "10.96.0.2"),
        ("AAAA dual.shop.svc", "fd00:96::2"),
    ]);
}

#[test]
fn every_type_of_service_with_a_cluster_ip_is_served_by_it_alone() {
    Cluster::of(WEB).tells(&[
        ("A front.shop.svc", "10.96.0.3"),
        ("A other.shop.svc", "10.96.0.4"),
        ("A pending.shop.svc", "NODATA"),
    ]);
}

#[test]
fn the_same_name_in_two_namespaces_is_two_services() {
    Cluster::of(WEB).tells(&[
        ("A web.shop.svc", "10.96.0.1"),
        ("A web.bank.svc", "10.96.1.1"),
        ("A dual.bank.svc", "NXDOMAIN"),
        ("A web.nowhere.svc", "NXDOMAIN"),
    ]);
}

#[test]
fn other_types_of_a_service_are_nodata_and_other_names_nxdomain() {
    let cluster = Cluster::of(WEB);
    for record_type in ["TXT", "MX", "CNAME", "NS", "SOA", "PTR", "HTTPS", "TYPE65280"] {
        assert_eq!(cluster.told(&format!("{record_type} web.shop.svc")), "NODATA", "{record_type}");
        assert_eq!(cluster.told(&format!("{record_type} weg.shop.svc")), "NXDOMAIN", "{record_type}");
    }
}

#[test]
fn owners_have_the_case_of_the_question() {
    let cluster = Cluster::of(WEB);
    let asked = "wEb.SHOP.svC.cLusTer.LOCal.";
    assert_eq!(lines(&cluster.answer(&format!("A {asked}")).answers), [format!("{asked} 5 A 10.96.0.1")]);
    let port = "_HTTP._Tcp.Web.Shop.Svc.Cluster.Local.";
    let answers = lines(&cluster.answer(&format!("SRV {port}")).answers);
    assert_eq!(answers, [format!("{port} 5 SRV 0 100 80 web.shop.svc.cluster.local.")]);
    let reverse = "1.0.96.10.In-Addr.ARPA.";
    let answers = lines(&cluster.answer(&format!("PTR {reverse}")).answers);
    assert_eq!(answers, [format!("{reverse} 5 PTR web.shop.svc.cluster.local.")]);
    let apex = "Cluster.LOCAL.";
    assert!(lines(&cluster.answer(&format!("SOA {apex}")).answers)[0].starts_with(apex));
    assert!(lines(&cluster.answer(&format!("A {apex}")).authorities)[0].starts_with(apex));
}

#[test]
fn the_ttl_is_five_seconds_or_what_is_wished_from_zero_to_an_hour() {
    for ttl in [0, 5, 30, 3600] {
        let cluster = Cluster::of(WEB).served(|config| config.ttl_secs = ttl);
        let answers = lines(&cluster.answer("A web.shop.svc").answers);
        assert_eq!(answers, [format!("web.shop.svc.cluster.local. {ttl} A 10.96.0.1")]);
    }
    assert_eq!(lines(&Cluster::of(WEB).answer("A web.shop.svc").answers).len(), 1);
    assert_eq!(Cluster::of(WEB).answer("A web.shop.svc").answers[0].ttl, 5);
}

#[test]
fn the_version_of_the_schema_is_told_and_kept_for_long() {
    let cluster = Cluster::of(WEB).served(|config| config.ttl_secs = 0);
    let answers = lines(&cluster.answer("TXT dns-version").answers);
    assert_eq!(answers, ["dns-version.cluster.local. 28800 TXT 1.1.0"]);
    cluster.tells(&[("A dns-version", "NODATA"), ("TXT x.dns-version", "NXDOMAIN")]);
}

/// A folder of manifests may hold what the API refuses.
#[test]
fn a_service_whose_name_is_no_label_has_no_name_in_dns() {
    let long = "x".repeat(64);
    let cluster = Cluster::of(&format!(
        "
{{apiVersion: v1, kind: Service, metadata: {{name: a.b, namespace: shop}}, spec: {{clusterIP: 10.96.0.1}}}}
---
{{apiVersion: v1, kind: Namespace, metadata: {{name: a.b}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: web, namespace: a.b}}, status: {{podIP: 10.244.1.1}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: a.b}}, spec: {{clusterIP: 10.96.0.2}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: {long}, namespace: shop}}, spec: {{clusterIP: 10.96.0.3}}}}
"
    ))
    .served(|config| config.pods = PodsMode::Verified);
    cluster.tells(&[
        ("A a\\046b.shop.svc", "NXDOMAIN"),
        ("A a.b.shop.svc", "NXDOMAIN"),
        ("A web.a\\046b.svc", "NXDOMAIN"),
        ("A a\\046b.svc", "NXDOMAIN"),
        ("A 10-244-1-1.a\\046b.pod", "NXDOMAIN"),
        ("A shop.svc", "NXDOMAIN"),
        ("PTR 1.0.96.10.in-addr.arpa.", "NXDOMAIN"),
        ("PTR 2.0.96.10.in-addr.arpa.", "NXDOMAIN"),
        ("PTR 3.0.96.10.in-addr.arpa.", "NXDOMAIN"),
    ]);
}
