//! Kernel helpers as safe functions. An unsafe room.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use aya_ebpf::programs::{SockAddrContext, SockContext};

/// A random number.
#[inline(always)] // one helper call
pub(crate) fn random_u32() -> u32 {
    // SAFETY: takes and keeps no pointer.
    unsafe { generated::bpf_get_prandom_u32() }
}

/// The socket's cookie.
#[inline(always)] // one helper call
pub(crate) fn socket_cookie(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the kernel's own context, unmodified.
    unsafe { generated::bpf_get_socket_cookie(ctx.as_ptr()) }
}

/// The id of the ancestor, on that level, of the caller's cgroup; zero if there is none.
#[inline(always)] // one helper call
pub(crate) fn current_ancestor_cgroup(level: i32) -> u64 {
    // SAFETY: takes a number.
    unsafe { generated::bpf_get_current_ancestor_cgroup_id(level) }
}

/// The cookie of a socket that is being closed.
#[inline(always)] // one helper call
pub(crate) fn closing_socket_cookie(ctx: &SockContext) -> u64 {
    // SAFETY: the kernel's own context, unmodified.
    unsafe { generated::bpf_get_socket_cookie(ctx.as_ptr()) }
}

/// The cookie of the socket's network namespace.
#[inline(always)] // one helper call
pub(crate) fn netns_cookie(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the kernel's own context, unmodified.
    unsafe { generated::bpf_get_netns_cookie(ctx.as_ptr()) }
}

/// What the system call returns if the program refuses it: a negative errno (Linux 5.18).
#[inline(always)] // one helper call
pub(crate) fn set_retval(retval: i32) {
    // SAFETY: takes a number. It fails only for numbers that are no errno, and ours are constants.
    unsafe { generated::bpf_set_retval(retval) };
}

/// Now, in nanoseconds of the clock that ticks (`CLOCK_MONOTONIC_COARSE`, Linux 5.11): a tick is 1 to 10 ms.
#[inline(always)] // one helper call
pub(crate) fn now() -> u64 {
    // SAFETY: takes and keeps no pointer.
    unsafe { generated::bpf_ktime_get_coarse_ns() }
}

/// Puts `to` where `from` is; false if something else is there (Linux 5.12).
#[inline(always)] // one instruction
pub(crate) fn compare_and_swap(word: *mut u64, from: u64, to: u64) -> bool {
    // SAFETY: callers pass a pointer to an aligned word inside a map value that a look-up returned; the verifier checks it.
    let (_, is_done) = unsafe {
        core::intrinsics::atomic_cxchg::<
            u64,
            { core::intrinsics::AtomicOrdering::SeqCst },
            { core::intrinsics::AtomicOrdering::SeqCst },
        >(word, from, to)
    };
    is_done
}

/// Adds to a counter that other CPUs add to.
#[inline(always)] // one instruction
pub(crate) fn add(counter: *mut u64, n: u64) {
    // SAFETY: callers pass a pointer to an aligned counter inside a map value that a look-up just returned; the
    // verifier checks it.
    unsafe {
        core::arch::asm!("lock *(u64 *)({p} + 0) += {n}", p = in(reg) counter, n = in(reg) n);
    }
}
