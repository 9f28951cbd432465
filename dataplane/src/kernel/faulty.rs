//! A kernel that fails by plan: a wrapper for tests of what happens when writes do not come through.

use std::collections::BTreeMap;

use abi::{BackendId, IfIndex, ServiceId};
use compile::{Dump, Hooks, Limits, Op};

use super::live::Live;
use super::{Counters, GraceWait, Kernel, KernelError, map_of};

/// Fails a share of the writes, chosen by a seeded generator, until told to stop.
#[derive(Debug)]
pub struct Faulty<K> {
    inner: K,
    state: u64,
    fail_per_mille: u64,
}

impl<K> Faulty<K> {
    /// Fails `fail_per_mille` of a thousand writes; one seed gives one sequence of faults.
    #[must_use]
    pub fn new(inner: K, seed: u64, fail_per_mille: u64) -> Self {
        // A zero state would stay zero.
        Self { inner, state: seed | 1, fail_per_mille }
    }

    /// Changes the share of failing writes; zero ends the faults.
    pub fn set_rate(&mut self, fail_per_mille: u64) {
        self.fail_per_mille = fail_per_mille;
    }

    /// The kernel behind.
    #[must_use]
    pub fn inner(&self) -> &K {
        &self.inner
    }

    /// The kernel behind, to change it behind the daemon's back.
    pub fn inner_mut(&mut self) -> &mut K {
        &mut self.inner
    }

    /// The next number of a xorshift generator.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

impl<K: Kernel> Kernel for Faulty<K> {
    fn dump(&mut self) -> Result<Dump, KernelError> {
        self.inner.dump()
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            if self.next() % 1000 < self.fail_per_mille {
                results.push(Err(KernelError::Injected { map: map_of(op) }));
            } else {
                results.append(&mut self.inner.apply(std::slice::from_ref(op)));
            }
        }
        results
    }

    fn attach(&mut self) -> Result<(), KernelError> {
        self.inner.attach()
    }

    fn attach_devices(&mut self, wanted: &BTreeMap<IfIndex, Hooks>) -> Vec<KernelError> {
        self.inner.attach_devices(wanted)
    }

    fn check_devices(&mut self) -> usize {
        self.inner.check_devices()
    }

    fn attached(&mut self) -> Vec<&'static str> {
        self.inner.attached()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn counters(&mut self, services: &[ServiceId], backends: &[BackendId]) -> Result<Counters, KernelError> {
        self.inner.counters(services, backends)
    }

    fn live(&self) -> &dyn Live {
        self.inner.live()
    }

    fn grace(&mut self) -> Result<GraceWait, KernelError> {
        self.inner.grace()
    }
}
