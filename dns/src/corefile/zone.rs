//! Names of zones, and networks that stand for their reverse zones.

use std::net::IpAddr;

use hickory_proto::rr::Name;
use ipnet::IpNet;

use super::directive::Word;
use super::error::{CorefileError, CorefileErrorKind};

/// A label on the wire, without its length (RFC 1035, 2.3.4).
const MAX_LABEL_BYTES: usize = 63;
/// A name on the wire, with the lengths of its labels and the root (RFC 1035, 2.3.4).
const MAX_NAME_BYTES: usize = 255;

/// Why a text is not the name of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// No text.
    #[error("expected a name, or . for the root")]
    Empty,
    /// Two dots in a row, or one at the start.
    #[error("expected a label between two dots")]
    EmptyLabel,
    /// A label of more than 63 bytes.
    #[error("expected labels of at most 63 bytes, found one of {0}")]
    LabelTooLong(usize),
    /// A name of more than 255 bytes on the wire.
    #[error("expected a name of at most 255 bytes on the wire, found {0}")]
    NameTooLong(usize),
    /// A backslash that escapes nothing.
    #[error("expected one character, or three digits up to 255, after \\")]
    BadEscape,
    /// A character that no zone has unless it is escaped.
    #[error("expected letters, digits, - and _ (other scripts are written as xn--…), found {0:?}")]
    BadCharacter(char),
    /// A network whose mask is too long.
    #[error("expected a network with a mask of at most 32 (IPv4) or 128 (IPv6)")]
    BadNetwork,
    /// A port that is none.
    #[error("expected a port from 1 to 65535 after :")]
    BadPort,
}

/// Reads the name of a zone, with or without a dot at its end; `\.` and `\065` (decimal, RFC 1035, 5.1) are escapes. The name
/// is absolute and in lower case.
///
/// # Errors
///
/// What a name cannot be. Characters that mean something elsewhere in a Corefile or in a URL are refused too, since a zone
/// with a mistyped port or scheme would pass for a name that nobody asks for.
pub fn parse_zone(text: &str) -> Result<Name, ZoneError> {
    match text {
        "" => return Err(ZoneError::Empty),
        "." => return Ok(Name::root()),
        _ => {}
    }
    let mut labels = Vec::new();
    let mut label = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '.' if label.is_empty() => return Err(ZoneError::EmptyLabel),
            '.' => labels.push(std::mem::take(&mut label)),
            '\\' => {
                let (byte, length) = escaped(rest).ok_or(ZoneError::BadEscape)?;
                label.push(byte.to_ascii_lowercase());
                rest = &rest[length..];
            }
            ':' | ',' | ';' | '"' | '(' | ')' | '{' | '}' | '@' | '$' => {
                return Err(ZoneError::BadCharacter(c));
            }
            // Graphic characters are one byte each.
            c if c.is_ascii_graphic() => label.extend(u8::try_from(c.to_ascii_lowercase())),
            c => return Err(ZoneError::BadCharacter(c)),
        }
    }
    if !label.is_empty() {
        labels.push(label);
    }
    name(&labels)
}

/// The byte that stands after a backslash, and how many bytes of text it takes.
fn escaped(text: &str) -> Option<(u8, usize)> {
    let first = text.chars().next()?;
    if first.is_ascii_digit() {
        let digits = text.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        return Some((digits.parse().ok()?, 3));
    }
    (first.is_ascii_graphic() || first == ' ').then_some(())?;
    Some((u8::try_from(first).ok()?, 1))
}

fn name(labels: &[Vec<u8>]) -> Result<Name, ZoneError> {
    if let Some(label) = labels.iter().find(|label| label.len() > MAX_LABEL_BYTES) {
        return Err(ZoneError::LabelTooLong(label.len()));
    }
    let bytes = labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
    if bytes > MAX_NAME_BYTES {
        return Err(ZoneError::NameTooLong(bytes));
    }
    // The same limits, and no other, are checked again.
    Name::from_labels(labels.iter().map(Vec::as_slice)).map_err(|_| ZoneError::NameTooLong(bytes))
}

