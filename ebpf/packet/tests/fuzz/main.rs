//! Hostile packets: a corpus and mutations of it through all that the crate does.
//!
//! `cargo test` runs [`INPUTS`] of them; `cargo xtask fuzz --packets N` runs N in release. Deterministic: an input is its
//! number. A packet that was found to break something becomes a line of `corpus.txt`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test, which says how fast it was"
)]

mod check;
mod mutate;
#[path = "../laws/reference.rs"]
mod reference;

use std::panic::catch_unwind;
use std::time::Instant;

use abi::{Addr, Port};
use mutate::Random;

/// Inputs of a run that nobody asked more of.
const INPUTS: u64 = 200_000;

/// The golden packets, before and after what is done to them, and packets that were hostile once.
fn corpus() -> Vec<Vec<u8>> {
    let files = [
        include_str!("../data/nat.txt"),
        include_str!("../data/inner.txt"),
        include_str!("../data/errors.txt"),
        include_str!("../data/resets.txt"),
        include_str!("corpus.txt"),
    ];
    let lines = files.iter().flat_map(|file| file.lines()).filter(|line| !line.starts_with('#'));
    let fields = lines.flat_map(|line| line.split(' ')).filter(|field| field.len() >= 40);
    // Long payloads only cost time.
    let mut packets: Vec<Vec<u8>> = fields.map(bytes).filter(|packet| packet.len() < 700).collect();
    packets.sort();
    packets.dedup();
    assert!(packets.len() > 300);
    packets
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// Where an input's packet is translated to.
fn target(random: &mut Random) -> (Addr, Addr, Port) {
    let word = |random: &mut Random| match random.below(4) {
        0 => 0,
        1 => u32::MAX,
        _ => random.next() as u32,
    };
    let v4 = Addr::v4(word(random).to_ne_bytes());
    // The first word keeps it from being v4-mapped.
    let v6 = Addr::from_net_words([word(random) | 0x20, word(random), word(random), word(random)]);
    (v4, v6, Port::from_net(word(random) as u16))
}

#[test]
fn no_packet_breaks_a_law() {
    let corpus = corpus();
    let inputs: u64 = std::env::var("FERRULE_FUZZ_INPUTS").map_or(INPUTS, |n| n.parse().unwrap());
    let began = Instant::now();
    let (mut parsed, mut inner) = (0, 0);
    for input in 0..inputs {
        let mut random = Random::new(input);
        // The corpus itself first.
        let at = usize::try_from(input).unwrap();
        let mut packet = corpus[if at < corpus.len() { at } else { random.below(corpus.len()) }].clone();
        if at >= corpus.len() {
            mutate::mutate(&mut packet, &corpus, &mut random);
        }
        let to = target(&mut random);
        let seen = catch_unwind(|| check::check(&packet, to))
            .unwrap_or_else(|_| panic!("input {input}: {packet:02x?} to {to:?}"));
        parsed += seen.parsed;
        inner += seen.inner;
    }
    let secs = began.elapsed().as_secs_f64();
    println!("{inputs} packets, {parsed} understood, {inner} with one inside: {secs:.1} s");
    // A mutation that breaks nearly everything would test nothing.
    assert!(parsed > inputs / 4 && inner > inputs / 20);
}
