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
}

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
        }
    }
}