/// Reads a zone, or a network: its reverse zone, or where its mask ends inside of a label (an octet in IPv4, four bits in
/// IPv6), the reverse zones of the networks that it consists of; at most 128.
pub(super) fn zones_of(text: &str) -> Result<Vec<Name>, ZoneError> {
    let Some((addr, _)) = text.split_once('/') else { return parse_zone(text).map(|zone| vec![zone]) };
    match (text.parse::<IpNet>(), addr.parse::<IpAddr>()) {
        (Ok(net), _) => reverse_zones(net.trunc()),
        (Err(_), Ok(_)) => Err(ZoneError::BadNetwork),
        // Zones of RFC 2317 have a slash in their first label.
        (Err(_), Err(_)) => parse_zone(text).map(|zone| vec![zone]),
    }
}

fn reverse_zones(net: IpNet) -> Result<Vec<Name>, ZoneError> {
    let step: u8 = match net {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 4,
    };
    let aligned = net.prefix_len().next_multiple_of(step);
    let subnets = net.subnets(aligned).map_err(|_| ZoneError::BadNetwork)?;
    subnets
        .map(|subnet| {
            let count = usize::from(aligned / step);
            let (mut labels, top): (Vec<Vec<u8>>, &str) = match subnet {
                IpNet::V4(net) => {
                    (net.addr().octets().iter().map(|octet| octet.to_string().into()).collect(), "in-addr")
                }
                IpNet::V6(net) => {
                    let nibbles = net.addr().octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
                    (nibbles.map(|nibble| format!("{nibble:x}").into()).collect(), "ip6")
                }
            };
            labels.truncate(count);
            labels.reverse();
            labels.extend([top.into(), "arpa".into()]);
            name(&labels)
        })
        .collect()
}

/// Whether a zone is for names of addresses.
pub(super) fn is_reverse(zone: &Name) -> bool {
    let mut labels = zone.iter().rev();
    matches!((labels.next(), labels.next()), (Some(b"arpa"), Some(b"in-addr" | b"ip6")))
}

/// The zones that words name.
pub(super) fn zones_of_words(words: &[Word]) -> Result<Vec<Name>, CorefileError> {
    let mut zones = Vec::new();
    for word in words {
        zones.extend(zones_of(&word.text).map_err(|error| word.error(CorefileErrorKind::Zone(error)))?);
    }
    Ok(zones)
}

/// What a server block is for, one word of its head.
#[derive(Debug)]
pub(super) enum Key {
    /// Zones, and a port if there is one.
    Plain { zones: Vec<Name>, port: Option<u16> },
    /// Zones over something that is not plain DNS.
    Foreign,
}

