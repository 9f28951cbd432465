use serde_json::json;

use super::*;
use crate::{IpBlock, PortMatch};

fn convert(spec: Value) -> (NetworkPolicy, Vec<String>) {
    let fields = json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": spec});
    let object: api::NetworkPolicy = serde_json::from_value(fields).unwrap();
    let (policy, warnings) = from_object(&object);
    (policy, warnings.into_iter().map(|warning| warning.detail).collect())
}

/// The ingress rules of a policy of one such rule, as text, and the warnings.
fn rule(rule: Value) -> (String, Vec<String>) {
    let (policy, warnings) = convert(json!({"ingress": [rule]}));
    (text(&policy.ingress.unwrap()[0]), warnings)
}

fn text(rule: &PolicyRule) -> String {
    let list = |items: Vec<String>| if items.is_empty() { "nothing".to_owned() } else { items.join(" ") };
    let peers = rule.peers.as_ref().map_or("anyone".to_owned(), |peers| {
        list(
            peers
                .iter()
                .map(|peer| match peer {
                    Peer::Pods { namespaces: PeerNamespaces::Own, pods } => format!("[{pods}]"),
                    Peer::Pods { namespaces: PeerNamespaces::Matching(ns), pods } => {
                        format!("[{ns}]/[{pods}]")
                    }
                    Peer::Block(block) => block.to_string(),
                })
                .collect(),
        )
    });
    let ports = rule.ports.as_ref().map_or("any port".to_owned(), |ports| {
        list(
            ports
                .iter()
                .map(|port| match &port.ports {
                    PortMatch::All => format!("{}", port.protocol),
                    PortMatch::Range(first, last) => format!("{}:{first}-{last}", port.protocol),
                    PortMatch::Named(name) => format!("{}:{name}", port.protocol),
                })
                .collect(),
        )
    });
    format!("{peers} on {ports}")
}

fn isolates(spec: Value) -> (bool, bool) {
    let (policy, _) = convert(spec);
    (policy.ingress.is_some(), policy.egress.is_some())
}

#[test]
fn without_types_ingress_is_isolated_and_egress_only_with_a_rule() {
    assert_eq!(isolates(json!({})), (true, false));
    assert_eq!(isolates(json!(null)), (true, false));
    assert_eq!(isolates(json!({"policyTypes": []})), (true, false));
    assert_eq!(isolates(json!({"egress": []})), (true, false));
    assert_eq!(isolates(json!({"egress": [{}]})), (true, true));
    assert_eq!(isolates(json!({"egress": null, "ingress": null, "policyTypes": null})), (true, false));
}

#[test]
fn types_say_what_is_isolated_and_rules_of_other_directions_are_inert() {
    assert_eq!(isolates(json!({"policyTypes": ["Ingress"], "egress": [{}]})), (true, false));
    assert_eq!(isolates(json!({"policyTypes": ["Egress"], "ingress": [{}]})), (false, true));
    assert_eq!(isolates(json!({"policyTypes": ["Egress", "Ingress"]})), (true, true));
}

#[test]
fn a_type_that_is_unknown_isolates_both_directions() {
    for types in [json!(["Sideways"]), json!([7]), json!("Ingress")] {
        let (policy, warnings) = convert(json!({"policyTypes": types}));
        assert!(policy.ingress.is_some() && policy.egress.is_some());
        assert!(warnings[0].contains("both directions are isolated"), "{warnings:?}");
    }
}

