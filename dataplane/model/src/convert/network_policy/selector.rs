//! Label selectors of policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::{CLOSED, NO_PEER, Reader};
use crate::{Requirement, Selector, api};

/// The pods that a policy applies to.
pub(super) struct Target {
    /// At least these.
    pub(super) pods: Selector,
    /// Whether everything of the selector was read: not more than these.
    pub(super) is_whole: bool,
}

impl Reader {
    /// `spec.podSelector`. Of one that is read in part the rest is left out, so that it selects more.
    pub(super) fn target(&mut self, value: &Value) -> Target {
        let path = "spec.podSelector";
        let Some(selector) = self.part::<api::LabelSelector>(path, value, CLOSED) else {
            return Target { pods: Selector::default(), is_whole: false };
        };
        let mut pods = Selector { requirements: labels(&selector) };
        let mut is_whole = true;
        for (i, requirement) in selector.match_expressions.iter().enumerate() {
            match read(requirement) {
                Ok(requirement) => drop(pods.requirements.insert(requirement)),
                Err(why) => {
                    let effect = "pods are isolated whether they meet it or not, and nothing is allowed";
                    self.bad(format_args!("{path}.matchExpressions[{i}]"), &why, effect);
                    is_whole = false;
                }
            }
        }
        Target { pods, is_whole }
    }

    /// A peer's selector; `None`, with a warning, if any of it cannot be read.
    pub(super) fn selector(&mut self, path: &str, selector: &api::LabelSelector) -> Option<Selector> {
        let mut requirements = labels(selector);
        for (i, requirement) in selector.match_expressions.iter().enumerate() {
            match read(requirement) {
                Ok(requirement) => drop(requirements.insert(requirement)),
                Err(why) => {
                    self.bad(format_args!("{path}.matchExpressions[{i}]"), &why, NO_PEER);
                    return None;
                }
            }
        }
        Some(Selector { requirements })
    }
}

fn labels(selector: &api::LabelSelector) -> BTreeSet<Requirement> {
    let each = selector.match_labels.iter();
    each.map(|(key, value)| {
        Requirement::In(Arc::clone(key), BTreeSet::from([value.clone().unwrap_or_default()]))
    })
    .collect()
}

/// A requirement, or why the API would refuse it.
fn read(requirement: &api::LabelSelectorRequirement) -> Result<Requirement, String> {
    let key = Arc::clone(&requirement.key);
    if key.is_empty() {
        return Err("has no key".to_owned());
    }
    let values: BTreeSet<Arc<str>> = requirement.values.iter().cloned().collect();
    match (&*requirement.operator, values.is_empty()) {
        ("In", false) => Ok(Requirement::In(key, values)),
        ("NotIn", false) => Ok(Requirement::NotIn(key, values)),
        ("In" | "NotIn", true) => Err("has no values".to_owned()),
        ("Exists", true) => Ok(Requirement::Exists(key)),
        ("DoesNotExist", true) => Ok(Requirement::DoesNotExist(key)),
        ("Exists" | "DoesNotExist", false) => Err("has values, and its operator takes none".to_owned()),
        (other, _) => {
            let shown: String = other.chars().take(64).collect();
            Err(format!("operator {shown:?} is not In, NotIn, Exists or DoesNotExist"))
        }
    }
}
