//! `getpeername(2)`. Always answers.

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

use crate::ctx::{SockAddr, V4, V6};
use crate::maps::sock;
use crate::verdict;

/// The peer of a socket with an IPv4 peer.
#[cgroup_sock_addr(getpeername4)]
fn getpeername4(ctx: SockAddrContext) -> i32 {
    getpeername(&V4(ctx));
    verdict::OF_ANSWER
}

/// The peer of an `AF_INET6` socket, v4-mapped ones included.
#[cgroup_sock_addr(getpeername6)]
fn getpeername6(ctx: SockAddrContext) -> i32 {
    getpeername(&V6(ctx));
    verdict::OF_ANSWER
}

/// Shows the VIP that the socket dialled, unless it is connected elsewhere since.
#[inline(always)] // once a program: the context pointer must stay the kernel's own
fn getpeername<C: SockAddr>(ctx: &C) {
    if let Some((vip, port)) = sock::dialled_vip(ctx.cookie(), ctx.addr(), ctx.port()) {
        ctx.set(vip, port);
    }
}
