//! The plugin `forward`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use hickory_proto::rr::Name;

use super::directive::{Directive, Word};
use super::duration;
use super::error::{CorefileError, CorefileErrorKind};
use super::warning::{CorefileWarningKind, Warnings};
use super::zone;
use crate::config::{ForwardConfig, Policy, Transport, Upstreams};

const OPTIONS: &str = "except, force_tcp, prefer_udp, policy, max_concurrent, max_fails, \
                       or an option of CoreDNS that is not used";
const DNS_PORT: u16 = 53;

/// Reads the plugin. A network as its `FROM` is one forwarder for each of its reverse zones.
pub(super) fn read(
    directive: &Directive,
    warnings: &mut Warnings,
) -> Result<Vec<ForwardConfig>, CorefileError> {
    const EXPECTED: &str = "a zone and upstreams";
    let Some((from, to)) = directive.args.split_first() else { return Err(directive.missing(EXPECTED)) };
    let zones = zone::zones_of_words(std::slice::from_ref(from))?;
    if to.is_empty() {
        return Err(directive.missing(EXPECTED));
    }
    // The options are the same for all of them; the zone is put in at the end.
    let mut forward = ForwardConfig::new(Name::root(), read_upstreams(to)?);
    for option in directive.options() {
        option.no_block()?;
        read_option(option, &mut forward, warnings)?;
    }
    Ok(zones.into_iter().map(|from| ForwardConfig { from, ..forward.clone() }).collect())
}

fn read_upstreams(to: &[Word]) -> Result<Upstreams, CorefileError> {
    if let Some(extra) = to.get(ForwardConfig::MAX_UPSTREAMS) {
        return Err(extra.error(CorefileErrorKind::TooManyUpstreams { max: ForwardConfig::MAX_UPSTREAMS }));
    }
    match (to.iter().find(|word| word.text.starts_with('/')), to) {
        (Some(file), [_]) => Ok(Upstreams::File(PathBuf::from(&*file.text))),
        (Some(file), _) => Err(file.error(CorefileErrorKind::FileNotAlone)),
        (None, _) => Ok(Upstreams::Addrs(to.iter().map(read_upstream).collect::<Result<_, _>>()?)),
    }
}

/// `10.0.0.1`, `10.0.0.1:5353`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5353`, with `dns://` or without.
fn read_upstream(word: &Word) -> Result<SocketAddr, CorefileError> {
    let plain = match word.text.split_once("://") {
        Some(("dns", rest)) => rest,
        Some((scheme, _)) => return Err(word.error(CorefileErrorKind::Scheme { scheme: scheme.into() })),
        None => &*word.text,
    };
    if plain.contains('%') {
        return Err(word.error(CorefileErrorKind::ScopedAddress));
    }
    let bare = plain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(plain);
    match (IpAddr::from_str(bare), SocketAddr::from_str(plain)) {
        (Ok(addr), _) => Ok(SocketAddr::new(addr, DNS_PORT)),
        (Err(_), Ok(addr)) if addr.port() != 0 => Ok(addr),
        (Err(_), _) => Err(word.bad_value("an address, address:port, [address]:port or the path of a file")),
    }
}

fn read_option(
    option: &Directive,
    forward: &mut ForwardConfig,
    warnings: &mut Warnings,
) -> Result<(), CorefileError> {
    match &*option.name.text {
        "except" => forward.except.extend(zone::zones_of_words(option.some_args("zones")?)?),
        "force_tcp" => {
            option.no_args()?;
            forward.transport = Transport::ForceTcp;
        }
        "prefer_udp" => {
            option.no_args()?;
            // Of the two, force_tcp counts, in either order.
            if forward.transport == Transport::AsAsked {
                forward.transport = Transport::PreferUdp;
            }
        }
        "policy" => forward.policy = read_policy(option)?,
        "max_concurrent" => {
            forward.max_concurrent = match read_count(option)? {
                0 => {
                    warnings.add(&option.name, CorefileWarningKind::NeverUnlimited);
                    ForwardConfig::MAX_CONCURRENT
                }
                count => count,
            }
        }
        "max_fails" => forward.max_fails = read_count(option)?,
        _ => {
            check_unused(option)?;
            warnings.add(&option.name, CorefileWarningKind::OptionUnused);
        }
    }
    Ok(())
}

fn read_policy(option: &Directive) -> Result<Policy, CorefileError> {
    const EXPECTED: &str = "random, round_robin or sequential";
    let policy = option.one_arg(EXPECTED)?;
    match &*policy.text {
        "random" => Ok(Policy::Random),
        "round_robin" => Ok(Policy::RoundRobin),
        "sequential" => Ok(Policy::Sequential),
        _ => Err(policy.bad_value(EXPECTED)),
    }
}

fn read_count(option: &Directive) -> Result<u32, CorefileError> {
    const EXPECTED: &str = "a number from 0 to 4294967295";
    let count = option.one_arg(EXPECTED)?;
    count.text.parse().map_err(|_| count.bad_value(EXPECTED))
}

/// Whether an option of CoreDNS that is not used is at least written correctly.
fn check_unused(option: &Directive) -> Result<(), CorefileError> {
    match &*option.name.text {
        "expire" => check_duration(option.one_arg(duration::EXPECTED)?),
        "health_check" => check_duration(option.first_arg(duration::EXPECTED)?),
        "tls" => option.at_most(3),
        "tls_servername" | "max_idle_conns" | "max_connect_attempts" | "doh_method" => {
            option.one_arg("a value").map(|_| ())
        }
        "next" | "failover" | "resolver" => option.first_arg("one value or more").map(|_| ()),
        "failfast_all_unhealthy_upstreams" | "next_on_nodata" => option.no_args(),
        _ => Err(option.unknown_option(OPTIONS)),
    }
}

fn check_duration(word: &Word) -> Result<(), CorefileError> {
    match duration::parse(&word.text) {
        Some(_) => Ok(()),
        None => Err(word.bad_value(duration::EXPECTED)),
    }
}
