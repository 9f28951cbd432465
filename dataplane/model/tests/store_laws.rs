//! Laws of the store, over random histories of a small cluster.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::api::{Object, decode};
use model::{Event, Kind, ObjectKey, ObjectName, Snapshot, SnapshotRevision, Store};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a source may say of one object.
#[derive(Clone, Debug)]
enum Said {
    Is(Arc<Object>),
    IsGone(ObjectKey),
}

impl Said {
    fn key(&self) -> ObjectKey {
        match self {
            Self::Is(object) => object.key(),
            Self::IsGone(key) => key.clone(),
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Is(object) => Event::Apply(Arc::clone(object)),
            Self::IsGone(key) => Event::Delete(key.clone()),
        }
    }
}

fn one(document: Value) -> Arc<Object> {
    Arc::new(decode(document).unwrap().objects.remove(0))
}

fn object() -> impl Strategy<Value = Arc<Object>> {
    let name = || prop::sample::select(&["a", "b", "a-b"][..]);
    let service = (name(), prop::sample::select(&["10.96.0.1", "10.96.0.2", "None", "bad", ""][..]))
        .prop_map(|(name, cluster_ip)| {
            one(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                       "spec": {"clusterIP": cluster_ip, "ports": [{"port": 80}]}}))
        });
    let owner = prop::sample::select(&[Some("a"), Some("b"), Some("a-b"), None][..]);
    let address_type = prop::sample::select(&["IPv4", "IPv4", "IPv4", "IPv6", "FQDN", "IPX"][..]);
    let slice = (name(), owner, address_type, 1..4u8).prop_map(|(name, owner, address_type, host)| {
        one(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": address_type,
                   "metadata": {"name": name, "labels": {"kubernetes.io/service-name": owner}},
                   "endpoints": [{"addresses": [format!("10.244.1.{host}")]}], "ports": [{"port": 3000}]}))
    });
    let other = (name(), 0..4usize, any::<bool>()).prop_map(|(name, kind, variant)| {
        let metadata = json!({"name": name, "labels": {"topology.kubernetes.io/zone": variant.to_string()}});
        one(match kind {
            0 => json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"hostNetwork": variant}}),
            1 => json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}),
            2 => json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}),
            _ => json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": metadata,
                        "spec": {"cidrs": [if variant { "10.96.0.0/16" } else { "bad" }]}}),
        })
    });
    prop_oneof![3 => service, 5 => slice, 3 => other]
}

fn said() -> impl Strategy<Value = Said> {
    (object(), prop::bool::weighted(0.3))
        .prop_map(|(object, is_gone)| if is_gone { Said::IsGone(object.key()) } else { Said::Is(object) })
}

fn event() -> impl Strategy<Value = Event> {
    let kind = || prop::sample::select(&Kind::ALL[..]);
    prop_oneof![
        6 => said().prop_map(|said| said.event()),
        4 => object().prop_map(Event::InitApply),
        2 => kind().prop_map(Event::Init),
        2 => kind().prop_map(Event::InitDone),
        1 => Just(Event::Incomplete),
    ]
}

fn history() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..60)
}

/// A snapshot as values that compare without its number.
fn content(store: &Store) -> Snapshot {
    Snapshot { revision: SnapshotRevision::default(), ..store.snapshot() }
}

fn told(events: impl IntoIterator<Item = Event>) -> Store {
    let mut store = Store::new(&Kind::ALL);
    events.into_iter().for_each(|event| store.apply(event));
    store
}

type Objects = BTreeMap<ObjectKey, Arc<Object>>;

/// What an operator would say is there after a history: the slow, obvious account.
#[derive(Default)]
struct Account {
    there: Objects,
    /// By kind: what the list named, and what was said since it began.
    lists: BTreeMap<Kind, (Objects, BTreeSet<ObjectKey>)>,
    listed: BTreeSet<Kind>,
}

impl Account {
    fn of(history: &[Event]) -> Self {
        let mut account = Self::default();
        for event in history {
            account.take(event.clone());
        }
        account
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Init(kind) => {
                self.lists.insert(kind, Default::default());
            }
            Event::InitApply(object) => {
                let key = object.key();
                match self.lists.get_mut(&key.kind) {
                    Some((listed, _)) => listed.insert(key, object),
                    None => self.there.insert(key, object),
                };
            }
            Event::InitDone(kind) => {
                let Some((listed, overtaken)) = self.lists.remove(&kind) else { return };
                self.there.retain(|key, _| key.kind != kind || overtaken.contains(key));
                self.there.extend(listed.into_iter().filter(|(key, _)| !overtaken.contains(key)));
                self.listed.insert(kind);
            }
            Event::Apply(object) => {
                let key = object.key();
                self.overtake(&key);
                self.there.insert(key, object);
            }
            Event::Delete(key) => {
                self.overtake(&key);
                self.there.remove(&key);
            }
            Event::Incomplete => {}
        }
    }

    fn overtake(&mut self, key: &ObjectKey) {
        if let Some((_, overtaken)) = self.lists.get_mut(&key.kind) {
            overtaken.insert(key.clone());
        }
    }
}