#[test]
fn peers_are_selectors_or_blocks() {
    let web = json!({"matchLabels": {"app": "web"}});
    let team = json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]});
    for (peer, want) in [
        (json!({"podSelector": web}), "[app=web]"),
        (json!({"podSelector": {}}), "[*]"),
        (json!({"namespaceSelector": {}}), "[*]/[*]"),
        (json!({"namespaceSelector": team, "podSelector": web}), "[team in (a,b)]/[app=web]"),
        (json!({"podSelector": web, "ipBlock": null}), "[app=web]"),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}),
            "10.0.0.0/8 except 10.1.0.0/16",
        ),
        (json!({"ipBlock": {"cidr": "fd00::/8"}}), "fd00::/8"),
    ] {
        let (text, warnings) = rule(json!({"from": [peer]}));
        assert_eq!(text, format!("{want} on any port"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn an_empty_list_limits_nothing() {
    for empty in
        [json!({}), json!({"from": [], "ports": []}), json!({"from": null, "ports": null}), json!(null)]
    {
        assert_eq!(rule(empty), ("anyone on any port".to_owned(), vec![]));
    }
}

#[test]
fn a_peer_that_cannot_be_read_matches_nothing_and_is_named() {
    let at = "spec.ingress[0].from[0]";
    for (peer, why) in [
        (json!({}), format!("{at}: has no field: the peer matches nothing")),
        (
            json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            format!("{at}: ipBlock beside a selector: the peer matches nothing"),
        ),
        (json!([]), format!("{at}: not a mapping: the peer matches nothing")),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}}),
            format!(
                "{at}.podSelector.matchExpressions[0]: operator \"Like\" is not In, NotIn, Exists or DoesNotExist: \
                 the peer matches nothing"
            ),
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            format!("{at}.namespaceSelector.matchExpressions[0]: has no values: the peer matches nothing"),
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}}),
            format!(
                "{at}.podSelector.matchExpressions[0]: has values, and its operator takes none: the peer matches \
                 nothing"
            ),
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"operator": "Exists"}]}}),
            format!("{at}.podSelector.matchExpressions[0]: has no key: the peer matches nothing"),
        ),
    ] {
        assert_eq!(rule(json!({"from": [peer]})), ("nothing on any port".to_owned(), vec![why]));
    }
    // What serde says is its own text: here the place and the effect.
    for (peer, place) in [
        (json!({"nodeSelector": {}}), "spec.ingress[0].from[0].nodeSelector: "),
        (json!({"podSelector": []}), "spec.ingress[0].from[0].podSelector: "),
        (json!({"podSelector": {"matchFields": {}}}), "spec.ingress[0].from[0].podSelector.matchFields: "),
        (
            json!({"podSelector": {"matchExpressions": [[]]}}),
            "spec.ingress[0].from[0].podSelector.matchExpressions",
        ),
    ] {
        let (text, warnings) = rule(json!({"from": [peer, {"podSelector": {}}]}));
        assert_eq!(text, "[*] on any port", "the good peer is in force");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with(place), "{warnings:?}");
        assert!(warnings[0].ends_with(": the peer matches nothing"), "{warnings:?}");
    }
}

#[test]
fn ports_are_numbers_ranges_names_or_all() {
    for (port, want) in [
        (json!({"port": 80}), "TCP:80-80"),
        (json!({"port": 80.0, "protocol": "UDP"}), "UDP:80-80"),
        (json!({"port": 1000, "endPort": 2000, "protocol": "SCTP"}), "SCTP:1000-2000"),
        (json!({"port": 1, "endPort": 1}), "TCP:1-1"),
        (json!({"port": "http"}), "TCP:http"),
        (json!({"protocol": "UDP"}), "UDP"),
        (json!({}), "TCP"),
        (json!(null), "TCP"),
    ] {
        assert_eq!(rule(json!({"ports": [port]})), (format!("anyone on {want}"), vec![]));
    }
}

#[test]
fn a_port_that_cannot_be_read_allows_nothing_and_is_named() {
    for port in [
        json!({"protocol": "ICMP"}),
        json!({"protocol": "tcp", "port": 80}),
        json!({"port": 0}),
        json!({"port": 65536}),
        json!({"port": "80"}),
        json!({"port": "Http"}),
        json!({"port": "a--b"}),
        json!({"port": "a-name-too-long-1"}),
        json!({"port": true}),
        json!({"endPort": 90}),
        json!({"port": "http", "endPort": 90}),
        json!({"port": 80, "endPort": 79}),
        json!({"port": 80, "endPort": 65536}),
        json!({"port": 80, "sourcePort": 1}),
        json!("80"),
    ] {
        let (text, warnings) = rule(json!({"ports": [port]}));
        assert_eq!(text, "anyone on nothing", "{port}");
        assert_eq!(warnings.len(), 1, "{port}: {warnings:?}");
        assert!(warnings[0].starts_with("spec.ingress[0].ports[0]"), "{warnings:?}");
        assert!(warnings[0].ends_with("left out"), "{warnings:?}");
        let (text, _) = rule(json!({"ports": [port, {"port": 443}]}));
        assert_eq!(text, "anyone on TCP:443-443", "the good port is in force");
    }
}

#[test]
fn a_rule_that_cannot_be_read_allows_nothing_and_keeps_its_place() {
    for bad in
        [json!({"action": "Allow"}), json!({"from": {}}), json!({"ports": 80}), json!([]), json!({"to": []})]
    {
        let (policy, warnings) = convert(json!({"ingress": [bad, {}]}));
        let rules: Vec<String> = policy.ingress.unwrap().iter().map(text).collect();
        assert_eq!(rules, ["nothing on nothing", "anyone on any port"]);
        assert!(warnings[0].ends_with("the rule allows nothing"), "{warnings:?}");
    }
    let (policy, warnings) = convert(json!({"ingress": {}, "egress": "all"}));
    assert_eq!(policy.ingress.as_deref(), Some(&[][..]));
    assert_eq!(policy.egress.as_deref(), Some(&[][..]), "it may have held a rule, and so isolate");
    assert_eq!(warnings.len(), 2);
}

#[test]
fn a_spec_that_cannot_be_read_isolates_the_namespace_and_allows_nothing() {
    for spec in [json!([]), json!("x"), json!({"podSelector": {}, "ingress": [{}], "tier": "Admin"})] {
        let (policy, warnings) = convert(spec);
        assert_eq!(policy.pods, Selector::default());
        assert_eq!(policy.ingress.as_deref(), Some(&[][..]));
        assert_eq!(policy.egress.as_deref(), Some(&[][..]));
        assert!(warnings[0].contains("nothing is allowed"), "{warnings:?}");
    }
}

