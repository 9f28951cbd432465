use serde_json::json;

use super::*;

fn names(document: Value) -> Vec<String> {
    decode(document).unwrap().objects.iter().map(|object| object.key().to_string()).collect()
}

fn error(document: Value) -> String {
    decode(document).unwrap_err().to_string()
}

fn named(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}})
}

#[test]
fn every_kind_of_ours_is_decoded() {
    for (api_version, kind, key) in [
        ("v1", "Service", "Service default/a"),
        ("discovery.k8s.io/v1", "EndpointSlice", "EndpointSlice default/a"),
        ("v1", "Pod", "Pod default/a"),
        ("v1", "Namespace", "Namespace a"),
        ("v1", "Node", "Node a"),
        ("networking.k8s.io/v1", "ServiceCIDR", "ServiceCIDR a"),
    ] {
        assert_eq!(names(named(api_version, kind, "a")), [key]);
    }
}

#[test]
fn the_namespace_is_default_unless_named_and_none_for_cluster_scoped_kinds() {
    for (kind, namespace, key) in [
        ("Pod", json!("production"), "Pod production/a"),
        ("Pod", json!(""), "Pod default/a"),
        ("Pod", Value::Null, "Pod default/a"),
        ("Node", json!("production"), "Node a"),
    ] {
        let mut object = named("v1", kind, "a");
        object["metadata"]["namespace"] = namespace;
        assert_eq!(names(object), [key]);
    }
}

#[test]
fn an_empty_document_holds_nothing() {
    assert_eq!(decode(Value::Null).unwrap(), Decoded::default());
}

#[test]
fn lists_are_expanded_in_order_also_lists_in_lists() {
    let inner = json!({"apiVersion": "v1", "kind": "List", "items": [named("v1", "Pod", "b"), named("v1", "Pod", "c")]});
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""},
                      "items": [named("v1", "Pod", "a"), inner, named("v1", "Pod", "d")]});
    assert_eq!(names(list), ["Pod default/a", "Pod default/b", "Pod default/c", "Pod default/d"]);
}

#[test]
fn items_of_a_typed_list_need_not_repeat_kind_and_version() {
    let list = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList",
                      "items": [{"metadata": {"name": "a"}}, named("v1", "Pod", "b")]});
    assert_eq!(names(list), ["EndpointSlice default/a", "Pod default/b"]);
    let list = json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{}, {}]});
    let passed_over = decode(list).unwrap().passed_over;
    assert_eq!(passed_over, BTreeMap::from([(("apps/v1".to_owned(), "Deployment".to_owned()), 2)]));
}

#[test]
fn lists_without_items_are_empty() {
    for list in [
        json!({"apiVersion": "v1", "kind": "List"}),
        json!({"apiVersion": "v1", "kind": "List", "items": null}),
        json!({"apiVersion": "v1", "kind": "ServiceList", "items": []}),
        json!({"apiVersion": "v1", "kind": "ServiceList", "items": null}),
    ] {
        assert_eq!(decode(list).unwrap(), Decoded::default());
    }
}

#[test]
fn a_kind_that_merely_ends_in_list_is_a_kind() {
    let passed_over = decode(named("example.com/v1", "AllowList", "a")).unwrap().passed_over;
    assert_eq!(passed_over[&("example.com/v1".to_owned(), "AllowList".to_owned())], 1);
}

#[test]
fn other_kinds_groups_and_versions_are_passed_over_and_counted_apart() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        named("apps/v1", "Deployment", "a"),
        named("serving.knative.dev/v1", "Service", "a"),
        named("apps/v1", "Deployment", "b"),
        named("discovery.k8s.io/v1beta1", "EndpointSlice", "a"),
        {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["a.yaml"]},
    ]});
    let decoded = decode(list).unwrap();
    assert!(decoded.objects.is_empty());
    let counts: Vec<_> = decoded
        .passed_over
        .iter()
        .map(|((api_version, kind), count)| (&**api_version, &**kind, *count))
        .collect();
    assert_eq!(
        counts,
        [
            ("apps/v1", "Deployment", 2),
            ("discovery.k8s.io/v1beta1", "EndpointSlice", 1),
            ("kustomize.config.k8s.io/v1beta1", "Kustomization", 1),
            ("serving.knative.dev/v1", "Service", 1),
        ]
    );
}

