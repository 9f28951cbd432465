use std::str::FromStr;

use super::*;

fn zone() -> Name {
    Name::from_str("cluster.local.").unwrap()
}

fn parsed(text: &str) -> String {
    let name = Name::from_ascii(text).unwrap();
    format!("{:?}", parse(&name, &zone()))
}

#[test]
fn each_form_of_the_schema_is_told_apart() {
    let service = "ServiceName { namespace: \"ns\", name: \"web\" }";
    for (name, expected) in [
        ("cluster.local.", "Apex".to_owned()),
        ("dns-version.cluster.local.", "Version".to_owned()),
        ("dns.cluster.local.", "Dns".to_owned()),
        ("ns.dns.cluster.local.", "NameServer".to_owned()),
        ("svc.cluster.local.", "Services".to_owned()),
        ("ns.svc.cluster.local.", "Namespace(\"ns\")".to_owned()),
        ("web.ns.svc.cluster.local.", format!("Service({service})")),
        ("_tcp.web.ns.svc.cluster.local.", format!("Protocol({service}, Tcp)")),
        ("_http._udp.web.ns.svc.cluster.local.", format!("Port({service}, Udp, \"http\")")),
        ("web-0.web.ns.svc.cluster.local.", format!("Endpoint({service}, \"web-0\")")),
        ("pod.cluster.local.", "Pods".to_owned()),
        ("ns.pod.cluster.local.", "PodNamespace(\"ns\")".to_owned()),
        ("10-1-2-3.ns.pod.cluster.local.", "Pod { namespace: \"ns\", addr: 10.1.2.3 }".to_owned()),
        ("fd00--5.ns.pod.cluster.local.", "Pod { namespace: \"ns\", addr: fd00::5 }".to_owned()),
    ] {
        assert_eq!(parsed(name), expected, "{name}");
    }
}

#[test]
fn what_the_schema_does_not_have_is_nothing() {
    for name in [
        "other.cluster.local.",
        "a.dns-version.cluster.local.",
        "http.tcp.web.ns.svc.cluster.local.",
        "_http.tcp.web.ns.svc.cluster.local.",
        "http._tcp.web.ns.svc.cluster.local.",
        "_._tcp.web.ns.svc.cluster.local.",
        "x.web-0.web.ns.svc.cluster.local.",
        "x._http._tcp.web.ns.svc.cluster.local.",
        "web.ns.pod.cluster.local.",
        "10-1-2.ns.pod.cluster.local.",
        "a.b.c.d.e.f.g.cluster.local.",
        "*.ns.pod.cluster.local.",
        "*.cluster.local.",
    ] {
        assert_eq!(parsed(name), "Nothing", "{name}");
    }
}

#[test]
fn dashes_and_addresses_are_the_same_both_ways() {
    for (addr, label) in
        [("10.244.1.5", "10-244-1-5"), ("fd00:10::5", "fd00-10--5"), ("fd00::", "fd00--0"), ("::1", "--1")]
    {
        let addr: IpAddr = addr.parse().unwrap();
        assert_eq!(dashed(addr), label);
        assert_eq!(parse_dashed(label), Some(addr));
    }
    for label in ["", "-", "10-244-1", "10-244-1-256", "a-b-c-d", "1--2--3", "web-0", "01-2-3-4"] {
        assert_eq!(parse_dashed(label), None, "{label}");
    }
}

#[test]
fn reverse_names_are_addresses_or_above_them_or_nothing() {
    let of = |text: &str| parse_reverse(&Name::from_ascii(text).unwrap());
    assert_eq!(of("10.0.96.10.in-addr.arpa."), ReverseName::Addr("10.96.0.10".parse().unwrap()));
    let v6 = "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa.";
    assert_eq!(of(v6), ReverseName::Addr("fd00:10:96::a".parse().unwrap()));
    for above in ["in-addr.arpa.", "10.in-addr.arpa.", "0.96.10.in-addr.arpa.", "d.f.ip6.arpa.", "ip6.arpa."]
    {
        assert_eq!(of(above), ReverseName::Above, "{above}");
    }
    for nothing in [
        "1.10.0.96.10.in-addr.arpa.",
        "256.0.96.10.in-addr.arpa.",
        "010.0.96.10.in-addr.arpa.",
        "x.in-addr.arpa.",
        "g.ip6.arpa.",
        "10.ip6.arpa.",
        "arpa.",
        "cluster.local.",
    ] {
        assert_eq!(of(nothing), ReverseName::Nothing, "{nothing}");
    }
}
