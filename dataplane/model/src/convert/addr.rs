//! Which addresses can be a frontend's or an endpoint's.

use std::net::IpAddr;

/// Who vouches for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The cluster assigns it (clusterIP, load balancer, node): an IPv4 link-local address is as good as any.
    Assigned,
    /// A user writes it (externalIP, endpoint): the API refuses link-local addresses, lest a Service lead to a cloud's
    /// metadata server.
    Written,
}

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddrFault {
    #[error("not an IP address")]
    Malformed,
    #[error("the unspecified address")]
    Unspecified,
    #[error("a loopback address")]
    Loopback,
    #[error("a multicast address")]
    Multicast,
    #[error("the broadcast address")]
    Broadcast,
    #[error("a link-local address")]
    LinkLocal,
    #[error("an IPv4 address in IPv6 form")]
    V4Mapped,
}

/// Parses an address that connections may be opened to.
///
/// Two spellings that old API servers let through are refused, as new ones refuse them (KEP-4858): leading zeros in
/// IPv4, which some read as octal, and IPv4 in IPv6 form, which some read as the other family.
pub(super) fn parse(text: &str, origin: Origin) -> Result<IpAddr, AddrFault> {
    let addr: IpAddr = text.parse().map_err(|_| AddrFault::Malformed)?;
    if addr.is_unspecified() {
        return Err(AddrFault::Unspecified);
    }
    if addr.is_loopback() {
        return Err(AddrFault::Loopback);
    }
    if addr.is_multicast() {
        return Err(AddrFault::Multicast);
    }
    match addr {
        IpAddr::V4(v4) if v4.is_broadcast() => Err(AddrFault::Broadcast),
        IpAddr::V4(v4) if v4.is_link_local() && origin == Origin::Written => Err(AddrFault::LinkLocal),
        // Without its interface an fe80:: address is nobody's.
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(AddrFault::LinkLocal),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Err(AddrFault::V4Mapped),
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(addr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_connection_goes_to_are_refused_whoever_names_them() {
        for (text, fault) in [
            ("", AddrFault::Malformed),
            ("10.96.0.300", AddrFault::Malformed),
            ("10.96.0.010", AddrFault::Malformed),
            ("10.96.0.1/32", AddrFault::Malformed),
            (" 10.96.0.1", AddrFault::Malformed),
            ("fe80::1%eth0", AddrFault::Malformed),
            ("0.0.0.0", AddrFault::Unspecified),
            ("::", AddrFault::Unspecified),
            ("127.0.0.1", AddrFault::Loopback),
            ("127.255.255.254", AddrFault::Loopback),
            ("::1", AddrFault::Loopback),
            ("224.0.0.1", AddrFault::Multicast),
            ("239.1.2.3", AddrFault::Multicast),
            ("ff02::1", AddrFault::Multicast),
            ("255.255.255.255", AddrFault::Broadcast),
            ("fe80::1", AddrFault::LinkLocal),
            ("::ffff:10.96.0.1", AddrFault::V4Mapped),
            ("::ffff:127.0.0.1", AddrFault::V4Mapped),
        ] {
            for origin in [Origin::Assigned, Origin::Written] {
                assert_eq!(parse(text, origin), Err(fault), "{text} {origin:?}");
            }
        }
    }

    #[test]
    fn ipv4_link_local_addresses_are_taken_from_the_cluster_and_not_from_users() {
        assert!(parse("169.254.20.10", Origin::Assigned).is_ok());
        assert_eq!(parse("169.254.169.254", Origin::Written), Err(AddrFault::LinkLocal));
    }

    #[test]
    fn ordinary_addresses_of_both_families_are_taken() {
        for text in ["10.96.0.1", "192.0.2.1", "fd00::1", "2001:db8::1", "FD00:0:0::a"] {
            for origin in [Origin::Assigned, Origin::Written] {
                assert_eq!(parse(text, origin), Ok(text.parse().unwrap()), "{text}");
            }
        }
    }
}
