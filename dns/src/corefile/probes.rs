//! The plugins `health`, `ready` and `errors`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::directive::{Directive, Word};
use super::duration;
use super::error::CorefileError;
use super::warning::{CorefileWarningKind, Warnings};

/// CoreDNS's port of `/health`.
const HEALTH_PORT: u16 = 8080;
/// CoreDNS's port of `/ready`.
const READY_PORT: u16 = 8181;

/// Where `/health` answers, and how long the server goes on after it was told to end.
pub(super) fn read_health(health: &Directive, any: IpAddr) -> Result<(SocketAddr, Duration), CorefileError> {
    let addr = read_addr(health, HEALTH_PORT, any)?;
    let mut lameduck = Duration::ZERO;
    for option in health.options() {
        option.no_block()?;
        match &*option.name.text {
            "lameduck" => {
                let value = option.one_arg(duration::EXPECTED)?;
                lameduck = duration::parse(&value.text).ok_or_else(|| value.bad_value(duration::EXPECTED))?;
            }
            _ => return Err(option.unknown_option("lameduck")),
        }
    }
    Ok((addr, lameduck))
}

/// Where `/ready` answers.
pub(super) fn read_ready(
    ready: &Directive,
    any: IpAddr,
    warnings: &mut Warnings,
) -> Result<SocketAddr, CorefileError> {
    let addr = read_addr(ready, READY_PORT, any)?;
    for option in ready.options() {
        option.no_block()?;
        match &*option.name.text {
            "monitor" => {
                const EXPECTED: &str = "until-ready or continuously";
                let value = option.one_arg(EXPECTED)?;
                if !matches!(&*value.text, "until-ready" | "continuously") {
                    return Err(value.bad_value(EXPECTED));
                }
                warnings.add(&option.name, CorefileWarningKind::OptionUnused);
            }
            _ => return Err(option.unknown_option("monitor")),
        }
    }
    Ok(addr)
}

/// Checks `errors`, which says all by being there.
pub(super) fn read_errors(errors: &Directive, warnings: &mut Warnings) -> Result<(), CorefileError> {
    errors.at_most(1)?;
    if let Some(target) = errors.args.first().filter(|target| &*target.text != "stdout") {
        return Err(target.bad_value("stdout or nothing"));
    }
    if !errors.options().is_empty() {
        warnings.add(&errors.name, CorefileWarningKind::ErrorsOptions);
    }
    Ok(())
}

fn read_addr(directive: &Directive, default_port: u16, any: IpAddr) -> Result<SocketAddr, CorefileError> {
    directive.at_most(1)?;
    match directive.args.first() {
        Some(word) => parse_addr(word, any),
        None => Ok(SocketAddr::new(any, default_port)),
    }
}

/// `:8080`, `10.0.0.1:8080`, `[::1]:8080`, `localhost:8080`.
fn parse_addr(word: &Word, any: IpAddr) -> Result<SocketAddr, CorefileError> {
    let parsed = match word.text.rsplit_once(':') {
        Some(("", port)) => port.parse().ok().map(|port| SocketAddr::new(any, port)),
        Some(("localhost", port)) => {
            port.parse().ok().map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
        }
        Some(_) | None => word.text.parse().ok(),
    };
    parsed
        .filter(|addr| addr.port() != 0)
        .filter(|addr| !matches!(addr, SocketAddr::V6(v6) if v6.scope_id() != 0))
        .ok_or_else(|| word.bad_value("an address and a port, such as :8080 or 127.0.0.1:8080"))
}
