//! Flows. Written by the packet programs only.

use core::ptr::NonNull;

use abi::{FlowFlags, FlowKey, FlowValue, FragmentKey, FragmentValue, Heading, Judged, PolicyRevision};
use aya_ebpf::btf_maps::{LruHashMap, PerCpuArray};
use aya_ebpf::macros::btf_map;

use super::ANY;
use crate::helpers;
use crate::work::Work;

#[btf_map]
static FLOWS: LruHashMap<FlowKey, FlowValue, 131_072> = LruHashMap::new();

#[btf_map]
static FLOWS_NEW: LruHashMap<FlowKey, FlowValue, 65_536> = LruHashMap::new();

#[btf_map]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentValue, 8_192> = LruHashMap::new();

/// A [`Work`]. Words, because the kernel does not take the description of an enum with data.
#[btf_map]
static SCRATCH: PerCpuArray<[u64; size_of::<Work>().div_ceil(8)], 1> = PerCpuArray::new();

/// `BPF_NOEXIST`: insert only.
const NOEXIST: u64 = 1;

/// An entry in place. It may be evicted and become another flow's meanwhile: a packet then counts for a stranger, once.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    value: NonNull<FlowValue>,
}

macro_rules! load {
    ($self:ident . $($field:ident).+) => {
        // SAFETY: the value's memory stays a FlowValue as long as the program runs (preallocated, freed under RCU); fields
        // are aligned and any bytes are one.
        unsafe { core::ptr::read_volatile(&raw const (*$self.value.as_ptr()).$($field).+) }
    };
}

macro_rules! store {
    ($self:ident . $($field:ident).+ = $to:expr) => {
        // SAFETY: as in `load!`.
        unsafe { core::ptr::write_volatile(&raw mut (*$self.value.as_ptr()).$($field).+, $to) }
    };
}

impl Entry {
    /// The entry of a key, in either table.
    #[inline(always)] // once or twice a packet
    pub(crate) fn find(key: &FlowKey) -> Option<Self> {
        let value = FLOWS.get_ptr_mut(key).or_else(|| FLOWS_NEW.get_ptr_mut(key))?;
        NonNull::new(value).map(|value| Self { value })
    }

    #[inline(always)] // a load
    pub(crate) fn nonce(self) -> u64 {
        load!(self.nonce)
    }

    #[inline(always)] // a load
    pub(crate) fn flags(self) -> FlowFlags {
        load!(self.flags)
    }

    /// The revision of the policy that judged the flow last, in one of its directions.
    #[inline(always)] // a load
    pub(crate) fn revision(self, is_egress: bool) -> PolicyRevision {
        if is_egress { load!(self.egress.revision) } else { load!(self.ingress.revision) }
    }

    #[inline(always)] // stores
    pub(crate) fn set_judged(self, is_egress: bool, judged: Judged) {
        if is_egress {
            store!(self.egress.rule = judged.rule);
            store!(self.egress.revision = judged.revision);
        } else {
            store!(self.ingress.rule = judged.rule);
            store!(self.ingress.revision = judged.revision);
        }
    }

    /// Says that the other end opened the flow: for one that was adopted, once.
    #[inline(always)] // stores
    pub(crate) fn turn(self) {
        let flags = load!(self.flags).0;
        store!(self.flags = FlowFlags((flags ^ FlowFlags::OPENED_DOWN.0) & !FlowFlags::ADOPTED.0));
    }

    /// When the last packet of a direction was seen.
    #[inline(always)] // a load
    pub(crate) fn last_seen(self, heading: Heading) -> u64 {
        match heading {
            Heading::Up => load!(self.up.last_seen),
            Heading::Down => load!(self.down.last_seen),
        }
    }

    /// Packets of a direction.
    #[inline(always)] // a load
    pub(crate) fn packets(self, heading: Heading) -> u64 {
        match heading {
            Heading::Up => load!(self.up.packets),
            Heading::Down => load!(self.down.packets),
        }
    }

    /// TCP control bits seen in a direction.
    #[inline(always)] // a load
    pub(crate) fn tcp_flags(self, heading: Heading) -> u32 {
        match heading {
            Heading::Up => load!(self.up.tcp_flags),
            Heading::Down => load!(self.down.tcp_flags),
        }
    }