/// Reads `[dns://]ZONE[:PORT]`.
pub(super) fn parse_key(text: &str) -> Result<Key, ZoneError> {
    let plain = match text.split_once("://") {
        Some(("dns", rest)) => rest,
        Some(("tls" | "https" | "https3" | "quic" | "grpc", _)) => return Ok(Key::Foreign),
        Some(_) | None => text,
    };
    let (zone, port) = match plain.rsplit_once(':') {
        Some((zone, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = port.parse().ok().filter(|port| *port != 0).ok_or(ZoneError::BadPort)?;
            (zone, Some(port))
        }
        Some(_) | None => (plain, None),
    };
    Ok(Key::Plain { zones: zones_of(zone)?, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(zone: &Name) -> Vec<&[u8]> {
        zone.iter().collect()
    }

    #[test]
    fn a_zone_is_absolute_and_in_lower_case_with_or_without_its_last_dot() {
        for text in ["Cluster.LOCAL", "cluster.local.", "cl\\117ster.local", "\\CLUSTER.local"] {
            let zone = parse_zone(text).unwrap();
            assert_eq!(labels(&zone), [&b"cluster"[..], b"local"], "{text}");
            assert!(zone.is_fqdn());
        }
        assert!(parse_zone(".").unwrap().is_root());
        assert!(parse_zone(".").unwrap().is_fqdn());
    }

    #[test]
    fn an_escape_is_one_byte_of_a_label() {
        let zone = parse_zone("a\\.b.\\200\\000.x_y.c\\ d.\\\\").unwrap();
        assert_eq!(labels(&zone), [&b"a.b"[..], &[200, 0], b"x_y", b"c d", b"\\"]);
    }

    #[test]
    fn a_label_has_up_to_63_bytes_and_a_name_up_to_255_on_the_wire() {
        let label = "a".repeat(63);
        assert!(parse_zone(&label).is_ok());
        assert_eq!(parse_zone(&format!("{label}a.b")), Err(ZoneError::LabelTooLong(64)));
        // Three labels of 64 bytes with their lengths, one of 62, the root: 255.
        let three = [label.as_str(); 3].join(".");
        assert!(parse_zone(&format!("{three}.{}", &label[2..])).is_ok());
        assert!(parse_zone(&format!("{three}.{}.", &label[2..])).is_ok());
        assert_eq!(parse_zone(&format!("{three}.{}", &label[1..])), Err(ZoneError::NameTooLong(256)));
        // An escape of four characters is one byte.
        assert!(parse_zone(&format!("{three}.\\097{}", &label[3..])).is_ok());
    }

    #[test]
    fn what_is_no_zone_is_named() {
        for (text, error) in [
            ("", ZoneError::Empty),
            ("..", ZoneError::EmptyLabel),
            (".a", ZoneError::EmptyLabel),
            ("a..b", ZoneError::EmptyLabel),
            ("a..", ZoneError::EmptyLabel),
            ("a\\", ZoneError::BadEscape),
            ("a\\25", ZoneError::BadEscape),
            ("a\\2x5", ZoneError::BadEscape),
            ("a\\256", ZoneError::BadEscape),
            ("a\\1é", ZoneError::BadEscape),
            ("a\\é", ZoneError::BadEscape),
            ("a\\\n", ZoneError::BadEscape),
            ("bücher.example", ZoneError::BadCharacter('ü')),
            ("a b", ZoneError::BadCharacter(' ')),
            ("a:53", ZoneError::BadCharacter(':')),
            ("a\u{7f}", ZoneError::BadCharacter('\u{7f}')),
        ] {
            assert_eq!(parse_zone(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_network_is_the_reverse_zones_that_cover_it_exactly() {
        let zones = |text: &str| {
            let zones = zones_of(text).unwrap();
            zones.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(zones("10.0.0.0/8"), ["10.in-addr.arpa."]);
        assert_eq!(zones("10.96.0.0/16"), ["96.10.in-addr.arpa."]);
        assert_eq!(zones("192.0.2.7/24"), ["2.0.192.in-addr.arpa."]);
        assert_eq!(zones("192.0.2.7/32"), ["7.2.0.192.in-addr.arpa."]);
        assert_eq!(zones("0.0.0.0/0"), ["in-addr.arpa."]);
        assert_eq!(zones("::/0"), ["ip6.arpa."]);
        assert_eq!(zones("2001:db8::/32"), ["8.b.d.0.1.0.0.2.ip6.arpa."]);
        assert_eq!(
            zones("2001:db8::/30"),
            ["8", "9", "a", "b"].map(|n| format!("{n}.b.d.0.1.0.0.2.ip6.arpa."))
        );
        // The last octet that the mask cuts: 96 to 111.
        let twelve: Vec<_> = (96..112).map(|octet| format!("{octet}.10.in-addr.arpa.")).collect();
        assert_eq!(zones("10.96.0.0/12"), twelve);
        assert_eq!(zones("10.100.1.2/12"), twelve);
        assert_eq!(zones("192.0.2.4/31"), ["4.2.0.192.in-addr.arpa.", "5.2.0.192.in-addr.arpa."]);
        assert_eq!(zones("0.0.0.0/1").len(), 128);
        assert_eq!(zones("::1/128")[0].matches('.').count(), 34);
        assert_eq!(zones("0/25.2.0.192.in-addr.arpa"), ["0\\/25.2.0.192.in-addr.arpa."]);
        assert_eq!(zones_of("10.0.0.0/33"), Err(ZoneError::BadNetwork));
        assert_eq!(zones_of("10.0.0.0/"), Err(ZoneError::BadNetwork));
        assert_eq!(zones_of("::/129"), Err(ZoneError::BadNetwork));
    }

    #[test]
    fn a_reverse_zone_is_known_by_its_last_two_labels() {
        for (text, expected) in [
            ("in-addr.arpa", true),
            ("IP6.arpa.", true),
            ("10.in-addr.arpa", true),
            ("arpa", false),
            ("e164.arpa", false),
            ("in-addr.arpa.example", false),
            (".", false),
        ] {
            assert_eq!(is_reverse(&parse_zone(text).unwrap()), expected, "{text}");
        }
    }
}
