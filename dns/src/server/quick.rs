//! The common queries without a detour: A and AAAA of Services, and names that do not exist, from bytes to bytes.
//!
//! What is answered here is answered by [`crate::answer`] in the same way, which the fuzzer holds against this; whatever
//! is unusual (other types, options, aliases, several zones in each other, an answer that does not fit) is left to it.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use crate::config::{Block, ClusterConfig};
use crate::message::{HEADER_BYTES, MAX_UDP_BYTES, Transport, limit_bytes};
use crate::record::ServiceKind;
use crate::zone::{ServiceEntry, Zone};

/// A name in a packet, its end included (RFC 1035, 2.3.4).
const MAX_NAME_BYTES: usize = 255;
/// Labels below the apex that are told apart: more stand for nothing.
const MAX_LABELS: usize = 6;

/// A zone whose names nobody else in the configuration has a say in.
#[derive(Debug)]
pub(super) struct QuickZone {
    /// The apex as in a packet, lower case.
    apex: Vec<u8>,
    ttl_secs: u32,
    has_endpoints: bool,
    /// How long a negative answer may be kept.
    soa_ttl_secs: u32,
}

/// An answer made here.
pub(super) struct Quick {
    pub(super) record_type: RecordType,
    pub(super) code: ResponseCode,
    pub(super) bytes: Vec<u8>,
}

/// A query that is simple enough.
struct Simple<'a> {
    packet: &'a [u8],
    /// Behind type and class.
    question_end: usize,
    /// The name in lower case, its lengths left in.
    lower: [u8; MAX_NAME_BYTES],
    name_bytes: usize,
    record_type: RecordType,
    /// Size and DO bit of OPT, if there is one.
    opt: Option<(u16, bool)>,
}

/// The zones of a configuration that can be answered here.
pub(super) fn zones(blocks: &[Block]) -> Vec<QuickZone> {
    let mut zones = Vec::new();
    for (i, block) in blocks.iter().enumerate() {
        let Some(cluster) = &block.cluster else { continue };
        for apex in &cluster.zones {
            let others =
                blocks.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, other)| &other.zones);
            let inner = cluster.zones.iter().chain(&cluster.reverse_zones).filter(|zone| *zone != apex);
            let is_alone = !others.chain(inner).any(|zone| apex.zone_of(zone));
            let is_served = block.zones.iter().any(|zone| zone.zone_of(apex));
            let falls_through = cluster.fallthrough.covers(apex) || covers_part(cluster, apex);
            if is_alone && is_served && !falls_through && is_plain(cluster) {
                zones.push(QuickZone::new(apex, cluster));
            }
        }
    }
    zones
}

fn covers_part(cluster: &ClusterConfig, apex: &Name) -> bool {
    match &cluster.fallthrough {
        crate::config::Fallthrough::None => false,
        crate::config::Fallthrough::All => true,
        crate::config::Fallthrough::Zones(zones) => zones.iter().any(|zone| apex.zone_of(zone)),
    }
}

fn is_plain(cluster: &ClusterConfig) -> bool {
    cluster.namespaces.is_none() && !cluster.ignores_empty_services
}

impl QuickZone {
    fn new(apex: &Name, cluster: &ClusterConfig) -> Self {
        let mut wire = Vec::new();
        for label in apex.iter() {
            // A label has at most 63 bytes.
            wire.push(u8::try_from(label.len()).unwrap_or(0));
            wire.extend(label.to_ascii_lowercase());
        }
        wire.push(0);
        Self {
            apex: wire,
            ttl_secs: cluster.ttl_secs,
            has_endpoints: cluster.has_endpoints,
            soa_ttl_secs: cluster.ttl_secs.min(crate::answer::MAX_SOA_TTL_SECS),
        }
    }