#[test]
fn what_makes_no_object_is_told_what_it_lacks() {
    for (document, message) in [
        (json!("hello"), "not a Kubernetes object: the document is a string, not a mapping"),
        (json!(["a"]), "not a Kubernetes object: the document is a sequence, not a mapping"),
        (json!({}), "not a Kubernetes object: kind is missing"),
        (json!({"kind": "Pod"}), "not a Kubernetes object: apiVersion is missing"),
        (json!({"kind": "Pod", "apiVersion": null}), "not a Kubernetes object: apiVersion is missing"),
        (json!({"kind": 7, "apiVersion": "v1"}), "not a Kubernetes object: kind is a number, not a string"),
        (
            json!({"kind": "Pod", "apiVersion": "v1"}),
            "not a Kubernetes object: metadata.name of a Pod is missing",
        ),
        (named("v1", "Pod", ""), "not a Kubernetes object: metadata.name of a Pod is missing"),
        (
            json!({"kind": "Pod", "apiVersion": "v1", "metadata": "a"}),
            "not a Kubernetes object: metadata is a string, not a mapping",
        ),
        (
            json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": 5}}),
            "not a Kubernetes object: metadata.name is a number, not a string",
        ),
        (
            json!({"kind": "List", "apiVersion": "v1", "items": "a"}),
            "not a Kubernetes object: items is a string, not a sequence",
        ),
        (
            json!({"kind": "List", "apiVersion": "v1", "items": [named("v1", "Pod", "a"), 5]}),
            "not a Kubernetes object: items[1] is a number, not a mapping",
        ),
        (
            json!({"kind": "List", "apiVersion": "v1", "items": [{"apiVersion": "v1"}]}),
            "not a Kubernetes object: items[0].kind is missing",
        ),
    ] {
        assert_eq!(error(document), message);
    }
}

#[test]
fn names_that_the_api_refuses_are_refused() {
    for name in ["Web", "a_b", "a/b", "-a", "a-", "a..b", ".", "ä", "a b", "a\nb", &"a".repeat(254)] {
        let message = error(named("v1", "Service", name));
        assert!(message.starts_with("Service: metadata.name \""), "{message}");
        assert!(!message.contains('\n') && message.len() < 300, "{message}");
    }
    for name in ["a", "0", "web-1.production", &"a".repeat(253)] {
        assert_eq!(names(named("v1", "Service", name)), [format!("Service default/{name}")]);
    }
    let mut object = named("v1", "Service", "a");
    object["metadata"]["namespace"] = json!("Up");
    assert!(error(object).starts_with("Service: metadata.namespace \"Up\" is not a name"));
}

#[test]
fn a_field_of_a_wrong_type_is_named_with_its_object() {
    for (spec, message) in [
        (
            json!({"ports": [{"port": 80}, {"port": "http"}]}),
            "spec.ports[1].port: invalid type: string \"http\"",
        ),
        (json!({"ports": [{"port": 80.5}]}), "spec.ports[0].port: invalid value: floating point `80.5`"),
        (json!({"ports": {"port": 80}}), "spec.ports: invalid type: map, expected a sequence"),
        (json!({"ports": [["http"]]}), "spec.ports[0]: invalid type: sequence, expected a mapping"),
        (json!({"clusterIP": 10}), "spec.clusterIP: invalid type: integer `10`, expected a string"),
        (json!({"externalIPs": "192.0.2.1"}), "spec.externalIPs: invalid type: string \"192.0.2.1\""),
        (json!([]), "spec: invalid type: sequence, expected a mapping"),
        (json!("a"), "spec: invalid type: string \"a\", expected a mapping"),
    ] {
        let mut object = named("v1", "Service", "web");
        object["metadata"]["namespace"] = json!("production");
        object["spec"] = spec;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [object]});
        let error = error(list);
        assert!(error.starts_with(&format!("Service production/web: {message}")), "{error}");
    }
}

#[test]
fn an_error_is_one_line_even_if_the_fields_name_is_not() {
    let mut object = named("v1", "Namespace", "production");
    object["metadata"]["labels"] = json!({"a\nb": 5});
    let message = error(object);
    assert!(message.starts_with(r"Namespace production: metadata.labels.a\nb: invalid type"), "{message}");
}

#[test]
fn null_is_absent_at_every_field() {
    let mut object = named("v1", "Service", "web");
    object["metadata"]["labels"] = Value::Null;
    object["metadata"]["annotations"] = Value::Null;
    object["spec"] = json!({"type": null, "clusterIP": null, "clusterIPs": null, "ipFamilies": null,
                            "externalIPs": null, "ports": null, "internalTrafficPolicy": null,
                            "externalTrafficPolicy": null});
    object["status"] = json!({"loadBalancer": {"ingress": null}});
    assert_eq!(decode(object).unwrap(), decode(named("v1", "Service", "web")).unwrap());
}

#[test]
fn a_whole_float_is_an_integer() {
    let mut object = named("v1", "Service", "web");
    object["spec"] = json!({"ports": [{"port": 80.0, "nodePort": 3e4}]});
    let decoded = decode(object).unwrap();
    let [Object::Service(service)] = &decoded.objects[..] else { panic!("one Service") };
    assert_eq!((service.spec.ports[0].port, service.spec.ports[0].node_port), (Some(80), Some(30000)));
}

#[test]
fn fields_that_we_do_not_use_may_hold_anything() {
    let mut object = named("v1", "Service", "web");
    object["spec"] = json!({"selector": 5, "ports": [{"port": 80, "targetPort": {"odd": []}}]});
    object["metadata"]["labels"] = json!({"app": 7});
    object["metadata"]["managedFields"] = json!("none");
    assert_eq!(names(object), ["Service default/web"]);
}
