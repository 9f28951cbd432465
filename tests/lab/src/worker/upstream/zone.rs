//! What the DNS server outside the cluster knows.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::upstream::WWW_V4;

/// Seconds for which a record may be kept.
const TTL: u32 = 60;
/// Seconds for which an absence may be kept.
const NEGATIVE_TTL: u32 = 30;
/// Size of datagrams that the server offers to take, the usual one since DNS flag day 2020.
const OWN_PAYLOAD: u16 = 1232;
/// Records of `big.example.org`: 60 × 16 bytes do not fit in 512 and fit in [`OWN_PAYLOAD`].
const BIG_RECORDS: u8 = 60;
/// Bytes of a message's header (RFC 1035, 4.1.1).
const HEADER_BYTES: usize = 12;

/// The answer in at most `limit` bytes; what does not fit leaves the TC bit.
pub(super) fn answer(query: &Message, limit: u16) -> Option<Vec<u8>> {
    let mut response = response_to(query);
    match query.queries.as_slice() {
        [question] if query.op_code == OpCode::Query => {
            resolve(question.name(), question.query_type(), &mut response);
        }
        [_] => response.metadata.response_code = ResponseCode::NotImp,
        _ => response.metadata.response_code = ResponseCode::FormErr,
    }
    let bytes = response.to_vec().ok()?;
    if bytes.len() <= limit.into() { Some(bytes) } else { response.truncate().to_vec().ok() }
}

/// SERVFAIL.
pub(super) fn failure(query: &Message) -> Option<Vec<u8>> {
    let mut response = response_to(query);
    response.metadata.response_code = ResponseCode::ServFail;
    response.to_vec().ok()
}

/// FORMERR to bytes that are no message but have a header with an id; nothing to shorter ones.
pub(super) fn malformed(message: &[u8]) -> Option<Vec<u8>> {
    let [high, low, ..] = *message.get(..HEADER_BYTES)? else { return None };
    let id = u16::from_be_bytes([high, low]);
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}

fn response_to(query: &Message) -> Message {
    let mut response = Message::response(query.id, query.op_code);
    response.metadata.recursion_desired = query.recursion_desired;
    response.metadata.checking_disabled = query.checking_disabled;
    response.metadata.recursion_available = true;
    response.add_queries(query.queries.iter().cloned());
    if let Some(asked) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(OWN_PAYLOAD);
        if asked.flags().dnssec_ok {
            edns.set_dnssec_ok(true);
            response.metadata.authentic_data = true;
            let options = asked.options().as_ref().iter().map(|(_, option)| option);
            for option in options.filter(|option| matches!(option, EdnsOption::Unknown(..))) {
                edns.options_mut().insert(option.clone());
            }
        }
        response.set_edns(edns);
    }
    response
}

/// Follows aliases and adds what is found, or the SOA that says that nothing is.
fn resolve(asked: &Name, record_type: RecordType, response: &mut Message) {
    // The first owner keeps the case of the question, as resolvers that randomise it expect.
    let mut owner = asked.clone();
    while let Some(known) = records_of(&owner) {
        let fitting = |data: &&RData| data.record_type() == record_type;
        let found: Vec<_> = known.iter().filter(fitting).cloned().collect();
        let alias =
            known.iter().find_map(|data| if let RData::CNAME(alias) = data { Some(alias) } else { None });
        match (found.is_empty(), alias) {
            (true, Some(alias)) => {
                response.add_answer(Record::from_rdata(owner.clone(), TTL, RData::CNAME(alias.clone())));
                owner = alias.0.clone();
            }
            (true, None) => {
                response.add_authority(soa());
                return;
            }
            (false, _) => {
                response
                    .add_answers(found.into_iter().map(|data| Record::from_rdata(owner.clone(), TTL, data)));
                return;
            }
        }
    }
    response.metadata.response_code = ResponseCode::NXDomain;
    response.add_authority(soa());
}

