//! The contexts of cgroup hooks: socket addresses, and sockets that are closed. An unsafe room: everything else reads and
//! writes them through here.
//!
//! The verifier wants each access of the context at a constant offset, four bytes at a time, through the unmodified
//! context pointer: hence one named field after the other, never an array or a chosen pointer.

pub(crate) mod route;
pub(crate) mod skb;

use abi::{Addr, Port, Protocol};
use aya_ebpf::bindings::{bpf_sock, bpf_sock_addr};
use aya_ebpf::programs::{SockAddrContext, SockContext};

use crate::helpers;

/// The address in a socket call: where it goes (connect, sendmsg) or came from (recvmsg, getpeername).
pub(crate) trait SockAddr {
    /// The context that helpers take.
    fn raw(&self) -> &SockAddrContext;

    /// The address.
    fn addr(&self) -> Addr;

    /// Replaces address and port.
    fn set(&self, addr: Addr, port: Port);

    /// The address that the socket is connected to; what it was when it is not connected.
    fn peer_addr(&self) -> Addr;

    /// The port.
    #[inline(always)] // one context access: the verifier wants the pointer unmodified
    fn port(&self) -> Port {
        // SAFETY: `sock_addr` is the context that the kernel passed; the field is readable in every hook of ours.
        let port = unsafe { read(&raw const (*self.raw().sock_addr).user_port) };
        Port::from_net(port as u16)
    }

    /// The port that the socket is connected to; [`Port::ANY`] while it is not connected.
    #[inline(always)] // as `port`
    fn peer_port(&self) -> Port {
        // SAFETY: `sk` is the socket of the system call, never null in these hooks, and its fields are readable. The
        // field is 16 bits wide since Linux 5.18 (4421a582718a); before, its first two bytes meant the same.
        Port::from_net(unsafe { core::ptr::read_volatile(&raw const (*self.socket()).dst_port) })
    }

    /// The socket.
    #[inline(always)] // as `port`
    fn socket(&self) -> *mut bpf_sock {
        // SAFETY: as in `port`; a pointer-sized field.
        unsafe { core::ptr::read_volatile(&raw const (*self.raw().sock_addr).__bindgen_anon_1.sk) }
    }

    /// The socket's protocol.
    #[inline(always)] // as `port`
    fn protocol(&self) -> Protocol {
        // SAFETY: as in `port`.
        let protocol = unsafe { read(&raw const (*self.raw().sock_addr).protocol) };
        // Larger numbers (MPTCP is 262) are none of ours; cutting them must not make one of them TCP.
        if protocol > 255 { Protocol::ANY } else { Protocol::new(protocol as u8) }
    }

    /// The socket's cookie: unique among all sockets since boot.
    #[inline(always)] // one helper call
    fn cookie(&self) -> u64 {
        helpers::socket_cookie(self.raw())
    }

    /// The cookie of the socket's network namespace.
    #[inline(always)] // one helper call
    fn netns_cookie(&self) -> u64 {
        helpers::netns_cookie(self.raw())
    }
}

/// The context of an IPv4 hook.
pub(crate) struct V4(pub(crate) SockAddrContext);

/// The context of an IPv6 hook. IPv4 peers of `AF_INET6` sockets show here as v4-mapped addresses.
pub(crate) struct V6(pub(crate) SockAddrContext);

impl SockAddr for V4 {
    #[inline(always)] // a field
    fn raw(&self) -> &SockAddrContext {
        &self.0
    }

    #[inline(always)] // context access
    fn addr(&self) -> Addr {
        // SAFETY: the kernel's context; the field is readable in every IPv4 hook.
        Addr::v4(unsafe { read(&raw const (*self.0.sock_addr).user_ip4) }.to_ne_bytes())
    }

    #[inline(always)] // context access
    fn set(&self, addr: Addr, port: Port) {
        let ctx = self.0.sock_addr;
        // SAFETY: the kernel's context; the fields are writable in every IPv4 hook.
        unsafe {
            write(&raw mut (*ctx).user_ip4, u32::from_ne_bytes(addr.last4()));
            write(&raw mut (*ctx).user_port, u32::from(port.to_net()));
        }
    }

    #[inline(always)] // socket access
    fn peer_addr(&self) -> Addr {
        // SAFETY: as in `peer_port`.
        Addr::v4(unsafe { read(&raw const (*self.socket()).dst_ip4) }.to_ne_bytes())
    }
}

impl SockAddr for V6 {
    #[inline(always)] // a field
    fn raw(&self) -> &SockAddrContext {
        &self.0
    }

    #[inline(always)] // context access
    fn addr(&self) -> Addr {
        let ctx: *const bpf_sock_addr = self.0.sock_addr;
        // SAFETY: the kernel's context; the fields are readable in every IPv6 hook.
        Addr::from_net_words(unsafe {
            [
                read(&raw const (*ctx).user_ip6[0]),
                read(&raw const (*ctx).user_ip6[1]),
                read(&raw const (*ctx).user_ip6[2]),
                read(&raw const (*ctx).user_ip6[3]),
            ]
        })
    }

    #[inline(always)] // context access
    fn set(&self, addr: Addr, port: Port) {
        let [a, b, c, d] = addr.to_net_words();
        let ctx = self.0.sock_addr;
        // SAFETY: the kernel's context; the fields are writable in every IPv6 hook.
        unsafe {
            write(&raw mut (*ctx).user_ip6[0], a);
            write(&raw mut (*ctx).user_ip6[1], b);
            write(&raw mut (*ctx).user_ip6[2], c);
            write(&raw mut (*ctx).user_ip6[3], d);
            write(&raw mut (*ctx).user_port, u32::from(port.to_net()));
        }
    }

    #[inline(always)] // socket access
    fn peer_addr(&self) -> Addr {
        let sk = self.socket();
        // SAFETY: as in `peer_port`.
        Addr::from_net_words(unsafe {
            [
                read(&raw const (*sk).dst_ip6[0]),
                read(&raw const (*sk).dst_ip6[1]),
                read(&raw const (*sk).dst_ip6[2]),
                read(&raw const (*sk).dst_ip6[3]),
            ]
        })
    }
}

/// Whether a socket that is being closed is one that `connect` may have translated.
#[inline(always)] // one context access: the verifier wants the pointer unmodified
pub(crate) fn is_tcp_or_udp(ctx: &SockContext) -> bool {
    // SAFETY: the kernel's context; the field is readable in this hook.
    let protocol = unsafe { read(&raw const (*ctx.sock).protocol) };
    protocol == u32::from(Protocol::TCP.get()) || protocol == u32::from(Protocol::UDP.get())
}

/// Reads one field of the context or its socket, exactly once and at its full width.
///
/// # Safety
///
/// `field` points to a field of the kernel's context, or of the socket in it, that the hook may read.
#[inline(always)] // a call would hide the context pointer's origin from the verifier
unsafe fn read(field: *const u32) -> u32 {
    // SAFETY: the caller's promise; context fields are aligned.
    unsafe { core::ptr::read_volatile(field) }
}

/// Writes one context field, at its full width.
///
/// # Safety
///
/// `field` points to a field of the kernel's context that the hook may write.
#[inline(always)] // as `read`
unsafe fn write(field: *mut u32, value: u32) {
    // SAFETY: the caller's promise; context fields are aligned.
    unsafe { core::ptr::write_volatile(field, value) }
}
