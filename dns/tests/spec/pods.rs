//! Names of pods.

use dns::config::PodsMode;

use crate::cluster::Cluster;

const PODS: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bank}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop},
 status: {phase: Running, podIP: 10.244.1.1, podIPs: [{ip: 10.244.1.1}, {ip: 'fd00:244::1'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: done, namespace: shop}, status: {phase: Succeeded, podIP: 10.244.1.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: failed, namespace: shop}, status: {phase: Failed, podIP: 10.244.1.3}}
---
{apiVersion: v1, kind: Pod, metadata: {name: heir, namespace: shop}, status: {phase: Running, podIP: 10.244.1.3}}
---
{apiVersion: v1, kind: Pod, metadata: {name: host-1, namespace: shop}, spec: {hostNetwork: true}, status: {phase: Running, podIP: 192.0.2.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: host-2, namespace: shop}, spec: {hostNetwork: true}, status: {phase: Running, podIP: 192.0.2.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: waits, namespace: shop}, status: {phase: Pending}}
---
{apiVersion: v1, kind: Pod, metadata: {name: leaves, namespace: shop, deletionTimestamp: '2026-01-01T00:00:00Z'},
 status: {phase: Running, podIP: 10.244.1.4}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: bank}, status: {phase: Running, podIP: 10.244.1.9}}
";

fn pods(mode: PodsMode) -> Cluster {
    Cluster::of(PODS).served(|config| config.pods = mode)
}

#[test]
fn no_pod_has_a_name_unless_that_is_wished() {
    for name in ["pod", "shop.pod", "10-244-1-1.shop.pod"] {
        Cluster::of(PODS).tells(&[(&format!("A {name}"), "NXDOMAIN")]);
    }
}

#[test]
fn insecure_names_are_every_address_in_every_namespace() {
    pods(PodsMode::Insecure).tells(&[
        ("A 10-244-1-1.shop.pod", "10.244.1.1"),
        ("A 203-0-113-7.bank.pod", "203.0.113.7"),
        ("AAAA 203-0-113-7.bank.pod", "NODATA"),
        ("AAAA fd00-244--1.shop.pod", "fd00:244::1"),
        ("AAAA fd00-244--0.shop.pod", "fd00:244::"),
        ("A fd00-244--1.shop.pod", "NODATA"),
        ("A 10-244-1-1.gone.pod", "NXDOMAIN"),
        ("A pod", "NODATA"),
        ("A bank.pod", "NODATA"),
        ("A gone.pod", "NXDOMAIN"),
        ("A x.10-244-1-1.shop.pod", "NXDOMAIN"),
        ("A 10-244-1.shop.pod", "NXDOMAIN"),
        ("A 10-244-1-256.shop.pod", "NXDOMAIN"),
        ("A a.shop.pod", "NXDOMAIN"),
    ]);
}

#[test]
fn verified_names_are_the_addresses_of_pods_that_run_in_the_namespace() {
    pods(PodsMode::Verified).tells(&[
        ("A 10-244-1-1.shop.pod", "10.244.1.1"),
        ("AAAA 10-244-1-1.shop.pod", "NODATA"),
        // All addresses of a pod, not only its first.
        ("AAAA fd00-244--1.shop.pod", "fd00:244::1"),
        ("A 10-244-1-1.bank.pod", "NXDOMAIN"),
        ("A 203-0-113-7.shop.pod", "NXDOMAIN"),
        // Finished.
        ("A 10-244-1-2.shop.pod", "NXDOMAIN"),
        // On its way out, and still there.
        ("A 10-244-1-4.shop.pod", "10.244.1.4"),
        // A finished pod's address that another has now, and one that two pods have.
        ("A 10-244-1-3.shop.pod", "10.244.1.3"),
        ("A 192-0-2-1.shop.pod", "192.0.2.1"),
        ("A shop.pod", "NODATA"),
        ("A pod", "NODATA"),
    ]);
}

#[test]
fn a_namespace_that_only_a_pod_speaks_of_exists() {
    let pod =
        "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: lone}, status: {podIP: 10.244.1.1}}";
    for mode in [PodsMode::Insecure, PodsMode::Verified] {
        Cluster::of(pod).served(|config| config.pods = mode).tells(&[
            ("A 10-244-1-1.lone.pod", "10.244.1.1"),
            ("A lone.pod", "NODATA"),
            ("A lone.svc", "NODATA"),
        ]);
    }
}

#[test]
fn pods_have_no_reverse_names() {
    for mode in [PodsMode::Insecure, PodsMode::Verified] {
        pods(mode).tells(&[("PTR 1.1.244.10.in-addr.arpa.", "NXDOMAIN")]);
    }
}
