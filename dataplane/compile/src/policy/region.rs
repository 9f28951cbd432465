//! Blocks of addresses as prefixes that do not contradict each other: each prefix in use has the set of blocks that
//! cover it, and the longest prefix of an address decides.

use std::collections::{BTreeMap, BTreeSet};

use abi::{Addr, CidrKey};
use ipnet::IpNet;
use model::IpBlock;

use super::atom::AtomId;

/// The prefixes that differ from the one around them, with the blocks that cover them.
pub(crate) type Regions = BTreeMap<CidrKey, BTreeSet<AtomId>>;

/// All IPv4 addresses, in the 16-byte form.
const V4_BITS: u32 = 96;

/// A prefix of the 16-byte form, in the order in which a walk from the outside in meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    bits: u128,
    len: u32,
}

impl Node {
    const ALL_V4: Self = Self { bits: 0xffff << 32, len: V4_BITS };

    fn of(net: &IpNet) -> Self {
        let bits = u128::from_be_bytes(Addr::from(net.network()).octets());
        let before = if net.addr().is_ipv4() { V4_BITS } else { 0 };
        Self { bits, len: before + u32::from(net.prefix_len()) }
    }

    fn contains(self, other: Self) -> bool {
        let shift = 128 - self.len;
        self.len <= other.len && (self.bits ^ other.bits).checked_shr(shift).unwrap_or(0) == 0
    }

    fn key(self) -> CidrKey {
        CidrKey::new(Addr::v6(self.bits.to_be_bytes()), self.len)
    }
}

/// The prefix in the 16-byte form, where an IPv4 address has 96 bits before it.
pub(crate) fn key_of(net: &IpNet) -> CidrKey {
    Node::of(net).key()
}

/// The prefixes that a block needs at most: itself, its holes, and for one that covers the IPv4 addresses of the
/// 16-byte form the edge of these.
pub(crate) fn keys_of(block: &IpBlock) -> impl Iterator<Item = CidrKey> + '_ {
    let around_v4 = Node::of(&block.cidr).contains(Node::ALL_V4);
    let nets = std::iter::once(&block.cidr).chain(&block.except);
    nets.map(key_of).chain(around_v4.then(|| Node::ALL_V4.key()))
}

/// The regions of these blocks.
pub(crate) fn regions<'a>(blocks: impl Iterator<Item = (AtomId, &'a IpBlock)>) -> Regions {
    let mut nodes: BTreeMap<Node, (Vec<AtomId>, Vec<AtomId>)> = BTreeMap::new();
    for (id, block) in blocks {
        let node = Node::of(&block.cidr);
        if node.contains(Node::ALL_V4) {
            nodes.entry(Node::ALL_V4).or_default();
        }
        nodes.entry(node).or_default().0.push(id);
        for hole in &block.except {
            nodes.entry(Node::of(hole)).or_default().1.push(id);
        }
    }
    let mut regions = Regions::new();
    // The prefixes around the one that is visited, from the outside in, with their sets.
    let mut around: Vec<(Node, BTreeSet<AtomId>)> = Vec::new();
    for (node, (begins, holes)) in nodes {
        while around.last().is_some_and(|(outer, _)| !outer.contains(node)) {
            around.pop();
        }
        let outside = around.last().map(|(_, set)| set.clone()).unwrap_or_default();
        // No IPv6 block means the IPv4 addresses inside it.
        let mut set = if node == Node::ALL_V4 { BTreeSet::new() } else { outside.clone() };
        set.extend(begins);
        set.retain(|id| !holes.contains(id));
        if set != outside {
            regions.insert(node.key(), set.clone());
        }
        around.push((node, set));
    }
    regions
}

/// The longest of these prefixes that contains an address; `lens` are the lengths that they have, or more.
pub(crate) fn longest<V>(
    prefixes: &BTreeMap<CidrKey, V>,
    lens: impl DoubleEndedIterator<Item = u32>,
    addr: Addr,
) -> Option<&V> {
    let bits = u128::from_be_bytes(addr.octets());
    lens.rev().find_map(|len| {
        let host = u128::MAX.checked_shr(len).unwrap_or(0);
        prefixes.get(&CidrKey::new(Addr::v6((bits & !host).to_be_bytes()), len))
    })
}

