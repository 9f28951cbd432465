//! Questions to the routing tables, and packets sent the way that they say. An unsafe room: the kernel's structures.

use abi::IfIndex;
use aya_ebpf::bindings::{bpf_fib_lookup, bpf_redir_neigh};
use aya_ebpf::helpers::generated;
use packet::{Family, Tuple};

use super::skb::Skb;

/// `AF_INET` and `AF_INET6`.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// What the routing tables answered (`BPF_FIB_LKUP_RET_…`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer(i64);

impl Answer {
    /// There is a way; the next hop's link address is known.
    const SUCCESS: Self = Self(0);
    /// There is a way; the kernel must ask for the next hop's link address.
    const NO_NEIGH: Self = Self(7);
    /// There is one, but not for a packet of this size.
    pub(crate) const FRAG_NEEDED: Self = Self(8);

    /// Whether there is a way.
    #[inline(always)] // compares
    pub(crate) fn is_way(self) -> bool {
        self == Self::SUCCESS || self == Self::NO_NEIGH
    }
}

/// A way for a packet: the question, and then the answer.
pub(crate) struct Route(bpf_fib_lookup);

impl Route {
    /// Asks for the way of a packet of `len` bytes between these ends that came in by `ifindex`; zero asks whatever its
    /// size.
    #[inline(always)] // stores
    pub(crate) fn of(ifindex: IfIndex, family: Family, tuple: &Tuple, len: u16) -> Self {
        // SAFETY: a struct of integers and unions of them; all zero is valid.
        let mut fib: bpf_fib_lookup = unsafe { core::mem::zeroed() };
        fib.ifindex = ifindex.0;
        fib.l4_protocol = tuple.protocol.get();
        fib.sport = tuple.sport.to_net();
        fib.dport = tuple.dport.to_net();
        fib.__bindgen_anon_1.tot_len = len;
        match family {
            Family::V4 => {
                fib.family = AF_INET;
                fib.__bindgen_anon_3.ipv4_src = tuple.src.to_net_words()[3];
                fib.__bindgen_anon_4.ipv4_dst = tuple.dst.to_net_words()[3];
            }
            Family::V6 => {
                fib.family = AF_INET6;
                fib.__bindgen_anon_3.ipv6_src = tuple.src.to_net_words();
                fib.__bindgen_anon_4.ipv6_dst = tuple.dst.to_net_words();
            }
        }
        Self(fib)
    }

    #[inline(always)] // one helper call
    pub(crate) fn ask(&mut self, skb: &Skb) -> Answer {
        let len = size_of::<bpf_fib_lookup>() as i32;
        // SAFETY: the kernel's own context and a whole struct.
        Answer(unsafe { generated::bpf_fib_lookup(skb.raw().cast(), &raw mut self.0, len, 0) })
    }

    /// Bytes that the way takes, after [`Answer::FRAG_NEEDED`].
    #[inline(always)] // a load
    pub(crate) fn mtu(&self) -> u32 {
        // SAFETY: both members are plain numbers.
        u32::from(unsafe { self.0.__bindgen_anon_1.mtu_result })
    }

    /// The interface by which the way leaves.
    #[inline(always)] // a load
    pub(crate) fn ifindex(&self) -> IfIndex {
        IfIndex(self.0.ifindex)
    }

    /// Sends the hook's packet to the next hop, whose link address the kernel finds; the hook's return code.
    #[inline(always)] // one helper call
    pub(crate) fn redirect(&self) -> i32 {
        // SAFETY: a struct of integers and a union of them; all zero is valid.
        let mut next: bpf_redir_neigh = unsafe { core::mem::zeroed() };
        next.nh_family = u32::from(self.0.family);
        // SAFETY: a successful look-up wrote the next hop here, in the family that it wrote too.
        unsafe { next.__bindgen_anon_1.ipv6_nh = self.0.__bindgen_anon_4.ipv6_dst };
        let len = size_of::<bpf_redir_neigh>() as i32;
        // SAFETY: a whole struct.
        unsafe { generated::bpf_redirect_neigh(self.0.ifindex, &raw mut next, len, 0) as i32 }
    }
}
