//! Events, while somebody listens.

use abi::DropEvent;
use aya_ebpf::btf_maps::{Array, RingBuf};
use aya_ebpf::macros::btf_map;

#[btf_map]
static EVENTS: RingBuf<DropEvent, 1_048_576> = RingBuf::new();

#[btf_map]
static LISTENERS: Array<u32, 1> = Array::new();

/// Whether somebody reads events.
#[inline(always)] // one look-up
pub(crate) fn are_wanted() -> bool {
    LISTENERS.get(0).is_some_and(|n| *n != 0)
}

/// Tells who listens. A full buffer loses the event; the drop is counted all the same.
#[inline(always)] // once a drop
pub(crate) fn tell(event: &DropEvent) {
    let _ = EVENTS.output(event, 0);
}
