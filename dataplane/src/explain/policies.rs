//! NetworkPolicies: whom of this node they isolate, and whether they are in force.

use model::{Direction, Kind, NetworkPolicy, Pod};

use super::Sources;
use super::pods::{Rows, isolates, local_pods, warnings, why_not};
use crate::admin::reports::PolicyReport;
use crate::kernel::KernelError;

/// Every NetworkPolicy, in the order of the names.
///
/// # Errors
///
/// The kernel's maps cannot be read.
pub fn policies(sources: &Sources<'_>) -> Result<Vec<PolicyReport>, KernelError> {
    let rows = Rows::new(sources);
    let pods: Vec<&Pod> = local_pods(sources).collect();
    let policies = sources.snapshot.network_policies.values();
    policies.map(|policy| report(sources, &rows, &pods, policy)).collect()
}

fn report(
    sources: &Sources<'_>,
    rows: &Rows,
    pods: &[&Pod],
    policy: &NetworkPolicy,
) -> Result<PolicyReport, KernelError> {
    let directions: Vec<Direction> =
        Direction::ALL.into_iter().filter(|direction| policy.rules(*direction).is_some()).collect();
    let is_meant = |pod: &&&Pod| directions.iter().any(|direction| isolates(policy, *direction, pod));
    let pods: Vec<&Pod> = pods.iter().filter(is_meant).copied().collect();
    let closed = warnings(sources, Kind::NetworkPolicy, &policy.name);
    let mut pending = Vec::new();
    for pod in &pods {
        let row = rows.row(sources, pod)?;
        for direction in &directions {
            if let Some(why) = why_not(sources, pod, row.as_ref(), *direction) {
                pending.push(format!("{}: {why}", pod.name));
            }
        }
    }
    pending.dedup();
    let state = match (pods.is_empty(), closed.is_empty(), pending.is_empty()) {
        (_, false, _) => "closed",
        (true, true, _) => "unused",
        (false, true, true) => "in force",
        (false, true, false) => "pending",
    };
    Ok(PolicyReport {
        namespace: policy.name.namespace.to_string(),
        name: policy.name.name.to_string(),
        directions: directions.iter().map(ToString::to_string).collect(),
        pods: pods.iter().map(|pod| pod.name.to_string()).collect(),
        state: state.to_owned(),
        reasons: closed.into_iter().chain(pending).collect(),
    })
}
