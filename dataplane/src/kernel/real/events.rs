//! The ring buffer of drop events, and the switch that makes programs write to it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use abi::DropEvent;
use aya::maps::{Map, MapData, MapError, RingBuf};
use zerocopy::FromBytes;

use super::maps::Table;
use crate::events::Ring;
use crate::kernel::KernelError;

/// The reading end of `EVENTS`. One a bpf-root: readers would take events from each other.
pub struct EventRing {
    ring: RingBuf<MapData>,
    listeners: Table<u32, u32>,
}

impl EventRing {
    pub(super) fn open(
        open: impl Fn(&'static str) -> Result<OwnedFd, KernelError>,
    ) -> Result<Self, KernelError> {
        let fail = |error: MapError| KernelError::Read { map: "EVENTS", source: io::Error::other(error) };
        let map = Map::RingBuf(MapData::from_fd(open("EVENTS")?).map_err(fail)?);
        Ok(Self {
            ring: map.try_into().map_err(fail)?,
            listeners: Table::new("LISTENERS", open("LISTENERS")?)?,
        })
    }
}

impl AsRawFd for EventRing {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl Ring for EventRing {
    fn next(&mut self) -> Option<DropEvent> {
        loop {
            let record = self.ring.next()?;
            // Programs of this layout write no other; one of another length tells nothing.
            if let Ok(event) = DropEvent::read_from_bytes(&record) {
                return Some(event);
            }
        }
    }

    fn set_wanted(&mut self, wanted: bool) -> Result<(), KernelError> {
        self.listeners.put(&0, &u32::from(wanted))
    }
}
