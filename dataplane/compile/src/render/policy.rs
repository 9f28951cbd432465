//! Rows of NetworkPolicy.

use std::collections::BTreeMap;

use abi::{
    CidrKey, Identity, PolicyId, PolicyKey, PolicyKind, PolicyValue, PortClassId, PortClassValue, Protocol,
    RuleId,
};
use model::ObjectName;

use crate::policy::{PodPolicy, PolicyDump, RuleName};

/// What ids stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyNames {
    /// Identities: the selectors, blocks and named ports that hold.
    pub identities: BTreeMap<Identity, String>,
    /// Policy ids: direction and policy objects, and what named ports of the target are.
    pub policies: BTreeMap<PolicyId, String>,
    /// Rules.
    pub rules: BTreeMap<RuleId, RuleName>,
    /// What local pods are to have.
    pub pods: BTreeMap<ObjectName, PodPolicy>,
}

impl PolicyNames {
    fn identity(&self, id: Identity) -> String {
        match id {
            Identity::ANY => "any".to_owned(),
            Identity::WORLD => "nothing".to_owned(),
            id => {
                self.identities.get(&id).cloned().unwrap_or_else(|| "an identity without a name".to_owned())
            }
        }
    }

    fn policy(&self, id: PolicyId) -> String {
        match id {
            PolicyId::NONE => "open".to_owned(),
            PolicyId::CLOSED => "closed".to_owned(),
            id => self.policies.get(&id).cloned().unwrap_or_else(|| "a policy without a name".to_owned()),
        }
    }

    fn rule(&self, id: RuleId) -> String {
        self.rules.get(&id).map_or_else(|| "a rule without a name".to_owned(), ToString::to_string)
    }
}

/// A prefix of the 16-byte form as people write it.
#[must_use]
pub fn cidr_text(key: &CidrKey) -> String {
    let (addr, len) = (key.addr(), key.prefix_len());
    if addr.is_v4() && len >= 96 { format!("{addr}/{}", len - 96) } else { format!("{addr}/{len}") }
}

pub(super) fn rows(dump: &PolicyDump, names: &PolicyNames) -> Vec<String> {
    let mut rows = Vec::new();
    for (addr, identity) in &dump.identities {
        rows.push(format!("identity {addr} = {}", names.identity(*identity)));
    }
    for (key, identity) in &dump.identity_cidrs {
        rows.push(format!("identity-cidr {} = {}", cidr_text(key), names.identity(*identity)));
    }
    for (key, value) in &dump.verdicts {
        rows.push(verdict(dump, names, key, value));
    }
    for (pod, policy) in &names.pods {
        let (ingress, egress) = (names.policy(policy.ingress), names.policy(policy.egress));
        if *policy != PodPolicy::OPEN {
            rows.push(format!("pod {pod}: [{ingress}] [{egress}]"));
        }
    }
    rows
}

fn verdict(dump: &PolicyDump, names: &PolicyNames, key: &PolicyKey, value: &PolicyValue) -> String {
    let head = format!("policy [{}] peer [{}]:", names.policy(key.policy), names.identity(key.identity));
    let rule = names.rule(value.rule());
    match PolicyKind::try_from(value.kind_code()) {
        Ok(PolicyKind::AllowAll) => format!("{head} all by {rule}"),
        Ok(PolicyKind::DenyAll) => format!("{head} nothing by {rule}"),
        Ok(PolicyKind::Ports) => {
            format!("{head} {}, else nothing by {rule}", ports(dump, names, value.class()).join(", "))
        }
        Err(_) => format!("{head} nothing by a kind that is unknown"),
    }
}

/// The ports of a class, neighbours of one rule together.
fn ports(dump: &PolicyDump, names: &PolicyNames, class: PortClassId) -> Vec<String> {
    let mut ranges: Vec<(Protocol, u32, u32, PortClassValue)> = dump
        .port_classes
        .iter()
        .filter(|(key, _)| key.class() == class)
        .map(|(key, value)| {
            let first = u32::from(key.port().get());
            (key.protocol(), first, first + (1u32 << (16 - key.port_bits().min(16))) - 1, *value)
        })
        .collect();
    ranges.sort_unstable();
    let mut merged: Vec<(Protocol, u32, u32, PortClassValue)> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.0 == range.0 && last.3 == range.3 && last.2 + 1 == range.1 => last.2 = range.2,
            Some(_) | None => merged.push(range),
        }
    }
    let text = |(protocol, first, last, value): (Protocol, u32, u32, PortClassValue)| {
        let ports = match (first, last) {
            (0, 65_535) => protocol.to_string(),
            (first, last) if first == last => format!("{protocol} {first}"),
            (first, last) => format!("{protocol} {first}-{last}"),
        };
        let verb = if value.is_allow() { "" } else { "not " };
        format!("{verb}{ports} by {}", names.rule(value.rule()))
    };
    merged.into_iter().map(text).collect()
}
