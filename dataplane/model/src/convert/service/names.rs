//! Names that DNS can tell.

use std::net::IpAddr;

/// Longest label in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_BYTES: usize = 63;
/// Longest name as text, without a last dot: 255 bytes in a packet.
const MAX_NAME_BYTES: usize = 253;

/// Whether a text is a label as the API allows it for Services and namespaces (RFC 1123, 2.1, in lower case).
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=MAX_LABEL_BYTES).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Why a text is no name that an alias can lead to; none if it is one. Wider than the API: capitals and underscores are in
/// names that people use.
pub(super) fn fault_of_name(text: &str) -> Option<&'static str> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let is_label = |label: &str| (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(is_inner);
    if name.parse::<IpAddr>().is_ok() {
        Some("an address and not a name")
    } else if name.len() > MAX_NAME_BYTES || !name.split('.').all(is_label) {
        Some("not a DNS name")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_the_api_allows() {
        for text in ["a", "0", "web-1", &"a".repeat(63)] {
            assert!(is_dns_label(text), "{text:?}");
        }
        for text in ["", "A", "a.b", "a_b", "-a", "a-", "ä", "a b", &"a".repeat(64)] {
            assert!(!is_dns_label(text), "{text:?}");
        }
    }

    #[test]
    fn names_are_what_can_be_asked_for() {
        let label = "a".repeat(63);
        let longest = [label.as_str(), &label, &label, &"a".repeat(61)].join(".");
        for text in ["a", "db.example.org", "db.example.org.", "DB_1.Example.org", "1.2.3", &label, &longest]
        {
            assert_eq!(fault_of_name(text), None, "{text:?}");
        }
        for text in ["10.0.0.1", "10.0.0.1.", "fd00::1"] {
            assert_eq!(fault_of_name(text), Some("an address and not a name"), "{text:?}");
        }
        let (long_label, long_name) = ("a".repeat(64), format!("{longest}a"));
        for text in
            ["", ".", "a..b", ".a", "a..", "a b", "https://a.example/", "ä.example", &long_label, &long_name]
        {
            assert_eq!(fault_of_name(text), Some("not a DNS name"), "{text:?}");
        }
    }
}
