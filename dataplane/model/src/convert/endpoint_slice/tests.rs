use serde_json::{Value, json};

use super::*;

/// The slice with these fields, and its warnings as they are printed, without the object's name.
fn convert(fields: Value) -> (Option<EndpointSlice>, Vec<String>) {
    let mut object = json!({
        "metadata": {"name": "web-x1", "namespace": "production", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
    });
    object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let object: api::EndpointSlice = serde_json::from_value(object).unwrap();
    let (slice, warnings) = from_object(&object);
    let details = warnings.iter().map(|warning| {
        let text = warning.to_string();
        text.strip_prefix("EndpointSlice production/web-x1: ").unwrap().to_owned()
    });
    (slice, details.collect())
}

#[test]
fn everything_that_an_endpoint_says_is_kept() {
    let (slice, warnings) = convert(json!({
        "metadata": {
            "name": "web-x1", "namespace": "production",
            "labels": {"kubernetes.io/service-name": "web", "service.kubernetes.io/headless": ""},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
        },
        "addressType": "IPv6",
        "endpoints": [{
            "addresses": ["fd00:244::5", "not looked at"],
            "conditions": {"ready": false, "serving": true, "terminating": true},
            "hostname": "web-0", "targetRef": {"kind": "Pod", "name": "web-x1-abc", "namespace": "production"},
            "nodeName": "node-1", "zone": "a",
            "hints": {"forZones": [{"name": "a"}, {"name": "b"}], "forNodes": [{"name": "node-1"}]},
        }],
        "ports": [{"name": "http", "port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}],
    }));
    let slice = slice.unwrap();
    assert_eq!(slice.name, ObjectName::new("production", "web-x1"));
    assert_eq!(slice.service, Some(ObjectName::new("production", "web")));
    assert_eq!(slice.family, AddressFamily::V6);
    assert!(slice.is_headless);
    assert_eq!(slice.trigger_time.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(
        slice.endpoints,
        [Endpoint {
            addr: "fd00:244::5".parse().unwrap(),
            is_ready: false,
            is_serving: true,
            is_terminating: true,
            hostname: "web-0".into(),
            pod: "web-x1-abc".into(),
            node: Some("node-1".into()),
            zone: Some("a".into()),
            zone_hints: vec!["a".into(), "b".into()],
            node_hints: vec!["node-1".into()],
        }]
    );
    let ports: Vec<_> = slice.ports.iter().map(|port| format!("{} {}", port.name, port.protocol)).collect();
    assert_eq!(ports, ["http TCP", "dns UDP"]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn conditions_that_are_absent_mean_ready_serving_and_not_terminating() {
    for conditions in [Value::Null, json!({}), json!({"ready": null, "serving": null, "terminating": null})] {
        let endpoint = json!({"addresses": ["10.244.1.5"], "conditions": conditions});
        let (slice, _) = convert(json!({"endpoints": [endpoint]}));
        let endpoint = &slice.unwrap().endpoints[0];
        assert!(endpoint.is_ready && endpoint.is_serving && !endpoint.is_terminating);
    }
}

#[test]
fn a_slice_without_a_service_label_is_nobodys() {
    for labels in [Value::Null, json!({}), json!({"kubernetes.io/service-name": ""})] {
        let metadata = json!({"name": "web-x1", "namespace": "production", "labels": labels});
        let (slice, warnings) = convert(json!({"metadata": metadata}));
        let slice = slice.unwrap();
        assert_eq!(slice.service, None);
        assert!(!slice.is_headless);
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn a_slice_of_names_is_passed_by_in_silence_and_one_of_unknown_addresses_is_named() {
    for (address_type, warning) in [
        (json!("FQDN"), None),
        (json!("IPX"), Some(r#"addressType: "IPX" is unknown: the slice is left out"#)),
        (Value::Null, Some("addressType is missing: the slice is left out")),
        (json!(""), Some("addressType is missing: the slice is left out")),
    ] {
        let endpoints = json!([{"addresses": ["www.example.com"]}]);
        let (slice, warnings) = convert(json!({"addressType": address_type, "endpoints": endpoints}));
        assert_eq!(slice, None);
        assert_eq!(warnings, warning.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn endpoints_without_a_usable_address_are_named_and_the_others_are_kept() {
    for (addresses, warning) in [
        (json!([]), "endpoints[1].addresses is empty: the endpoint is left out"),
        (Value::Null, "endpoints[1].addresses is empty: the endpoint is left out"),
        (json!(["web-1"]), r#"endpoints[1].addresses[0]: "web-1" is not an IP address: left out"#),
        (json!(["127.0.0.1"]), r#"endpoints[1].addresses[0]: "127.0.0.1" is a loopback address: left out"#),
        (
            json!(["169.254.169.254"]),
            r#"endpoints[1].addresses[0]: "169.254.169.254" is a link-local address: left out"#,
        ),
        (json!(["224.0.0.9"]), r#"endpoints[1].addresses[0]: "224.0.0.9" is a multicast address: left out"#),
        (json!(["0.0.0.0"]), r#"endpoints[1].addresses[0]: "0.0.0.0" is the unspecified address: left out"#),
        (
            json!(["fd00::1"]),
            r#"endpoints[1].addresses[0]: "fd00::1" is not of the slice's addressType: left out"#,
        ),
    ] {
        let (slice, warnings) = convert(json!({"endpoints": [
            {"addresses": ["10.244.1.5"]}, {"addresses": addresses}, {"addresses": ["10.244.1.6"]},
        ]}));
        let addrs: Vec<_> =
            slice.unwrap().endpoints.iter().map(|endpoint| endpoint.addr.to_string()).collect();
        assert_eq!(addrs, ["10.244.1.5", "10.244.1.6"]);
        assert_eq!(warnings, [warning]);
    }
}

#[test]
fn one_address_twice_stays_twice() {
    let (slice, _) =
        convert(json!({"endpoints": [{"addresses": ["10.244.1.5"]}, {"addresses": ["10.244.1.5"]}]}));
    assert_eq!(slice.unwrap().endpoints.len(), 2);
}

#[test]
fn ports_without_a_number_are_skipped_in_silence() {
    let (slice, warnings) =
        convert(json!({"ports": [{"name": "a"}, {"name": "b", "port": 0}, {"port": 3000}]}));
    let ports: Vec<_> =
        slice.unwrap().ports.iter().map(|port| (port.name.to_string(), port.port.get())).collect();
    assert_eq!(ports, [(String::new(), 3000)]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_hostname_that_is_no_label_is_named_and_left_out() {
    let long = "a".repeat(64);
    for bad in ["Web", "a.b", "-a", "a-", "a_b", long.as_str()] {
        let endpoint = json!({"addresses": ["fd00:244::5"], "hostname": bad, "targetRef": {"kind": "Node", "name": "n"}});
        let (slice, warnings) = convert(json!({"addressType": "IPv6", "endpoints": [endpoint]}));
        let endpoint = &slice.unwrap().endpoints[0];
        assert_eq!((&*endpoint.hostname, &*endpoint.pod), ("", ""));
        assert!(
            warnings[0].starts_with("endpoints[0].hostname: ") && warnings[0].contains("not a DNS label"),
            "{warnings:?}"
        );
    }
    let label = "a".repeat(63);
    let endpoint = json!({"addresses": ["fd00:244::5"], "hostname": label});
    let (slice, warnings) = convert(json!({"addressType": "IPv6", "endpoints": [endpoint]}));
    assert_eq!(*slice.unwrap().endpoints[0].hostname, *label);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn bad_ports_are_named_and_the_others_are_kept() {
    for (bad, warning) in [
        (
            json!({"name": "b", "port": 70000}),
            "ports[1].port: 70000 is not a port number (1 to 65535): left out",
        ),
        (json!({"name": "b", "port": -5}), "ports[1].port: -5 is not a port number (1 to 65535): left out"),
        (
            json!({"name": "b", "port": 81, "protocol": "ICMP"}),
            r#"ports[1].protocol: "ICMP" is not TCP, UDP or SCTP: left out"#,
        ),
        (json!({"name": "a", "port": 81}), r#"ports[1].name: "a" is the name of another port: left out"#),
    ] {
        let (slice, warnings) =
            convert(json!({"ports": [{"name": "a", "port": 80}, bad, {"name": "c", "port": 80}]}));
        let names: Vec<_> = slice.unwrap().ports.iter().map(|port| port.name.to_string()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(warnings, [warning]);
    }
}
