//! The packet context of tc hooks. An unsafe room: packets are read and written through here.
//!
//! Reads go straight to the packet's memory after a check of their bounds; writes and checksums go through the kernel's
//! helpers, which unshare the packet first and know whether a device completes its checksum later.

use core::mem::size_of;

use abi::IfIndex;
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR};
use aya_ebpf::helpers::generated;
use aya_ebpf::programs::TcContext;
use packet::{CsumWidth, EtherType, L4Csum, Packet, TooShort};
use zerocopy::{FromBytes, Immutable, IntoBytes, Unaligned};

/// Bytes that are made readable: link header, IPv6 with a few extension headers, an ICMP error and what it quotes.
const HEADERS: u32 = 14 + 40 + 64 + 8 + 40 + 24;

/// Offsets are masked with it, for the verifier; no header of ours lies so far in.
const MAX_OFFSET: u32 = 0x3ff;

/// A packet at a tc hook.
pub(crate) struct Skb {
    skb: *mut __sk_buff,
}

/// Reads one field of the context, whole and once.
macro_rules! field {
    ($self:ident . $name:ident) => {
        // SAFETY: the kernel's own context, unmodified; the field is readable in tc programs.
        unsafe { core::ptr::read_volatile(&raw const (*$self.skb).$name) }
    };
}

impl Skb {
    /// The packet of a hook, with its headers in readable memory.
    #[inline(always)] // once a program: the verifier wants the context pointer unmodified
    pub(crate) fn new(ctx: &TcContext) -> Self {
        let skb = Self { skb: ctx.as_ptr().cast() };
        let wanted = if skb.len() < HEADERS { skb.len() } else { HEADERS };
        if skb.linear() < wanted {
            // SAFETY: the kernel's own context. On failure the packet stays as it is, and reads say that it is too short.
            unsafe { generated::bpf_skb_pull_data(skb.skb, wanted) };
        }
        skb
    }

    /// Bytes that can be read without the help of the kernel.
    #[inline(always)] // two context accesses
    fn linear(&self) -> u32 {
        field!(self.data_end).wrapping_sub(field!(self.data))
    }

    /// The context that helpers take.
    #[inline(always)] // a field
    pub(crate) fn raw(&self) -> *mut __sk_buff {
        self.skb
    }

    /// The interface whose hook this is.
    #[inline(always)] // one context access
    pub(crate) fn ifindex(&self) -> IfIndex {
        IfIndex(field!(self.ifindex))
    }

    /// What follows the link header.
    #[inline(always)] // one context access
    pub(crate) fn ethertype(&self) -> EtherType {
        EtherType::from_net(field!(self.protocol) as u16)
    }

    /// Payload bytes of each segment that this packet stands for; zero if it is one segment.
    #[inline(always)] // one context access
    pub(crate) fn gso_size(&self) -> u32 {
        field!(self.gso_size)
    }

    /// Sends the packet out of the interface whose hook this is; the hook's return code.
    #[inline(always)] // one helper call
    pub(crate) fn redirect_back(&self) -> i32 {
        // SAFETY: takes numbers.
        unsafe { generated::bpf_redirect(self.ifindex().0, 0) as i32 }
    }

    /// Takes everything behind `len` bytes away; false if the kernel would not.
    #[inline(always)] // one helper call
    pub(crate) fn cut(&mut self, len: u32) -> bool {
        // SAFETY: the kernel's own context, and numbers.
        unsafe { generated::bpf_skb_change_tail(self.skb, len, 0) == 0 }
    }

    /// Makes room of `len` bytes; false if the kernel would not.
    #[inline(always)] // one helper call
    pub(crate) fn make_room(&mut self, len: u32, mode: u32) -> bool {
        // SAFETY: the kernel's own context, and numbers.
        unsafe { generated::bpf_skb_adjust_room(self.skb, len as i32, mode, 0) == 0 }
    }

    /// Whether a socket of this node's own network namespace sent the packet.
    #[inline(always)] // one context access
    pub(crate) fn has_local_socket(&self) -> bool {
        // SAFETY: as in `field!`; only compared with null.
        let sk = unsafe { core::ptr::read_volatile(&raw const (*self.skb).__bindgen_anon_2.sk) };
        !sk.is_null()
    }

