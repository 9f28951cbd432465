//! Laws of decoding and conversion: whatever a document holds, the answer is objects or one line of error.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panic")]

use std::sync::Arc;

use model::api::decode;
use model::{Event, Kind, Store};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Words that the decoder knows, so that random documents reach its depths.
const WORDS: [&str; 44] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "labels",
    "annotations",
    "spec",
    "status",
    "items",
    "List",
    "ServiceList",
    "Service",
    "EndpointSlice",
    "Pod",
    "Namespace",
    "Node",
    "ServiceCIDR",
    "NetworkPolicy",
    "v1",
    "discovery.k8s.io/v1",
    "networking.k8s.io/v1",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "externalIPs",
    "ports",
    "port",
    "nodePort",
    "podSelector",
    "policyTypes",
    "ingress",
    "protocol",
    "addressType",
    "endpoints",
    "addresses",
    "conditions",
    "hints",
    "forZones",
    "cidrs",
    "podIPs",
    "loadBalancer",
    "ingress",
    "10.96.0.1",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1i64..70_000).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// One object of each kind with every field that is read.
fn full_objects() -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "production", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z",
                         "labels": {"service.kubernetes.io/service-proxy-name": "x"}},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"],
                     "ipFamilies": ["IPv4", "IPv6"], "externalIPs": ["192.0.2.1"],
                     "ports": [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080}],
                     "internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2", "ipMode": "VIP"}]}},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"},
                         "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.1.5"], "conditions": {"ready": true, "serving": true, "terminating": false},
                           "nodeName": "node-1", "zone": "a",
                           "hints": {"forZones": [{"name": "a"}], "forNodes": [{"name": "node-1"}]}}],
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        }),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "uid": "2"},
            "spec": {"nodeName": "node-1", "hostNetwork": false},
            "status": {"phase": "Running", "podIP": "10.244.1.5", "podIPs": [{"ip": "10.244.1.5"}]},
        }),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production", "labels": {"team": "web"}}}),
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "node-1", "deletionTimestamp": null, "labels": {"topology.kubernetes.io/zone": "a"}},
            "spec": {"taints": [{"key": "x"}]},
            "status": {"addresses": [{"type": "InternalIP", "address": "172.31.0.11"}]},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": ["10.96.0.0/16", "fd00:10:96::/108"]},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{
                    "from": [{
                        "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]},
                        "namespaceSelector": {},
                    }],
                    "ports": [{"port": 80, "endPort": 90, "protocol": "TCP"}, {"port": "http"}],
                }],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}],
            },
        }),
    ]
}

/// JSON pointers to every value in a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{i}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(field, &format!("{at}/{name}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A full object in which one value was replaced.
fn damaged_object() -> impl Strategy<Value = Value> {
    (prop::sample::select(full_objects()), any::<prop::sample::Index>(), json_value()).prop_map(
        |(mut object, place, value)| {
            let mut places = Vec::new();
            pointers(&object, "", &mut places);
            *object.pointer_mut(&places[place.index(places.len())]).unwrap() = value;
            object
        },
    )
}

fn lines(text: &str) -> usize {
    text.chars().filter(|c| c.is_control()).count() + 1
}

fn check(document: Value) -> Result<(), TestCaseError> {
    match decode(document) {
        Ok(decoded) => {
            let mut store = Store::new(&[]);
            for object in decoded.objects {
                prop_assert!(!object.key().name.name.is_empty());
                store.apply(Event::Apply(Arc::new(object)));
            }
            let snapshot = store.snapshot();
            for warning in snapshot.warnings.values().flat_map(|warnings| warnings.iter()) {
                prop_assert_eq!(lines(&warning.to_string()), 1, "{}", warning);
            }
        }
        Err(error) => prop_assert_eq!(lines(&error.to_string()), 1, "{}", error),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_objects_or_one_line_of_error(document in json_value()) {
        check(document)?;
    }

    #[test]
    fn any_damage_to_an_object_is_objects_or_one_line_of_error(document in damaged_object()) {
        check(document)?;
    }

    #[test]
    fn a_list_of_objects_is_those_objects(objects in prop::collection::vec(prop::sample::select(full_objects()), 0..6)) {
        let single: Vec<_> = objects.iter().flat_map(|object| decode(object.clone()).unwrap().objects).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        prop_assert_eq!(decode(list).unwrap().objects, single);
    }
}

#[test]
fn the_full_objects_are_one_of_each_kind_and_raise_no_warning() {
    let mut store = Store::new(&[]);
    let mut kinds = Vec::new();
    for object in full_objects() {
        let object = decode(object).unwrap().objects.remove(0);
        kinds.push(object.kind());
        store.apply(Event::Apply(Arc::new(object)));
    }
    assert_eq!(kinds, Kind::ALL);
    assert!(store.snapshot().warnings.is_empty(), "{:?}", store.snapshot().warnings);
}
