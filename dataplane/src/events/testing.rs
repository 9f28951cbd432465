//! A ring buffer in memory: a queue, and a socket that is readable while something is in it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use abi::DropEvent;

use super::Ring;
use crate::kernel::KernelError;

/// The writing end, as a program has it.
#[derive(Clone, Debug)]
pub(crate) struct Programs(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    events: VecDeque<DropEvent>,
    signal: UnixStream,
    is_wanted: bool,
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct MemoryRing {
    state: Arc<Mutex<State>>,
    signal: UnixStream,
}

impl MemoryRing {
    pub(crate) fn pair() -> (Self, Programs) {
        let (signal, other) = UnixStream::pair().unwrap();
        signal.set_nonblocking(true).unwrap();
        other.set_nonblocking(true).unwrap();
        // As a daemon leaves it that was killed.
        let state = State { events: VecDeque::new(), signal: other, is_wanted: true };
        let state = Arc::new(Mutex::new(state));
        (Self { state: Arc::clone(&state), signal }, Programs(state))
    }
}

impl Programs {
    /// Whether a program would write.
    pub(crate) fn are_wanted(&self) -> bool {
        self.0.lock().unwrap().is_wanted
    }

    /// Writes, whoever listens.
    pub(crate) fn write(&self, events: impl IntoIterator<Item = DropEvent>) {
        let mut state = self.0.lock().unwrap();
        state.events.extend(events);
        let _ = state.signal.write(&[1]);
    }
}

impl AsRawFd for MemoryRing {
    fn as_raw_fd(&self) -> RawFd {
        self.signal.as_raw_fd()
    }
}

impl Ring for MemoryRing {
    fn next(&mut self) -> Option<DropEvent> {
        let mut state = self.state.lock().unwrap();
        let event = state.events.pop_front();
        if event.is_none() {
            let _ = self.signal.read(&mut [0; 64]);
        }
        event
    }

    fn set_wanted(&mut self, wanted: bool) -> Result<(), KernelError> {
        self.state.lock().unwrap().is_wanted = wanted;
        Ok(())
    }
}
