//! ServiceCIDRs (KEP-1880).

use std::sync::Arc;

use ipnet::IpNet;

/// A ServiceCIDR: ranges that ClusterIPs are allocated from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCidr {
    /// Name.
    pub name: Arc<str>,
    /// `spec.cidrs`, at most one a family; host bits cleared.
    pub cidrs: Vec<IpNet>,
}
