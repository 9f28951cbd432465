//! Constants that user space sets when it loads the programs. One object serves every configuration.

/// A read-only datum of the programs.
#[derive(Clone, Copy, Debug)]
pub struct ConfigSpec {
    /// Symbol in the object.
    pub name: &'static str,
    /// Rust type in the programs.
    pub ty: &'static str,
    /// Meaning, unit, and what zero means.
    pub doc: &'static str,
}

/// Symbol of the cookie of the host's network namespace (`SO_NETNS_COOKIE`, Linux 5.14).
pub const HOST_NETNS_COOKIE: &str = "HOST_NETNS_COOKIE";

/// Symbol of the depth of the configured cgroup.
pub const CGROUP_LEVEL: &str = "CGROUP_LEVEL";

/// All load-time constants.
pub const CONFIG: &[ConfigSpec] = &[
    ConfigSpec {
        name: HOST_NETNS_COOKIE,
        ty: "u64",
        doc: "Cookie of the node's own network namespace: only its sockets reach NodePorts on loopback. Zero: none do.",
    },
    ConfigSpec {
        name: CGROUP_LEVEL,
        ty: "u32",
        doc: "Depth of the configured cgroup below the root of the hierarchy; pods' cgroups are one to four below it.",
    },
];
