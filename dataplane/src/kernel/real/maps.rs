//! Typed handles on maps: keys and values as abi types, batches where the kernel allows, words through a mapping.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::{BackendId, ServiceEntry, ServiceId, SetWord};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use super::sys::{self, MapInfo};
use crate::kernel::KernelError;

/// Entries a batch: larger ones gain nothing (measured: 1,000 entries are nearly as good as 100,000).
const BATCH: usize = 1024;

/// Entries a batch of reads: more than any hash bucket holds, or the kernel answers ENOSPC.
const READ_BATCH: usize = 4096;

/// Retries of a write that met a program in the same hash bucket (EBUSY, Linux 5.11 to 6.14).
const BUSY_RETRIES: usize = 64;

/// Bytes of an abi type as a map's key or value.
pub(super) trait MapBytes: FromBytes + IntoBytes + Immutable + FromZeros + Copy {}
impl<T: FromBytes + IntoBytes + Immutable + FromZeros + Copy> MapBytes for T {}

/// A hash, LPM trie or array of abi types, read and written by system calls.
pub(super) struct Table<K, V> {
    name: &'static str,
    fd: OwnedFd,
    max_entries: u32,
    _types: PhantomData<(K, V)>,
}

impl<K: MapBytes, V: MapBytes> Table<K, V> {
    pub(super) fn new(name: &'static str, fd: OwnedFd) -> Result<Self, KernelError> {
        let info = described(name, &fd, size_of::<K>(), size_of::<V>())?;
        Ok(Self { name, fd, max_entries: info.max_entries, _types: PhantomData })
    }

    pub(super) fn max_entries(&self) -> u32 {
        self.max_entries
    }

    fn write_error(&self, source: io::Error) -> KernelError {
        KernelError::Write { map: self.name, source }
    }

    fn read_error(&self, source: io::Error) -> KernelError {
        KernelError::Read { map: self.name, source }
    }

    pub(super) fn get(&self, key: &K) -> Result<Option<V>, KernelError> {
        let mut value = V::new_zeroed();
        // The traits' bounds make a value all bytes; a slice of length one is its whole memory.
        let bytes = std::slice::from_mut(&mut value);
        let found = sys::map_lookup(self.fd.as_fd(), key.as_bytes(), as_mut_bytes(bytes))
            .map_err(|e| self.read_error(e))?;
        Ok(found.map(|()| value))
    }

    pub(super) fn put(&self, key: &K, value: &V) -> Result<(), KernelError> {
        retry_busy(|| sys::map_update(self.fd.as_fd(), key.as_bytes(), value.as_bytes()))
            .map_err(|e| self.write_error(e))
    }

    /// Deletes; an absent key is success.
    pub(super) fn delete(&self, key: &K) -> Result<(), KernelError> {
        match retry_busy(|| sys::map_delete(self.fd.as_fd(), key.as_bytes())) {
            Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(self.write_error(e)),
            _ => Ok(()),
        }
    }

    /// Writes all pairs; where a batch stops, the pair that stopped it is tried alone and the batch goes on behind it.
    pub(super) fn put_all(&self, keys: &[K], values: &[V]) -> Vec<Result<(), KernelError>> {
        let mut results = Vec::with_capacity(keys.len());
        while results.len() < keys.len() {
            let at = results.len();
            let end = keys.len().min(at + BATCH);
            let (done, result) = if end - at == 1 {
                (0, Err(io::Error::from_raw_os_error(libc::EAGAIN)))
            } else {
                let (keys, values) = (&keys[at..end], &values[at..end]);
                sys::map_update_batch(self.fd.as_fd(), keys.as_bytes(), values.as_bytes(), (end - at) as u32)
            };
            results.extend((0..done).map(|_| Ok(())));
            if result.is_err() {
                let stopped = results.len();
                results.push(self.put(&keys[stopped], &values[stopped]));
            }
        }
        results
    }

    /// Deletes all keys; absent ones are success.
    pub(super) fn delete_all(&self, keys: &[K]) -> Vec<Result<(), KernelError>> {
        let mut results = Vec::with_capacity(keys.len());
        while results.len() < keys.len() {
            let at = results.len();
            let end = keys.len().min(at + BATCH);
            let (done, result) = if end - at == 1 {
                (0, Err(io::Error::from_raw_os_error(libc::EAGAIN)))
            } else {
                let keys = &keys[at..end];
                sys::map_delete_batch(self.fd.as_fd(), keys.as_bytes(), (end - at) as u32)
            };
            results.extend((0..done).map(|_| Ok(())));
            if result.is_err() {
                let stopped = results.len();
                results.push(self.delete(&keys[stopped]));
            }
        }
        results
    }