/// All records of a name; nothing when there is no such name.
fn records_of(name: &Name) -> Option<Vec<RData>> {
    let records = match name.to_lowercase().to_ascii().as_str() {
        "example.org." => vec![RData::MX(MX::new(10, below_example("mail")))],
        "www.example.org." => vec![
            RData::A(A(WWW_V4)),
            RData::AAAA(AAAA(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
            RData::TXT(TXT::new(vec!["outside the cluster".to_owned()])),
            RData::MX(MX::new(10, below_example("mail"))),
        ],
        "alias.example.org." => vec![RData::CNAME(CNAME(below_example("www")))],
        "mail.example.org." => vec![
            RData::A(A(Ipv4Addr::new(192, 0, 2, 25))),
            RData::AAAA(AAAA(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x25))),
        ],
        "big.example.org." => {
            (1..=BIG_RECORDS).map(|last| RData::A(A(Ipv4Addr::new(198, 51, 100, last)))).collect()
        }
        _ => return None,
    };
    Some(records)
}

/// The SOA of example.org; names outside of it have none of their own and get the same.
fn soa() -> Record {
    let data =
        SOA::new(below_example("ns"), below_example("hostmaster"), 1, 7200, 1800, 86_400, NEGATIVE_TTL);
    Record::from_rdata(name(["example", "org"]), NEGATIVE_TTL, RData::SOA(data))
}

fn below_example(label: &str) -> Name {
    name([label, "example", "org"])
}

fn name<const N: usize>(labels: [&str; N]) -> Name {
    Name::from_labels(labels).expect("the labels are constants and short")
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::*;

    fn query(name: &str, record_type: RecordType) -> Message {
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
        query
    }

    fn answer_to(query: &Message) -> Message {
        Message::from_vec(&answer(query, query.max_payload()).unwrap()).unwrap()
    }

    #[test]
    fn an_alias_is_followed_and_the_case_of_the_question_kept() {
        let response = answer_to(&query("aLiAs.example.org.", RecordType::AAAA));
        assert_eq!(response.answers.len(), 2, "{response:?}");
        assert_eq!(response.answers[0].name.to_ascii(), "aLiAs.example.org.");
        assert_eq!(response.answers[1].data.to_string(), "2001:db8::1");
    }

    #[test]
    fn an_absent_name_and_an_absent_type_differ_and_both_have_a_soa() {
        let missing = answer_to(&query("missing.example.org.", RecordType::A));
        assert_eq!(missing.response_code, ResponseCode::NXDomain);
        assert_eq!(missing.authorities[0].record_type(), RecordType::SOA);
        let other_type = answer_to(&query("www.example.org.", RecordType::SRV));
        assert_eq!(other_type.response_code, ResponseCode::NoError);
        assert_eq!((other_type.answers.len(), other_type.authorities.len()), (0, 1));
    }

    #[test]
    fn a_big_answer_is_cut_to_what_the_client_takes() {
        let mut big = query("big.example.org.", RecordType::A);
        let cut = answer_to(&big);
        assert_eq!((cut.truncation, cut.answers.len()), (true, 0), "512 bytes are too few");
        let mut edns = Edns::new();
        edns.set_max_payload(OWN_PAYLOAD);
        big.set_edns(edns);
        let whole = answer_to(&big);
        assert_eq!((whole.truncation, whole.answers.len()), (false, BIG_RECORDS.into()));
    }

    #[test]
    fn the_do_bit_brings_ad_and_the_options_back() {
        let mut asked = query("www.example.org.", RecordType::A);
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(65_001, vec![1, 2, 3]));
        asked.set_edns(edns.clone());
        let plain = answer_to(&asked);
        assert!(!plain.authentic_data && plain.edns.unwrap().options().as_ref().is_empty());
        edns.set_dnssec_ok(true);
        asked.set_edns(edns);
        let secure = answer_to(&asked);
        assert!(secure.authentic_data);
        let edns = secure.edns.unwrap();
        assert!(edns.flags().dnssec_ok);
        assert_eq!(edns.options().as_ref()[0].1, EdnsOption::Unknown(65_001, vec![1, 2, 3]));
    }
}
