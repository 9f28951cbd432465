//! What holds for every cluster, however it is served.

use std::collections::BTreeSet;
use std::net::IpAddr;

use dns::config::ClusterConfig;
use dns::record;
use dns::zone::Zone;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;
use model::{Kind, Store};
use proptest::prelude::*;
use serde_json::Value;

use crate::cluster::{Cluster, SERIAL};
use crate::random::{Change, NAMES, addrs, changes, config, present, questions, reverse_name};

const TYPES: [&str; 4] = ["A", "AAAA", "SRV", "TXT"];

fn cluster(changes: &[Change], config: ClusterConfig) -> Cluster {
    let mut store = Store::new(&Kind::ALL);
    for change in changes {
        store.apply(change.event());
    }
    let zone = Zone::default().with(record::all(&store.snapshot()), SERIAL).synced();
    Cluster { zone, config, service_addrs: vec!["10.0.0.1".parse().unwrap()] }
}

/// Whether a name exists, by one type.
fn exists(cluster: &Cluster, question: &str) -> bool {
    let answer = cluster.answer(question);
    answer.code != ResponseCode::NXDomain || !answer.answers.is_empty()
}

fn parent(name: &str) -> &str {
    name.split_once('.').unwrap().1
}

/// The addresses of an answer's type.
fn told_addrs(cluster: &Cluster, question: &str) -> BTreeSet<IpAddr> {
    cluster.answer(question).answers.iter().filter_map(|record| record.data.ip_addr()).collect()
}

fn type_of(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() { "A" } else { "AAAA" }
}

fn field<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Addresses of a Service by its objects alone: what its name stands for, and its published endpoints.
fn addrs_of(
    objects: &[Value],
    service: &str,
    namespace: &str,
) -> Option<(BTreeSet<IpAddr>, BTreeSet<IpAddr>)> {
    let of_kind = |kind: &'static str| {
        let of_kind = move |object: &&Value| field(object, "/kind") == kind;
        objects.iter().filter(of_kind).filter(|object| field(object, "/metadata/namespace") == namespace)
    };
    let object = of_kind("Service").find(|object| field(object, "/metadata/name") == service)?;
    let publishes = object["spec"]["publishNotReadyAddresses"] == true;
    let is_of_service = |slice: &&Value| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service;
    let endpoints = of_kind("EndpointSlice")
        .filter(is_of_service)
        .flat_map(|slice| slice["endpoints"].as_array().unwrap())
        .filter(|endpoint| publishes || endpoint["conditions"]["ready"] == true)
        .map(|endpoint| field(endpoint, "/addresses/0").parse().unwrap());
    let endpoints: BTreeSet<IpAddr> = endpoints.collect();
    if field(object, "/spec/type") == "ExternalName" {
        return Some((BTreeSet::new(), BTreeSet::new()));
    }
    match object["spec"]["clusterIPs"].as_array() {
        Some(ips) => Some((ips.iter().map(|ip| ip.as_str().unwrap().parse().unwrap()).collect(), endpoints)),
        None => Some((endpoints.clone(), endpoints)),
    }
}

