//! Bytes in, bytes out: queries read with every refusal that the RFCs ask for, and responses cut to the size that the
//! client takes.

use hickory_proto::op::{Edns, Message, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use crate::answer::Answer;

/// A header (RFC 1035, 4.1.1).
pub(crate) const HEADER_BYTES: usize = 12;
/// What a client without EDNS takes over UDP (RFC 1035, 4.2.1).
const PLAIN_UDP_BYTES: usize = 512;
/// What we send over UDP at most, and say that we take: no fragment on any path (DNS flag day 2020).
pub(crate) const MAX_UDP_BYTES: u16 = 1232;
/// What an upstream may send over UDP at most: more is asked for over TCP. (RFC 6891, 6.2.5, suggests this size.)
pub(crate) const MAX_FORWARDED_BYTES: usize = 4096;
/// What the length before a message over TCP can say.
const MAX_TCP_BYTES: usize = 65_535;
/// The smallest record: a pointer, type, class, TTL, length and an IPv4 address.
pub(crate) const MIN_RECORD_BYTES: usize = 16;

/// OPT without options (RFC 6891, 6.1.2): ours has none.
const OPT_BYTES: usize = 11;
/// What follows a question's name.
pub(crate) const TYPE_AND_CLASS_BYTES: usize = 4;

/// Where the only question ends: labels, the root, type and class. There is nothing before it that its name could point
/// to, so one with a pointer is none.
pub(crate) fn question_end(packet: &[u8]) -> Option<usize> {
    /// Two high bits make it a pointer.
    const POINTER: u8 = 0xc0;
    if packet.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = HEADER_BYTES;
    loop {
        match *packet.get(at)? {
            0 => break,
            length if length & POINTER != 0 => return None,
            length => at += 1 + usize::from(length),
        }
    }
    let end = at + 1 + TYPE_AND_CLASS_BYTES;
    (end <= packet.len()).then_some(end)
}

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// In a stream.
    Tcp,
}

/// How many bytes a reply may have, to a client whose OPT says that size.
pub(crate) fn limit_bytes(transport: Transport, opt: Option<u16>) -> usize {
    match (transport, opt) {
        (Transport::Tcp, _) => MAX_TCP_BYTES,
        (Transport::Udp, None) => PLAIN_UDP_BYTES,
        (Transport::Udp, Some(size)) => usize::from(size.min(MAX_UDP_BYTES)).max(PLAIN_UDP_BYTES),
    }
}

/// A query that may be answered.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) metadata: Metadata,
    pub(crate) query: Query,
    edns: Option<Edns>,
    transport: Transport,
}

/// What reading a packet came to.
pub(crate) enum Read {
    Request(Request),
    /// It is answered without looking at what it asks.
    Refused(ResponseCode, Vec<u8>),
    /// Nothing that one answers: an answer (RFC 5625, 4.1: two servers must not talk for ever), or not even a header.
    Silent,
}

/// Reads a packet.
pub(crate) fn read(packet: &[u8], transport: Transport) -> Read {
    let Some(header) = packet.first_chunk::<HEADER_BYTES>() else { return Read::Silent };
    let [_, _, flags, ..] = *header;
    if flags & 0x80 != 0 {
        return Read::Silent;
    }
    let refused = |code| Read::Refused(code, bare(header, code));
    match OpCode::from_u8(flags >> 3 & 0x0f) {
        OpCode::Query => {}
        // A zone that changed elsewhere is nothing to us: CoreDNS agrees to it as well.
        OpCode::Notify => return refused(ResponseCode::NoError),
        OpCode::Status | OpCode::Update | OpCode::Unknown(_) => return refused(ResponseCode::NotImp),
    }
    if question_end(packet).is_none() {
        return refused(ResponseCode::FormErr);
    }
    // Two OPT records are an error too (RFC 6891, 6.1.1).
    let Ok(mut message) = Message::from_vec(packet) else { return refused(ResponseCode::FormErr) };
    let Some(query) = message.queries.pop() else { return refused(ResponseCode::FormErr) };
    let request = Request { metadata: message.metadata, query, edns: message.edns, transport };
    let code = if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        ResponseCode::BADVERS
    } else if request.query.query_class != DNSClass::IN || is_transfer(request.query.query_type) {
        ResponseCode::Refused
    } else {
        return Read::Request(request);
    };
    let bytes = request.respond_with(code);
    Read::Refused(code, bytes)
}

fn is_transfer(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::AXFR | RecordType::IXFR)
}

