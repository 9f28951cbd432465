use std::num::NonZeroU16;

use serde_json::{Value, json};

use super::*;

/// The Service with these fields, and its warnings as they are printed, without the object's name.
fn convert(fields: Value) -> (Service, Vec<String>) {
    let mut object = json!({"metadata": {"name": "web", "namespace": "production"}});
    object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let object: api::Service = serde_json::from_value(object).unwrap();
    let (service, warnings) = from_object(&object);
    let details = warnings.iter().map(|warning| {
        let text = warning.to_string();
        text.strip_prefix("Service production/web: ").unwrap().to_owned()
    });
    (service, details.collect())
}

fn addrs(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn cluster_ips_come_from_the_list_or_the_single_field() {
    for (spec, expected) in [
        (json!({"clusterIP": "10.96.0.1"}), &["10.96.0.1"][..]),
        (json!({"clusterIP": "fd00::1"}), &["fd00::1"]),
        (json!({"clusterIPs": ["10.96.0.1"]}), &["10.96.0.1"]),
        (json!({"clusterIP": "", "clusterIPs": ["10.96.0.1"]}), &["10.96.0.1"]),
        (
            json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]}),
            &["10.96.0.1", "fd00::1"],
        ),
        (
            json!({"clusterIPs": ["fd00::1", "10.96.0.1"], "ipFamilies": ["IPv6", "IPv4"]}),
            &["fd00::1", "10.96.0.1"],
        ),
        (json!({"clusterIP": "10.96.0.1", "ipFamilies": ["IPv4", "IPv6"]}), &["10.96.0.1"]),
        (json!({"clusterIP": "169.254.20.10"}), &["169.254.20.10"]),
    ] {
        let (service, warnings) = convert(json!({"spec": spec}));
        assert_eq!(service.cluster_ips, addrs(expected));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(service.is_balanced() && !service.is_headless);
    }
}

#[test]
fn cluster_ips_that_contradict_the_rest_are_named_and_left_out() {
    for (spec, expected, warning) in [
        (
            json!({"clusterIPs": ["10.96.0.1", "10.96.0.2"]}),
            &["10.96.0.1"][..],
            r#"spec.clusterIPs: "10.96.0.2" is a second address of its family: left out"#,
        ),
        (
            json!({"clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.1"]}),
            &["10.96.0.1"],
            r#"spec.clusterIP: "10.96.0.2" is not the first of spec.clusterIPs: left out"#,
        ),
        (
            json!({"clusterIPs": ["10.96.0.1", "fd00::1"], "ipFamilies": ["IPv4"]}),
            &["10.96.0.1"],
            r#"spec.clusterIPs: "fd00::1" is IPv6, which is not at its place in spec.ipFamilies: left out"#,
        ),
        (
            json!({"clusterIP": "10.96.0.1", "ipFamilies": ["IPv6"]}),
            &[],
            r#"spec.clusterIP: "10.96.0.1" is IPv4, which is not at its place in spec.ipFamilies: left out"#,
        ),
        (
            json!({"clusterIPs": ["10.96.0.300", "fd00::1"]}),
            &["fd00::1"],
            r#"spec.clusterIPs: "10.96.0.300" is not an IP address: left out"#,
        ),
        (json!({"clusterIP": "::1"}), &[], r#"spec.clusterIP: "::1" is a loopback address: left out"#),
    ] {
        let (service, warnings) = convert(json!({"spec": spec}));
        assert_eq!(service.cluster_ips, addrs(expected));
        assert_eq!(warnings, [warning]);
    }
}

#[test]
fn a_service_that_ought_to_have_a_cluster_ip_and_has_none_is_named() {
    for service_type in ["ClusterIP", "NodePort", "LoadBalancer"] {
        let object = json!({"metadata": {"name": "web"}, "spec": {"type": service_type}});
        let (service, warnings) = from_object(&serde_json::from_value(object).unwrap());
        assert!(!service.is_balanced());
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].kind, WarningKind::NoClusterIp);
        assert_eq!(
            warnings[0].to_string(),
            "Service default/web: spec.clusterIP is missing: the Service is not balanced"
        );
    }
}

