//! The one place that knows a hook's return codes and errnos.

use abi::DropReason;

use crate::helpers::set_retval;
use crate::maps::stats::count_drop;

/// Let the call go on.
const ALLOW: i32 = 1;
/// Refuse the call; without [`set_retval`] that is EPERM.
const REFUSE: i32 = 0;

const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;
const ENOBUFS: i32 = 105;

/// The return code of connect and sendmsg hooks. A reason is counted here and nowhere else.
#[inline(always)] // once a program
pub(crate) fn of_call(result: Result<(), DropReason>) -> i32 {
    match result {
        Ok(()) => ALLOW,
        Err(reason) => {
            count_drop(reason);
            set_retval(-errno(reason));
            REFUSE
        }
    }
}

/// The return code of recvmsg and getpeername hooks, where the verifier takes no other, and of sock_release, whose code
/// nobody looks at.
pub(crate) const OF_ANSWER: i32 = ALLOW;

/// What the application sees.
#[inline(always)] // a table
fn errno(reason: DropReason) -> i32 {
    match reason {
        DropReason::NoEndpoints | DropReason::UnknownServicePort | DropReason::BackendsLeaving => {
            ECONNREFUSED
        }
        DropReason::NoLocalEndpoint | DropReason::UnallocatedServiceAddress => EHOSTUNREACH,
        DropReason::SocketNotRemembered => ENOBUFS,
    }
}
