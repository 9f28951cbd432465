//! NetworkPolicies and pods as tables.

use super::table::{Table, or_dash};
use crate::admin::reports::{PodReport, PolicyReport};

/// One line a policy.
pub(super) fn policies(reports: &[PolicyReport]) -> String {
    let mut table = Table::new(["NAMESPACE", "NAME", "DIRECTIONS", "STATE", "PODS HERE", "NOTE"]);
    for r in reports {
        table.row([
            r.namespace.clone(),
            r.name.clone(),
            or_dash(&r.directions.join(",")).to_owned(),
            r.state.clone(),
            or_dash(&names(&r.pods, &r.namespace)).to_owned(),
            r.reasons.join("; "),
        ]);
    }
    table.render()
}

/// One line a pod.
pub(super) fn pods(reports: &[PodReport]) -> String {
    let mut table = Table::new([
        "NAMESPACE",
        "NAME",
        "ADDRESSES",
        "INTERFACE",
        "INGRESS",
        "EGRESS",
        "IN FORCE",
        "BALANCED",
        "NOTE",
    ]);
    for r in reports {
        let policies = |policies: &[String]| match (r.host_network, policies) {
            (true, _) => "-".to_owned(),
            (false, []) => "open".to_owned(),
            (false, policies) => names(policies, &r.namespace),
        };
        let why = r.per_packet.iter().map(|why| format!("by packet: {why}"));
        let host = r.host_network.then(|| "the node's network".to_owned());
        let notes: Vec<String> = r.reasons.iter().cloned().chain(why).chain(host).collect();
        table.row([
            r.namespace.clone(),
            r.name.clone(),
            or_dash(&r.addresses.join(",")).to_owned(),
            r.interface.as_deref().unwrap_or("-").to_owned(),
            policies(&r.ingress),
            policies(&r.egress),
            if r.in_force { "yes" } else { "no" }.to_owned(),
            if r.per_packet.is_some() { "packet" } else { "socket" }.to_owned(),
            notes.join("; "),
        ]);
    }
    table.render()
}

/// Names of one namespace, without it.
fn names(names: &[String], namespace: &str) -> String {
    let short = names.iter().map(|name| {
        let of = name.strip_prefix(namespace).and_then(|name| name.strip_prefix('/'));
        of.unwrap_or(name)
    });
    short.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain;
    use crate::explain::testing::cluster;

    #[test]
    fn a_policy_shows_whom_it_isolates_and_why_it_is_not_in_force() {
        let mut reports = explain::policies(&cluster().sources()).unwrap();
        reports[1].state = "closed".to_owned();
        reports[1].reasons = vec!["POLICY is full".to_owned(), "IDENTITIES is full".to_owned()];
        assert_eq!(
            policies(&reports),
            "\
NAMESPACE  NAME     DIRECTIONS  STATE     PODS HERE  NOTE
shop       db-in    ingress     in force  db
shop       unused   ingress     closed    -          POLICY is full; IDENTITIES is full
shop       web-out  egress      in force  web
"
        );
    }

    #[test]
    fn a_pod_shows_what_isolates_it_and_how_it_is_balanced() {
        let mut reports = explain::pods(&cluster().sources()).unwrap();
        reports[2].interface = Some("veth7".to_owned());
        assert_eq!(
            pods(&reports),
            "\
NAMESPACE  NAME   ADDRESSES             INTERFACE  INGRESS  EGRESS   IN FORCE  BALANCED  NOTE
other      web    10.244.1.8            -          open     open     yes       packet    by packet: annotation ferrule.io/socket-lb
shop       agent  192.0.2.1             -          -        -        yes       socket    the node's network
shop       db     10.244.1.6,fd00:1::6  veth7      db-in    open     yes       socket
shop       web    10.244.1.5,fd00:1::5  -          open     web-out  yes       socket
"
        );
    }
}
