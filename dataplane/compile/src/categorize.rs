//! Which endpoints a Service port may use on this node: the one place that decides it.

use std::sync::Arc;

use abi::{Addr, Port};

/// Where this node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Our node's name.
    pub node: Arc<str>,
    /// Our node's zone, if its Node object names one.
    pub zone: Option<Arc<str>>,
}

/// An endpoint of one Service port, after entries of the same address and port were merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Address.
    pub addr: Addr,
    /// Port.
    pub port: Port,
    /// Condition ready.
    pub is_ready: bool,
    /// Condition serving (KEP-1669).
    pub is_serving: bool,
    /// Condition terminating (KEP-1669).
    pub is_terminating: bool,
    /// Node.
    pub node: Option<Arc<str>>,
    /// Zone.
    pub zone: Option<Arc<str>>,
    /// Zones that should use it.
    pub zone_hints: Vec<Arc<str>>,
    /// Nodes that should use it.
    pub node_hints: Vec<Arc<str>>,
}

impl Candidate {
    /// Whether it terminates but still serves: the fallback when nothing is ready.
    fn is_last_resort(&self) -> bool {
        !self.is_ready && self.is_serving && self.is_terminating
    }

    /// Whether it is on the node.
    #[must_use]
    pub fn is_on(&self, node: &str) -> bool {
        self.node.as_deref() == Some(node)
    }

    /// Whether it should win over another entry of the same address and port: an address that was given to a new pod
    /// is listed by the old, terminating one too.
    fn beats(&self, other: &Self) -> bool {
        let rank = |c: &Self| (!c.is_terminating, c.is_ready, c.is_serving);
        rank(self) > rank(other)
    }
}

/// The endpoints that a Service port may use here, as indices into the candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Categorized {
    /// For the policy Cluster. Empty means that no endpoint exists anywhere: refuse.
    pub cluster: Vec<usize>,
    /// For the policy Local. Empty beside a non-empty `cluster` means: endpoints, but none here.
    pub local: Vec<usize>,
}

/// Merges entries of one address and port, and sorts by them: one order whatever order the slices came in.
#[must_use]
pub fn merge(candidates: impl IntoIterator<Item = Candidate>) -> Vec<Candidate> {
    let mut merged: std::collections::BTreeMap<(Addr, Port), Candidate> = std::collections::BTreeMap::new();
    for candidate in candidates {
        match merged.entry((candidate.addr, candidate.port)) {
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(candidate)),
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                if candidate.beats(entry.get()) {
                    entry.insert(candidate);
                }
            }
        }
    }
    merged.into_values().collect()
}

/// Chooses endpoints.
///
/// An endpoint is *usable* if it is ready, or, where no endpoint of the same group is ready, if it terminates and
/// still serves. One that is merely not ready is never usable.
///
/// - `cluster`: the ready endpoints, cut down to those hinted for this node if every ready endpoint has a node hint and
///   one names us, else to those hinted for this zone by the same rule (one ready endpoint without a hint switches the
///   hints off for all). If none is ready: all that terminate and serve, wherever they are; hints do not apply.
/// - `local`: the ready endpoints on this node; if there is none, those on this node that terminate and serve. Hints
///   never apply. The two groups fall back independently.
#[must_use]
pub fn categorize(candidates: &[Candidate], here: &Topology) -> Categorized {
    let indices = |usable: &dyn Fn(&Candidate) -> bool| -> Vec<usize> {
        candidates.iter().enumerate().filter(|(_, c)| usable(c)).map(|(i, _)| i).collect()
    };
    let is_local = |c: &Candidate| c.is_on(&here.node);
    let or =
        |first: Vec<usize>, second: &dyn Fn() -> Vec<usize>| if first.is_empty() { second() } else { first };

    let hint = hint_in_force(candidates, here);
    let cluster = indices(&|c| {
        c.is_ready
            && match hint {
                Hint::None => true,
                Hint::Node => c.node_hints.contains(&here.node),
                Hint::Zone => here.zone.as_ref().is_some_and(|zone| c.zone_hints.contains(zone)),
            }
    });
    let local = indices(&|c| c.is_ready && is_local(c));
    Categorized {
        cluster: or(cluster, &|| indices(&Candidate::is_last_resort)),
        local: or(local, &|| indices(&|c| c.is_last_resort() && is_local(c))),
    }
}

/// Which hints cut the ready endpoints down.
enum Hint {
    None,
    Node,
    Zone,
}

fn hint_in_force(candidates: &[Candidate], here: &Topology) -> Hint {
    let ready = || candidates.iter().filter(|c| c.is_ready);
    if ready().all(|c| !c.node_hints.is_empty()) && ready().any(|c| c.node_hints.contains(&here.node)) {
        return Hint::Node;
    }
    match &here.zone {
        Some(zone)
            if ready().all(|c| !c.zone_hints.is_empty()) && ready().any(|c| c.zone_hints.contains(zone)) =>
        {
            Hint::Zone
        }
        Some(_) | None => Hint::None,
    }
}

#[cfg(test)]
mod tests;
