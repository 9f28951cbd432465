use serde_json::{Value, json};

use super::*;
use crate::api::decode;

fn object(document: Value) -> Arc<Object> {
    Arc::new(decode(document).unwrap().objects.remove(0))
}

fn service(name: &str, cluster_ip: &str) -> Arc<Object> {
    let metadata = json!({"name": name});
    object(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": cluster_ip}}),
    )
}

/// A slice of a Service, or of nobody's.
fn slice(name: &str, service: Option<&str>, addr: &str) -> Arc<Object> {
    object(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": [addr]}], "ports": [{"port": 3000}],
    }))
}

fn named(api_version: &str, kind: &str, name: &str) -> Arc<Object> {
    object(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}))
}

fn store_of(objects: &[Arc<Object>]) -> Store {
    let mut store = Store::new(&Kind::ALL);
    for object in objects {
        store.apply(Event::Apply(Arc::clone(object)));
    }
    store.take_changes();
    store
}

fn services(store: &Store) -> Vec<String> {
    store.snapshot().services.keys().map(|name| name.name.to_string()).collect()
}

fn changed_services(store: &mut Store) -> Vec<String> {
    store.take_changes().services.iter().map(|name| name.name.to_string()).collect()
}

fn slices_of(store: &Store, service: &str) -> Vec<String> {
    let snapshot = store.snapshot();
    let slices = snapshot.slices_of(&ObjectName::new("default", service));
    slices.map(|slice| slice.name.name.to_string()).collect()
}

#[test]
fn objects_of_a_list_become_visible_together() {
    let mut store = Store::new(&[Kind::Service]);
    store.apply(Event::Init(Kind::Service));
    store.apply(Event::InitApply(service("a", "10.96.0.1")));
    store.apply(Event::InitApply(service("b", "10.96.0.2")));
    assert!(services(&store).is_empty());
    assert_eq!(store.snapshot().revision.0, 0);
    store.apply(Event::InitDone(Kind::Service));
    assert_eq!(services(&store), ["a", "b"]);
    assert_eq!(store.snapshot().revision.0, 1);
}

#[test]
fn what_a_list_does_not_name_is_gone_when_it_ends_and_not_before() {
    let mut store = store_of(&[service("old", "10.96.0.1"), slice("s", Some("old"), "10.244.1.5")]);
    store.apply(Event::Init(Kind::Service));
    store.apply(Event::InitApply(service("new", "10.96.0.2")));
    assert_eq!(services(&store), ["old"]);
    store.apply(Event::InitDone(Kind::Service));
    assert_eq!(services(&store), ["new"]);
    assert_eq!(changed_services(&mut store), ["new", "old"]);
    assert_eq!(slices_of(&store, "old"), ["s"], "other kinds are untouched");
}

#[test]
fn a_list_replaces_every_kind_also_what_left_only_a_warning() {
    let bad_slice = object(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPX", "metadata": {"name": "bad"},
    }));
    let mut store = store_of(&[
        service("a", "10.96.0.300"),
        slice("s", Some("a"), "10.244.1.5"),
        bad_slice,
        named("v1", "Pod", "a"),
        named("v1", "Namespace", "a"),
        named("v1", "Node", "a"),
        named("networking.k8s.io/v1", "ServiceCIDR", "a"),
        named("networking.k8s.io/v1", "NetworkPolicy", "a"),
    ]);
    assert_eq!(store.snapshot().warnings.len(), 2);
    for kind in Kind::ALL {
        store.apply(Event::Init(kind));
        store.apply(Event::InitDone(kind));
    }
    let changes = store.take_changes();
    assert_eq!(changes.services.len(), 1);
    assert_eq!(changes.nodes.len(), 1);
    assert_eq!(changes.network_policies.len(), 1);
    assert!(changes.service_cidrs && changes.synced);
    let empty =
        Snapshot { revision: store.snapshot().revision, synced: Some(Synced(())), ..Snapshot::default() };
    assert_eq!(store.snapshot(), empty);
}

#[test]
fn a_change_during_a_list_is_visible_at_once_and_outlives_the_list() {
    for (before, after) in [(true, false), (false, true)] {
        let mut store = store_of(&[service("b", "10.96.0.9")]);
        let listed = [service("a", "10.96.0.1"), service("b", "10.96.0.9")].map(Event::InitApply);
        store.apply(Event::Init(Kind::Service));
        if before {
            listed.clone().into_iter().for_each(|event| store.apply(event));
        }
        store.apply(Event::Apply(service("a", "10.96.0.2")));
        store.apply(Event::Apply(service("c", "10.96.0.3")));
        store.apply(Event::Delete(service("b", "10.96.0.9").key()));
        assert_eq!(services(&store), ["a", "c"]);
        if after {
            listed.into_iter().for_each(|event| store.apply(event));
        }
        store.apply(Event::InitDone(Kind::Service));
        assert_eq!(services(&store), ["a", "c"]);
        let a = store.snapshot().services[&ObjectName::new("default", "a")].cluster_ips[0];
        assert_eq!(a.to_string(), "10.96.0.2");
    }
}