/// The first and last address of a prefix.
pub(crate) fn bounds(key: &CidrKey) -> (Addr, Addr) {
    let bits = u128::from_be_bytes(key.addr().octets());
    let host = u128::MAX.checked_shr(key.prefix_len()).unwrap_or(0);
    (Addr::v6(bits.to_be_bytes()), Addr::v6((bits | host).to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::atom::{Atom, Atoms};
    use super::*;

    fn block(cidr: &str, except: &[&str]) -> IpBlock {
        IpBlock {
            cidr: cidr.parse().unwrap(),
            except: except.iter().map(|hole| hole.parse().unwrap()).collect(),
        }
    }

    fn check(blocks: &[IpBlock], addrs: &[&str]) {
        let mut atoms = Atoms::default();
        let ids: Vec<AtomId> = blocks.iter().map(|b| atoms.intern(&Atom::Block(b.clone()))).collect();
        let regions = regions(ids.iter().copied().zip(blocks));
        for text in addrs {
            let addr: std::net::IpAddr = text.parse().unwrap();
            let found = longest(&regions, 0..129, addr.into()).cloned().unwrap_or_default();
            let want: BTreeSet<AtomId> =
                ids.iter().zip(blocks).filter(|(_, b)| b.contains(addr)).map(|(id, _)| *id).collect();
            assert_eq!(found, want, "{text} in {blocks:?}");
        }
    }

    #[test]
    fn the_longest_prefix_has_the_blocks_that_contain_an_address() {
        let addrs =
            ["10.0.0.1", "10.1.0.1", "10.1.2.3", "10.1.3.1", "11.0.0.1", "9.255.255.255", "::1", "fd00::1"];
        check(&[], &addrs);
        check(&[block("10.0.0.0/8", &["10.1.0.0/16"])], &addrs);
        check(&[block("10.0.0.0/8", &["10.1.0.0/16"]), block("10.1.2.0/24", &["10.1.2.3/32"])], &addrs);
        check(
            &[block("10.1.0.0/16", &[]), block("10.0.0.0/8", &["10.1.0.0/16"]), block("10.1.2.3/32", &[])],
            &addrs,
        );
        check(&[block("0.0.0.0/0", &[]), block("0.0.0.0/0", &["10.0.0.0/8"])], &addrs);
    }

    #[test]
    fn a_block_of_ipv6_never_means_ipv4() {
        let addrs = ["10.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "fd00::1", "ffff::1"];
        check(&[block("::/0", &[])], &addrs);
        check(&[block("::/0", &[]), block("0.0.0.0/0", &["10.0.0.0/8"])], &addrs);
        check(&[block("::/64", &["::/96"]), block("10.0.0.0/8", &[])], &addrs);
    }

    #[test]
    fn a_prefix_that_says_nothing_new_has_no_row() {
        let mut atoms = Atoms::default();
        let blocks = [block("10.0.0.0/8", &["10.1.0.0/16"]), block("10.1.0.0/16", &["10.1.2.0/24"])];
        let ids: Vec<AtomId> = blocks.iter().map(|b| atoms.intern(&Atom::Block(b.clone()))).collect();
        assert_eq!(regions(ids.iter().copied().zip(&blocks)).len(), 3);
        let only_holes = [block("10.0.0.0/8", &["10.1.0.0/16"])];
        assert_eq!(regions(ids.iter().copied().zip(&only_holes)).len(), 2);
    }

    #[test]
    fn bounds_are_the_first_and_last_address() {
        let text = |net: &str| {
            let (first, last) = bounds(&key_of(&net.parse().unwrap()));
            format!("{first} {last}")
        };
        assert_eq!(text("10.0.0.0/8"), "10.0.0.0 10.255.255.255");
        assert_eq!(text("10.1.2.3/32"), "10.1.2.3 10.1.2.3");
        assert_eq!(text("fd00::/64"), "fd00:: fd00::ffff:ffff:ffff:ffff");
        assert_eq!(text("::/0"), ":: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    }
}
