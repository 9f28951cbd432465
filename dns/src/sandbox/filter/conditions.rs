//! Calls that are allowed with some arguments only. Arguments are numbered from 0.

use libc::*;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::Rules;

/// The rules of one call.
type Any = Result<Vec<SeccompRule>, BackendError>;

/// include/linux/net.h: flags that share an argument with a socket's type.
const SOCK_FLAGS: i32 = SOCK_CLOEXEC | SOCK_NONBLOCK;
/// include/uapi/linux/udp.h.
const UDP_ENCAP: i32 = 100;

/// All of them.
pub(super) fn rules() -> Result<Rules, BackendError> {
    Ok(Rules::from([
        (SYS_clone, clone()?),
        (SYS_fcntl, one_of(1, &[F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL])?),
        (SYS_ioctl, ioctl()?),
        (SYS_mmap, mmap()?),
        (SYS_mprotect, vec![all([masked(2, PROT_EXEC, 0)])?]),
        // Names of threads.
        (SYS_prctl, one_of(0, &[PR_SET_NAME, PR_GET_NAME])?),
        (SYS_setsockopt, setsockopt()?),
        (SYS_socket, socket()?),
        // A runtime that handles signals wakes itself through one. A stream of a pair is connected for good; a datagram
        // socket of a pair could still send to others.
        (SYS_socketpair, vec![all([is(0, AF_UNIX), masked(1, !SOCK_FLAGS, SOCK_STREAM)])?]),
        // abort() sends its signal so. The id stays ours: no process is forked from here on.
        (SYS_tgkill, vec![all([compare(0, SeccompCmpOp::Eq, std::process::id())])?]),
    ]))
}

/// Threads, and no namespaces for them.
fn clone() -> Any {
    let namespaces = CLONE_NEWCGROUP
        | CLONE_NEWIPC
        | CLONE_NEWNET
        | CLONE_NEWNS
        | CLONE_NEWPID
        | CLONE_NEWUSER
        | CLONE_NEWUTS;
    Ok(vec![all([masked(0, CLONE_THREAD | namespaces, CLONE_THREAD)])?])
}

fn ioctl() -> Any {
    // The type of a request differs by C library.
    [FIONBIO, FIOCLEX, FIONREAD].into_iter().map(|r| all([compare(1, SeccompCmpOp::Eq, r as u32)])).collect()
}

/// Memory that is not executable and that the limit counts: shared mappings and those that grow down it does not.
fn mmap() -> Any {
    Ok(vec![all([masked(2, PROT_EXEC, 0), masked(3, MAP_TYPE | MAP_GROWSDOWN, MAP_PRIVATE)])?])
}

/// TCP and UDP. Other protocols of the same types are MPTCP, SCTP, ICMP and UDP-Lite.
fn socket() -> Any {
    let mut rules = Vec::new();
    for family in [AF_INET, AF_INET6] {
        for (kind, protocol) in [(SOCK_STREAM, IPPROTO_TCP), (SOCK_DGRAM, IPPROTO_UDP)] {
            for protocol in [0, protocol] {
                rules.push(all([is(0, family), masked(1, !SOCK_FLAGS, kind), is(2, protocol)])?);
            }
        }
    }
    Ok(rules)
}

/// Options of our own protocols, less those that load programs into the kernel or make something else of a socket.
fn setsockopt() -> Any {
    Ok(vec![
        all([
            is(1, SOL_SOCKET),
            is_not(2, SO_ATTACH_FILTER),
            is_not(2, SO_ATTACH_BPF),
            is_not(2, SO_ATTACH_REUSEPORT_CBPF),
            is_not(2, SO_ATTACH_REUSEPORT_EBPF),
        ])?,
        all([is(1, IPPROTO_IP)])?,
        all([is(1, IPPROTO_IPV6)])?,
        all([is(1, IPPROTO_TCP), is_not(2, TCP_ULP)])?,
        all([is(1, IPPROTO_UDP), is_not(2, UDP_ENCAP)])?,
    ])
}

fn one_of(arg: u8, values: &[i32]) -> Any {
    values.iter().map(|&value| all([is(arg, value)])).collect()
}

fn all<const N: usize>(
    conditions: [Result<SeccompCondition, BackendError>; N],
) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}

fn is(arg: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    compare(arg, SeccompCmpOp::Eq, value.cast_unsigned())
}

fn is_not(arg: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    compare(arg, SeccompCmpOp::Ne, value.cast_unsigned())
}

fn masked(arg: u8, mask: i32, value: i32) -> Result<SeccompCondition, BackendError> {
    compare(arg, SeccompCmpOp::MaskedEq(u64::from(mask.cast_unsigned())), value.cast_unsigned())
}

/// Compares the lower 32 bits: the arguments here are int, or flags of which none lies higher.
fn compare(arg: u8, op: SeccompCmpOp, value: u32) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(arg, SeccompCmpArgLen::Dword, op, u64::from(value))
}
