//! An array map through `mmap`: the only way to store a word of it in one piece.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// The memory of an array map made with `BPF_F_MMAPABLE`.
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
    stride: usize,
    entries: u32,
}

// SAFETY: shared kernel memory that is only reached through atomics; it belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: as for Send.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `entries` elements of `value_bytes`; in the mapping they lie at multiples of eight bytes.
    pub fn new(map: impl AsFd, value_bytes: usize, entries: u32) -> Self {
        let stride = value_bytes.next_multiple_of(8);
        let len = (stride * entries as usize).next_multiple_of(4096);
        let (read_write, fd) = (libc::PROT_READ | libc::PROT_WRITE, map.as_fd().as_raw_fd());
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, read_write, libc::MAP_SHARED, fd, 0) };
        assert_ne!(base, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
        Self { base: NonNull::new(base.cast()).expect("an address"), len, stride, entries }
    }

    /// The aligned word at `offset` of element `index`.
    pub fn word(&self, index: u32, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.stride);
        // SAFETY: in bounds and aligned, as `at` and the line above checked; all access is atomic.
        unsafe { self.at(index, offset).cast::<AtomicU64>().as_ref() }
    }

    /// The aligned half word at `offset` of element `index`.
    pub fn half_word(&self, index: u32, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.stride);
        // SAFETY: as in `word`.
        unsafe { self.at(index, offset).cast::<AtomicU32>().as_ref() }
    }

    fn at(&self, index: u32, offset: usize) -> NonNull<u8> {
        assert!(index < self.entries);
        // SAFETY: the element is inside the mapping and `offset` inside the element.
        unsafe { self.base.add(index as usize * self.stride + offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; no reference outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
