//! What must be true of any reply, read by a parser that shares nothing with the server's.

use dns::Transport;
use dns::server::Handled;
use hickory_proto::op::Message;

const HEADER: usize = 12;

fn word(bytes: &[u8], at: usize) -> Result<usize, String> {
    let pair = bytes.get(at..at + 2).ok_or_else(|| format!("it ends before {at}"))?;
    Ok(usize::from(pair[0]) << 8 | usize::from(pair[1]))
}

/// Whether two replies differ in nothing but how names are compressed.
pub(crate) fn say_the_same(one: &Handled, other: &Handled) -> bool {
    let (Handled::Reply(one), Handled::Reply(other)) = (one, other) else { return false };
    let (Ok(a), Ok(b)) = (Message::from_vec(one), Message::from_vec(other)) else { return false };
    let is_same_case = one.get(12..one.len().min(40)) == other.get(12..other.len().min(40));
    a == b && is_same_case
}

/// Silence is for responses and for less than a header.
pub(crate) fn may_be_silent(packet: &[u8]) -> Result<(), String> {
    if packet.len() < HEADER || packet[2] & 0x80 != 0 {
        Ok(())
    } else {
        Err("a query without an answer".into())
    }
}

/// Upstreams get nothing but questions: one, in class IN.
pub(crate) fn may_be_forwarded(packet: &[u8]) -> Result<(), String> {
    let end = question_end(packet)?;
    if packet[2] & 0xf8 != 0 {
        return Err("a forwarded packet that is no query".into());
    }
    if word(packet, 4)? == 1 && word(packet, end - 2)? == 1 {
        Ok(())
    } else {
        Err("no single question in IN".into())
    }
}

pub(crate) fn check(packet: &[u8], reply: &[u8], transport: Transport) -> Result<(), String> {
    if packet.len() < HEADER || packet[2] & 0x80 != 0 {
        return Err("an answer to what is no query".into());
    }
    if reply.get(..2) != packet.get(..2) {
        return Err("another id".into());
    }
    let flags = *reply.get(2).ok_or("no flags")?;
    if flags & 0x80 == 0 || flags & 0x79 != packet[2] & 0x79 {
        return Err("QR, operation or RD are wrong".into());
    }
    check_size(packet, reply, transport)?;
    let questions = word(reply, 4)?;
    let mut at = HEADER;
    if questions == 1 {
        at = question_end(reply)?;
        if packet.get(HEADER..at) != reply.get(HEADER..at) {
            return Err("another question".into());
        }
    } else if questions > 1 {
        return Err("several questions".into());
    }
    let (mut opts, additional) = (0, word(reply, 10)?);
    for section in [word(reply, 6)?, word(reply, 8)?, additional] {
        for _ in 0..section {
            at = name_end(reply, at)?;
            opts += usize::from(word(reply, at)? == 41);
            at += 10 + word(reply, at + 8)?;
        }
    }
    if at != reply.len() {
        return Err(format!("records end at {at} of {}", reply.len()));
    }
    if opts > 1 || (opts == 1 && word(packet, 10)? == 0) {
        return Err("OPT, and nobody sent one, or two of them".into());
    }
    Ok(())
}

fn check_size(packet: &[u8], reply: &[u8], transport: Transport) -> Result<(), String> {
    let limit = match transport {
        Transport::Tcp => 65_535,
        // Without any additional record there is no OPT.
        Transport::Udp if word(packet, 10)? == 0 => 512,
        Transport::Udp => 1232,
    };
    if reply.len() <= limit { Ok(()) } else { Err(format!("{} bytes", reply.len())) }
}

fn question_end(bytes: &[u8]) -> Result<usize, String> {
    let end = name_end(bytes, HEADER)? + 4;
    if end <= bytes.len() { Ok(end) } else { Err("a cut question".into()) }
}

/// Where a name ends; what it points to must be before it.
fn name_end(bytes: &[u8], start: usize) -> Result<usize, String> {
    let mut at = start;
    loop {
        match *bytes.get(at).ok_or("a name beyond the end")? {
            0 => return Ok(at + 1),
            length if length & 0xc0 == 0xc0 => {
                let target = word(bytes, at)? & 0x3fff;
                return if target < start {
                    Ok(at + 2)
                } else {
                    Err(format!("a pointer from {at} to {target}"))
                };
            }
            length if length & 0xc0 != 0 => return Err(format!("a label of kind {length:#x}")),
            length => at += 1 + usize::from(length),
        }
    }
}
