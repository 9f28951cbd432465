//! A synchronous route-netlink socket: one request, one acknowledgement.
//!
//! A socket belongs to the network namespace of the thread that opened it; see [`crate::netns`].

use std::io;

use anyhow::{Context, Result, bail};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Flags of a request that makes something which must not exist yet.
const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// Flags of a request that makes something or puts it in the place of what is there.
const REPLACE: u16 = NLM_F_CREATE | NLM_F_REPLACE;

/// What makes links, addresses, routes and neighbours of one network namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn open() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE).context("opening a netlink socket")?;
        socket.bind_auto().context("binding a netlink socket")?;
        socket.connect(&SocketAddr::new(0, 0)).context("connecting a netlink socket")?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request that makes something.
    pub(crate) fn create(&mut self, message: RouteNetlinkMessage) -> Result<()> {
        self.request(message, CREATE).map(drop)
    }

    /// Sends a request that makes something, in the place of what is there.
    pub(crate) fn replace(&mut self, message: RouteNetlinkMessage) -> Result<()> {
        self.request(message, REPLACE).map(drop)
    }

    /// Sends a request that changes or removes something.
    pub(crate) fn change(&mut self, message: RouteNetlinkMessage) -> Result<()> {
        self.request(message, 0).map(drop)
    }

    /// Asks for one link.
    pub(crate) fn link(&mut self, wanted: LinkMessage) -> Result<LinkMessage> {
        match self.request(RouteNetlinkMessage::GetLink(wanted), 0)? {
            Some(RouteNetlinkMessage::NewLink(link)) => Ok(link),
            other => bail!("the kernel answered a link request with {other:?}"),
        }
    }

    /// Sends one request and reads up to its acknowledgement; returns the object that came before it, if any.
    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Option<RouteNetlinkMessage>> {
        self.sequence += 1;
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0).context("sending to netlink")?;

        let mut object = None;
        loop {
            let (received, _) = self.socket.recv_from_full().context("reading from netlink")?;
            let mut rest = received.as_slice();
            while !rest.is_empty() {
                let reply = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|error| anyhow::anyhow!("undecodable netlink reply: {error}"))?;
                // Messages are aligned to four bytes within a datagram.
                let length = (reply.header.length as usize).next_multiple_of(4).min(rest.len());
                rest = &rest[length.max(1)..];
                if reply.header.sequence_number != self.sequence {
                    continue;
                }
                if let NetlinkPayload::InnerMessage(inner) = reply.payload {
                    object = Some(inner);
                } else if let NetlinkPayload::Error(error) = reply.payload {
                    let Some(code) = error.code else { return Ok(object) };
                    return Err(io::Error::from_raw_os_error(-code.get()).into());
                }
            }
        }
    }
}