/// A response of a header alone: the question may be what is wrong.
fn bare(query: &[u8; HEADER_BYTES], code: ResponseCode) -> Vec<u8> {
    /// QR; then the operation code and RD as they came.
    const RESPONSE: u8 = 0x80;
    const KEPT: u8 = 0x79;
    let [id_high, id_low, flags, ..] = *query;
    vec![id_high, id_low, RESPONSE | flags & KEPT, code.low(), 0, 0, 0, 0, 0, 0, 0, 0]
}

impl Request {
    /// How many bytes a response may have.
    pub(crate) fn limit_bytes(&self) -> usize {
        limit_bytes(self.transport, self.edns.as_ref().map(Edns::max_payload))
    }

    /// A response without records that is nobody's authority.
    pub(crate) fn respond_with(&self, code: ResponseCode) -> Vec<u8> {
        let mut message = self.response(code);
        message.metadata.authoritative = false;
        self.encode(message)
    }

    /// The response of an answer.
    pub(crate) fn respond(&self, answer: Answer) -> Vec<u8> {
        let Answer { code, answers, authorities, additionals, chase: _ } = answer;
        let mut message = self.response(code);
        message.metadata.authoritative = true;
        message.answers = answers;
        message.authorities = authorities;
        message.additionals = additionals;
        self.encode(message)
    }

    /// An upstream's answer as it is, unless it came in a larger packet than the client takes: then it is told to ask
    /// over TCP.
    pub(crate) fn pass_on(&self, answer: Vec<u8>) -> Vec<u8> {
        let limit = match self.transport {
            Transport::Tcp => MAX_TCP_BYTES,
            Transport::Udp => self.accepted_bytes(),
        };
        if answer.len() <= limit {
            return answer;
        }
        let code = answer.get(3).map_or(0, |flags| flags & 0x0f);
        let mut message = self.response(ResponseCode::from_low(code));
        message.metadata.truncation = true;
        message.metadata.recursion_available = true;
        self.encode(message)
    }

    /// The longest datagram of an upstream that the client takes and we pass on.
    pub(crate) fn accepted_bytes(&self) -> usize {
        let size = self.edns.as_ref().map_or(0, |edns| usize::from(edns.max_payload()));
        size.clamp(PLAIN_UDP_BYTES, MAX_FORWARDED_BYTES)
    }

    fn response(&self, code: ResponseCode) -> Message {
        let mut message = Message::response(self.metadata.id, self.metadata.op_code);
        message.metadata = Metadata::response_from_request(&self.metadata);
        message.metadata.response_code = code;
        message.queries = vec![self.query.clone()];
        // Options are not echoed: one that is not understood is left out (RFC 6891, 6.1.2).
        message.edns = self.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_UDP_BYTES).set_version(0).set_dnssec_ok(asked.flags().dnssec_ok);
            edns
        });
        message
    }

    /// Encodes what fits: first without the additional records, which nobody misses (RFC 2181, 9), then with TC and as
    /// many answers as fit, so that a client that does not try TCP has some.
    fn encode(&self, mut message: Message) -> Vec<u8> {
        let limit = self.limit_bytes();
        if let Some(bytes) = fitting(&message, limit) {
            return bytes;
        }
        message.additionals.clear();
        if let Some(bytes) = fitting(&message, limit) {
            return bytes;
        }
        message.metadata.truncation = true;
        message.authorities.clear();
        // None always fits: a header, a question and OPT are under 300 bytes.
        let opt = if message.edns.is_some() { OPT_BYTES } else { 0 };
        let count = answers_that_fit(&message, limit - opt);
        message.answers.truncate(count);
        fitting(&message, limit).unwrap_or_default()
    }
}

/// The message's bytes, if they are all there and not too many.
fn fitting(message: &Message, limit: usize) -> Option<Vec<u8>> {
    /// A name is written as it is before it is compressed.
    const NAME_BYTES: usize = 255;
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    // No need to write what is far too much.
    encoder.set_max_size(u16::try_from(limit + NAME_BYTES).unwrap_or(u16::MAX));
    message.emit(&mut encoder).ok()?;
    let count = |at: usize| Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)));
    let additionals = message.additionals.len() + usize::from(message.edns.is_some());
    let is_whole = count(6)? == message.answers.len()
        && count(8)? == message.authorities.len()
        && count(10)? == additionals;
    (is_whole && bytes.len() <= limit).then_some(bytes)
}

/// How many of the message's answers there is room for after its question.
fn answers_that_fit(message: &Message, limit: usize) -> usize {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    let begun = encoder.emit_vec(&[0; HEADER_BYTES]).and_then(|()| encoder.emit_all(message.queries.iter()));
    let mut fits = |record: &&Record| record.emit(&mut encoder).is_ok() && encoder.len() <= limit;
    begun.map_or(0, |_| message.answers.iter().take_while(|record| fits(record)).count())
}
