//! Load-time constants, set by the loader before the verifier sees the programs.

use aya_ebpf::Global;

/// Cookie of the node's own network namespace; zero until set.
#[unsafe(no_mangle)]
static HOST_NETNS_COOKIE: Global<u64> = Global::new(0);

/// Whether a network namespace's cookie is the node's own.
#[inline(always)] // a compare; a call would cost more
pub(crate) fn is_host_netns(cookie: u64) -> bool {
    let host = HOST_NETNS_COOKIE.load();
    host != 0 && cookie == host
}

/// Depth of the configured cgroup below the root of the hierarchy; pods' cgroups are one to four levels below it.
#[unsafe(no_mangle)]
pub(crate) static CGROUP_LEVEL: Global<u32> = Global::new(0);
