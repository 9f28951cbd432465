//! What belongs to an allowed conversation passes with it: replies, errors about it, pings by rule.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use lab::manifests::{PolicySpec, Rule, Selector};
use lab::packet::{Body, Build, Packet};
use lab::{Capture, Keep, Pod, Probe, ProbeResult};

use super::town::Town;
use crate::world::LIMIT;

/// A port where nobody listens.
const CLOSED: u16 = 9;

fn both(pod: &Pod, port: u16) -> [SocketAddr; 2] {
    pod.address().both().map(|ip| (ip, port).into())
}

#[test]
fn an_isolated_pod_gets_replies_and_errors_of_its_own_conversations() -> Result<()> {
    let town = Town::new()?;
    let deny = PolicySpec::new("x", "deny").isolate_ingress();
    town.with_policies("all of x for ingress", std::slice::from_ref(&deny), &[80], |p| {
        !p.to.starts_with("x.")
    })?;
    town.apply(&deny.object())?;
    // One on each wiring, to a pod beside it and to one on the other node.
    for from in ["x.a", "x.b"] {
        for to in ["y.a", "y.b"] {
            let from = town.pod(from).site();
            let open: Vec<_> =
                both(town.pod(to), 80).into_iter().flat_map(|to| [Probe::tcp(to), Probe::udp(to)]).collect();
            for (probe, result) in open.iter().zip(from.probe(&open, LIMIT)?) {
                result.answer().with_context(|| format!("{} to {probe:?}", from.name()))?;
            }
            // The RST and the port-unreachable are the other pod's own.
            let closed: Vec<_> = both(town.pod(to), CLOSED)
                .into_iter()
                .flat_map(|to| [Probe::tcp(to), Probe::udp(to)])
                .collect();
            for (probe, result) in closed.iter().zip(from.probe(&closed, LIMIT)?) {
                let refused = ProbeResult::Failed("ECONNREFUSED".to_owned());
                ensure!(result == refused, "{} to {probe:?}: {result:?}", from.name());
            }
        }
    }
    Ok(())
}

#[test]
fn a_pod_isolated_for_egress_answers_and_sends_errors_about_what_it_may_receive() -> Result<()> {
    let town = Town::new()?;
    let deny = PolicySpec::new("x", "deny").isolate_egress();
    town.with_policies("all of x for egress", std::slice::from_ref(&deny), &[80], |p| {
        !p.from.starts_with("x.")
    })?;
    town.apply(&deny.object())?;
    town.expect("again", &[80], |p| !p.from.starts_with("x."))?;
    for from in ["y.a", "y.b"] {
        for to in ["x.a", "x.b"] {
            let from = town.pod(from).site();
            let closed: Vec<_> = both(town.pod(to), CLOSED)
                .into_iter()
                .flat_map(|to| [Probe::tcp(to), Probe::udp(to)])
                .collect();
            for (probe, result) in closed.iter().zip(from.probe(&closed, LIMIT)?) {
                let refused = ProbeResult::Failed("ECONNREFUSED".to_owned());
                ensure!(result == refused, "{} to {probe:?}: {result:?}", from.name());
            }
        }
    }
    Ok(())
}

/// Whether the pod got an answer to an echo request from its own kernel's peer: requests are built, the answers are the
/// other pod's kernel's.
fn pings(from: &Pod, to: &Pod, id: u16) -> Result<()> {
    let link = from.site().raw()?;
    for (source, destination) in from.address().both().into_iter().zip(to.address().both()) {
        link.send(from.gateway_mac(), &ping(source, destination, id))?;
    }
    Ok(())
}

fn ping(source: IpAddr, destination: IpAddr, id: u16) -> Vec<u8> {
    let kind = if source.is_ipv4() { 8 } else { 128 };
    Build::new(source, destination).icmp(kind, 0, u32::from(id) << 16 | 1, b"policy")
}

fn is_answer(packet: &Packet, to: IpAddr, id: u16) -> bool {
    let Body::Icmp { kind, rest, .. } = &packet.body else { return false };
    matches!(kind, 0 | 129) && packet.destination == to && *rest >> 16 == u32::from(id)
}

fn wait_for_answers(capture: &Capture, from: &Pod, to: &Pod, id: u16) -> Result<()> {
    for address in from.address().both() {
        let mut last = None;
        lab::until("an answer to a ping", LIMIT, || {
            pings(from, to, id)?;
            let answers = capture.count(|packet| is_answer(packet, address, id))?;
            last = Some(answers);
            Ok(answers > 0)
        })
        .with_context(|| format!("{} pings {} from {address}: {last:?}", from.place(), to.place()))?;
    }
    Ok(())
}

#[test]
fn pings_pass_by_rules_about_every_port_and_their_answers_with_them() -> Result<()> {
    let town = Town::new()?;
    let from_y = Rule::all().namespaces(Selector::label("team", "two"));
    let policies = [
        PolicySpec::new("x", "from-y").isolate_egress().ingress(from_y.clone()),
        PolicySpec::new("y", "in-y").ingress(from_y),
    ];
    policies.iter().try_for_each(|policy| town.apply(&policy.object()))?;
    town.expect("y to x and in y", &[80], |p| p.from.starts_with("y.") && !p.from.starts_with("x."))?;
    for (from, to, id) in [("y.a", "x.a", 1), ("y.a", "x.b", 2), ("y.b", "x.a", 3), ("y.b", "x.b", 4)] {
        let (from, to) = (town.pod(from), town.pod(to));
        let capture = from.site().capture(Keep::All)?;
        wait_for_answers(&capture, from, to, id)?;
        // The way back is open for answers only.
        let received = from.site().capture(Keep::All)?;
        pings(to, from, id + 100)?;
        pings(from, to, id + 200)?;
        for address in from.address().both() {
            received.wait_for("the answer to a later ping", LIMIT, |packet| {
                is_answer(packet, address, id + 200)
            })?;
        }
        let strangers = received.count(|packet| {
            matches!(packet.body, Body::Icmp { kind: 8 | 128, .. })
                && to.address().both().contains(&packet.source)
        })?;
        ensure!(strangers == 0, "{} pinged {}", to.place(), from.place());
    }
    Ok(())
}