/// Services whose object or slices differ, by comparing everything.
fn differing_services(before: &Snapshot, after: &Snapshot) -> BTreeSet<ObjectName> {
    let of_slices =
        |snapshot: &Snapshot| snapshot.slices.keys().map(|(service, _)| service.clone()).collect::<Vec<_>>();
    let mut names: BTreeSet<ObjectName> =
        before.services.keys().chain(after.services.keys()).cloned().collect();
    names.extend(of_slices(before));
    names.extend(of_slices(after));
    names.retain(|name| {
        before.services.get(name) != after.services.get(name)
            || !before.slices_of(name).eq(after.slices_of(name))
    });
    names
}

fn differing_nodes(before: &Snapshot, after: &Snapshot) -> BTreeSet<Arc<str>> {
    let names = before.nodes.keys().chain(after.nodes.keys()).cloned();
    names.filter(|name| before.nodes.get(name) != after.nodes.get(name)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_history_ends_as_its_surviving_objects_alone(history in history()) {
        let account = Account::of(&history);
        let store = told(history);
        let mut expected = content(&told(account.there.into_values().map(Event::Apply)));
        let is_synced = account.listed.len() == Kind::ALL.len();
        prop_assert_eq!(store.is_synced(), is_synced);
        expected.synced = store.snapshot().synced;
        prop_assert_eq!(content(&store), expected);
    }

    #[test]
    fn events_of_different_objects_may_come_in_any_order(
        history in prop::collection::vec(said(), 0..40),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let mut by_object: BTreeMap<ObjectKey, Vec<Event>> = BTreeMap::new();
        for said in history.iter().rev() {
            by_object.entry(said.key()).or_default().push(said.event());
        }
        let mut choices = choices.into_iter();
        let mut mixed = Vec::new();
        while !by_object.is_empty() {
            let choice = choices.next().unwrap().index(by_object.len());
            let key = by_object.keys().nth(choice).unwrap().clone();
            let events = by_object.get_mut(&key).unwrap();
            mixed.extend(events.pop());
            if events.is_empty() {
                by_object.remove(&key);
            }
        }
        prop_assert_eq!(mixed.len(), history.len());
        let (as_told, mixed) = (told(history.iter().map(Said::event)), told(mixed));
        prop_assert_eq!(content(&as_told), content(&mixed));
    }

    #[test]
    fn a_list_replaces_whatever_was_there(history in history(), listed in prop::collection::vec(object(), 0..12)) {
        let lists = |listed: &[Arc<Object>]| {
            let list = |kind| {
                let objects = listed.iter().filter(move |object| object.kind() == kind).cloned();
                let named = objects.map(Event::InitApply);
                [Event::Init(kind)].into_iter().chain(named).chain([Event::InitDone(kind)]).collect::<Vec<_>>()
            };
            Kind::ALL.into_iter().flat_map(list).collect::<Vec<_>>()
        };
        let fresh = told(lists(&listed));
        let used = told(history.into_iter().chain(lists(&listed)));
        prop_assert!(used.is_synced());
        prop_assert_eq!(content(&used), content(&fresh));
    }

    #[test]
    fn changes_are_exactly_what_an_event_changed(history in history()) {
        let mut store = Store::new(&Kind::ALL);
        for event in history {
            let before = store.snapshot();
            let text = format!("{event:?}");
            store.apply(event);
            let after = store.snapshot();
            let changes = store.take_changes();
            prop_assert_eq!(&changes.services, &differing_services(&before, &after), "{}", text);
            prop_assert_eq!(&changes.nodes, &differing_nodes(&before, &after), "{}", text);
            prop_assert_eq!(changes.service_cidrs, before.service_cidrs != after.service_cidrs, "{}", text);
            prop_assert_eq!(changes.synced, before.synced != after.synced, "{}", text);
            let same_number = Snapshot { revision: before.revision, ..after.clone() };
            let step = u64::from(same_number != before);
            prop_assert_eq!(after.revision.0, before.revision.0 + step, "{}", text);
        }
    }
}
