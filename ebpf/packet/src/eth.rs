//! What an Ethernet header, or a device without one, says of the next header.

/// The type of a frame's payload (IEEE 802.3, "EtherType"), for devices with and without an Ethernet header.
///
/// A VLAN tag is the caller's affair: this is the type behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtherType(u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self::new(0x0800);
    /// IPv6.
    pub const IPV6: Self = Self::new(0x86dd);
    /// ARP.
    pub const ARP: Self = Self::new(0x0806);

    /// A type from its number in host order.
    #[inline]
    #[must_use]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// A type from a `u16` that holds network order, as a socket buffer's `protocol` does.
    #[inline]
    #[must_use]
    pub const fn from_net(net: u16) -> Self {
        Self(net)
    }
}
