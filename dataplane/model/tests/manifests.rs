//! YAML as people write it, from text to snapshot.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panic")]

use std::sync::Arc;

use model::api::decode;
use model::{Event, Kind, ObjectName, Store};
use serde_json::Value;

fn store_of(manifest: &str) -> Store {
    let mut store = Store::new(&Kind::ALL);
    for document in serde_saphyr::from_multiple::<Value>(manifest).unwrap() {
        for object in decode(document).unwrap().objects {
            store.apply(Event::Apply(Arc::new(object)));
        }
    }
    store
}

#[test]
fn a_hand_written_service_with_its_endpoints_is_understood() {
    let store = store_of(
        r#"
apiVersion: v1
kind: Service
metadata:
  name: backend-api
  namespace: production
  creationTimestamp: 2026-01-01T00:00:00Z
  labels:
spec:
  selector: {app: backend-api}
  clusterIP: 10.96.0.20
  ports:
    - name: http
      port: 80
      targetPort: web
---
# Written by hand, as a Service without selector needs it.
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: backend-api-1
  namespace: production
  labels: {kubernetes.io/service-name: backend-api}
addressType: IPv4
endpoints:
  - addresses: [10.244.1.5]
    conditions: {ready: true}
    nodeName: node-1
    zone: a
  - addresses: ["10.244.2.6"]
    conditions:
ports:
  - {name: http, port: 3000}
"#,
    );
    let snapshot = store.snapshot();
    assert!(snapshot.warnings.is_empty(), "{:?}", snapshot.warnings);
    let name = ObjectName::new("production", "backend-api");
    let service = &snapshot.services[&name];
    assert_eq!(service.cluster_ips, ["10.96.0.20".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(&*service.created, "2026-01-01T00:00:00Z");
    assert_eq!(service.ports[0].port.get(), 80);
    let slices: Vec<_> = snapshot.slices_of(&name).collect();
    let [slice] = slices[..] else { panic!("one slice, not {slices:?}") };
    assert_eq!(slice.endpoints.len(), 2);
    assert!(slice.endpoints.iter().all(|endpoint| endpoint.is_ready));
}

#[test]
fn what_kubectl_prints_as_a_list_is_understood() {
    let store = store_of(
        r"
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Node
    metadata: {name: node-1, labels: {topology.kubernetes.io/zone: a}}
    status: {addresses: [{type: InternalIP, address: 172.31.0.11}]}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: passed-over}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: production}}
metadata: {resourceVersion: ''}
",
    );
    let snapshot = store.snapshot();
    assert_eq!(snapshot.nodes["node-1"].zone.as_deref(), Some("a"));
    assert!(snapshot.namespaces.contains_key("production"));
}