    /// Answers a packet, if it is simple and its name is in this zone.
    pub(super) fn answer(&self, zone: &Zone, packet: &[u8], transport: Transport) -> Option<Quick> {
        let query = Simple::read(packet)?;
        let below = query.lower.get(..query.name_bytes)?.strip_suffix(self.apex.as_slice())?;
        let mut labels = [""; MAX_LABELS];
        let count = labels_of(below, &mut labels)?;
        let service = match labels.get(..count)? {
            [name, namespace, "svc"] => match zone.service(namespace, name) {
                Some(service) => service,
                None => return self.negative(zone, &query, ResponseCode::NXDomain, transport),
            },
            // What a search list makes of names of the world outside: more labels than any name of the schema has, or as
            // many as a port's, which begins with an underscore.
            [_, _, _, _, _, _] => return self.negative(zone, &query, ResponseCode::NXDomain, transport),
            [first, _, _, _, "svc"] if !first.starts_with('_') => {
                return self.negative(zone, &query, ResponseCode::NXDomain, transport);
            }
            [.., last] if !matches!(*last, "svc" | "pod" | "dns" | "dns-version") => {
                return self.negative(zone, &query, ResponseCode::NXDomain, transport);
            }
            _ => return None,
        };
        self.service(zone, service, &query, transport)
    }

    fn service(
        &self,
        zone: &Zone,
        service: &ServiceEntry,
        query: &Simple<'_>,
        transport: Transport,
    ) -> Option<Quick> {
        let is_headless = match &service.record.kind {
            ServiceKind::ClusterIps(_) => false,
            ServiceKind::Headless => true,
            ServiceKind::ExternalName(_) => return None,
        };
        if is_headless && !(self.has_endpoints && service.has_endpoints()) {
            return self.negative(zone, query, ResponseCode::NXDomain, transport);
        }
        let (count, size) =
            if query.record_type == RecordType::A { (service.v4.len(), 4) } else { (service.v6.len(), 16) };
        if count == 0 {
            // Of a headless Service, endpoints of this family may follow: see the zone's state there.
            return self.negative(zone, query, ResponseCode::NoError, transport);
        }
        let mut reply = query.begin(ResponseCode::NoError, u16::try_from(count).ok()?, 0);
        if reply.len() + count * (12 + size) + query.opt_bytes() > query.limit(transport) {
            return None;
        }
        let rotation = usize::from(u16::from_be_bytes(*query.packet.first_chunk()?)) % count;
        let mut add = |addr: IpAddr| {
            // The owner is the question's name, at the end of the header.
            reply.extend([0xc0, HEADER_BYTES as u8]);
            let (record_type, octets): (u16, &[u8]) = match &addr {
                IpAddr::V4(addr) => (1, &addr.octets()),
                IpAddr::V6(addr) => (28, &addr.octets()),
            };
            reply.extend(record_type.to_be_bytes());
            reply.extend([0, 1]);
            reply.extend(self.ttl_secs.to_be_bytes());
            reply.extend([0, octets.len() as u8]);
            reply.extend(octets);
        };
        if size == 4 {
            service.v4.iter().cycle().skip(rotation).take(count).for_each(|addr| add((*addr).into()));
        } else {
            service.v6.iter().cycle().skip(rotation).take(count).for_each(|addr| add((*addr).into()));
        }
        query.end(&mut reply);
        Some(Quick { record_type: query.record_type, code: ResponseCode::NoError, bytes: reply })
    }

    /// The code and the SOA (RFC 2308), as long as everything is known.
    fn negative(
        &self,
        zone: &Zone,
        query: &Simple<'_>,
        code: ResponseCode,
        transport: Transport,
    ) -> Option<Quick> {
        if !zone.is_synced() {
            return None;
        }
        let mut reply = query.begin(code, 0, 1);
        // The question's name ends with the apex: all three names of the record can point there.
        let apex_at = HEADER_BYTES + query.name_bytes - self.apex.len();
        let apex = (0xc000 | u16::try_from(apex_at).ok()?).to_be_bytes();
        reply.extend(apex);
        reply.extend([0, 6, 0, 1]);
        reply.extend(self.soa_ttl_secs.to_be_bytes());
        let length_at = reply.len();
        reply.extend([0, 0]);
        reply.extend(b"\x02ns\x03dns");
        reply.extend(apex);
        reply.extend(b"\x0ahostmaster");
        reply.extend(apex);
        reply.extend(zone.serial().to_be_bytes());
        for value in crate::answer::SOA_SECS {
            reply.extend(value.to_be_bytes());
        }
        reply.extend(self.ttl_secs.to_be_bytes());
        let length = u16::try_from(reply.len() - length_at - 2).ok()?.to_be_bytes();
        reply.get_mut(length_at..length_at + 2)?.copy_from_slice(&length);
        query.end(&mut reply);
        let fits = reply.len() <= query.limit(transport);
        fits.then_some(Quick { record_type: query.record_type, code, bytes: reply })
    }
}