#[test]
fn headless_and_external_name_services_have_no_cluster_ip_and_no_warning() {
    for (spec, is_headless) in [
        (json!({"clusterIP": "None"}), true),
        (json!({"clusterIPs": ["None"]}), true),
        (json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"]}), true),
        (json!({"type": "ExternalName", "externalName": "db.example.org"}), false),
        (json!({"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.96.0.1"}), false),
    ] {
        let (service, warnings) = convert(json!({"spec": spec}));
        assert_eq!(service.is_headless, is_headless);
        assert!(service.cluster_ips.is_empty() && !service.is_balanced());
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn an_external_name_that_is_none_is_named_and_left_out() {
    for (name, fault) in [
        ("a..b", r#"spec.externalName: "a..b" is not a DNS name: left out"#),
        ("10.0.0.1", r#"spec.externalName: "10.0.0.1" is an address and not a name: left out"#),
        ("", "spec.externalName is missing: the name does not resolve"),
    ] {
        let (service, warnings) = convert(json!({"spec": {"type": "ExternalName", "externalName": name}}));
        assert_eq!(warnings, [fault]);
        assert_eq!(&*service.external_name, "");
    }
}

#[test]
fn a_service_whose_name_does_not_resolve_is_named_and_balanced_all_the_same() {
    for (name, namespace, field) in
        [("My_Svc", "shop", "metadata.name"), ("web", "a.b", "metadata.namespace")]
    {
        let metadata = json!({"name": name, "namespace": namespace});
        let object = json!({"metadata": metadata, "spec": {"clusterIP": "10.96.0.1"}});
        let (service, warnings) = from_object(&serde_json::from_value(object).unwrap());
        let why = "is not a DNS label: the name of the Service does not resolve";
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [format!("Service {namespace}/{name}: {field} {why}")]);
        assert!(service.is_balanced());
    }
}

#[test]
fn the_label_of_another_proxy_counts_whatever_its_value() {
    for value in [json!("mesh"), json!(""), Value::Null] {
        let metadata = json!({"name": "web", "namespace": "production", "labels": {"service.kubernetes.io/service-proxy-name": value}});
        let (service, warnings) = convert(json!({"metadata": metadata, "spec": {}}));
        assert!(service.has_foreign_proxy && !service.is_balanced());
        assert!(warnings.is_empty(), "its lack of a clusterIP is the other proxy's: {warnings:?}");
    }
    assert!(!convert(json!({"spec": {"clusterIP": "10.96.0.1"}})).0.has_foreign_proxy);
}

#[test]
fn bad_external_ips_are_named_and_the_others_are_kept() {
    let external_ips = ["192.0.2.1", "169.254.169.254", "x", "2001:db8::1"];
    let (service, warnings) =
        convert(json!({"spec": {"clusterIP": "10.96.0.1", "externalIPs": external_ips}}));
    assert_eq!(service.external_ips, addrs(&["192.0.2.1", "2001:db8::1"]));
    assert_eq!(
        warnings,
        [
            r#"spec.externalIPs[1]: "169.254.169.254" is a link-local address: left out"#,
            r#"spec.externalIPs[2]: "x" is not an IP address: left out"#,
        ]
    );
}

#[test]
fn load_balancer_addresses_are_captured_in_mode_vip_only() {
    let ingress = json!([
        {"ip": "192.0.2.1"},
        {"ip": "192.0.2.2", "ipMode": "VIP"},
        {"ip": "192.0.2.3", "ipMode": "Proxy"},
        {"ip": "192.0.2.4", "ipMode": "Tunnel"},
        {"ip": "192.0.2"},
        {"hostname": "lb.example.com"},
        {"ip": "", "hostname": "lb.example.com", "ipMode": "Tunnel"},
    ]);
    let (service, warnings) = convert(
        json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1"}, "status": {"loadBalancer": {"ingress": ingress}}}),
    );
    assert_eq!(service.service_type, ServiceType::LoadBalancer);
    assert_eq!(service.load_balancer_vips, addrs(&["192.0.2.1", "192.0.2.2"]));
    assert_eq!(
        warnings,
        [
            r#"status.loadBalancer.ingress[3].ipMode: "Tunnel" is unknown: the address is not captured"#,
            r#"status.loadBalancer.ingress[4].ip: "192.0.2" is not an IP address: left out"#,
        ]
    );
}

/// The ports as `name protocol port nodePort`.
fn ports_of(service_type: &str, ports: Value) -> (Vec<String>, Vec<String>) {
    let (service, warnings) =
        convert(json!({"spec": {"type": service_type, "clusterIP": "10.96.0.1", "ports": ports}}));
    let ports = service.ports.iter().map(|port| {
        let node_port = port.node_port.map_or(0, NonZeroU16::get);
        format!("{:?} {} {} {node_port}", port.name, port.protocol, port.port)
    });
    (ports.collect(), warnings)
}

#[test]
fn a_port_has_defaults_for_all_but_its_number() {
    let (ports, warnings) = ports_of("NodePort", json!([{"port": 80}]));
    assert_eq!(ports, [r#""" TCP 80 0"#]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn one_number_serves_several_protocols() {
    let (ports, warnings) = ports_of(
        "NodePort",
        json!([
            {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "nodePort": 30053},
            {"name": "odd", "port": 53, "protocol": "SCTP", "nodePort": 0},
        ]),
    );
    assert_eq!(ports, [r#""dns" UDP 53 30053"#, r#""dns-tcp" TCP 53 30053"#, r#""odd" SCTP 53 0"#]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn bad_ports_are_named_and_the_others_are_kept() {
    for (bad, warning) in [
        (json!({"name": "b"}), "spec.ports[1].port is missing: the entry is left out"),
        (
            json!({"name": "b", "port": 0}),
            "spec.ports[1].port: 0 is not a port number (1 to 65535): left out",
        ),
        (
            json!({"name": "b", "port": -1}),
            "spec.ports[1].port: -1 is not a port number (1 to 65535): left out",
        ),
        (
            json!({"name": "b", "port": 65536}),
            "spec.ports[1].port: 65536 is not a port number (1 to 65535): left out",
        ),
        (
            json!({"name": "b", "port": 81, "protocol": "tcp"}),
            r#"spec.ports[1].protocol: "tcp" is not TCP, UDP or SCTP: left out"#,
        ),
        (
            json!({"name": "a", "port": 81, "protocol": "UDP"}),
            r#"spec.ports[1].name: "a" is the name of another port: left out"#,
        ),
        (
            json!({"name": "b", "port": 80}),
            r#"spec.ports[1].port: "80" is another port's number for TCP: left out"#,
        ),
    ] {
        let (ports, warnings) =
            ports_of("NodePort", json!([{"name": "a", "port": 80}, bad, {"name": "c", "port": 443}]));
        assert_eq!(ports, [r#""a" TCP 80 0"#, r#""c" TCP 443 0"#]);
        assert_eq!(warnings, [warning]);
    }
}

#[test]
fn a_bad_node_port_takes_nothing_else_of_its_port_with_it() {
    for (service_type, node_port, warning) in [
        ("NodePort", 70000, "spec.ports[1].nodePort: 70000 is not a port number (1 to 65535): left out"),
        ("LoadBalancer", 30080, r#"spec.ports[1].nodePort: "30080" is another port's nodePort: left out"#),
    ] {
        let (ports, warnings) = ports_of(
            service_type,
            json!([{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": node_port}]),
        );
        assert_eq!(ports, [r#""a" TCP 80 30080"#, r#""b" TCP 81 0"#]);
        assert_eq!(warnings, [warning]);
    }
    let (ports, warnings) = ports_of("ClusterIP", json!([{"port": 80, "nodePort": 30080}]));
    assert_eq!(ports, [r#""" TCP 80 0"#]);
    assert_eq!(
        warnings,
        [r#"spec.ports[0].nodePort: "30080" is not for a Service of type ClusterIP: left out"#]
    );
}

#[test]
fn traffic_policies_are_cluster_unless_local() {
    for (value, expected) in [
        (Value::Null, TrafficPolicy::Cluster),
        (json!("Cluster"), TrafficPolicy::Cluster),
        (json!("Local"), TrafficPolicy::Local),
    ] {
        let (service, warnings) =
            convert(json!({"spec": {"clusterIP": "10.96.0.1", "internalTrafficPolicy": value}}));
        assert_eq!(
            (service.internal_policy, service.external_policy),
            (expected, TrafficPolicy::Cluster),
            "internal {value}"
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        let (service, warnings) =
            convert(json!({"spec": {"clusterIP": "10.96.0.1", "externalTrafficPolicy": value}}));
        assert_eq!(
            (service.internal_policy, service.external_policy),
            (TrafficPolicy::Cluster, expected),
            "external {value}"
        );
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn unknown_words_are_named_and_taken_for_the_default() {
    let (service, warnings) = convert(json!({"spec": {
        "type": "Anycast", "clusterIP": "10.96.0.1",
        "internalTrafficPolicy": "local", "externalTrafficPolicy": "Nearest",
    }}));
    assert_eq!(service.service_type, ServiceType::ClusterIp);
    assert_eq!(
        (service.internal_policy, service.external_policy),
        (TrafficPolicy::Cluster, TrafficPolicy::Cluster)
    );
    assert_eq!(
        warnings,
        [
            r#"spec.type: "Anycast" is unknown: taken for ClusterIP"#,
            r#"spec.internalTrafficPolicy: "local" is unknown: taken for Cluster"#,
            r#"spec.externalTrafficPolicy: "Nearest" is unknown: taken for Cluster"#,
        ]
    );
}

#[test]
fn the_creation_time_is_kept_as_written() {
    let metadata =
        json!({"name": "web", "namespace": "production", "creationTimestamp": "2026-01-01T00:00:00Z"});
    let (service, _) = convert(json!({"metadata": metadata}));
    assert_eq!(&*service.created, "2026-01-01T00:00:00Z");
    assert_eq!(&*convert(json!({})).0.created, "");
}

#[test]
fn what_is_not_supported_yet_is_said_and_the_rest_served() {
    let spec = json!({
        "clusterIP": "10.96.0.1", "sessionAffinity": "ClientIP", "loadBalancerSourceRanges": ["192.0.2.0/24"],
    });
    let (service, warnings) = convert(json!({"spec": spec}));
    assert!(service.is_balanced());
    assert!(warnings.iter().any(|w| w.contains("sessionAffinity")), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("loadBalancerSourceRanges")), "{warnings:?}");
    let (_, warnings) = convert(json!({"spec": {"clusterIP": "10.96.0.1", "sessionAffinity": "None"}}));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn an_external_name_is_kept_as_written_and_only_for_its_type() {
    let (service, warnings) =
        convert(json!({"spec": {"type": "ExternalName", "externalName": "db.example.org."}}));
    assert_eq!(&*service.external_name, "db.example.org.");
    assert!(warnings.is_empty(), "{warnings:?}");
    let (service, _) = convert(json!({"spec": {"clusterIP": "10.96.0.1", "externalName": "db.example.org"}}));
    assert_eq!(&*service.external_name, "");
    let (_, warnings) = convert(json!({"spec": {"type": "ExternalName"}}));
    assert_eq!(warnings, ["spec.externalName is missing: the name does not resolve"]);
}

#[test]
fn not_ready_addresses_are_published_only_if_the_service_says_so() {
    for (spec, expected) in [
        (json!({"clusterIP": "None", "publishNotReadyAddresses": true}), true),
        (json!({"clusterIP": "None", "publishNotReadyAddresses": null}), false),
        (json!({"clusterIP": "None"}), false),
    ] {
        assert_eq!(convert(json!({"spec": spec})).0.publishes_not_ready, expected);
    }
}
