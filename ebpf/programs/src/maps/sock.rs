//! What sockets remember. Written by the programs only.

use abi::{SockPeer, SockUdpFwdKey, SockUdpFwdValue, SockUdpKey, SockUdpValue};
use aya_ebpf::btf_maps::{LruHashMap, SkStorage};
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::SockAddrContext;

use super::ANY;

#[btf_map]
static SOCKETS: SkStorage<SockPeer> = SkStorage::new();

#[btf_map]
static SOCK_UDP: LruHashMap<SockUdpKey, SockUdpValue, 131_072> = LruHashMap::new();

#[btf_map]
static SOCK_UDP_FWD: LruHashMap<SockUdpFwdKey, SockUdpFwdValue, 131_072> = LruHashMap::new();

/// What the connected socket remembers, if it dialled a Service.
#[inline(always)] // one helper call
pub(crate) fn peer(ctx: &SockAddrContext) -> Option<SockPeer> {
    // SAFETY: the kernel's own context; the storage belongs to its socket, which the caller's system call holds.
    unsafe { SOCKETS.get_ptr_mut(ctx).as_ref() }.copied()
}

/// Makes the connected socket remember; false if there is no memory for it.
#[inline(always)] // one helper call
pub(crate) fn remember_peer(ctx: &SockAddrContext, mut peer: SockPeer) -> bool {
    // SAFETY: as in `peer`. An existing storage is returned unchanged, hence the store.
    match unsafe { SOCKETS.get_or_insert_ptr_mut(ctx, Some(&mut peer)).as_mut() } {
        Some(stored) => {
            *stored = peer;
            true
        }
        None => false,
    }
}

/// Makes the socket forget an earlier Service. Cheap for a socket that never dialled one.
#[inline(always)] // one helper call
pub(crate) fn forget_peer(ctx: &SockAddrContext) {
    // SAFETY: the kernel's own context and its socket. "Nothing there" is the usual answer and no error.
    unsafe {
        let sk = (*ctx.sock_addr).__bindgen_anon_1.sk;
        let _ = SOCKETS.delete(sk);
    }
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