#[test]
fn a_list_that_begins_again_starts_over() {
    let mut store = Store::new(&[Kind::Service]);
    store.apply(Event::Init(Kind::Service));
    store.apply(Event::InitApply(service("a", "10.96.0.1")));
    store.apply(Event::Init(Kind::Service));
    store.apply(Event::InitApply(service("b", "10.96.0.2")));
    store.apply(Event::InitDone(Kind::Service));
    assert_eq!(services(&store), ["b"]);
}

#[test]
fn a_list_that_ends_without_having_begun_deletes_nothing_and_is_not_done() {
    let mut store = Store::new(&[Kind::Service]);
    store.apply(Event::InitApply(service("a", "10.96.0.1")));
    store.apply(Event::InitDone(Kind::Service));
    assert_eq!(services(&store), ["a"]);
    assert!(!store.is_synced());
}

#[test]
fn synced_once_every_kind_was_listed() {
    let mut store = Store::new(&[Kind::Service, Kind::EndpointSlice]);
    for (kind, is_synced) in [(Kind::Service, false), (Kind::Node, false), (Kind::EndpointSlice, true)] {
        store.apply(Event::Init(kind));
        assert!(!store.is_synced());
        store.apply(Event::InitDone(kind));
        assert_eq!(store.is_synced(), is_synced, "{kind}");
        assert_eq!(store.snapshot().synced.is_some(), is_synced);
        assert_eq!(store.take_changes().synced, is_synced);
    }
    store.apply(Event::Init(Kind::Service));
    store.apply(Event::InitDone(Kind::Service));
    assert!(store.is_synced(), "a later list does not take it back");
    assert!(!store.take_changes().synced);
}

#[test]
fn incomplete_counts_until_the_store_is_synced() {
    let mut store = Store::new(&[Kind::Service]);
    assert!(!store.is_incomplete());
    store.apply(Event::Apply(service("a", "10.96.0.1")));
    store.apply(Event::Incomplete);
    assert!(store.is_incomplete() && !store.is_synced());
    store.apply(Event::Init(Kind::Service));
    assert!(store.is_incomplete(), "the list may take its time");
    store.apply(Event::InitDone(Kind::Service));
    assert!(!store.is_incomplete() && store.is_synced());
    store.apply(Event::Incomplete);
    assert!(!store.is_incomplete(), "a file that breaks later takes nothing back");
}

#[test]
fn an_object_that_says_the_same_changes_nothing() {
    let node = named("v1", "Node", "node-1");
    let objects = [service("a", "10.96.0.1"), slice("s", Some("a"), "10.244.1.5"), node, service("b", "x")];
    let mut store = store_of(&objects);
    let before = store.snapshot();
    for object in &objects {
        store.apply(Event::Apply(Arc::clone(object)));
    }
    for kind in [Kind::Service, Kind::EndpointSlice] {
        store.apply(Event::Init(kind));
        for object in objects.iter().filter(|object| object.kind() == kind) {
            store.apply(Event::InitApply(Arc::clone(object)));
        }
        store.apply(Event::InitDone(kind));
    }
    store.apply(Event::Delete(service("never", "10.96.0.7").key()));
    assert!(store.take_changes().is_empty());
    assert_eq!(store.snapshot(), before);
}

#[test]
fn every_event_that_changes_anything_counts_one_revision() {
    let mut store = Store::new(&[Kind::Pod]);
    let events = [
        (Event::Apply(service("a", "10.96.0.1")), 1),
        (Event::Apply(service("a", "10.96.0.1")), 0),
        (Event::Apply(service("a", "bad")), 1),
        (Event::Apply(service("a", "worse")), 1),
        (Event::Apply(slice("s", Some("a"), "10.244.1.5")), 1),
        (Event::Apply(slice("s", Some("b"), "10.244.1.6")), 1),
        (Event::Delete(service("a", "x").key()), 1),
        (Event::Init(Kind::Pod), 0),
        (Event::InitApply(named("v1", "Pod", "a")), 0),
        (Event::InitApply(named("v1", "Pod", "b")), 0),
        (Event::InitDone(Kind::Pod), 1),
        (Event::Incomplete, 0),
    ];
    for (event, steps) in events {
        let before = store.snapshot().revision.0;
        let text = format!("{event:?}");
        store.apply(event);
        assert_eq!(store.snapshot().revision.0 - before, steps, "{text}");
    }
}

