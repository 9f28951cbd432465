//! The tables of conversations.

use std::os::fd::OwnedFd;

use abi::{FlowKey, FlowValue};

use super::maps::Table;
use crate::flows::FlowSource;
use crate::kernel::KernelError;

/// Handles on `FLOWS` and `FLOWS_NEW`. They read and never write.
pub struct FlowMaps {
    answered: Table<FlowKey, FlowValue>,
    new: Table<FlowKey, FlowValue>,
}

impl FlowMaps {
    pub(super) fn open(
        open: impl Fn(&'static str) -> Result<OwnedFd, KernelError>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            answered: Table::new("FLOWS", open("FLOWS")?)?,
            new: Table::new("FLOWS_NEW", open("FLOWS_NEW")?)?,
        })
    }
}

impl FlowSource for FlowMaps {
    fn for_each(&self, each: &mut dyn FnMut(FlowKey, FlowValue)) -> Result<(), KernelError> {
        self.answered.for_each(&mut *each)?;
        self.new.for_each(each)
    }
}
