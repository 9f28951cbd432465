//! What an external name stands for, at an upstream.

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::answer::{Answer, MAX_CHAIN};
use crate::forward::{Forwarder, RawQuery};
use crate::message::{MAX_FORWARDED_BYTES, MAX_UDP_BYTES, Request};

/// Asks for a target what was asked for its alias. Over UDP where it fits there; an upstream that does not know EDNS is
/// asked without it (RFC 6891, 7).
pub(super) async fn ask(forwarder: &Forwarder, target: &Name, request: &Request) -> Option<Vec<u8>> {
    let answer = forwarder.ask_for_all(&query(target, request, true)?).await?;
    if knows_edns(&answer) {
        return Some(answer);
    }
    forwarder.ask_for_all(&query(target, request, false)?).await
}

fn query(target: &Name, request: &Request, has_edns: bool) -> Option<RawQuery> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = request.metadata.checking_disabled;
    message.add_query(Query::query(target.clone(), request.query.query_type));
    message.edns = has_edns.then(|| {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP_BYTES).set_version(0);
        edns
    });
    RawQuery::new(&message.to_vec().ok()?, MAX_FORWARDED_BYTES)
}

fn knows_edns(answer: &[u8]) -> bool {
    let code = ResponseCode::from_low(answer.get(3).map_or(0, |flags| flags & 0x0f));
    !matches!(code, ResponseCode::FormErr | ResponseCode::NotImp)
}

/// The alias with what an upstream says of its target: the records that lead on from it, and the upstream's code.
pub(super) fn join(known: Answer, target: &Name, bytes: &[u8]) -> Answer {
    let Ok(message) = Message::from_vec(bytes) else {
        return Answer { code: ResponseCode::ServFail, ..known };
    };
    let mut answer = Answer { code: message.metadata.response_code, ..known };
    let mut owner = target.clone();
    let mut seen: Vec<Name> = answer.answers.iter().map(|record| record.name.clone()).collect();
    let mut has_end = false;
    for _ in 0..=MAX_CHAIN {
        // A circle is told once.
        if seen.contains(&owner) {
            break;
        }
        seen.push(owner.clone());
        let mut next = None;
        for record in message.answers.iter().filter(|record| record.name == owner) {
            if let RData::CNAME(alias) = &record.data {
                next = Some(alias.0.clone());
            } else {
                has_end = true;
            }
            answer.answers.push(record.clone());
        }
        match next {
            Some(name) => owner = name,
            None => break,
        }
    }
    // How long to remember that there is nothing: only from a zone that the last name is in.
    if !has_end {
        let is_soa_of = |r: &Record| r.record_type() == RecordType::SOA && r.name.zone_of(&owner);
        answer.authorities.extend(message.authorities.into_iter().filter(is_soa_of));
    }
    answer
}
