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

/// All load-time constants.
pub const CONFIG: &[ConfigSpec] = &[ConfigSpec {
    name: HOST_NETNS_COOKIE,
    ty: "u64",
    doc: "Cookie of the node's own network namespace: only its sockets reach NodePorts on loopback. Zero: none do.",
}];
