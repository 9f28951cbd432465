//! Messages as bytes: queries and responses built by hand, and a parser that shares nothing with the one under test.

use std::ops::Range;

pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const TXT: u16 = 16;
pub(crate) const SRV: u16 = 33;
pub(crate) const OPT: u16 = 41;

pub(crate) const NOERROR: u8 = 0;
pub(crate) const FORMERR: u8 = 1;
pub(crate) const SERVFAIL: u8 = 2;
pub(crate) const NXDOMAIN: u8 = 3;
pub(crate) const NOTIMP: u8 = 4;
pub(crate) const REFUSED: u8 = 5;

/// RD in the third byte of a header.
pub(crate) const RD: u8 = 0x01;
/// TC in the third byte.
pub(crate) const TC: u8 = 0x02;
/// AD and CD in the fourth.
pub(crate) const AD: u8 = 0x20;
pub(crate) const CD: u8 = 0x10;

/// A name in wire form.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A query of one question, RD set.
#[derive(Clone)]
pub(crate) struct Query {
    id: u16,
    flags: [u8; 2],
    name: Vec<u8>,
    record_type: u16,
    class: u16,
    opts: Vec<Vec<u8>>,
}

pub(crate) fn query(text: &str, record_type: u16) -> Query {
    Query { id: 0x1234, flags: [RD, 0], name: name(text), record_type, class: 1, opts: Vec::new() }
}

impl Query {
    pub(crate) fn id(self, id: u16) -> Self {
        Self { id, ..self }
    }

    pub(crate) fn opcode(self, opcode: u8) -> Self {
        Self { flags: [opcode << 3 | RD, self.flags[1]], ..self }
    }

    pub(crate) fn low_flags(self, flags: u8) -> Self {
        Self { flags: [self.flags[0], flags], ..self }
    }

    pub(crate) fn class(self, class: u16) -> Self {
        Self { class, ..self }
    }

    pub(crate) fn wire_name(self, name: Vec<u8>) -> Self {
        Self { name, ..self }
    }

