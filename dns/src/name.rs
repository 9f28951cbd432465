//! The cluster's DNS schema (kubernetes/dns, specification 1.1.0): what a name below a zone stands for. Pure text, no
//! state.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Name;

use crate::record::PortProtocol;

/// The version of the specification, which `dns-version.<zone>` tells.
pub const SCHEMA_VERSION: &str = "1.1.0";

/// What a name stands for, by the schema alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterName<'a> {
    /// The zone itself.
    Apex,
    /// `dns-version`.
    Version,
    /// `dns`: above the next.
    Dns,
    /// `ns.dns`: the name server, where no Service is.
    NameServer,
    /// `svc`.
    Services,
    /// `<namespace>.svc`.
    Namespace(&'a str),
    /// `<service>.<namespace>.svc`.
    Service(ServiceName<'a>),
    /// `_<protocol>.<service>.<namespace>.svc`: above the next.
    Protocol(ServiceName<'a>, PortProtocol),
    /// `_<port>._<protocol>.<service>.<namespace>.svc`.
    Port(ServiceName<'a>, PortProtocol, &'a str),
    /// `<endpoint>.<service>.<namespace>.svc`.
    Endpoint(ServiceName<'a>, &'a str),
    /// `pod`.
    Pods,
    /// `<namespace>.pod`.
    PodNamespace(&'a str),
    /// `<address with dashes>.<namespace>.pod`.
    Pod {
        /// The namespace.
        namespace: &'a str,
        /// The address.
        addr: IpAddr,
    },
    /// Nothing that the schema has.
    Nothing,
}

/// Namespace and name of a Service, as labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceName<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

/// The longest name of the schema has so many labels below the zone.
const MAX_LABELS: usize = 5;

/// What `name`, which is lower case and in `zone`, stands for.
#[must_use]
pub fn parse<'a>(name: &'a Name, zone: &Name) -> ClusterName<'a> {
    // Not `num_labels`, which leaves out an asterisk.
    let count = name.iter().count().saturating_sub(zone.iter().count());
    if count > MAX_LABELS {
        return ClusterName::Nothing;
    }
    let mut labels = [""; MAX_LABELS];
    for (place, label) in labels.iter_mut().zip(name.iter().take(count)) {
        match std::str::from_utf8(label) {
            Ok(label) => *place = label,
            Err(_) => return ClusterName::Nothing,
        }
    }
    parse_labels(&labels[..count])
}

fn parse_labels<'a>(labels: &[&'a str]) -> ClusterName<'a> {
    match *labels {
        [] => ClusterName::Apex,
        ["dns-version"] => ClusterName::Version,
        ["dns"] => ClusterName::Dns,
        ["ns", "dns"] => ClusterName::NameServer,
        ["svc"] => ClusterName::Services,
        [namespace, "svc"] => ClusterName::Namespace(namespace),
        [name, namespace, "svc"] => ClusterName::Service(ServiceName { namespace, name }),
        [label, name, namespace, "svc"] => {
            let service = ServiceName { namespace, name };
            match PortProtocol::from_label(label) {
                Some(protocol) => ClusterName::Protocol(service, protocol),
                None => ClusterName::Endpoint(service, label),
            }
        }
        [port, protocol, name, namespace, "svc"] => {
            match (port.strip_prefix('_'), PortProtocol::from_label(protocol)) {
                (Some(port), Some(protocol)) if !port.is_empty() => {
                    ClusterName::Port(ServiceName { namespace, name }, protocol, port)
                }
                _ => ClusterName::Nothing,
            }
        }
        ["pod"] => ClusterName::Pods,
        [namespace, "pod"] => ClusterName::PodNamespace(namespace),
        [label, namespace, "pod"] => match parse_dashed(label) {
            Some(addr) => ClusterName::Pod { namespace, addr },
            None => ClusterName::Nothing,
        },
        _ => ClusterName::Nothing,
    }
}

/// The label of an endpoint without a hostname: `10-244-1-5`, `fd00-10--5`. A label that would end with a dash gets a
/// zero, as CoreDNS gives it.
#[must_use]
pub fn dashed(addr: IpAddr) -> String {
    let mut text = addr.to_string().replace(['.', ':'], "-");
    if text.ends_with('-') {
        text.push('0');
    }
    text
}

/// The address that a label of dashes and digits means.
#[must_use]
pub fn parse_dashed(label: &str) -> Option<IpAddr> {
    if label.bytes().filter(|c| *c == b'-').count() == 3
        && label.bytes().all(|c| c == b'-' || c.is_ascii_digit())
        && let Ok(v4) = label.replace('-', ".").parse::<Ipv4Addr>()
    {
        return Some(IpAddr::V4(v4));
    }
    label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// What a name below `in-addr.arpa` or `ip6.arpa` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReverseName {
    /// An address.
    Addr(IpAddr),
    /// Above addresses: too few labels.
    Above,
    /// Nothing.
    Nothing,
}

/// What a lower-case reverse name stands for (RFC 1035, 3.5; RFC 3596, 2.5).
#[must_use]
pub fn parse_reverse(name: &Name) -> ReverseName {
    let labels: Vec<&[u8]> = name.iter().collect();
    match labels.as_slice() {
        [octets @ .., b"in-addr", b"arpa"] => digits(octets, 4, 255, &decimal, |all| {
            let mut addr = [0_u8; 4];
            for (place, octet) in addr.iter_mut().zip(all.iter().rev()) {
                *place = *octet;
            }
            IpAddr::from(addr)
        }),
        [nibbles @ .., b"ip6", b"arpa"] => digits(nibbles, 32, 15, &hexadecimal, |all| {
            let mut addr = [0_u8; 16];
            for (i, nibble) in all.iter().rev().enumerate() {
                if let Some(byte) = addr.get_mut(i / 2) {
                    *byte = *byte << 4 | *nibble;
                }
            }
            IpAddr::from(addr)
        }),
        _ => ReverseName::Nothing,
    }
}

fn digits(
    labels: &[&[u8]],
    count: usize,
    max: u16,
    read: &dyn Fn(&[u8]) -> Option<u16>,
    addr: impl Fn(&[u8]) -> IpAddr,
) -> ReverseName {
    let mut all = Vec::with_capacity(count);
    for label in labels {
        match read(label).filter(|value| *value <= max).and_then(|value| u8::try_from(value).ok()) {
            Some(value) if all.len() < count => all.push(value),
            Some(_) | None => return ReverseName::Nothing,
        }
    }
    if all.len() < count { ReverseName::Above } else { ReverseName::Addr(addr(&all)) }
}

fn decimal(label: &[u8]) -> Option<u16> {
    let is_plain = matches!(label, [b'0'] | [b'1'..=b'9', ..]) && label.len() <= 3;
    let text = std::str::from_utf8(label).ok().filter(|_| is_plain)?;
    text.parse().ok()
}

fn hexadecimal(label: &[u8]) -> Option<u16> {
    match label {
        [digit] => char::from(*digit).to_digit(16).and_then(|value| u16::try_from(value).ok()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
