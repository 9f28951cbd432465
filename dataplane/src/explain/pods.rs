//! The pods of this node, and whether their policies are in force.

use std::collections::BTreeMap;

use abi::{IfIndex, PodEntry, PodFlags, PodId, PolicyId};
use compile::SubjectNames;
use compile::policy::PodPolicy;
use model::{Direction, Kind, NetworkPolicy, ObjectKey, ObjectName, PerPacket, Pod, SocketLb};

use super::Sources;
use crate::admin::reports::PodReport;
use crate::kernel::KernelError;

/// Every pod of this node, in the order of the names.
///
/// # Errors
///
/// The kernel's maps cannot be read.
pub fn pods(sources: &Sources<'_>) -> Result<Vec<PodReport>, KernelError> {
    let rows = Rows::new(sources);
    local_pods(sources).map(|pod| report(sources, &rows, pod)).collect()
}

fn report(sources: &Sources<'_>, rows: &Rows, pod: &Pod) -> Result<PodReport, KernelError> {
    let isolating = |direction| {
        let policies = sources.snapshot.policies_in(&pod.name.namespace);
        let names = policies.filter(|policy| isolates(policy, direction, pod));
        names.map(|policy| policy.name.to_string()).collect()
    };
    let row = rows.row(sources, pod)?;
    let interface = row.map(|row| row.ifindex).filter(|ifindex| *ifindex != IfIndex::NONE);
    let mut reasons = Vec::new();
    for direction in Direction::ALL {
        reasons.extend(why_not(sources, pod, row.as_ref(), direction));
    }
    reasons.dedup();
    if !reasons.is_empty() {
        reasons.extend(warnings(sources, Kind::Pod, &pod.name));
    }
    let namespace = sources.snapshot.namespaces.get(&pod.name.namespace);
    let per_packet = match pod.is_host_network {
        true => None,
        false => PerPacket::of(pod, namespace.map(|namespace| &**namespace)),
    };
    Ok(PodReport {
        namespace: pod.name.namespace.to_string(),
        name: pod.name.name.to_string(),
        addresses: pod.addrs.iter().map(ToString::to_string).collect(),
        host_network: pod.is_host_network,
        interface: interface.map(|ifindex| rows.device(ifindex)),
        ingress: isolating(Direction::Ingress),
        egress: isolating(Direction::Egress),
        in_force: reasons.is_empty(),
        reasons,
        per_packet: per_packet.map(|why| match why {
            PerPacket::Annotation => format!("annotation {}", SocketLb::ANNOTATION),
            PerPacket::Mesh => "a mesh's proxy must see the Service's address".to_owned(),
            PerPacket::Sandbox => "the pod has a kernel of its own".to_owned(),
        }),
    })
}

/// The pods that are this node's.
pub(super) fn local_pods<'a>(sources: &Sources<'a>) -> impl Iterator<Item = &'a Pod> + use<'a> {
    let node = sources.view.name.clone();
    let pods = sources.snapshot.pods.values();
    pods.map(|pod| &**pod).filter(move |pod| pod.node.as_ref() == Some(&node) && !pod.is_finished)
}

/// Whether a policy isolates a pod of this node.
pub(super) fn isolates(policy: &NetworkPolicy, direction: Direction, pod: &Pod) -> bool {
    let is_its = policy.name.namespace == pod.name.namespace && policy.pods.matches(&pod.labels);
    is_its && !pod.is_host_network && policy.rules(direction).is_some()
}

/// What could not be honoured of an object.
pub(super) fn warnings(sources: &Sources<'_>, kind: Kind, name: &ObjectName) -> Vec<String> {
    let key = ObjectKey { kind, name: name.clone() };
    let of_object = sources.snapshot.warnings.get(&key).map(|list| list.to_vec()).unwrap_or_default();
    let compiled = sources.engine.warnings().filter(|warning| warning.object == key);
    of_object.into_iter().chain(compiled).map(|warning| warning.detail).collect()
}

/// Where the pods' rows are.
pub(super) struct Rows {
    ids: BTreeMap<ObjectName, PodId>,
    names: SubjectNames,
}

impl Rows {
    pub(super) fn new(sources: &Sources<'_>) -> Self {
        let names = sources.engine.subject_names();
        Self { ids: names.pods.iter().map(|(id, name)| (name.clone(), *id)).collect(), names }
    }

    /// What the kernel has of a pod.
    pub(super) fn row(&self, sources: &Sources<'_>, pod: &Pod) -> Result<Option<PodEntry>, KernelError> {
        match self.ids.get(&pod.name) {
            Some(id) => sources.live.pod(*id),
            None => Ok(None),
        }
    }

    fn device(&self, ifindex: IfIndex) -> String {
        let name = self.names.devices.get(&ifindex);
        name.map_or_else(|| format!("interface {}", ifindex.0), ToString::to_string)
    }
}

/// What a row says of policies, if it is in use.
pub(super) fn policy_of(row: &PodEntry) -> Option<PodPolicy> {
    let is_used = row.flags.has(PodFlags::KNOWN);
    is_used.then_some(PodPolicy { egress: row.egress, ingress: row.ingress })
}

/// Why the kernel does not judge a pod by what isolates it in a direction, if it does not.
pub(super) fn why_not(
    sources: &Sources<'_>,
    pod: &Pod,
    row: Option<&PodEntry>,
    direction: Direction,
) -> Option<String> {
    let wanted = sources.engine.pod_policy(&pod.name)?;
    let Some(row) = row.and_then(policy_of) else {
        return Some("the kernel does not know the pod yet".to_owned());
    };
    let (wanted, has) = match direction {
        Direction::Ingress => (wanted.ingress, row.ingress),
        Direction::Egress => (wanted.egress, row.egress),
    };
    match (wanted, has) {
        (PolicyId::CLOSED, _) => Some(format!("{direction}: closed, there is no room for its policies")),
        (wanted, has) if wanted == has => None,
        (_, PolicyId::CLOSED) => Some(format!("{direction}: closed until its policies are written")),
        (_, _) => Some(format!("{direction}: judged as before until its policies are written")),
    }
}
