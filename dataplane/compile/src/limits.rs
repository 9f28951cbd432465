//! How large the maps are.

use abi::maps;

/// Maxima of the maps that the sync loop writes, in entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `FRONTENDS`.
    pub frontends: u32,
    /// `SERVICE_CIDRS`.
    pub service_cidrs: u32,
    /// `SERVICES`; index 0 is never used.
    pub services: u32,
    /// `SLOTS`.
    pub slots: u32,
    /// `BACKENDS`; index 0 is never used.
    pub backends: u32,
    /// `NODE_ADDRS`.
    pub node_addrs: u32,
    /// `IDS`.
    pub ids: u32,
    /// The maps of NetworkPolicy.
    pub policy: PolicyLimits,
    /// The maps of pods and devices.
    pub subjects: SubjectLimits,
}

/// Maxima of the maps of pods and devices, in entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectLimits {
    /// `PODS`; indices below [`abi::PodId::FIRST`] are reserved.
    pub pods: u32,
    /// `LOCAL_PODS`.
    pub local_pods: u32,
    /// `PODS_BY_CGROUP`.
    pub cgroups: u32,
    /// `DEVICES`.
    pub devices: u32,
}

impl SubjectLimits {
    /// Maxima for so many pods on the node, each with an address of both families.
    #[must_use]
    pub const fn for_pods(pods: u32) -> Self {
        let pods = pods.saturating_add(abi::PodId::FIRST.0);
        Self { pods, local_pods: pods.saturating_mul(2), cgroups: pods, devices: pods }
    }
}

/// Maxima of the maps of NetworkPolicy, in entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLimits {
    /// `IDENTITIES`.
    pub identities: u32,
    /// `IDENTITY_CIDRS`.
    pub identity_cidrs: u32,
    /// `POLICY`.
    pub verdicts: u32,
    /// `PORT_CLASSES`.
    pub port_classes: u32,
    /// `POLICY_REVISION`; indices 0 and 1 are reserved.
    pub policies: u32,
    /// Rule ids; 0 is never used.
    pub rules: u32,
}

/// Rules with a number of their own; counters by rule are an array of this size.
const RULES: u32 = 65_536;

impl Default for Limits {
    /// The table's defaults.
    fn default() -> Self {
        let entries = |name| maps::spec(name).map_or(0, |spec| spec.default_entries);
        Self {
            frontends: entries("FRONTENDS"),
            service_cidrs: entries("SERVICE_CIDRS"),
            services: entries("SERVICES"),
            slots: entries("SLOTS"),
            backends: entries("BACKENDS"),
            node_addrs: entries("NODE_ADDRS"),
            ids: entries("IDS"),
            policy: PolicyLimits {
                identities: entries("IDENTITIES"),
                identity_cidrs: entries("IDENTITY_CIDRS"),
                verdicts: entries("POLICY"),
                port_classes: entries("PORT_CLASSES"),
                policies: entries("POLICY_REVISION"),
                rules: RULES,
            },
            subjects: SubjectLimits {
                pods: entries("PODS"),
                local_pods: entries("LOCAL_PODS"),
                cgroups: entries("PODS_BY_CGROUP"),
                devices: entries("DEVICES"),
            },
        }
    }
}
