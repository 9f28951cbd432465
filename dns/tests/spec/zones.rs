//! Apex, name servers, several zones.

use crate::cluster::{Cluster, lines, name};

const DNS: &str = "
{apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system},
 spec: {clusterIPs: [10.96.0.10, 'fd00:96::a'], ports: [{name: dns, port: 53, protocol: UDP}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}
";

const WEB: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}
";

#[test]
fn the_name_server_is_the_service_that_has_the_servers_address() {
    let mut cluster = Cluster::of(DNS);
    cluster.service_addrs.push("fd00:96::a".parse().unwrap());
    let answer = cluster.answer("NS cluster.local.");
    let server = "kube-dns.kube-system.svc.cluster.local.";
    assert_eq!(lines(&answer.answers), [format!("cluster.local. 5 NS {server}")]);
    let expected = [format!("{server} 5 A 10.96.0.10"), format!("{server} 5 AAAA fd00:96::a")];
    assert_eq!(lines(&answer.additionals), expected);
}

#[test]
fn without_such_a_service_the_server_has_a_name_of_its_own() {
    let cluster = Cluster::of(WEB);
    let answer = cluster.answer("NS cluster.local.");
    assert_eq!(lines(&answer.answers), ["cluster.local. 5 NS ns.dns.cluster.local."]);
    assert_eq!(lines(&answer.additionals), ["ns.dns.cluster.local. 5 A 10.96.0.10"]);
    cluster.tells(&[("A ns.dns", "10.96.0.10"), ("AAAA ns.dns", "NODATA"), ("A dns", "NODATA")]);
}

#[test]
fn servers_of_a_reverse_zone_are_named_where_they_can_be_found() {
    let cluster = Cluster::of(DNS);
    for zone in ["in-addr.arpa.", "ip6.arpa."] {
        let answer = cluster.answer(&format!("NS {zone}"));
        let server = "kube-dns.kube-system.svc.cluster.local.";
        assert_eq!(lines(&answer.answers), [format!("{zone} 5 NS {server}")]);
        assert_eq!(lines(&answer.additionals)[0], format!("{server} 5 A 10.96.0.10"));
        cluster.tells(&[(&format!("A {server}"), "10.96.0.10")]);
        let soa = lines(&cluster.answer(&format!("SOA {zone}")).answers);
        assert!(soa[0].starts_with(&format!("{zone} 5 SOA ns.dns.cluster.local. ")), "{soa:?}");
        cluster.tells(&[("A ns.dns.cluster.local.", "10.96.0.10")]);
    }
}

#[test]
fn a_service_that_dns_does_not_have_is_no_name_server() {
    let elsewhere =
        Cluster::of(DNS).served(|config| config.namespaces = Some(["shop".into()].into_iter().collect()));
    let idle = Cluster::of(DNS).served(|config| config.ignores_empty_services = true);
    for cluster in [elsewhere, idle] {
        cluster.tells(&[("NS cluster.local.", "ns.dns.cluster.local.")]);
    }
}

#[test]
fn each_zone_names_things_in_itself_and_reverse_names_lead_into_the_first() {
    let cluster =
        Cluster::of(DNS).served(|config| config.zones = vec![name("one.example."), name("two.example.")]);
    for zone in ["one.example.", "two.example."] {
        cluster.tells(&[
            (&format!("A web.shop.svc.{zone}"), "10.96.0.1"),
            (&format!("SRV _http._tcp.web.shop.svc.{zone}"), &format!("0 100 80 web.shop.svc.{zone}")),
            (&format!("NS {zone}"), &format!("kube-dns.kube-system.svc.{zone}")),
            (&format!("TXT dns-version.{zone}"), "1.1.0"),
            (&format!("A gone.{zone}"), "NXDOMAIN"),
        ]);
        assert!(lines(&cluster.answer(&format!("A gone.{zone}")).authorities)[0].starts_with(zone));
    }
    cluster.tells(&[
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.one.example."),
        ("A web.shop.svc", "not ours"),
        ("A example.", "not ours"),
        ("A xone.example.", "not ours"),
    ]);
}

#[test]
fn a_zone_in_a_zone_is_answered_from_and_what_lies_between_exists() {
    let cluster = Cluster::of(WEB).served(|config| {
        config.zones = ["example.", "east.prod.example."].map(name).to_vec();
        config.reverse_zones = ["in-addr.arpa.", "96.10.in-addr.arpa."].map(name).to_vec();
    });
    cluster.tells(&[
        ("A web.shop.svc.example.", "10.96.0.1"),
        ("A web.shop.svc.east.prod.example.", "10.96.0.1"),
        ("A prod.example.", "NODATA"),
        ("SOA prod.example.", "NODATA"),
        ("A prud.example.", "NXDOMAIN"),
        ("A west.prod.example.", "NXDOMAIN"),
        ("A gone.east.prod.example.", "NXDOMAIN"),
        ("NS east.prod.example.", "ns.dns.east.prod.example."),
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc.example."),
        ("NS 96.10.in-addr.arpa.", "ns.dns.example."),
        ("NS 10.in-addr.arpa.", "NODATA"),
    ]);
    let soa_of = |question: &str| lines(&cluster.answer(question).authorities)[0].clone();
    assert!(soa_of("A gone.east.prod.example.").starts_with("east.prod.example. "));
    assert!(soa_of("A west.prod.example.").starts_with("example. "));
    assert!(soa_of("PTR 9.9.96.10.in-addr.arpa.").starts_with("96.10.in-addr.arpa. "));
    assert!(soa_of("PTR 9.9.9.9.in-addr.arpa.").starts_with("in-addr.arpa. "));
}