#[test]
fn a_pod_selector_that_cannot_be_read_isolates_more_and_allows_nothing() {
    for (selector, want) in [
        (
            json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}),
            "app=web",
        ),
        (json!({"matchLabels": "app"}), "*"),
        (json!({"matchFields": {}}), "*"),
        (json!([]), "*"),
    ] {
        let (policy, warnings) = convert(json!({"podSelector": selector, "ingress": [{}], "egress": [{}]}));
        assert_eq!(policy.pods.to_string(), want);
        for rules in [policy.ingress.unwrap(), policy.egress.unwrap()] {
            assert_eq!(rules.iter().map(text).collect::<Vec<_>>(), ["nothing on nothing"]);
        }
        assert!(warnings[0].contains("nothing is allowed"), "{warnings:?}");
    }
}

fn block(cidr: &str, except: &[&str]) -> (Option<String>, Vec<String>) {
    let (text, warnings) = rule(json!({"from": [{"ipBlock": {"cidr": cidr, "except": except}}]}));
    let text = text.strip_suffix(" on any port").unwrap().to_owned();
    ((text != "nothing").then_some(text), warnings)
}

#[test]
fn host_bits_and_leading_zeros_of_stored_blocks_are_read_as_they_always_were() {
    let at = "spec.ingress[0].from[0].ipBlock";
    for (cidr, want) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("010.000.0.0/08", "10.0.0.0/8"),
        ("10.244.001.008/32", "10.244.1.8/32"),
        ("fd00::1/64", "fd00::/64"),
        ("0.0.0.7/0", "0.0.0.0/0"),
    ] {
        let warning = format!("{at}.cidr: {cidr:?} is read as {want}");
        assert_eq!(block(cidr, &[]), (Some(want.to_owned()), vec![warning]));
    }
    let (text, warnings) = block("10.0.0.0/8", &["10.1.2.3/16"]);
    assert_eq!(text.as_deref(), Some("10.0.0.0/8 except 10.1.0.0/16"));
    assert_eq!(warnings, [format!("{at}.except[0]: \"10.1.2.3/16\" is read as 10.1.0.0/16")]);
}

#[test]
fn a_block_of_everything_is_taken() {
    assert_eq!(block("0.0.0.0/0", &[]), (Some("0.0.0.0/0".to_owned()), vec![]));
    assert_eq!(block("::/0", &[]), (Some("::/0".to_owned()), vec![]));
}

#[test]
fn holes_are_sorted_and_none_is_in_another() {
    let (text, warnings) = block("10.0.0.0/8", &["10.9.0.0/16", "10.1.0.0/16", "10.1.2.0/24", "10.1.0.0/16"]);
    assert_eq!(text.as_deref(), Some("10.0.0.0/8 except 10.1.0.0/16,10.9.0.0/16"));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_block_whose_holes_are_not_known_matches_nothing() {
    for (cidr, except) in [
        ("", vec![]),
        ("10.0.0.0", vec![]),
        ("10.0.0.0/33", vec![]),
        ("10.0.0/8", vec![]),
        ("10.0.0.256/32", vec![]),
        ("10.0.0.0/", vec![]),
        ("10.0.0.0/8/8", vec![]),
        ("::ffff:10.0.0.0/104", vec![]),
        ("10.0.0.0/8", vec!["ten"]),
        ("10.0.0.0/8", vec!["10.0.0.0/8"]),
        ("10.0.0.0/8", vec!["0.0.0.0/0"]),
    ] {
        let (text, warnings) = block(cidr, &except);
        assert_eq!(text, None, "{cidr} {except:?}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].ends_with("matches nothing") || warnings[0].ends_with("left out"),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_hole_outside_excepts_nothing_and_is_named() {
    for hole in ["192.168.0.0/16", "fd00::/8"] {
        let (text, warnings) = block("10.0.0.0/8", &[hole]);
        assert_eq!(text.as_deref(), Some("10.0.0.0/8"));
        let at = "spec.ingress[0].from[0].ipBlock.except[0]";
        assert_eq!(warnings, [format!("{at}: {hole} is not in 10.0.0.0/8: it excepts nothing")]);
    }
}

#[test]
fn a_block_contains_what_is_in_no_hole() {
    let block = IpBlock {
        cidr: "10.0.0.0/8".parse().unwrap(),
        except: vec!["10.1.0.0/16".parse().unwrap(), "10.2.0.0/16".parse().unwrap()],
    };
    for (addr, want) in [
        ("10.0.0.1", true),
        ("10.1.0.1", false),
        ("10.2.9.9", false),
        ("11.0.0.1", false),
        ("fd00::1", false),
    ] {
        assert_eq!(block.contains(addr.parse().unwrap()), want, "{addr}");
    }
}
