//! What both ends of a connection say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use abi::{PolicyId, Port, RuleId};
use compile::policy::{Answer, PodPolicy, lookup};
use model::{Direction, Pod};

use super::Sources;
use super::ends::{Ends, Path, Who};
use crate::admin::reports::{PathReport, SideReport, VerdictReport};
use crate::kernel::KernelError;

/// Judges a path at both its ends.
pub(super) fn path(sources: &Sources<'_>, ends: &Ends, path: &Path) -> Result<PathReport, KernelError> {
    let from = &ends.from.who;
    let is_own = from.pod().is_some_and(|from| path.to.pod().is_some_and(|to| to.name == from.name));
    let is_own_node = from.pod().is_none() && sources.view.addrs.contains(&path.source);
    let ask = |direction, pod: &Arc<Pod>, own: IpAddr, peer: IpAddr| {
        asked(sources, direction, pod, &ends.packet(own, peer, &path.destination))
    };
    let egress = match from {
        Who::Pod(_) if is_own => not_judged("a pod to itself"),
        Who::Pod(pod) => ask(Direction::Egress, pod, path.source, path.destination.ip())?,
        Who::Node(_) => not_judged("the node's own connections: policies are of pods"),
        Who::Outside => not_judged("the opener is no pod of the cluster"),
    };
    let ingress = match &path.to {
        Who::Pod(_) if is_own => not_judged("a pod to itself"),
        Who::Pod(pod) if is_own_node && is_here(sources, pod) => {
            let packet = ends.packet(path.destination.ip(), path.source, &path.destination);
            from_own_node(sources, pod, &packet)?
        }
        Who::Pod(pod) => ask(Direction::Ingress, pod, path.destination.ip(), path.source)?,
        Who::Node(_) => not_judged("the node's network: policies are of pods"),
        Who::Outside => not_judged("the destination is no pod of the cluster"),
    };
    let verdict = if egress.denies() || ingress.denies() {
        "denied"
    } else if egress.elsewhere.is_some() || ingress.elsewhere.is_some() {
        "undecided"
    } else {
        "allowed"
    };
    Ok(PathReport {
        source: path.source.to_string(),
        destination: path.destination.to_string(),
        pod: path.to.pod().map(|pod| pod.name.to_string()),
        verdict: verdict.to_owned(),
        egress,
        ingress,
    })
}

/// What a policy is asked about.
struct Packet {
    /// The address of the pod whose policies are asked.
    own: IpAddr,
    peer: IpAddr,
    protocol: abi::Protocol,
    port: Port,
}

impl Ends {
    fn packet(&self, own: IpAddr, peer: IpAddr, destination: &SocketAddr) -> Packet {
        Packet { own, peer, protocol: self.protocol, port: Port::new(destination.port()) }
    }
}

/// The node itself always reaches its own pods: from the addresses that the kernel knows as the node's.
fn from_own_node(sources: &Sources<'_>, pod: &Pod, packet: &Packet) -> Result<SideReport, KernelError> {
    if sources.live.is_node_addr(packet.peer.into())? {
        return Ok(not_judged("the node itself always reaches its own pods"));
    }
    Ok(SideReport {
        pod: Some(pod.name.to_string()),
        compiled: Some(verdict(sources, Answer::NotIsolated)),
        kernel: Some(in_kernel(sources, Direction::Ingress, packet)?),
        ..SideReport::default()
    })
}

fn not_judged(why: &str) -> SideReport {
    SideReport { not_judged: Some(why.to_owned()), ..SideReport::default() }
}

fn is_here(sources: &Sources<'_>, pod: &Pod) -> bool {
    pod.node.as_deref() == Some(&*sources.view.name)
}

fn asked(
    sources: &Sources<'_>,
    direction: Direction,
    pod: &Pod,
    packet: &Packet,
) -> Result<SideReport, KernelError> {
    let side = SideReport { pod: Some(pod.name.to_string()), ..SideReport::default() };
    match &pod.node {
        Some(_) if is_here(sources, pod) => Ok(SideReport {
            compiled: Some(compiled(sources, direction, pod, packet)),
            kernel: Some(in_kernel(sources, direction, packet)?),
            ..side
        }),
        Some(node) => Ok(SideReport { elsewhere: Some(node.to_string()), ..side }),
        None => Ok(SideReport { not_judged: Some("the pod is on no node yet".to_owned()), ..side }),
    }
}

fn compiled(sources: &Sources<'_>, direction: Direction, pod: &Pod, packet: &Packet) -> VerdictReport {
    let policy = sources.engine.pod_policy(&pod.name).unwrap_or(PodPolicy::OPEN);
    let id = of_direction(policy, direction);
    let rows = sources.engine.policy_rows();
    let Ok(answer) = lookup(&rows, id, packet.peer.into(), packet.protocol, packet.port);
    verdict(sources, answer)
}

/// As the programs find it: the address, the pod's row, its policy, the peer's row.
fn in_kernel(
    sources: &Sources<'_>,
    direction: Direction,
    packet: &Packet,
) -> Result<VerdictReport, KernelError> {
    let id = sources.live.pod_at(packet.own.into())?;
    let row = match id {
        Some(id) => sources.live.pod(id)?,
        None => None,
    };
    let Some(row) = row.and_then(|row| super::pods::policy_of(&row)) else {
        return Ok(VerdictReport { verdict: "unknown pod".to_owned(), ..VerdictReport::default() });
    };
    let id = of_direction(row, direction);
    let answer = lookup(sources.live, id, packet.peer.into(), packet.protocol, packet.port)?;
    Ok(verdict(sources, answer))
}

fn of_direction(policy: PodPolicy, direction: Direction) -> PolicyId {
    match direction {
        Direction::Egress => policy.egress,
        Direction::Ingress => policy.ingress,
    }
}

fn verdict(sources: &Sources<'_>, answer: Answer) -> VerdictReport {
    let (word, rule) = match answer {
        Answer::NotIsolated => ("open", None),
        Answer::Allowed(rule) => ("allowed", Some(rule)),
        Answer::Denied(rule) => ("denied", Some(rule)),
        Answer::NotProgrammed => ("not programmed", None),
    };
    let name = rule.and_then(|rule| sources.engine.rule_name(rule));
    let policies = name.map(|name| name.policies()).unwrap_or_default();
    VerdictReport {
        verdict: word.to_owned(),
        rule: match (rule, name) {
            (_, Some(name)) => Some(name.to_string()),
            (Some(RuleId::NONE) | None, None) => None,
            (Some(rule), None) => Some(format!("rule {}", rule.0)),
        },
        policies: policies.iter().map(ToString::to_string).collect(),
    }
}

impl SideReport {
    /// Whether what is compiled and what the kernel holds say the same.
    pub(crate) fn agrees(&self) -> bool {
        self.compiled == self.kernel
    }

    /// Whether the kernel lets nothing pass here. A pod that it does not know is not judged.
    fn denies(&self) -> bool {
        let verdict = self.kernel.as_ref().map(|kernel| kernel.verdict.as_str());
        matches!(verdict, Some("denied" | "not programmed"))
    }
}
