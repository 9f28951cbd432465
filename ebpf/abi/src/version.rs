//! The layout's version and digest.

use crate::maps::MAPS;

/// Version of the layout: part of every pin's path. Goes up with every change after the first release; before it, a
/// changed [`LAYOUT_DIGEST`] recreates the maps.
pub const LAYOUT_VERSION: u32 = 1;

/// Digest of names, types and sizes of all maps, as stored under [`crate::IdKind::Layout`] in `IDS`.
pub const LAYOUT_DIGEST: crate::Digest = digest();

/// FNV-1a over 128 bits: not against an adversary, it only tells builds of ours apart.
const fn digest() -> crate::Digest {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let mut m = 0;
    while m < MAPS.len() {
        let spec = &MAPS[m];
        let texts = [spec.name, spec.key, spec.value];
        let mut t = 0;
        while t < texts.len() {
            let text = texts[t].as_bytes();
            let mut i = 0;
            while i < text.len() {
                hash = (hash ^ text[i] as u128).wrapping_mul(PRIME);
                i += 1;
            }
            t += 1;
        }
        let numbers = [spec.kind.kernel_type(), spec.key_bytes, spec.value_bytes, spec.meaning];
        let mut n = 0;
        while n < numbers.len() {
            hash = (hash ^ numbers[n] as u128).wrapping_mul(PRIME);
            n += 1;
        }
        m += 1;
    }
    hash.to_be_bytes()
}