#[test]
fn an_earlier_snapshot_does_not_change() {
    let mut store = store_of(&[service("a", "10.96.0.1")]);
    let before = store.snapshot();
    store.apply(Event::Apply(service("b", "10.96.0.2")));
    store.apply(Event::Delete(service("a", "10.96.0.1").key()));
    assert_eq!(before.services.len(), 1);
    assert!(before.services.contains_key(&ObjectName::new("default", "a")));
}

#[test]
fn a_slice_changes_its_service_even_before_there_is_one() {
    let mut store = store_of(&[]);
    store.apply(Event::Apply(slice("s", Some("a"), "10.244.1.5")));
    assert_eq!(changed_services(&mut store), ["a"]);
    store.apply(Event::Apply(slice("s", Some("a"), "10.244.1.6")));
    assert_eq!(changed_services(&mut store), ["a"]);
    store.apply(Event::Delete(slice("s", None, "10.244.1.6").key()));
    assert_eq!(changed_services(&mut store), ["a"]);
    assert!(slices_of(&store, "a").is_empty());
}

#[test]
fn a_slice_that_moves_changes_both_services() {
    let mut store = store_of(&[slice("s", Some("a"), "10.244.1.5")]);
    store.apply(Event::Apply(slice("s", Some("b"), "10.244.1.5")));
    assert_eq!(changed_services(&mut store), ["a", "b"]);
    assert!(slices_of(&store, "a").is_empty());
    assert_eq!(slices_of(&store, "b"), ["s"]);
}

#[test]
fn a_slice_that_becomes_nobodys_leaves_its_service_and_may_come_back() {
    let mut store = store_of(&[slice("s", Some("a"), "10.244.1.5")]);
    store.apply(Event::Apply(slice("s", None, "10.244.1.5")));
    assert_eq!(changed_services(&mut store), ["a"]);
    assert!(store.snapshot().slices.is_empty());
    store.apply(Event::Apply(slice("s", Some("a"), "10.244.1.5")));
    assert_eq!(changed_services(&mut store), ["a"]);
    assert_eq!(slices_of(&store, "a"), ["s"]);
}

#[test]
fn services_with_a_common_beginning_keep_their_slices_apart() {
    let store = store_of(&[
        slice("1", Some("a"), "10.244.1.5"),
        slice("2", Some("a-b"), "10.244.1.5"),
        slice("3", Some("ab"), "10.244.1.5"),
        slice("4", Some("a"), "10.244.1.5"),
    ]);
    assert_eq!(slices_of(&store, "a"), ["1", "4"]);
    assert_eq!(slices_of(&store, "a-b"), ["2"]);
    assert_eq!(slices_of(&store, "ab"), ["3"]);
}

#[test]
fn warnings_live_as_long_as_their_cause() {
    let mut store = store_of(&[]);
    for (event, warned) in [
        (Event::Apply(service("a", "bad")), 1),
        (Event::Apply(service("a", "10.96.0.1")), 0),
        (Event::Apply(service("a", "bad")), 1),
        (Event::Delete(service("a", "bad").key()), 0),
    ] {
        store.apply(event);
        assert_eq!(store.snapshot().warnings.len(), warned);
    }
}

#[test]
fn pods_and_policies_of_a_namespace_are_found_and_no_others() {
    let of = |kind: &str, namespace: &str, name: &str| {
        let api_version = if kind == "Pod" { "v1" } else { "networking.k8s.io/v1" };
        object(
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}),
        )
    };
    let objects: Vec<_> = ["Pod", "NetworkPolicy"]
        .into_iter()
        .flat_map(|kind| {
            [("a", "z"), ("b", "y"), ("b", "x"), ("b-c", "w")].map(|(ns, name)| of(kind, ns, name))
        })
        .collect();
    let snapshot = store_of(&objects).snapshot();
    for (namespace, want) in [("a", vec!["z"]), ("b", vec!["x", "y"]), ("b-c", vec!["w"]), ("c", vec![])] {
        let namespace = Arc::from(namespace);
        let pods: Vec<_> = snapshot.pods_in(&namespace).map(|pod| pod.name.name.to_string()).collect();
        let policies: Vec<_> = snapshot.policies_in(&namespace).map(|p| p.name.name.to_string()).collect();
        assert_eq!(pods, want, "{namespace}");
        assert_eq!(policies, want, "{namespace}");
    }
}

#[test]
fn a_policy_that_says_the_same_in_other_words_changes_nothing() {
    let policy = |selector: Value| {
        object(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
            "spec": {"podSelector": selector},
        }))
    };
    let mut store = store_of(&[policy(json!({"matchLabels": {"app": "web"}}))]);
    let same = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]});
    store.apply(Event::Apply(policy(same)));
    assert!(store.take_changes().is_empty());
    store.apply(Event::Apply(policy(json!({}))));
    assert_eq!(store.take_changes().network_policies.len(), 1);
}
