//! `connect(2)` of TCP and UDP sockets. Fails open.

use abi::{DropReason, Protocol, SockPeer};
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

use crate::ctx::{SockAddr, V4, V6};
use crate::lb::Client;
use crate::maps::sock;
use crate::{lb, stats, verdict};

/// `connect` of an IPv4 address.
#[cgroup_sock_addr(connect4)]
fn connect4(ctx: SockAddrContext) -> i32 {
    verdict::of_call(connect(&V4(ctx)))
}

/// `connect` of an IPv6 address, v4-mapped ones included.
#[cgroup_sock_addr(connect6)]
fn connect6(ctx: SockAddrContext) -> i32 {
    verdict::of_call(connect(&V6(ctx)))
}

/// Sends the socket to a backend and makes it remember what it dialled.
#[inline(always)] // once a program: the context pointer must stay the kernel's own
fn connect<C: SockAddr>(ctx: &C) -> Result<(), DropReason> {
    let protocol = ctx.protocol();
    if protocol != Protocol::TCP && protocol != Protocol::UDP {
        return Ok(());
    }
    let (addr, port) = (lb::destination(ctx.addr()), ctx.port());
    let Some(frontend) = lb::find(ctx, addr, port, protocol)? else {
        // A UDP socket may be connected again, a TCP socket may try elsewhere after a refusal.
        sock::forget_vip_of(ctx.cookie(), addr, port);
        return Ok(());
    };
    let backend = lb::choose(frontend, Client::Inside)?;
    let peer = SockPeer {
        backend: backend.id,
        generation: backend.generation,
        vip: addr,
        port,
        backend_port: backend.port,
        backend_addr: backend.addr,
    };
    if !sock::remember_peer(ctx.cookie(), &peer) {
        stats::unremembered(frontend.service());
    }
    ctx.set(backend.addr, backend.port);
    Ok(())
}
