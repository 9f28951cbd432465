//! SCTP (RFC 9260 section 3): ports, verification tag, and a CRC32c of the whole packet.
//!
//! A CRC is linear: the CRCs of two packets of one length differ by the CRC (without its constants) of their
//! difference. Two packets that differ in a port differ in one word, followed by as many zero bytes as come after it;
//! each zero byte multiplies the remainder by x^8 modulo the polynomial. So a port is rewritten without a look at the
//! payload, in a few look-ups whatever its length.

use abi::Port;

use crate::cursor::{Packet, TooShort};
use crate::parsed::{Fragment, Parsed};

/// Bytes of the common header.
pub(crate) const HEADER: u32 = 12;
/// Offset of the checksum in it.
const CHECKSUM: u32 = 8;
/// The Castagnoli polynomial with its bits reversed (RFC 9260 appendix A).
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Half bytes in the length of what follows the ports: no packet is longer than 65,535 bytes.
const LEN_DIGITS: usize = 4;
/// Half bytes in the CRC's register.
const REGISTER_DIGITS: usize = 8;

/// What a half byte of the register becomes after zero bytes: place and digit of their number → place in the register →
/// digit there. 32 KiB, read only, one look-up a half byte: bit by bit it would be 128 steps, each of which the
/// verifier walks on every way that leads here.
static ZERO_BYTES: [[[[u32; 16]; REGISTER_DIGITS]; 16]; LEN_DIGITS] = tables();

/// Multiplies by x, modulo [`POLYNOMIAL`]: the highest power is the lowest bit.
const fn times_x(register: u32) -> u32 {
    register >> 1 ^ if register & 1 == 0 { 0 } else { POLYNOMIAL }
}

/// The register after one zero byte.
const fn append_zero(register: u32) -> u32 {
    let (mut register, mut bit) = (register, 0);
    while bit < 8 {
        register = times_x(register);
        bit += 1;
    }
    register
}

/// The register after as many zero bytes as a table stands for.
const fn look_up(table: &[[u32; 16]; REGISTER_DIGITS], register: u32) -> u32 {
    let (mut sum, mut place) = (0, 0);
    while place < REGISTER_DIGITS {
        sum ^= table[place][(register >> (4 * place)) as usize & 15];
        place += 1;
    }
    sum
}

const fn tables() -> [[[[u32; 16]; REGISTER_DIGITS]; 16]; LEN_DIGITS] {
    let mut tables = [[[[0; 16]; REGISTER_DIGITS]; 16]; LEN_DIGITS];
    let mut at = 0;
    while at < LEN_DIGITS * 16 * REGISTER_DIGITS * 16 {
        let (len_place, digit) = (at / 2048, at / 128 % 16);
        let (place, value) = (at / 16 % REGISTER_DIGITS, at % 16);
        tables[len_place][digit][place][value] = if digit > 0 {
            // One unit of this place more than the digit before.
            let before = tables[len_place][digit - 1][place][value];
            if len_place == 0 {
                append_zero(before)
            } else {
                look_up(&tables[len_place - 1][15], look_up(&tables[len_place - 1][1], before))
            }
        } else {
            (value as u32) << (4 * place)
        };
        at += 1;
    }
    tables
}

/// The CRC register after `len` zero bytes, if it was `register`; `len` is below 2^16.
#[inline(never)] // 32 look-ups: once a program, not once a call
fn append_zeros(register: u32, len: u32) -> u32 {
    let (mut register, mut digits) = (register, len as usize);
    for tables in &ZERO_BYTES {
        register = look_up(&tables[digits & 15], register);
        digits >>= 4;
    }
    register
}

/// Replaces the port at `offset`, and makes the CRC follow.
///
/// A CRC of zero stays: there is none (RFC 9653), or a device has yet to compute it over a field that is zero. The CRC
/// of a fragmented packet covers bytes that are elsewhere and cannot follow.
///
/// # Errors
/// [`TooShort`] for a fragment, and if the packet has become shorter than it was parsed.
#[inline(always)] // as `rewrite`, which calls it
pub(crate) fn rewrite_port<P: Packet>(
    packet: &mut P,
    at: &Parsed,
    offset: u32,
    port: Port,
) -> Result<(), TooShort> {
    if at.fragment() != Fragment::None {
        return Err(TooShort);
    }
    let before = u32::from_le_bytes(packet.read(at.l4.0)?);
    packet.write(offset, &port.to_net().to_ne_bytes())?;
    let after = u32::from_le_bytes(packet.read(at.l4.0)?);
    let crc_at = at.l4.0 + CHECKSUM;
    let crc = u32::from_le_bytes(packet.read(crc_at)?);
    if crc == 0 {
        return Ok(());
    }
    let len = at.end(packet.len()).saturating_sub(at.l4.0);
    packet.write(crc_at, &(crc ^ append_zeros(before ^ after, len)).to_le_bytes())
}
