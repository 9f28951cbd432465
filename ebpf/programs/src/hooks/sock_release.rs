//! `close(2)` of a socket's last descriptor. Always lets it go.

use aya_ebpf::macros::cgroup_sock;
use aya_ebpf::programs::SockContext;

use crate::maps::sock;
use crate::{ctx, helpers, verdict};

/// Forgets what the socket dialled: the entry lives as long as the socket.
#[cgroup_sock(sock_release)]
fn sock_release(ctx: SockContext) -> i32 {
    if ctx::is_tcp_or_udp(&ctx) {
        sock::forget_peer(helpers::closing_socket_cookie(&ctx));
    }
    verdict::OF_ANSWER
}