    /// One more OPT record: payload size, version, DO, options.
    pub(crate) fn opt(mut self, size: u16, version: u8, is_do: bool, options: &[(u16, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (code, value) in options {
            data.extend(code.to_be_bytes());
            data.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            data.extend(*value);
        }
        let mut opt = vec![0];
        opt.extend(OPT.to_be_bytes());
        opt.extend(size.to_be_bytes());
        opt.extend([0, version, if is_do { 0x80 } else { 0 }, 0]);
        opt.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        opt.extend(data);
        self.opts.push(opt);
        self
    }

    /// A plain OPT record.
    pub(crate) fn edns(self, size: u16) -> Self {
        self.opt(size, 0, false, &[])
    }

    pub(crate) fn question(&self) -> Vec<u8> {
        let mut bytes = self.name.clone();
        bytes.extend(self.record_type.to_be_bytes());
        bytes.extend(self.class.to_be_bytes());
        bytes
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend(self.flags);
        bytes.extend([0, 1, 0, 0, 0, 0, 0, u8::try_from(self.opts.len()).unwrap()]);
        bytes.extend(self.question());
        bytes.extend(self.opts.concat());
        bytes
    }
}

/// A response to the bytes of a query, as an upstream would make it.
pub(crate) struct Response {
    bytes: Vec<u8>,
}

impl Response {
    /// Header and question, RA set.
    pub(crate) fn to(query: &[u8], code: u8) -> Self {
        let question = parse(query).unwrap().question.unwrap();
        let mut bytes = query[..question.end].to_vec();
        bytes[2] |= 0x80;
        bytes[3] = bytes[3] & CD | 0x80 | code;
        bytes[6..12].fill(0);
        Self { bytes }
    }

    /// Sets bits of the third and the fourth byte.
    pub(crate) fn flags(mut self, high: u8, low: u8) -> Self {
        self.bytes[2] |= high;
        self.bytes[3] |= low;
        self
    }

    fn record(mut self, section: usize, owner: &str, record_type: u16, class: u16, data: &[u8]) -> Self {
        self.bytes[5 + 2 * section] += 1;
        self.bytes.extend(name(owner));
        self.bytes.extend(record_type.to_be_bytes());
        self.bytes.extend(class.to_be_bytes());
        self.bytes.extend(60_u32.to_be_bytes());
        self.bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        self.bytes.extend(data);
        self
    }

    pub(crate) fn answer(self, owner: &str, record_type: u16, data: &[u8]) -> Self {
        self.record(1, owner, record_type, 1, data)
    }

    pub(crate) fn authority(self, owner: &str, record_type: u16, data: &[u8]) -> Self {
        self.record(2, owner, record_type, 1, data)
    }

    pub(crate) fn additional(self, owner: &str, record_type: u16, class: u16, data: &[u8]) -> Self {
        self.record(3, owner, record_type, class, data)
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// What a message says.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) id: u16,
    pub(crate) flags: [u8; 2],
    /// Where the one question is, if there is one.
    pub(crate) question: Option<Range<usize>>,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    /// Without OPT.
    pub(crate) additionals: Vec<Record>,
    pub(crate) opts: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Case kept.
    pub(crate) owner: String,
    pub(crate) record_type: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
    /// The name that the data is, for types whose data is one.
    pub(crate) target: String,
}

impl Parsed {
    pub(crate) fn is_truncated(&self) -> bool {
        self.flags[0] & 0x02 != 0
    }

    /// Without the bits that OPT has.
    pub(crate) fn code(&self) -> u8 {
        self.flags[1] & 0x0f
    }

    /// With them.
    pub(crate) fn extended_code(&self) -> u32 {
        let high = self.opts.first().map_or(0, |opt| opt.ttl >> 24);
        high << 4 | u32::from(self.code())
    }
}

/// Reads a message of at most one question, all of it: nothing may follow the last record.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, &'static str> {
    let mut reader = Reader { bytes, at: 0 };
    let id = reader.u16()?;
    let flags = [reader.u8()?, reader.u8()?];
    let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let question = match counts[0] {
        0 => None,
        1 => {
            let begin = reader.at;
            reader.name()?;
            reader.take(4)?;
            Some(begin..reader.at)
        }
        _ => return Err("several questions"),
    };
    let mut section = |count: u16| (0..count).map(|_| reader.record()).collect::<Result<Vec<_>, _>>();
    let (answers, authorities) = (section(counts[1])?, section(counts[2])?);
    let (opts, additionals) = section(counts[3])?.into_iter().partition(|r| r.record_type == OPT);
    if reader.at != bytes.len() {
        return Err("bytes after the end");
    }
    Ok(Parsed { id, flags, question, answers, authorities, additionals, opts })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let taken = self.bytes.get(self.at..self.at + length).ok_or("cut off")?;
        self.at += length;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, &'static str> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, &'static str> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn name(&mut self) -> Result<String, &'static str> {
        let (mut text, mut length, mut at) = (String::new(), 1, self.at);
        let mut end = None;
        let mut lowest = self.at;
        loop {
            let byte = usize::from(*self.bytes.get(at).ok_or("cut off in a name")?);
            match byte {
                0 => break,
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + byte).ok_or("cut off in a label")?;
                    length += 1 + byte;
                    if length > 255 {
                        return Err("a name of more than 255 bytes");
                    }
                    text.extend(label.iter().map(|byte| char::from(*byte)));
                    text.push('.');
                    at += 1 + byte;
                }
                0xc0.. => {
                    let low = usize::from(*self.bytes.get(at + 1).ok_or("cut off in a pointer")?);
                    end.get_or_insert(at + 2);
                    at = (byte & 0x3f) << 8 | low;
                    if at >= lowest {
                        return Err("a pointer that does not point back");
                    }
                    lowest = at;
                }
                _ => return Err("a label of an unknown kind"),
            }
        }
        self.at = end.unwrap_or(at + 1);
        Ok(text)
    }

    fn record(&mut self) -> Result<Record, &'static str> {
        let owner = self.name()?;
        let (record_type, class) = (self.u16()?, self.u16()?);
        let ttl = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
        let length = usize::from(self.u16()?);
        let begin = self.at;
        let data = self.take(length)?.to_vec();
        let target = match record_type {
            CNAME => Reader { bytes: self.bytes, at: begin }.name()?,
            SRV => Reader { bytes: self.bytes, at: begin + 6 }.name()?,
            _ => String::new(),
        };
        Ok(Record { owner, record_type, class, ttl, data, target })
    }
}