#[test]
fn the_root_as_a_zone_leaves_reverse_zones_their_names() {
    let cluster = Cluster::of(WEB).served(|config| {
        config.zones = vec![name(".")];
        config.reverse_zones = vec![name("in-addr.arpa.")];
    });
    cluster.tells(&[
        ("A web.shop.svc.", "10.96.0.1"),
        ("PTR 1.0.96.10.in-addr.arpa.", "web.shop.svc."),
        ("A arpa.", "NODATA"),
        ("A com.", "NXDOMAIN"),
        ("NS .", "ns.dns."),
    ]);
}

/// With a service and a namespace of 63 bytes each, the name of a Service is `zone` and 132 bytes more.
#[test]
fn a_name_of_more_than_255_bytes_is_told_by_nobody() {
    let (service, namespace, hostname) = ("s".repeat(63), "n".repeat(63), "h".repeat(63));
    let cluster = Cluster::of(&format!(
        "
{{apiVersion: v1, kind: Service, metadata: {{name: {service}, namespace: {namespace}}}, spec: {{clusterIP: None}}}}
---
{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {{name: x, namespace: {namespace}, labels: {{kubernetes.io/service-name: {service}}}}}, ports: [{{name: p, port: 1}}],
 endpoints: [{{addresses: [10.244.1.1], hostname: {hostname}}}, {{addresses: [10.244.1.2], hostname: h}}]}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: {service}, namespace: shop}}, spec: {{clusterIP: 10.96.0.10}}}}
"
    ));
    let zone_of = |bytes: usize| {
        let mut zone = format!("{}.{}.{}.", "z".repeat(63), "y".repeat(63), "x".repeat(63));
        zone.truncate(bytes - 2);
        name(&format!("{zone}."))
    };
    let told = |bytes: usize, question: &dyn Fn(&str) -> String| {
        let zone = zone_of(bytes);
        let cluster = Cluster {
            zone: cluster.zone.clone(),
            service_addrs: cluster.service_addrs.clone(),
            config: cluster.config.clone(),
        };
        cluster.served(|config| config.zones = vec![zone.clone()]).told(&question(&zone.to_string()))
    };
    let base = |zone: &str| format!("{service}.{namespace}.svc.{zone}");
    let srv = |zone: &str| format!("SRV _p._tcp.{}", base(zone));
    // All names fit: 64 + 64 + 64 + 4 + 59 = 255.
    assert_eq!(told(59, &|zone| format!("A {hostname}.{}", base(zone))), "10.244.1.1");
    assert_eq!(told(59, &srv).matches("0 50 1 h").count(), 2);
    assert!(told(59, &|_| "PTR 1.1.244.10.in-addr.arpa.".to_owned()).starts_with(&hostname));
    // The endpoint with the long name has addresses at the Service, and no name.
    let zone = zone_of(60).to_string();
    assert_eq!(told(60, &|zone| format!("A {}", base(zone))), "10.244.1.1, 10.244.1.2");
    assert_eq!(told(60, &srv), format!("0 100 1 h.{}", base(&zone)));
    assert_eq!(told(60, &|_| "PTR 1.1.244.10.in-addr.arpa.".to_owned()), "NXDOMAIN");
    assert_eq!(told(60, &|_| "PTR 2.1.244.10.in-addr.arpa.".to_owned()), format!("h.{}", base(&zone)));
    // Neither endpoint has.
    assert_eq!(told(122, &|zone| format!("A {}", base(zone))), "10.244.1.1, 10.244.1.2");
    assert_eq!(told(122, &|zone| format!("SRV {}", base(zone))), "NODATA");
    // Not even the Service has: not as an address's name, nor as the name server's.
    assert_eq!(told(190, &|_| "PTR 10.0.96.10.in-addr.arpa.".to_owned()), "NXDOMAIN");
    assert!(told(190, &|zone| format!("NS {zone}")).starts_with("ns.dns."));
    // In the longest zone of all nothing has room.
    let zone = [&"z".repeat(63)[..], &"y".repeat(63), &"x".repeat(63), &"w".repeat(61), ""].join(".");
    let longest = cluster.served(|config| config.zones = vec![name(&zone)]);
    longest.tells(&[
        (&format!("A {zone}"), "NODATA"),
        (&format!("NS {zone}"), &zone),
        ("PTR 10.0.96.10.in-addr.arpa.", "NXDOMAIN"),
        ("PTR 2.1.244.10.in-addr.arpa.", "NXDOMAIN"),
    ]);
}
