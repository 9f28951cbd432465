//! Packets that are nearly right.

/// A small generator (xorshift64*): the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end.max(1)
    }
}

/// Bytes that mean something in a packet: ends, pointers, longest labels, types, classes, OPT.
const TELLING: [u8; 16] = [0, 1, 2, 5, 12, 28, 33, 41, 63, 64, 127, 0x80, 0xc0, 0xfb, 0xfe, 0xff];

/// The packet of a number.
pub(crate) fn packet(corpus: &[Vec<u8>], input: u64) -> Vec<u8> {
    // Neighbouring numbers must not begin alike.
    let mut random = Random(input.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    random.next();
    let mut packet = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        mutate(&mut packet, corpus, &mut random);
    }
    packet
}

fn mutate(packet: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let length = packet.len();
    let at = random.below(length);
    match random.below(10) {
        0 if length > 0 => packet[at] ^= 1 << random.below(8),
        1 if length > 0 => packet[at] = TELLING[random.below(TELLING.len())],
        2 => packet.truncate(at),
        3 => packet.insert(at.min(length), TELLING[random.below(TELLING.len())]),
        4 if length > 0 => drop(packet.remove(at)),
        // One of the counts.
        5 if length >= 12 => packet[4 + random.below(8)] = random.below(4) as u8,
        // A pointer, mostly into the packet.
        6 if length > at + 1 => {
            packet[at] = 0xc0 | (random.below(2) as u8);
            packet[at + 1] = random.below(length) as u8;
        }
        // The end of another one.
        7 => {
            let other = &corpus[random.below(corpus.len())];
            packet.truncate(at);
            packet.extend_from_slice(&other[random.below(other.len())..]);
        }
        // An OPT with anything in it.
        8 => {
            let data: Vec<u8> = (0..random.below(12)).map(|_| random.next() as u8).collect();
            packet.extend([0, 0, 41]);
            packet.extend((random.next() as u16).to_be_bytes());
            packet.extend([
                0,
                (random.below(8) == 0) as u8,
                (random.next() as u8) & 0x80,
                0,
                0,
                data.len() as u8,
            ]);
            packet.extend(data);
            if packet.len() >= 12 {
                packet[11] = packet[11].wrapping_add(1);
            }
        }
        // Other case.
        _ => packet.iter_mut().skip(12).filter(|b| b.is_ascii_alphabetic()).for_each(|b| {
            if random.below(2) == 0 {
                *b ^= 0x20;
            }
        }),
    }
}
