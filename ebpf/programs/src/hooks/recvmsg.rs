//! `recvfrom(2)` and `recvmsg(2)` of UDP sockets that ask for the source. Always lets the datagram through.

use abi::SockUdpKey;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

use crate::ctx::{SockAddr, V4, V6};
use crate::maps::sock;
use crate::verdict;

/// A datagram from an IPv4 address.
#[cgroup_sock_addr(recvmsg4)]
fn recvmsg4(ctx: SockAddrContext) -> i32 {
    recvmsg(&V4(ctx));
    verdict::OF_ANSWER
}

/// A datagram from an IPv6 address, v4-mapped ones included.
#[cgroup_sock_addr(recvmsg6)]
fn recvmsg6(ctx: SockAddrContext) -> i32 {
    recvmsg(&V6(ctx));
    verdict::OF_ANSWER
}

/// Shows a backend's datagram as the VIP's that the socket dialled.
#[inline(always)] // once a program: the context pointer must stay the kernel's own
fn recvmsg<C: SockAddr>(ctx: &C) {
    let (addr, port) = (ctx.addr(), ctx.port());
    // A connected socket's own entry decides, whatever became of the backend since. What waited in its queue from before
    // the connect has another source, and what it dialled before a disconnect (AF_UNSPEC) no longer counts.
    if ctx.peer_port() == port && ctx.peer_addr() == addr {
        if let Some((vip, port)) = sock::dialled_vip(ctx.cookie(), addr, port) {
            ctx.set(vip, port);
        }
        return;
    }
    if let Some(value) = sock::vip_of(&SockUdpKey::new(ctx.cookie(), addr, port)) {
        ctx.set(value.vip, value.port);
    }
}