    /// The id of the ancestor, on that level, of the sending socket's cgroup; zero if there is none.
    #[inline(always)] // one helper call
    pub(crate) fn ancestor_cgroup(&self, level: i32) -> u64 {
        // SAFETY: the kernel's own context.
        unsafe { generated::bpf_skb_ancestor_cgroup_id(self.skb, level) }
    }
}

/// The sum of two offsets, masked in a way that the compiler cannot take apart again: the verifier must see the mask.
#[inline(always)] // one instruction
fn masked(at: u32) -> usize {
    let mut offset = u64::from(at);
    // SAFETY: changes nothing but its operand.
    unsafe {
        core::arch::asm!("{0} &= {1}", inout(reg) offset, const MAX_OFFSET as i32);
    }
    offset as usize
}

impl Packet for Skb {
    /// Turned to wire order and back, the number is the same and the verifier knows nothing of it but the mask: it then
    /// walks what follows once, and not once for each range that the number may be in.
    #[inline(always)] // three instructions
    fn opaque(offset: u32) -> u32 {
        let mut offset = u64::from(offset);
        // SAFETY: changes nothing but its operand.
        unsafe {
            core::arch::asm!("{0} = be64 {0}", "{0} = be64 {0}", "{0} &= 16383", inout(reg) offset);
        }
        offset as u32
    }

    #[inline(always)] // one context access
    fn len(&self) -> u32 {
        field!(self.len)
    }

    #[inline(always)] // a bounds check and a load
    fn read<T: FromBytes + IntoBytes + Immutable + Unaligned + Copy>(&self, at: u32) -> Result<T, TooShort> {
        if at > MAX_OFFSET {
            return Err(TooShort);
        }
        let data = field!(self.data) as usize;
        let end = field!(self.data_end) as usize;
        let mut start = data;
        // SAFETY: an addition; by assembly, or the compiler compares offsets instead of the pointer, and the verifier
        // learns nothing.
        unsafe {
            core::arch::asm!("{0} += {1}", inout(reg) start, in(reg) masked(at));
        }
        if start + size_of::<T>() > end {
            return Err(TooShort);
        }
        // SAFETY: `size_of::<T>()` bytes from `start` are the packet's, by the comparison above; T is unaligned and any
        // bytes are one.
        Ok(unsafe { core::ptr::read_volatile(start as *const T) })
    }

    #[inline(always)] // one helper call
    fn write<T: FromBytes + IntoBytes + Immutable + Unaligned + Copy>(
        &mut self,
        at: u32,
        value: &T,
    ) -> Result<(), TooShort> {
        let from = core::ptr::from_ref(value).cast();
        // SAFETY: the kernel's own context; `from` is `size_of::<T>()` readable bytes. It checks the offset.
        let ret = unsafe { generated::bpf_skb_store_bytes(self.skb, at, from, size_of::<T>() as u32, 0) };
        if ret == 0 { Ok(()) } else { Err(TooShort) }
    }

    #[inline(always)] // one helper call
    fn replace_l3_csum(&mut self, at: u32, from: u32, to: u32, width: CsumWidth) -> Result<(), TooShort> {
        // SAFETY: the kernel's own context, and numbers. It checks the offset.
        let ret = unsafe {
            generated::bpf_l3_csum_replace(self.skb, at, u64::from(from), u64::from(to), size_of_field(width))
        };
        if ret == 0 { Ok(()) } else { Err(TooShort) }
    }

    #[inline(always)] // one helper call
    fn replace_l4_csum(&mut self, at: u32, from: u32, to: u32, what: L4Csum) -> Result<(), TooShort> {
        let mut flags = size_of_field(what.width);
        if what.is_pseudo_header {
            flags |= u64::from(BPF_F_PSEUDO_HDR);
        }
        if what.is_udp {
            flags |= u64::from(BPF_F_MARK_MANGLED_0);
        }
        // Linux 6.16 has a flag for `what.family`, which mends the sum that some devices give along with an IPv6 packet;
        // kernels before refuse the flag.
        // SAFETY: as above.
        let ret =
            unsafe { generated::bpf_l4_csum_replace(self.skb, at, u64::from(from), u64::from(to), flags) };
        if ret == 0 { Ok(()) } else { Err(TooShort) }
    }
}

/// The helpers take the width in bytes as their lowest flag bits.
#[inline(always)] // constant after inlining
fn size_of_field(width: CsumWidth) -> u64 {
    match width {
        CsumWidth::Half => 2,
        CsumWidth::Word => 4,
    }
}
