//! Intervals of ports: made not to overlap, and cut into prefixes.

use std::collections::BTreeMap;

use model::Protocol;

/// Ports of a protocol from the first to the last, both included, and what they stand for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval<V> {
    pub(crate) protocol: Protocol,
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) value: V,
}

/// The same ports, sorted and without overlaps: of several intervals the first in the list has a port. Neighbours that
/// stand for the same are one.
pub(crate) fn flatten<V: Clone + PartialEq>(intervals: Vec<Interval<V>>) -> Vec<Interval<V>> {
    let mut taken: BTreeMap<(Protocol, u16), Interval<V>> = BTreeMap::new();
    for interval in intervals {
        // The parts that no earlier interval has, from the left.
        let mut from = Some(interval.first);
        while let Some(first) = from.filter(|first| *first <= interval.last) {
            let before = taken.range(..=(interval.protocol, first)).next_back();
            if let Some((_, other)) =
                before.filter(|(_, o)| o.protocol == interval.protocol && o.last >= first)
            {
                from = other.last.checked_add(1);
                continue;
            }
            let next = taken.range((interval.protocol, first)..).next();
            let last = match next.filter(|((protocol, _), _)| *protocol == interval.protocol) {
                Some(((_, begin), _)) => interval.last.min(begin - 1),
                None => interval.last,
            };
            let part = Interval { first, last, ..interval.clone() };
            taken.insert((interval.protocol, first), part);
            from = last.checked_add(1);
        }
    }
    let mut merged: Vec<Interval<V>> = Vec::new();
    for interval in taken.into_values() {
        match merged.last_mut() {
            Some(last)
                if last.protocol == interval.protocol
                    && last.value == interval.value
                    && last.last.checked_add(1) == Some(interval.first) =>
            {
                last.last = interval.last;
            }
            Some(_) | None => merged.push(interval),
        }
    }
    merged
}

/// The prefixes, as first port and fixed bits, that together are the ports from `first` to `last`.
pub(crate) fn prefixes(first: u16, last: u16) -> Vec<(u16, u32)> {
    let mut prefixes = Vec::new();
    let (mut from, last) = (u32::from(first), u32::from(last));
    while from <= last {
        // The largest block that begins at `from` and ends not behind `last`.
        let aligned = from.trailing_zeros().min(16);
        let fits = (last - from + 1).ilog2();
        let host_bits = aligned.min(fits);
        // `from` is at most `last`, a u16.
        prefixes.push((from as u16, 16 - host_bits));
        from += 1 << host_bits;
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn prefixes_are_exactly_the_ports(first in any::<u16>(), span in 0u16..3000) {
            let last = first.saturating_add(span);
            let mut next = u32::from(first);
            for (at, bits) in prefixes(first, last) {
                prop_assert_eq!(u32::from(at), next);
                let size = 1u32 << (16 - bits);
                prop_assert_eq!(u32::from(at) % size, 0);
                next += size;
            }
            prop_assert_eq!(next, u32::from(last) + 1);
        }

        #[test]
        fn the_first_interval_has_a_port(
            list in proptest::collection::vec((any::<bool>(), 0u16..40, 0u16..40, 0u8..4), 0..8),
        ) {
            let intervals: Vec<Interval<u8>> = list
                .into_iter()
                .map(|(udp, a, b, value)| Interval {
                    protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
                    first: a.min(b), last: a.max(b), value,
                })
                .collect();
            let flat = flatten(intervals.clone());
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                for port in 0..42 {
                    let has = |i: &&Interval<u8>| i.protocol == protocol && i.first <= port && port <= i.last;
                    let found: Vec<u8> = flat.iter().filter(has).map(|i| i.value).collect();
                    let want: Vec<u8> = intervals.iter().find(has).map(|i| i.value).into_iter().collect();
                    prop_assert_eq!(found, want, "{:?} {}", protocol, port);
                }
            }
            for pair in flat.windows(2) {
                prop_assert!(pair[0] < pair[1]);
                let touches = pair[0].protocol == pair[1].protocol && pair[0].last + 1 == pair[1].first;
                prop_assert!(!touches || pair[0].value != pair[1].value, "{:?}", pair);
            }
        }
    }

    #[test]
    fn all_ports_are_one_prefix_and_the_worst_range_is_thirty() {
        assert_eq!(prefixes(0, u16::MAX), [(0, 0)]);
        assert_eq!(prefixes(80, 80), [(80, 16)]);
        assert_eq!(prefixes(1, u16::MAX - 1).len(), 30);
    }

    #[test]
    fn intervals_reach_the_last_port() {
        let of = |first, last, value| Interval { protocol: Protocol::Tcp, first, last, value };
        let flat = flatten(vec![of(65535, 65535, 1), of(0, 65535, 2)]);
        assert_eq!(flat, [of(0, 65534, 2), of(65535, 65535, 1)]);
    }
}