    /// Calls `each` with every pair. A pair that is written meanwhile may be seen old, new or not at all.
    pub(super) fn for_each(&self, mut each: impl FnMut(K, V)) -> Result<(), KernelError> {
        let mut keys = vec![K::new_zeroed(); READ_BATCH];
        let mut values = vec![V::new_zeroed(); READ_BATCH];
        let mut cursor = sys::Cursor::default();
        // A map that changes could otherwise be read for ever.
        for _ in 0..=self.max_entries {
            let (read, has_more) = sys::map_lookup_batch(
                self.fd.as_fd(),
                &mut cursor,
                as_mut_bytes(&mut keys),
                as_mut_bytes(&mut values),
                READ_BATCH as u32,
            )
            .map_err(|e| self.read_error(e))?;
            keys.iter().zip(&values).take(read as usize).for_each(|(key, value)| each(*key, *value));
            if !has_more {
                break;
            }
        }
        Ok(())
    }
}

/// A per-CPU array of `u64` counters.
pub(super) struct PerCpuCounters {
    name: &'static str,
    fd: OwnedFd,
    cpus: usize,
}

impl PerCpuCounters {
    pub(super) fn new(name: &'static str, fd: OwnedFd) -> Result<Self, KernelError> {
        described(name, &fd, size_of::<u32>(), size_of::<u64>())?;
        let cpus = aya::util::nr_cpus().map_err(|(_, source)| KernelError::Read { map: name, source })?;
        Ok(Self { name, fd, cpus })
    }

    /// The sum over all CPUs; zero for an index outside.
    pub(super) fn sum(&self, index: u32) -> Result<u64, KernelError> {
        let mut values = vec![0u64; self.cpus];
        sys::map_lookup(self.fd.as_fd(), index.as_bytes(), as_mut_bytes(&mut values))
            .map_err(|source| KernelError::Read { map: self.name, source })?;
        Ok(values.iter().sum())
    }
}

/// An array that is mapped into our memory. Elements have a stride of eight bytes or a multiple of it.
struct Mapping {
    name: &'static str,
    base: NonNull<u8>,
    len: usize,
    stride: usize,
    max_entries: u32,
}