/// The labels of a name without its end; `None` if it is not text. Of more than fit, those that fit.
fn labels_of<'a>(mut bytes: &'a [u8], labels: &mut [&'a str; MAX_LABELS]) -> Option<usize> {
    let mut count = 0;
    while let [length, rest @ ..] = bytes {
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        let Some(place) = labels.get_mut(count) else { return Some(MAX_LABELS) };
        *place = std::str::from_utf8(label).ok()?;
        count += 1;
        bytes = rest;
    }
    Some(count)
}

impl<'a> Simple<'a> {
    fn read(packet: &'a [u8]) -> Option<Self> {
        // A query (QR and the operation are zero) without TC, with one question and nothing else but perhaps OPT.
        let [_, _, flags, _, 0, 1, 0, 0, 0, 0, 0, additionals @ 0..=1, ..] =
            *packet.first_chunk::<HEADER_BYTES>()?
        else {
            return None;
        };
        if flags & 0xfe != 0 {
            return None;
        }
        let mut lower = [0; MAX_NAME_BYTES];
        let mut at = HEADER_BYTES;
        loop {
            match *packet.get(at)? {
                0 => break,
                length @ 1..=63 => at += 1 + usize::from(length),
                _ => return None,
            }
        }
        let name_bytes = at + 1 - HEADER_BYTES;
        let lowered = lower.get_mut(..name_bytes)?;
        lowered.copy_from_slice(packet.get(HEADER_BYTES..=at)?);
        // Lengths are below `A`, so that nothing happens to them.
        lowered.make_ascii_lowercase();
        let record_type = match packet.get(at + 1..at + 5)? {
            [0, 1, 0, 1] => RecordType::A,
            [0, 28, 0, 1] => RecordType::AAAA,
            _ => return None,
        };
        let question_end = at + 5;
        let rest = packet.get(question_end..)?;
        let opt = match (additionals, rest) {
            (0, []) => None,
            (1, [0, 0, 41, high, low, 0, 0, flags, _, length_high, length_low, data @ ..])
                if data.len() == usize::from(u16::from_be_bytes([*length_high, *length_low]))
                    // Options are read by others, if at all.
                    && data.is_empty() =>
            {
                Some((u16::from_be_bytes([*high, *low]), flags & 0x80 != 0))
            }
            _ => return None,
        };
        Some(Self { packet, question_end, lower, name_bytes, record_type, opt })
    }

    fn limit(&self, transport: Transport) -> usize {
        limit_bytes(transport, self.opt.map(|(size, _)| size))
    }

    const fn opt_bytes(&self) -> usize {
        if self.opt.is_some() { 11 } else { 0 }
    }

    /// Header and question of a reply that is authoritative.
    fn begin(&self, code: ResponseCode, answers: u16, authorities: u16) -> Vec<u8> {
        let mut reply = Vec::with_capacity(512);
        if let Some([id_high, id_low, flags, more, ..]) = self.packet.first_chunk::<HEADER_BYTES>() {
            // QR and AA, with RD and CD as they came.
            reply.extend([*id_high, *id_low, 0x84 | flags & 0x01, more & 0x10 | code.low(), 0, 1]);
        }
        reply.extend(answers.to_be_bytes());
        reply.extend(authorities.to_be_bytes());
        reply.extend([0, u8::from(self.opt.is_some())]);
        reply.extend(self.packet.get(HEADER_BYTES..self.question_end).unwrap_or_default());
        reply
    }

    /// OPT, if there was one.
    fn end(&self, reply: &mut Vec<u8>) {
        if let Some((_, dnssec_ok)) = self.opt {
            reply.extend([0, 0, 41]);
            reply.extend(MAX_UDP_BYTES.to_be_bytes());
            reply.extend([0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]);
        }
    }
}
