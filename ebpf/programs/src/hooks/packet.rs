//! What the packet hooks have in common: the packet, read once.

use abi::{DeviceFlags, DropReason, FragmentKey, FragmentValue};
use packet::{EtherType, Fragment, L3Offset, Packet, Parsed, parse};

use crate::ctx::skb::Skb;
use crate::helpers::now;
use crate::maps::flow as flows;
use crate::maps::subject::Device;
use crate::verdict::Drop;
use crate::work::Work;

/// Bytes of an Ethernet header.
const ETHERNET: u32 = 14;

/// Reads a packet. False if it is not IP, which is not ours to judge.
///
/// A later fragment gets the ports that its first one had.
#[inline(always)] // once a program
pub(crate) fn read(skb: &Skb, device: Device, work: &mut Work) -> Result<bool, Drop> {
    let l3 = L3Offset(if device.flags.has(DeviceFlags::L3) { 0 } else { ETHERNET });
    work.now = now();
    work.ifindex = skb.ifindex();
    work.len = skb.len().wrapping_sub(l3.0);
    let ethertype = skb.ethertype();
    let is_understood = if ethertype == EtherType::IPV4 {
        read_v4(skb, l3, work)
    } else if ethertype == EtherType::IPV6 {
        read_v6(skb, l3, work)
    } else {
        return Ok(false);
    };
    if !is_understood {
        return Err(DropReason::Malformed.into());
    }
    if work.parsed.fragment() != Fragment::None {
        ports_of_fragment(&mut work.parsed)?;
    }
    work.ends = work.parsed.tuple;
    Ok(true)
}

#[inline(never)] // its frame is gone when the rest begins
fn read_v4(skb: &Skb, l3: L3Offset, work: &mut Work) -> bool {
    parse(skb, l3, EtherType::IPV4).map(|parsed| work.parsed = parsed).is_ok()
}

#[inline(never)] // as `read_v4`
fn read_v6(skb: &Skb, l3: L3Offset, work: &mut Work) -> bool {
    parse(skb, l3, EtherType::IPV6).map(|parsed| work.parsed = parsed).is_ok()
}

#[inline(never)] // rare: what it needs has no room beside the rest
fn ports_of_fragment(parsed: &mut Parsed) -> Result<(), Drop> {
    let tuple = parsed.tuple;
    match parsed.fragment() {
        Fragment::None => Ok(()),
        Fragment::First { id } => {
            let key = FragmentKey::new(tuple.src, tuple.dst, id, tuple.protocol);
            flows::remember_fragment(&key, &FragmentValue { src_port: tuple.sport, dst_port: tuple.dport });
            Ok(())
        }
        Fragment::Later { id } => {
            let key = FragmentKey::new(tuple.src, tuple.dst, id, tuple.protocol);
            let Some(ports) = flows::fragment(&key) else {
                return Err(DropReason::FragmentWithoutFirst.into());
            };
            (parsed.tuple.sport, parsed.tuple.dport) = (ports.src_port, ports.dst_port);
            Ok(())
        }
    }
}
