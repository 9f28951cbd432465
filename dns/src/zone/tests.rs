use std::collections::BTreeMap;
use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::record::{PortProtocol, SliceRecord};

const NAMES: [&str; 3] = ["a", "b", "svc"];

fn addr() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u8..6).prop_map(|i| IpAddr::from([10, 0, 0, i])),
        (0_u16..4).prop_map(|i| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, i])),
    ]
}

fn some_name() -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(NAMES.to_vec()).prop_map(Arc::from)
}

fn record() -> impl Strategy<Value = ServiceRecord> {
    let kind = prop_oneof![
        prop::collection::vec(addr(), 0..3).prop_map(ServiceKind::ClusterIps),
        Just(ServiceKind::Headless),
        Just(ServiceKind::ExternalName("example.com".into())),
    ];
    let endpoint = addr().prop_map(|addr| EndpointRecord { addr, hostname: "h".into(), pod: Arc::default() });
    let port = PortRecord { name: "p".into(), protocol: PortProtocol::Tcp, number: NonZeroU16::MIN };
    let slice = prop::collection::vec(endpoint, 0..4)
        .prop_map(move |endpoints| SliceRecord { ports: vec![port.clone()], endpoints });
    (kind, prop::collection::vec(slice, 0..3)).prop_map(|(kind, slices)| ServiceRecord {
        kind,
        ports: Vec::new(),
        slices,
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (some_name(), some_name(), prop::option::of(record()))
            .prop_map(|(namespace, name, record)| Change::Service { namespace, name, record }),
        1 => (some_name(), any::<bool>()).prop_map(|(name, exists)| Change::Namespace { name, exists }),
        2 => (some_name(), some_name(), prop::collection::vec(addr(), 0..3))
            .prop_map(|(namespace, name, addrs)| Change::Pod { namespace, name, addrs }),
    ]
}

/// What a change is about.
fn subject(change: &Change) -> (u8, Arc<str>, Arc<str>) {
    match change {
        Change::Service { namespace, name, .. } => (0, Arc::clone(namespace), Arc::clone(name)),
        Change::Namespace { name, .. } => (1, Arc::clone(name), Arc::default()),
        Change::Pod { namespace, name, .. } => (2, Arc::clone(namespace), Arc::clone(name)),
    }
}

/// Everything in a zone, in order.
fn text(zone: &Zone) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, namespace) in &zone.namespaces {
        lines.push(format!("namespace {name}, declared: {}", namespace.is_declared));
        lines
            .extend(namespace.services.iter().map(|(key, entry)| format!("service {name} {key}: {entry:?}")));
        lines.extend(namespace.pods.iter().map(|(key, addrs)| format!("pod {name} {key}: {addrs:?}")));
        lines.extend(namespace.pod_addrs.iter().map(|(addr, count)| format!("pods {name} {addr}: {count}")));
    }
    lines.extend(zone.reverse.iter().map(|(addr, names)| format!("reverse {addr}: {names:?}")));
    lines.sort();
    lines
}

/// The reverse index as the Services have it.
fn reverse_of(zone: &Zone) -> BTreeMap<IpAddr, Vec<ObjectName>> {
    let mut reverse: BTreeMap<IpAddr, Vec<ObjectName>> = BTreeMap::new();
    for (namespace, content) in &zone.namespaces {
        for (name, entry) in &content.services {
            let endpoints = entry.endpoints().map(|(endpoint, _)| endpoint.addr);
            let cluster_ips = match &entry.record.kind {
                ServiceKind::ClusterIps(ips) => ips.clone(),
                ServiceKind::Headless | ServiceKind::ExternalName(_) => Vec::new(),
            };
            for addr in endpoints.chain(cluster_ips) {
                let name = ObjectName { namespace: Arc::clone(namespace), name: Arc::clone(name) };
                reverse.entry(addr).or_default().push(name);
            }
        }
    }
    for names in reverse.values_mut() {
        names.sort();
        names.dedup();
    }
    reverse
}

proptest! {
    #[test]
    fn changes_one_by_one_make_the_same_zone_as_the_last_of_each_at_once(
        changes in prop::collection::vec(change(), 0..40),
        cut in 0_usize..40,
    ) {
        let mut one_by_one = Zone::default();
        for change in &changes {
            one_by_one = one_by_one.with(vec![change.clone()], 7);
        }
        let last: BTreeMap<_, _> = changes.iter().map(|change| (subject(change), change.clone())).collect();
        let at_once = Zone::default().with(last.into_values(), 7);
        prop_assert_eq!(text(&one_by_one), text(&at_once));
        let (first, second) = changes.split_at(cut.min(changes.len()));
        let in_two = Zone::default().with(first.to_vec(), 6).with(second.to_vec(), 7);
        prop_assert_eq!(text(&in_two), text(&at_once));
    }

    #[test]
    fn the_reverse_index_is_what_the_services_have(changes in prop::collection::vec(change(), 0..40)) {
        let zone = Zone::default().with(changes, 7);
        let reverse: BTreeMap<IpAddr, Vec<ObjectName>> =
            zone.reverse.iter().map(|(addr, names)| (*addr, names.names().to_vec())).collect();
        prop_assert_eq!(reverse, reverse_of(&zone));
    }

    #[test]
    fn what_is_taken_out_leaves_nothing(changes in prop::collection::vec(change(), 0..20)) {
        let gone = changes.iter().map(|change| match change.clone() {
            Change::Service { namespace, name, .. } => Change::Service { namespace, name, record: None },
            Change::Namespace { name, .. } => Change::Namespace { name, exists: false },
            Change::Pod { namespace, name, .. } => Change::Pod { namespace, name, addrs: Vec::new() },
        });
        let zone = Zone::default().with(changes.clone(), 6).with(gone, 7);
        prop_assert_eq!(text(&zone), Vec::<String>::new());
    }

    #[test]
    fn an_older_zone_stays_as_it_was(
        before in prop::collection::vec(change(), 0..10),
        after in prop::collection::vec(change(), 0..10),
    ) {
        let zone = Zone::default().with(before, 6);
        let was = text(&zone);
        let _next = zone.with(after, 7);
        prop_assert_eq!(text(&zone), was);
    }
}

#[test]
fn a_zone_counts_its_services_and_keeps_its_serial_and_whether_it_is_synced() {
    let service = |name: &str| Change::Service {
        namespace: "ns".into(),
        name: name.into(),
        record: Some(ServiceRecord { kind: ServiceKind::Headless, ports: Vec::new(), slices: Vec::new() }),
    };
    let zone = Zone::default().with(vec![service("a"), service("b"), service("a")], 5);
    assert_eq!((zone.services(), zone.serial(), zone.is_synced()), (2, 5, false));
    let zone = zone.synced().with(Vec::new(), 6);
    assert_eq!((zone.services(), zone.serial(), zone.is_synced()), (2, 6, true));
}
