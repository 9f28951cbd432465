//! Packets that are nearly right.

/// A small generator (xorshift64*): the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// The generator of an input. Neighbouring numbers do not begin alike.
    pub(crate) fn new(input: u64) -> Self {
        let mut random = Self(input.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end.max(1)
    }
}

/// Bytes that mean something in a header: versions with lengths, protocols, extensions, types, ends of ranges.
const TELLING: [u8; 24] =
    [0, 1, 2, 3, 4, 5, 6, 8, 11, 17, 20, 43, 44, 58, 60, 0x40, 0x45, 0x4f, 0x50, 0x60, 0x7f, 128, 132, 0xff];

/// Changes a packet in one to five places, mostly in its headers.
pub(crate) fn mutate(packet: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        mutate_once(packet, corpus, random);
    }
}

fn mutate_once(packet: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let len = packet.len();
    let at = if random.below(4) == 0 { random.below(len) } else { 14 + random.below(len.min(90)) };
    let at = at.min(len.saturating_sub(1));
    match random.below(9) {
        0 | 1 if len > 0 => packet[at] ^= 1 << random.below(8),
        2 | 3 if len > 0 => packet[at] = TELLING[random.below(TELLING.len())],
        4 => packet.truncate(at),
        5 => packet.insert(at, TELLING[random.below(TELLING.len())]),
        6 if len > 0 => drop(packet.remove(at)),
        // The end of another one: another transport, or another packet inside an error.
        7 => {
            let other = &corpus[random.below(corpus.len())];
            packet.truncate(at);
            packet.extend_from_slice(&other[random.below(other.len())..]);
        }
        // An extension header, or any other eight bytes.
        _ => {
            let end = packet.split_off(at);
            packet.extend([TELLING[random.below(TELLING.len())], random.below(3) as u8]);
            packet.extend((random.next() as u32).to_ne_bytes().map(|b| b & b.rotate_left(3)));
            packet.extend([0, 0]);
            packet.extend(end);
        }
    }
}
