//! Pods that send from their first millisecond: what a policy denies never leaves, what it allows leaves in the end.

use std::net::SocketAddr;

use anyhow::Result;
use lab::manifests::{self, Condition, PolicySpec, Rule};
use lab::packet::Packet;
use lab::{Keep, PodSpec, new_uid};

use super::town::Town;
use crate::world::LIMIT;

/// Where the sinks listen.
const SINK: u16 = 7_777;

/// Packets to the sink from addresses of pods.
fn is_to_sink(packet: &Packet) -> bool {
    packet.ports().is_some_and(|(_, to)| to == SINK)
}

#[test]
fn what_a_new_pod_may_send_arrives() -> Result<()> {
    let town = Town::new()?;
    town.apply(&manifests::namespace("early"))?;
    let outside = town.outside.address();
    let rule = Rule::all().addresses(outside.both());
    town.apply(&PolicySpec::new("early", "outside").egress(rule).object())?;
    let to: Vec<SocketAddr> = outside.both().into_iter().map(|ip| (ip, SINK).into()).collect();
    let capture = town.outside.site().capture(Keep::All)?;
    for n in 0..6 {
        let node = town.node(n % 2);
        let uid = new_uid()?;
        let spec = PodSpec::idle("early", &format!("early-{n}")).uid(&uid).sending_early(&to);
        town.apply(&manifests::bound_pod(node, &spec, &uid))?;
        let pod = node.add_pod(spec)?;
        for address in pod.address().both() {
            let what = format!("packet of {} before its address is known", pod.place());
            capture.wait_for(&what, LIMIT, |p| p.source == address && is_to_sink(p))?;
        }
        town.apply(&manifests::pod(&pod, Condition::Ready))?;
        town.wait_for_status(n % 2, &["Pending:        none"])?;
        capture.forget()?;
        for address in pod.address().both() {
            let what = format!("packet of {} by its address", pod.place());
            capture.wait_for(&what, LIMIT, |p| p.source == address && is_to_sink(p))?;
        }
    }
    Ok(())
}