/// Service and namespace that a name is of or below, by the longest zone that it is in.
fn service_of(name: &str, config: &ClusterConfig) -> Option<(String, String)> {
    let zones = config.zones.iter().map(|zone| format!(".{zone}"));
    let zone = zones.filter(|zone| name.ends_with(zone)).max_by_key(String::len)?;
    let relative = name.strip_suffix(&zone)?.strip_suffix(".svc")?;
    let labels: Vec<&str> = relative.split('.').collect();
    match labels.as_slice() {
        [.., service, namespace] => Some(((*service).to_owned(), (*namespace).to_owned())),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// RFC 8020, and RFC 2308: NXDOMAIN is said of a name, not of a type.
    #[test]
    fn a_name_exists_for_all_types_or_for_none_and_so_does_all_above_it(changes in changes(), config in config()) {
        let cluster = cluster(&changes, config);
        for name in questions(&cluster.config) {
            let [first, rest @ ..] = TYPES.map(|record_type| format!("{record_type} {name}"));
            if matches!(cluster.ask(&first), dns::answer::Outcome::NotOurs) {
                continue;
            }
            let it_exists = exists(&cluster, &first);
            for other in rest {
                prop_assert_eq!(exists(&cluster, &other), it_exists, "{}", other);
            }
            let above = format!("TXT {}", parent(&name));
            if it_exists && !matches!(cluster.ask(&above), dns::answer::Outcome::NotOurs) {
                prop_assert!(exists(&cluster, &above), "{} exists, {} does not", name, above);
            }
        }
    }

    /// Law (k).
    #[test]
    fn every_address_belongs_to_the_service_that_its_owner_names(changes in changes(), config in config()) {
        let cluster = cluster(&changes, config);
        let objects = present(&changes);
        for name in questions(&cluster.config) {
            for record_type in TYPES {
                let question = format!("{record_type} {name}");
                let dns::answer::Outcome::Answer(answer) = cluster.ask(&question) else { continue };
                for record in answer.answers.iter().chain(&answer.additionals) {
                    let owner = record.name.to_string();
                    let service = service_of(&owner, &cluster.config);
                    if let (Some(addr), Some((service, namespace))) = (record.data.ip_addr(), service) {
                        let (own, endpoints) = addrs_of(&objects, &service, &namespace).unwrap();
                        prop_assert!(own.contains(&addr) || endpoints.contains(&addr), "{}: {}", question, record);
                    }
                    if let RData::SRV(srv) = &record.data {
                        let target = service_of(&srv.target.to_string(), &cluster.config);
                        prop_assert_eq!(target, service_of(&owner, &cluster.config), "{}", question);
                    }
                }
            }
        }
    }

    #[test]
    fn a_service_has_exactly_its_addresses(changes in changes()) {
        let zones = vec![crate::cluster::name("cluster.local.")];
        let cluster = cluster(&changes, ClusterConfig { zones, ..ClusterConfig::default() });
        let objects = present(&changes);
        for (namespace, service) in NAMES.iter().flat_map(|namespace| NAMES.map(|service| (namespace, service))) {
            let Some((own, _)) = addrs_of(&objects, service, namespace) else { continue };
            let name = format!("{service}.{namespace}.svc");
            let mut told = told_addrs(&cluster, &format!("A {name}"));
            told.extend(told_addrs(&cluster, &format!("AAAA {name}")));
            let is_alias = !cluster.answer(&format!("CNAME {name}")).answers.is_empty();
            if !is_alias {
                prop_assert_eq!(told, own, "{}", name);
            }
        }
    }

    #[test]
    fn what_an_address_is_called_has_the_address_and_so_has_what_a_port_leads_to(
        changes in changes(),
        config in config(),
    ) {
        let cluster = cluster(&changes, config);
        for addr in addrs() {
            let question = format!("PTR {}", reverse_name(addr));
            let dns::answer::Outcome::Answer(answer) = cluster.ask(&question) else { continue };
            for record in &answer.answers {
                let forward = format!("{} {}", type_of(addr), record.data);
                // A Service zone inside of the first one hides names of it.
                if cluster.config.zones.iter().any(|zone| zone.to_string().starts_with("a.svc.")) {
                    continue;
                }
                prop_assert!(told_addrs(&cluster, &forward).contains(&addr), "{} {}", question, record);
            }
        }
        for name in questions(&cluster.config) {
            let question = format!("SRV {name}");
            let dns::answer::Outcome::Answer(answer) = cluster.ask(&question) else { continue };
            for record in answer.additionals {
                let addr = record.data.ip_addr().unwrap();
                let forward = format!("{} {}", type_of(addr), record.name);
                prop_assert!(told_addrs(&cluster, &forward).contains(&addr), "{} {}", question, record);
            }
        }
    }

    #[test]
    fn before_the_first_sync_an_answer_is_the_same_or_a_failure(changes in changes(), config in config()) {
        let synced = cluster(&changes, config.clone());
        let mut store = Store::new(&Kind::ALL);
        for change in &changes {
            store.apply(change.event());
        }
        let zone = Zone::default().with(record::all(&store.snapshot()), SERIAL);
        let half = Cluster { zone, config, service_addrs: synced.service_addrs.clone() };
        for name in questions(&half.config) {
            for record_type in TYPES {
                let question = format!("{record_type} {name}");
                let (early, late) = (half.told(&question), synced.told(&question));
                prop_assert!(early == late || early == "SERVFAIL", "{}: {}, later {}", question, early, late);
                prop_assert!(!early.contains("NXDOMAIN"), "{}: {}", question, early);
                let is_hit = !late.ends_with("NXDOMAIN") && !late.ends_with("NODATA");
                prop_assert!(early == late || !is_hit, "{}: {}, later {}", question, early, late);
            }
        }
    }

    #[test]
    fn changes_of_a_store_one_by_one_answer_as_its_last_snapshot(changes in changes(), config in config()) {
        let mut store = Store::new(&Kind::ALL);
        let mut zone = Zone::default().with(Vec::new(), SERIAL);
        for change in &changes {
            store.apply(change.event());
            zone = zone.with(record::changed(&store.snapshot(), &store.take_changes()), SERIAL);
        }
        let at_once = cluster(&changes, config.clone());
        let one_by_one = Cluster { zone: zone.synced(), config, service_addrs: at_once.service_addrs.clone() };
        for name in questions(&at_once.config) {
            for record_type in ["A", "AAAA", "SRV", "PTR"] {
                let question = format!("{record_type} {name}");
                prop_assert_eq!(one_by_one.ask(&question), at_once.ask(&question), "{}", question);
            }
        }
    }
}