// SAFETY: the mapping is shared kernel memory, reached only through atomics; it is not tied to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(name: &'static str, fd: &OwnedFd, value_size: usize) -> Result<Self, KernelError> {
        let info = described(name, fd, size_of::<u32>(), value_size)?;
        let stride = value_size.next_multiple_of(8);
        let len = stride.saturating_mul(info.max_entries as usize).next_multiple_of(sys::page_size());
        // SAFETY: a new shared mapping of the map's memory at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                std::os::fd::AsRawFd::as_raw_fd(fd),
                0,
            )
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => {
                Ok(Self { name, base, len, stride, max_entries: info.max_entries })
            }
            _ => Err(KernelError::Read { map: name, source: io::Error::last_os_error() }),
        }
    }

    /// The bytes of one element's word at `offset`, if the element exists.
    fn at(&self, index: u32, offset: usize) -> Result<NonNull<u8>, KernelError> {
        if index >= self.max_entries || offset >= self.stride {
            return Err(KernelError::OutOfRange { map: self.name, index });
        }
        // SAFETY: index and offset were just checked against the mapping's size.
        Ok(unsafe { self.base.add(index as usize * self.stride + offset) })
    }

    fn word(&self, index: u32, offset: usize) -> Result<&AtomicU64, KernelError> {
        debug_assert_eq!(offset % 8, 0);
        let at = self.at(index, offset)?.cast::<AtomicU64>();
        // SAFETY: in bounds (see `at`), aligned (stride and offset are multiples of 8), alive as long as `self`; all
        // other accesses in user space go through atomics, and programs read whole aligned words.
        Ok(unsafe { at.as_ref() })
    }

    fn half_word(&self, index: u32, offset: usize) -> Result<&AtomicU32, KernelError> {
        debug_assert_eq!(offset % 4, 0);
        let at = self.at(index, offset)?.cast::<AtomicU32>();
        // SAFETY: as in `word`, with an alignment of 4.
        Ok(unsafe { at.as_ref() })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, unmapped once; no reference outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// `SERVICES` through its mapping.
pub(super) struct Services(Mapping);

impl Services {
    pub(super) fn new(name: &'static str, fd: &OwnedFd) -> Result<Self, KernelError> {
        Mapping::new(name, fd, size_of::<ServiceEntry>()).map(Self)
    }

    pub(super) fn max_entries(&self) -> u32 {
        self.0.max_entries
    }

    /// Stores one entry, word by word: `local` before `cluster`, so that a Service that gains its first endpoints under
    /// a Local policy is at no moment "endpoints, but none here"; then what no choice depends on.
    pub(super) fn store(&self, id: ServiceId, entry: &ServiceEntry) -> Result<(), KernelError> {
        use std::mem::offset_of;
        let half = |offset, value| {
            self.0.half_word(id.0, offset).map(|w: &AtomicU32| w.store(value, Ordering::Release))
        };
        half(offset_of!(ServiceEntry, generation), entry.generation.0)?;
        half(offset_of!(ServiceEntry, affinity_secs), entry.affinity_secs)?;
        half(offset_of!(ServiceEntry, algorithm), u32::from(entry.algorithm).to_le())?;
        self.0.word(id.0, offset_of!(ServiceEntry, local))?.store(entry.local.0, Ordering::Release);
        half(offset_of!(ServiceEntry, flags), entry.flags.0)?;
        self.0.word(id.0, offset_of!(ServiceEntry, cluster))?.store(entry.cluster.0, Ordering::Release);
        Ok(())
    }

    pub(super) fn load(&self, id: ServiceId) -> Result<ServiceEntry, KernelError> {
        use std::mem::offset_of;
        let word = |offset| self.0.word(id.0, offset).map(|w| w.load(Ordering::Acquire));
        let half = |offset| self.0.half_word(id.0, offset).map(|w| w.load(Ordering::Acquire));
        let mut entry = ServiceEntry::empty(abi::Generation(half(offset_of!(ServiceEntry, generation))?));
        entry.cluster = SetWord(word(offset_of!(ServiceEntry, cluster))?);
        entry.local = SetWord(word(offset_of!(ServiceEntry, local))?);
        entry.flags = abi::ServiceFlags(half(offset_of!(ServiceEntry, flags))?);
        entry.affinity_secs = half(offset_of!(ServiceEntry, affinity_secs))?;
        entry.algorithm = half(offset_of!(ServiceEntry, algorithm))?.to_le_bytes()[0];
        Ok(entry)
    }
}

/// `SLOTS` through its mapping.
pub(super) struct Slots(Mapping);

impl Slots {
    pub(super) fn new(name: &'static str, fd: &OwnedFd) -> Result<Self, KernelError> {
        Mapping::new(name, fd, size_of::<BackendId>()).map(Self)
    }

    pub(super) fn max_entries(&self) -> u32 {
        self.0.max_entries
    }

    pub(super) fn store(&self, base: u32, backends: &[BackendId]) -> Result<(), KernelError> {
        for (slot, backend) in (base..).zip(backends) {
            self.0.half_word(slot, 0)?.store(backend.0, Ordering::Release);
        }
        Ok(())
    }

    pub(super) fn load(&self, slot: u32) -> Result<BackendId, KernelError> {
        self.0.half_word(slot, 0).map(|w| BackendId(w.load(Ordering::Acquire)))
    }
}

/// The map's description, if its sizes are the abi's.
fn described(name: &'static str, fd: &OwnedFd, key: usize, value: usize) -> Result<MapInfo, KernelError> {
    let info = sys::map_info(fd.as_fd()).map_err(|source| KernelError::Read { map: name, source })?;
    if info.key_size as usize == key && info.value_size as usize == value {
        Ok(info)
    } else {
        Err(KernelError::Missing(name))
    }
}

fn retry_busy(mut write: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut last = write();
    for _ in 0..BUSY_RETRIES {
        match &last {
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::yield_now();
                last = write();
            }
            _ => break,
        }
    }
    last
}

fn as_mut_bytes<T: MapBytes>(values: &mut [T]) -> &mut [u8] {
    let len = size_of_val(values);
    // SAFETY: `MapBytes` types have no padding (IntoBytes) and accept any bytes (FromBytes); the slice covers exactly
    // the memory of `values`, borrowed mutably for as long.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), len) }
}
