//! One query there, one answer back, and what makes an answer a good one.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::RData;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::worker::udp;

/// More than a server may send to a query without EDNS, which is 512 bytes (RFC 1035, 4.2.1).
pub(super) const DATAGRAM_BYTES: usize = 4096;
/// Bytes of a message before the first one that is not its id (RFC 1035, 4.1.1).
const ID_BYTES: usize = 2;

/// A query with its random id.
pub(super) struct Asked<'a> {
    pub(super) id: u16,
    query: &'a Query,
    message: Message,
}

/// A good answer: it has the id and the question of the query, case included.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: String,
    pub(super) has_data: bool,
    pub(super) is_truncated: bool,
    pub(super) address: Option<IpAddr>,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(super) enum Failure {
    Io(io::Error),
    /// What is wrong with the answer that came.
    Answer(&'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<'a> Asked<'a> {
    pub(super) fn new(query: &'a Query) -> Self {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        Self { id: message.id, query, message }
    }

    /// The same with another id.
    pub(super) fn with_id(&self, id: u16) -> Self {
        let mut message = self.message.clone();
        message.metadata.id = id;
        Self { id, query: self.query, message }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        self.message.to_vec().map_err(|_| Failure::Answer("a query that cannot be written"))
    }

    /// Judges bytes that have the id of this query.
    pub(super) fn judge(&self, answer: &[u8]) -> Result<Answer, Failure> {
        let answer = Message::from_vec(answer).map_err(|_| Failure::Answer("an undecodable answer"))?;
        if answer.message_type != MessageType::Response {
            return Err(Failure::Answer("a query for an answer"));
        }
        let [question] = answer.queries.as_slice() else {
            return Err(Failure::Answer("an answer without the question"));
        };
        if question != self.query || !question.name().eq_case(self.query.name()) {
            return Err(Failure::Answer("an answer to another question"));
        }
        let record_type = self.query.query_type();
        Ok(Answer {
            code: code_name(answer.response_code),
            has_data: answer.answers.iter().any(|record| record.record_type() == record_type),
            is_truncated: answer.truncation,
            address: answer.answers.iter().find_map(|record| address_of(&record.data)),
        })
    }
}

/// The id of a message, where there is one.
pub(super) fn id_of(message: &[u8]) -> Option<u16> {
    message.first_chunk::<ID_BYTES>().map(|id| u16::from_be_bytes(*id))
}

/// Asks from a socket of its own; `stray` is told of datagrams that have another id.
pub(super) async fn over_new_socket(
    to: SocketAddr,
    asked: &Asked<'_>,
    stray: impl Fn(),
) -> Result<Answer, Failure> {
    let socket = udp::open(to).await?;
    socket.connect(to).await?;
    socket.send(&asked.to_bytes()?).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = &buffer[..length];
        if id_of(answer) == Some(asked.id) {
            return asked.judge(answer);
        }
        stray();
    }
}

/// Asks over a connection of its own; each message comes after two bytes with its length (RFC 1035, 4.2.2).
pub(super) async fn over_tcp(to: SocketAddr, asked: &Asked<'_>) -> Result<Answer, Failure> {
    let query = asked.to_bytes()?;
    let length = u16::try_from(query.len()).map_err(|_| Failure::Answer("a query that is too long"))?;
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&[&length.to_be_bytes(), query.as_slice()].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    if id_of(&answer) == Some(asked.id) {
        asked.judge(&answer)
    } else {
        Err(Failure::Answer("an answer with another id"))
    }
}

fn address_of(data: &RData) -> Option<IpAddr> {
    if let RData::A(address) = data {
        Some(address.0.into())
    } else if let RData::AAAA(address) = data {
        Some(address.0.into())
    } else {
        None
    }
}

/// The code as `dig` writes it, or its number.
fn code_name(code: ResponseCode) -> String {
    const NAMES: [(ResponseCode, &str); 6] = [
        (ResponseCode::NoError, "NOERROR"),
        (ResponseCode::FormErr, "FORMERR"),
        (ResponseCode::ServFail, "SERVFAIL"),
        (ResponseCode::NXDomain, "NXDOMAIN"),
        (ResponseCode::NotImp, "NOTIMP"),
        (ResponseCode::Refused, "REFUSED"),
    ];
    let known = NAMES.iter().find(|(known, _)| *known == code);
    known.map_or_else(|| format!("RCODE{}", u16::from(code)), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::{Name, Record, RecordType, rdata::A};

    use super::*;

    fn question(name: &str) -> Query {
        Query::query(Name::from_ascii(name).unwrap(), RecordType::A)
    }

    fn response(asked: &Asked<'_>, echoed: Option<Query>) -> Message {
        let mut message = Message::response(asked.id, OpCode::Query);
        message.add_queries(echoed);
        message
    }

    fn wrong(judged: Result<Answer, Failure>) -> &'static str {
        match judged {
            Err(Failure::Answer(wrong)) => wrong,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_read_by_code_and_first_address() {
        let query = question("www.example.org.");
        let asked = Asked::new(&query);
        let mut message = response(&asked, Some(query.clone()));
        for last in [7, 8] {
            let data = RData::A(A::new(192, 0, 2, last));
            message.add_answer(Record::from_rdata(query.name().clone(), 5, data));
        }
        let answer = asked.judge(&message.to_vec().unwrap()).unwrap();
        assert_eq!((answer.code.as_str(), answer.has_data), ("NOERROR", true));
        assert_eq!(answer.address, Some([192, 0, 2, 7].into()));
        message.answers.clear();
        message.metadata.response_code = ResponseCode::NXDomain;
        let answer = asked.judge(&message.to_vec().unwrap()).unwrap();
        assert_eq!((answer.code.as_str(), answer.has_data), ("NXDOMAIN", false));
    }

    #[test]
    fn an_answer_must_have_the_question_with_its_case() {
        let query = question("wWw.example.org.");
        let asked = Asked::new(&query);
        for (echoed, what) in [
            (None, "an answer without the question"),
            (Some(question("www.example.org.")), "an answer to another question"),
            (Some(question("api.example.org.")), "an answer to another question"),
        ] {
            assert_eq!(wrong(asked.judge(&response(&asked, echoed).to_vec().unwrap())), what);
        }
        assert_eq!(wrong(asked.judge(&asked.to_bytes().unwrap())), "a query for an answer");
        assert_eq!(wrong(asked.judge(&[0, 1, 2])), "an undecodable answer");
    }
}
