//! One query to one upstream and its answer, as bytes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::upstream::Upstream;
use crate::message::{HEADER_BYTES, TYPE_AND_CLASS_BYTES, Transport, question_end};

/// A query whose question is known to be there.
#[derive(Clone, Debug)]
pub(crate) struct RawQuery {
    packet: Vec<u8>,
    question_end: usize,
    /// Bytes of the longest answer in a datagram that is of use, and one: more is cut by whoever passes it on.
    answer_bytes: usize,
}

impl RawQuery {
    /// A query as it came. `None` if its question is not plain bytes up to an end: nobody sends that.
    pub(crate) fn new(packet: &[u8], answer_bytes: usize) -> Option<Self> {
        let question_end = question_end(packet)?;
        Some(Self { packet: packet.to_vec(), question_end, answer_bytes: answer_bytes + 1 })
    }

    fn with_id(&self, id: [u8; 2]) -> Vec<u8> {
        let mut packet = self.packet.clone();
        set_id(&mut packet, id);
        packet
    }

    fn id(&self) -> [u8; 2] {
        self.packet.first_chunk().copied().unwrap_or_default()
    }

    /// Whether a packet answers it, sent under `id`: id, QR and question agree (RFC 5452, 9.1), case aside.
    fn is_answered_by(&self, answer: &[u8], id: [u8; 2]) -> bool {
        let is_response =
            answer.len() >= HEADER_BYTES && answer.get(2).is_some_and(|flags| flags & 0x80 != 0);
        if answer.first_chunk() != Some(&id) || !is_response {
            return false;
        }
        // Who refuses what it cannot read does not repeat it.
        let is_refusal = answer.get(3).is_some_and(|flags| flags & 0x0f != 0);
        if is_refusal && answer.get(4..6) == Some(&[0, 0]) {
            return true;
        }
        // The name in any case; type and class are numbers, not letters.
        let name_end = self.question_end - TYPE_AND_CLASS_BYTES;
        let name = |packet: &[u8]| packet.get(HEADER_BYTES..name_end).map(<[u8]>::to_ascii_lowercase);
        let rest = name_end..self.question_end;
        question_end(answer) == Some(self.question_end)
            && name(answer) == name(&self.packet)
            && answer.get(rest.clone()) == self.packet.get(rest)
    }
}

fn set_id(packet: &mut [u8], id: [u8; 2]) {
    if let Some(place) = packet.first_chunk_mut::<2>() {
        *place = id;
    }
}

impl Upstream {
    /// Asks, and returns the answer under the query's own id.
    ///
    /// # Errors
    ///
    /// The upstream cannot be reached, or closed the connection.
    pub(crate) async fn exchange(&self, query: &RawQuery, transport: Transport) -> io::Result<Vec<u8>> {
        // A number and a port that nobody can guess (RFC 5452, 9.2): the port is the kernel's.
        let id = rand::random::<[u8; 2]>();
        let packet = query.with_id(id);
        let mut answer = match transport {
            Transport::Udp => {
                over_udp(self.addr, &packet, query.answer_bytes, |answer| query.is_answered_by(answer, id))
                    .await?
            }
            Transport::Tcp => {
                let answer = over_tcp(self.addr, &packet).await?;
                if !query.is_answered_by(&answer, id) {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer to another question"));
                }
                answer
            }
        };
        set_id(&mut answer, query.id());
        Ok(answer)
    }
}

async fn over_udp(
    addr: SocketAddr,
    packet: &[u8],
    answer_bytes: usize,
    is_answer: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(addr).await?;
    socket.send(packet).await?;
    let mut answer = Vec::with_capacity(answer_bytes);
    loop {
        answer.clear();
        socket.recv_buf(&mut answer).await?;
        if is_answer(&answer) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(addr: SocketAddr, packet: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(packet.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut framed = Vec::with_capacity(2 + packet.len());
    framed.extend(length.to_be_bytes());
    framed.extend(packet);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
