//! The system call filter.
//!
//! A program has one answer for what it lists and one for the rest, so there are three of them, and the kernel takes the
//! severest of their answers:
//!
//! | program | listed | the rest |
//! | --- | --- | --- |
//! | attacks | the process ends | allowed |
//! | clone3 | ENOSYS | allowed |
//! | server | allowed | EPERM |
//!
//! All of them end the process on a call of another architecture (32-bit calls of an x86-64 process). Calls that all allow
//! whatever their arguments are kept in a bitmap by the kernel (since Linux 5.11) and cost some 20 ns more than without a
//! filter; those under conditions cost 220 (measured: 6.18, a loop of calls that fail at once). So what a server calls for
//! each packet has no conditions.

mod calls;
mod conditions;

use std::collections::BTreeMap;

use libc::{ENOSYS, EPERM};
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch};

use super::SandboxError;

/// Rules by system call: any of them is enough, none at all means always.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Filters the calls of this thread and of those it starts.
pub(super) fn install() -> Result<(), SandboxError> {
    for program in programs().map_err(|source| SandboxError::BuildFilter { source })? {
        seccompiler::apply_filter(&program).map_err(|source| SandboxError::InstallFilter { source })?;
    }
    Ok(())
}

/// The programs in the order of their installation: after the last one no other can follow.
fn programs() -> Result<[BpfProgram; 3], BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let build = |rules, listed, rest| SeccompFilter::new(rules, rest, listed, arch)?.try_into();
    let mut server = always(calls::SERVER);
    server.extend(conditions::rules()?);
    Ok([
        build(always(calls::ATTACKS), SeccompAction::KillProcess, SeccompAction::Allow)?,
        // Its flags lie in memory, where a filter cannot look. C libraries then use clone, whose flags it can see.
        build(always(&[libc::SYS_clone3]), errno(ENOSYS), SeccompAction::Allow)?,
        build(server, SeccompAction::Allow, errno(EPERM))?,
    ])
}

fn always(calls: &[i64]) -> Rules {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_deadly() {
        let allowed = conditions::rules().unwrap();
        let both: Vec<i64> = calls::ATTACKS
            .iter()
            .copied()
            .filter(|call| calls::SERVER.contains(call) || allowed.contains_key(call))
            .collect();
        assert!(both.is_empty(), "{both:?}");
    }

    #[test]
    fn a_call_with_conditions_is_not_also_allowed_without() {
        let rules = conditions::rules().unwrap();
        let loose: Vec<i64> = calls::SERVER.iter().copied().filter(|call| rules.contains_key(call)).collect();
        assert!(loose.is_empty(), "{loose:?}");
        let unconditional: Vec<&i64> =
            rules.iter().filter(|(_, any)| any.is_empty()).map(|(call, _)| call).collect();
        assert!(unconditional.is_empty(), "{unconditional:?} have no condition");
    }
}
