//! Conversations as a table, drops as lines.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::table::{Table, one_line, or_dash};
use crate::admin::reports::{DropReport, EndReport, FlowReport, FlowsReport, LegReport};

/// One line a conversation, and one more if some are left out.
pub(super) fn table(report: &FlowsReport) -> String {
    let mut table = Table::new([
        "PROTOCOL", "FROM", "TO", "BACKEND", "STATE", "SENT", "RECEIVED", "IDLE", "EGRESS", "INGRESS",
    ]);
    for flow in &report.flows {
        table.row([
            flow.protocol.clone(),
            end(&flow.source),
            dialled(flow),
            flow.backend.as_ref().map_or_else(|| "-".to_owned(), end),
            std::iter::once(&flow.state).chain(&flow.flags).cloned().collect::<Vec<_>>().join(","),
            leg(flow.sent),
            leg(flow.received),
            humantime::format_duration(Duration::from_secs(flow.idle_secs)).to_string(),
            or_dash(flow.egress.as_deref().unwrap_or_default()).to_owned(),
            or_dash(flow.ingress.as_deref().unwrap_or_default()).to_owned(),
        ]);
    }
    let mut text = table.render();
    if report.left_out > 0 {
        text += &format!("{} more are left out: ask for one pod (--pod)\n", report.left_out);
    }
    text
}

/// One line of `--follow`.
pub(super) fn line(drop: &DropReport) -> String {
    let rule = match (&drop.rule, &drop.pod) {
        (Some(rule), Some(pod)) => format!(" at {pod} by {rule}"),
        (Some(rule), None) => format!(" by {rule}"),
        (None, Some(pod)) => format!(" at {pod}"),
        (None, None) => String::new(),
    };
    let lost = if drop.lost > 0 { format!(" ({} events lost before)", drop.lost) } else { String::new() };
    let ends = if drop.source.address.is_empty() {
        "unreadable packet".to_owned()
    } else {
        format!("{} {} -> {}", drop.protocol, end(&drop.source), end(&drop.destination))
    };
    let DropReport { time, reason, hook, interface, bytes, .. } = drop;
    one_line(&format!("{time} {reason} {ends}{rule}, {bytes} bytes in {hook} of {interface}{lost}"))
}

/// Service or address that the opener dialled.
fn dialled(flow: &FlowReport) -> String {
    match (&flow.service, &flow.masquerade) {
        (Some(service), None) => format!("{} ({service})", socket(&flow.destination)),
        (Some(service), Some(as_who)) => {
            format!("{} ({service}) as {as_who}", socket(&flow.destination))
        }
        (None, Some(as_who)) => format!("{} as {as_who}", end(&flow.destination)),
        (None, None) => end(&flow.destination),
    }
}

/// An end and who has it: of pods the names, of Services the port, else the node.
fn end(end: &EndReport) -> String {
    let who = if !end.pods.is_empty() {
        end.pods.join("|")
    } else if let Some(service) = &end.service {
        service.clone()
    } else if let Some(node) = &end.node {
        format!("node {node}")
    } else {
        return socket(end);
    };
    format!("{} ({who})", socket(end))
}

fn socket(end: &EndReport) -> String {
    match (end.address.parse::<IpAddr>(), end.port) {
        (Ok(addr), port) if port != 0 => SocketAddr::new(addr, port).to_string(),
        (_, _) => end.address.clone(),
    }
}

fn leg(leg: LegReport) -> String {
    format!("{}/{}", leg.packets, bytes(leg.bytes))
}

/// Bytes with at most four digits: what is wanted exactly is in the JSON.
fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 10_240 && unit + 1 < units.len() {
        value /= 1_024;
        unit += 1;
    }
    format!("{value}{}", units.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str, port: u16, pods: &[&str], service: Option<&str>) -> EndReport {
        EndReport {
            address: address.to_owned(),
            port,
            pods: pods.iter().map(|pod| (*pod).to_owned()).collect(),
            node: None,
            service: service.map(str::to_owned),
        }
    }

    fn dropped() -> DropReport {
        DropReport {
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            reason: "egress_denied".to_owned(),
            hook: "from_pod".to_owned(),
            interface: "veth7".to_owned(),
            protocol: "TCP".to_owned(),
            source: at("fd00:1::5", 40_000, &["shop/web"], None),
            destination: at("10.96.0.10", 80, &[], Some("shop/db:pg/TCP")),
            bytes: 60,
            pod: Some("shop/web".to_owned()),
            rule: Some("egress default of shop/web-out".to_owned()),
            policies: vec!["shop/web-out".to_owned()],
            lost: 0,
        }
    }

    #[test]
    fn a_drop_is_one_line_with_both_ends_and_the_rule() {
        assert_eq!(
            line(&dropped()),
            "2026-01-02T03:04:05.678Z egress_denied TCP [fd00:1::5]:40000 (shop/web) -> 10.96.0.10:80 \
             (shop/db:pg/TCP) at shop/web by egress default of shop/web-out, 60 bytes in from_pod of veth7"
        );
        let lost = DropReport { lost: 7, pod: None, rule: None, ..dropped() };
        assert!(line(&lost).ends_with(", 60 bytes in from_pod of veth7 (7 events lost before)"));
        let unread =
            DropReport { source: EndReport::default(), destination: EndReport::default(), ..dropped() };
        assert!(line(&unread).contains(" egress_denied unreadable packet at shop/web "), "{}", line(&unread));
    }

    #[test]
    fn a_line_cannot_speak_to_the_terminal() {
        let evil = DropReport { interface: "veth\u{1b}[2J\n".to_owned(), ..dropped() };
        assert!(!line(&evil).contains(['\u{1b}', '\n']));
    }

    #[test]
    fn a_conversation_shows_what_was_dialled_and_where_it_went() {
        let plain = FlowReport {
            protocol: "UDP".to_owned(),
            source: at("10.244.1.5", 40_000, &["shop/web"], None),
            destination: at("198.51.100.7", 53, &[], None),
            state: "answered".to_owned(),
            flags: vec!["adopted".to_owned()],
            sent: LegReport { packets: 2, bytes: 120 },
            received: LegReport { packets: 1, bytes: 20_480 },
            idle_secs: 61,
            egress: Some("shop/web-out egress[0]".to_owned()),
            ..FlowReport::default()
        };
        let translated = FlowReport {
            protocol: "TCP".to_owned(),
            destination: at("10.96.0.10", 5432, &[], Some("shop/db:pg/TCP")),
            service: Some("shop/db:pg/TCP".to_owned()),
            backend: Some(at("10.244.1.6", 5432, &["shop/db"], None)),
            masquerade: Some("192.0.2.1:61000".to_owned()),
            egress: None,
            flags: Vec::new(),
            ..plain.clone()
        };
        let report = FlowsReport { flows: vec![plain, translated], left_out: 3 };
        assert_eq!(
            table(&report),
            "\
PROTOCOL  FROM                         TO                                                   BACKEND                    STATE             SENT    RECEIVED  IDLE   EGRESS                  INGRESS
UDP       10.244.1.5:40000 (shop/web)  198.51.100.7:53                                      -                          answered,adopted  2/120B  1/20KiB   1m 1s  shop/web-out egress[0]  -
TCP       10.244.1.5:40000 (shop/web)  10.96.0.10:5432 (shop/db:pg/TCP) as 192.0.2.1:61000  10.244.1.6:5432 (shop/db)  answered          2/120B  1/20KiB   1m 1s  -                       -
3 more are left out: ask for one pod (--pod)
"
        );
    }
}