    /// Notes a packet in its direction's leg, which packets of no other direction write, and says how many there were.
    #[inline(always)] // loads and stores
    pub(crate) fn note(self, heading: Heading, now: u64, len: u32, flags: u8) -> u64 {
        macro_rules! note {
            ($leg:ident) => {{
                let packets = load!(self.$leg.packets).wrapping_add(1);
                store!(self.$leg.last_seen = now);
                store!(self.$leg.packets = packets);
                let bytes = load!(self.$leg.bytes).wrapping_add(u64::from(len));
                store!(self.$leg.bytes = bytes);
                let seen = load!(self.$leg.tcp_flags);
                if seen | u32::from(flags) != seen {
                    store!(self.$leg.tcp_flags = seen | u32::from(flags));
                }
                packets
            }};
        }
        match heading {
            Heading::Up => note!(up),
            Heading::Down => note!(down),
        }
    }

    #[inline(always)] // loads
    pub(crate) fn dst(self) -> (abi::Addr, abi::Port) {
        (load!(self.dst), load!(self.dst_port))
    }

    #[inline(always)] // loads
    pub(crate) fn src(self) -> (abi::Addr, abi::Port) {
        (load!(self.src), load!(self.src_port))
    }

    #[inline(always)] // loads
    pub(crate) fn backend(self) -> (abi::ServiceId, abi::BackendId, abi::Generation) {
        (load!(self.service), load!(self.backend), load!(self.generation))
    }

    /// Takes the entry over for another flow; false if somebody else just did.
    #[inline(always)] // one instruction
    pub(crate) fn claim(self, nonce: u64) -> bool {
        helpers::compare_and_swap(
            // SAFETY: only the address is taken.
            unsafe { &raw mut (*self.value.as_ptr()).nonce },
            nonce,
            0,
        )
    }

    /// Fills an entry that [`Self::claim`] took.
    #[inline(always)] // a copy
    pub(crate) fn fill(self, value: &mut FlowValue) {
        let nonce = value.nonce;
        value.nonce = 0;
        // SAFETY: as in `load!`; scratch room is no entry. The nonce goes last: until then the entry is nobody's.
        unsafe {
            core::ptr::copy_nonoverlapping(core::ptr::from_ref(value), self.value.as_ptr(), 1);
        }
        value.nonce = nonce;
        store!(self.nonce = nonce);
    }

    /// Moves the entry to the table of answered flows. If that fails, it stays where it is.
    #[inline(always)] // once a flow
    pub(crate) fn promote(self, key: &FlowKey) {
        let flags = self.flags();
        store!(self.flags = flags.with(FlowFlags::ANSWERED));
        // SAFETY: the value stays readable while the program runs.
        if FLOWS.insert(key, unsafe { self.value.as_ref() }, ANY).is_ok() {
            let _ = FLOWS_NEW.remove(key);
        } else {
            store!(self.flags = flags);
        }
    }
}

/// The work bench of this CPU, with what the last packet left there.
#[inline(always)] // one look-up
pub(crate) fn work() -> Option<&'static mut Work> {
    // SAFETY: tc programs of one CPU run one after the other, and each takes it once. Its bytes are plain numbers that
    // `Work` has, and `Read::of` overwrites what is not.
    SCRATCH.get_ptr_mut(0).map(|work| unsafe { &mut *work.cast::<Work>() })
}

/// Writes a flow that nobody has answered yet; an older one of the same ends goes. False if the kernel would not take it.
#[inline(always)] // once a flow
pub(crate) fn put_new(key: &FlowKey, value: &FlowValue) -> bool {
    let _ = FLOWS.remove(key);
    FLOWS_NEW.insert(key, value, ANY).is_ok()
}

/// Writes it unless the ends are taken, in this table; whoever needs both tables free has looked before.
#[inline(always)] // once a flow
pub(crate) fn put_if_free(key: &FlowKey, value: &FlowValue) -> bool {
    FLOWS_NEW.insert(key, value, NOEXIST).is_ok()
}

/// Remembers the ports of a packet in fragments.
#[inline(always)] // once a packet in fragments
pub(crate) fn remember_fragment(key: &FragmentKey, value: &FragmentValue) {
    let _ = FRAGMENTS.insert(key, value, ANY);
}

/// The ports of a packet in fragments.
#[inline(always)] // once a later fragment
pub(crate) fn fragment(key: &FragmentKey) -> Option<FragmentValue> {
    // SAFETY: the value is copied at once.
    unsafe { FRAGMENTS.get(key) }.copied()
}
