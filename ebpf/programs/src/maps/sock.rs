//! What sockets remember. Written by the programs only.

use abi::{
    Addr, Port, SOCKETS_HINT_LINE_BYTES, SOCKETS_HINT_LINES, SockHint, SockPeer, SockUdpFwdKey,
    SockUdpFwdValue, SockUdpKey, SockUdpValue,
};
use aya_ebpf::btf_maps::{Array, LruHashMap};
use aya_ebpf::macros::btf_map;

use super::ANY;

#[btf_map]
static SOCKETS: LruHashMap<u64, SockPeer, 131_072> = LruHashMap::new();

#[btf_map]
static SOCKETS_HINT: Array<[u8; SOCKETS_HINT_LINE_BYTES], { SOCKETS_HINT_LINES as usize }> = Array::new();

#[btf_map]
static SOCK_UDP: LruHashMap<SockUdpKey, SockUdpValue, 131_072> = LruHashMap::new();

#[btf_map]
static SOCK_UDP_FWD: LruHashMap<SockUdpFwdKey, SockUdpFwdValue, 131_072> = LruHashMap::new();

/// The VIP that the socket dialled, if this backend is what it got for it. A socket keeps the entry of a Service that it
/// dialled before; connected elsewhere, it does not mean that one.
#[inline(always)] // one look-up
pub(crate) fn dialled_vip(cookie: u64, backend: Addr, port: Port) -> Option<(Addr, Port)> {
    // SAFETY: the value is copied at once. Only this socket's own calls write it, but a full map may give the place to
    // another socket meanwhile; the comparison passes that one only with the same backend.
    let peer = unsafe { SOCKETS.get(cookie) }.copied()?;
    (peer.backend_port == port && peer.backend_addr == backend).then_some((peer.vip, peer.port))
}

/// Makes the connected socket remember; false if the map would not take it.
#[inline(always)] // one helper call
pub(crate) fn remember_peer(cookie: u64, peer: &SockPeer) -> bool {
    if let Some((byte, tag)) = hint(cookie) {
        // SAFETY: as said at `hint`. The socket of an earlier tag leaves its entry to be evicted.
        unsafe { core::ptr::write_volatile(byte, tag) };
    }
    SOCKETS.insert(cookie, peer, ANY).is_ok()
}

/// Forgets the VIP of a socket that goes to this backend itself now, which the entry could not be told from.
#[inline(always)] // once a program
pub(crate) fn forget_vip_of(cookie: u64, backend: Addr, port: Port) {
    if hinted(cookie).is_some() && dialled_vip(cookie, backend, port).is_some() {
        let _ = SOCKETS.remove(cookie);
    }
}

/// Forgets what a socket dialled that is being closed. Most dialled no Service: their byte of the hint says so, at a
/// fourth of the price of a look-up in a hash that is too large for the processor's caches.
#[inline(always)] // once a program
pub(crate) fn forget_peer(cookie: u64) {
    if let Some(byte) = hinted(cookie) {
        // SAFETY: as said at `hint`. Whoever shares the byte and connects just now leaves its entry to be evicted.
        unsafe { core::ptr::write_volatile(byte, 0) };
        let _ = SOCKETS.remove(cookie);
    }
}

/// The socket's byte of `SOCKETS_HINT`, if it says that `SOCKETS` may have the socket.
#[inline(always)] // one look-up
fn hinted(cookie: u64) -> Option<*mut u8> {
    let (byte, tag) = hint(cookie)?;
    // SAFETY: as said at `hint`.
    (unsafe { core::ptr::read_volatile(byte) } == tag).then_some(byte)
}

/// The socket's byte of `SOCKETS_HINT`, and what it holds if `SOCKETS` may have the socket. Elements of an array never go
/// away, and a byte is read and written whole.
#[inline(always)] // one look-up
fn hint(cookie: u64) -> Option<(*mut u8, u8)> {
    let SockHint { line, byte, tag } = SockHint::of(cookie);
    let line: *mut [u8; SOCKETS_HINT_LINE_BYTES] = SOCKETS_HINT.get_ptr_mut(line)?;
    // SAFETY: `byte` is inside the line. verifier: its mask says so.
    Some((unsafe { line.cast::<u8>().add(byte) }, tag))
}

/// The VIP that the socket's replies from a backend belong to.
#[inline(always)] // one look-up
pub(crate) fn vip_of(key: &SockUdpKey) -> Option<SockUdpValue> {
    // SAFETY: the value is copied at once; only this socket's own calls write it.
    unsafe { SOCK_UDP.get(key) }.copied()
}

/// Remembers the VIP for replies; false if the map would not take it.
#[inline(always)] // one helper call
pub(crate) fn remember_vip(key: &SockUdpKey, value: &SockUdpValue) -> bool {
    SOCK_UDP.insert(key, value, ANY).is_ok()
}

/// The backend that the socket's datagrams to a VIP went to so far.
#[inline(always)] // one look-up
pub(crate) fn choice_of(key: &SockUdpFwdKey) -> Option<SockUdpFwdValue> {
    // SAFETY: as in `vip_of`.
    unsafe { SOCK_UDP_FWD.get(key) }.copied()
}

/// Remembers a choice. A choice that is lost is made again with the next datagram.
#[inline(always)] // one helper call
pub(crate) fn remember_choice(key: &SockUdpFwdKey, value: &SockUdpFwdValue) {
    let _ = SOCK_UDP_FWD.insert(key, value, ANY);
}
