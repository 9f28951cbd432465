use super::*;

const READY: (bool, bool, bool) = (true, true, false);
const NOT_READY: (bool, bool, bool) = (false, false, false);
const SERVING_ONLY: (bool, bool, bool) = (false, true, false);
const TERMINATING: (bool, bool, bool) = (false, true, true);
const STOPPED: (bool, bool, bool) = (false, false, true);

fn endpoint(last: u8, node: &str, (is_ready, is_serving, is_terminating): (bool, bool, bool)) -> Candidate {
    Candidate {
        addr: Addr::v4([10, 244, 0, last]),
        port: Port::new(3000),
        is_ready,
        is_serving,
        is_terminating,
        node: Some(node.into()),
        zone: None,
        zone_hints: Vec::new(),
        node_hints: Vec::new(),
    }
}

fn hinted(last: u8, node: &str, zones: &[&str], nodes: &[&str]) -> Candidate {
    Candidate {
        zone_hints: zones.iter().map(|z| (*z).into()).collect(),
        node_hints: nodes.iter().map(|n| (*n).into()).collect(),
        ..endpoint(last, node, READY)
    }
}

fn here() -> Topology {
    Topology { node: "here".into(), zone: Some("a".into()) }
}

#[track_caller]
fn check(candidates: &[Candidate], cluster: &[usize], local: &[usize]) {
    let got = categorize(candidates, &here());
    assert_eq!((got.cluster.as_slice(), got.local.as_slice()), (cluster, local));
}

#[test]
fn ready_endpoints_are_used() {
    check(&[endpoint(1, "here", READY), endpoint(2, "there", READY)], &[0, 1], &[0]);
}

#[test]
fn no_endpoints_are_no_endpoints() {
    check(&[], &[], &[]);
}

#[test]
fn endpoints_that_are_merely_not_ready_are_never_used() {
    check(&[endpoint(1, "here", NOT_READY), endpoint(2, "here", SERVING_ONLY)], &[], &[]);
}

#[test]
fn terminating_endpoints_are_used_only_when_no_ready_one_is_left() {
    check(&[endpoint(1, "here", TERMINATING), endpoint(2, "here", READY)], &[1], &[1]);
    check(&[endpoint(1, "here", TERMINATING), endpoint(2, "here", NOT_READY)], &[0], &[0]);
}

#[test]
fn terminating_endpoints_that_stopped_serving_are_never_used() {
    check(&[endpoint(1, "here", STOPPED)], &[], &[]);
}

#[test]
fn cluster_and_local_fall_back_independently() {
    check(&[endpoint(1, "here", TERMINATING), endpoint(2, "there", READY)], &[1], &[0]);
    check(&[endpoint(1, "here", READY), endpoint(2, "there", TERMINATING)], &[0], &[0]);
}

#[test]
fn the_local_fallback_takes_terminating_endpoints_of_this_node_only() {
    check(&[endpoint(1, "there", TERMINATING)], &[0], &[]);
}

#[test]
fn an_endpoint_without_a_node_is_not_local() {
    let mut e = endpoint(1, "here", READY);
    e.node = None;
    check(&[e], &[0], &[]);
}

#[test]
fn zone_hints_cut_down_to_our_zone() {
    check(
        &[hinted(1, "x", &["a"], &[]), hinted(2, "y", &["b"], &[]), hinted(3, "z", &["b", "a"], &[])],
        &[0, 2],
        &[],
    );
}

#[test]
fn one_ready_endpoint_without_a_hint_switches_zone_hints_off() {
    check(&[hinted(1, "x", &["a"], &[]), hinted(2, "y", &[], &[])], &[0, 1], &[]);
}

#[test]
fn an_endpoint_that_is_not_ready_does_not_switch_hints_off() {
    check(
        &[hinted(1, "x", &["a"], &[]), hinted(2, "y", &["b"], &[]), endpoint(3, "z", NOT_READY)],
        &[0],
        &[],
    );
}

#[test]
fn zone_hints_that_never_name_our_zone_are_ignored() {
    check(&[hinted(1, "x", &["b"], &[]), hinted(2, "y", &["c"], &[])], &[0, 1], &[]);
}

#[test]
fn without_a_zone_of_our_own_zone_hints_are_ignored() {
    let candidates = [hinted(1, "x", &["a"], &[]), hinted(2, "y", &["b"], &[])];
    let nowhere = Topology { node: "here".into(), zone: None };
    assert_eq!(categorize(&candidates, &nowhere).cluster, [0, 1]);
}

#[test]
fn node_hints_win_over_zone_hints() {
    check(&[hinted(1, "here", &["a"], &["here"]), hinted(2, "y", &["a"], &["y"])], &[0], &[0]);
}

#[test]
fn node_hints_that_never_name_us_leave_the_choice_to_the_zone() {
    check(&[hinted(1, "x", &["a"], &["x"]), hinted(2, "y", &["b"], &["y"])], &[0], &[]);
}

#[test]
fn one_ready_endpoint_without_a_node_hint_leaves_the_choice_to_the_zone() {
    check(&[hinted(1, "here", &["b"], &["here"]), hinted(2, "y", &["a"], &[])], &[1], &[0]);
}

#[test]
fn hints_never_cut_down_the_local_endpoints() {
    check(&[hinted(1, "here", &["b"], &[]), hinted(2, "there", &["a"], &[])], &[1], &[0]);
}

#[test]
fn the_fallback_ignores_hints() {
    let mut there = hinted(1, "there", &["b"], &[]);
    (there.is_ready, there.is_terminating) = (false, true);
    check(&[there], &[0], &[]);
}

#[test]
fn of_one_address_and_port_the_entry_that_does_not_terminate_wins() {
    for order in [[TERMINATING, READY], [READY, TERMINATING]] {
        let merged = merge(order.map(|conditions| endpoint(1, "here", conditions)));
        assert_eq!(merged.len(), 1);
        assert!(merged[0].is_ready && !merged[0].is_terminating);
    }
    let merged = merge([endpoint(1, "here", TERMINATING), endpoint(1, "here", NOT_READY)]);
    assert!(!merged[0].is_terminating, "a new pod that is not ready yet has the address, not the old one");
}

#[test]
fn of_two_entries_that_terminate_the_one_that_still_serves_wins() {
    for order in [[STOPPED, TERMINATING], [TERMINATING, STOPPED]] {
        let merged = merge(order.map(|conditions| endpoint(1, "here", conditions)));
        assert!(merged[0].is_serving);
    }
}

#[test]
fn merged_endpoints_are_sorted_by_address_and_port() {
    let mut other_port = endpoint(1, "here", READY);
    other_port.port = Port::new(2999);
    let merged = merge([endpoint(9, "x", READY), endpoint(1, "here", READY), other_port]);
    let order: Vec<_> = merged.iter().map(|c| (c.addr.last4()[3], c.port.get())).collect();
    assert_eq!(order, [(1, 2999), (1, 3000), (9, 3000)]);
}
