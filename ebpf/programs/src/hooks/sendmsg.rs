//! `sendto(2)` and `sendmsg(2)` of unconnected UDP sockets. Fails open. The kernel does not call it for connected ones.

use abi::{
    Addr, DropReason, FrontendValue, Port, Protocol, SockUdpFwdKey, SockUdpFwdValue, SockUdpKey, SockUdpValue,
};
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

use crate::ctx::{SockAddr, V4, V6};
use crate::lb::Client;
use crate::maps::lb::Backend;
use crate::maps::{lb as lb_maps, sock};
use crate::{lb, verdict};

/// A datagram to an IPv4 address, also of an `AF_INET6` socket to a v4-mapped one.
#[cgroup_sock_addr(sendmsg4)]
fn sendmsg4(ctx: SockAddrContext) -> i32 {
    verdict::of_call(sendmsg(&V4(ctx)))
}

/// A datagram to an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
fn sendmsg6(ctx: SockAddrContext) -> i32 {
    verdict::of_call(sendmsg(&V6(ctx)))
}

/// Sends the datagram to the backend of the socket's earlier ones, or to a new one, and remembers both ways.
#[inline(always)] // once a program: the context pointer must stay the kernel's own
fn sendmsg<C: SockAddr>(ctx: &C) -> Result<(), DropReason> {
    // UDP-Lite calls the hook too.
    if ctx.protocol() != Protocol::UDP {
        return Ok(());
    }
    let (addr, port) = (lb::destination(ctx.addr()), ctx.port());
    let Some(frontend) = lb::find(ctx, addr, port, Protocol::UDP)? else {
        return Ok(());
    };
    let cookie = ctx.cookie();
    let backend = backend_of(cookie, addr, port, frontend)?;
    let reply = SockUdpKey::new(cookie, backend.addr, backend.port);
    let vip = SockUdpValue::new(addr, port);
    // The entry may have been evicted since the last datagram, or be another VIP's with the same backend.
    if sock::vip_of(&reply) != Some(vip) && !sock::remember_vip(&reply, &vip) {
        return Err(DropReason::SocketNotRemembered);
    }
    ctx.set(backend.addr, backend.port);
    Ok(())
}

#[inline(always)] // once a program
fn backend_of(cookie: u64, addr: Addr, port: Port, frontend: FrontendValue) -> Result<Backend, DropReason> {
    let key = SockUdpFwdKey::new(cookie, addr, port);
    if let Some(choice) = sock::choice_of(&key)
        && let Some(backend) = lb_maps::backend(choice.backend, frontend.service())
        && backend.generation == choice.generation
    {
        return Ok(backend);
    }
    let backend = lb::choose(frontend, Client::Inside)?;
    let choice = SockUdpFwdValue { backend: backend.id, generation: backend.generation };
    sock::remember_choice(&key, &choice);
    Ok(backend)
}
