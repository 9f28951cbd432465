//! What is counted when.

use abi::{BackendId, DropReason, ServiceId};

use crate::maps::stats::{ServiceCounter, count_backend, count_service};

/// A socket, or an unconnected socket's flow, went to a backend.
#[inline(always)] // two counters
pub(crate) fn sent(service: ServiceId, backend: BackendId) {
    count_service(service, ServiceCounter::Connections);
    count_backend(backend);
}

/// A Service port's call was not let through. The reason itself is counted with the verdict.
#[inline(always)] // one counter
pub(crate) fn stopped(service: ServiceId, reason: DropReason) {
    let counter = match reason {
        DropReason::NoEndpoints | DropReason::BackendsLeaving => ServiceCounter::Refused,
        DropReason::NoLocalEndpoint => ServiceCounter::Dropped,
        // Not the outcome of a choice among a Service port's backends.
        DropReason::UnallocatedServiceAddress
        | DropReason::UnknownServicePort
        | DropReason::SocketNotRemembered
        | DropReason::SpoofedSource
        | DropReason::EgressDenied
        | DropReason::IngressDenied
        | DropReason::PolicyNotProgrammed
        | DropReason::Malformed
        | DropReason::FragmentWithoutFirst
        | DropReason::NoSnatPort
        | DropReason::NoRoute
        | DropReason::PacketTooBig
        | DropReason::TtlExpired => return,
    };
    count_service(service, counter);
}

/// A socket went to a backend but cannot remember its VIP.
#[inline(always)] // one counter
pub(crate) fn unremembered(service: ServiceId) {
    count_service(service, ServiceCounter::Unremembered);
}
