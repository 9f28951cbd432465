//! Who has a port that the server is to have. The server's sockets share their port (SO_REUSEPORT), so that several
//! workers can have it: a process of the same user that has it already would go on unnoticed with its part of the queries.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use ::dns::server::ListenError;

/// An address that another process has.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr} ({protocol}): {holder}")]
pub struct Taken {
    /// The address.
    pub addr: SocketAddr,
    /// `UDP` or `TCP`.
    pub protocol: &'static str,
    /// Who has it.
    pub holder: Holder,
}

/// The process that has a port, as far as it can be seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The DNS process of a daemon that is gone, and whose state directory does not lead to it.
    LeftBehind {
        /// Its process id.
        pid: u32,
    },
    /// Any other.
    Process {
        /// Its process id.
        pid: u32,
        /// The name of its program.
        name: String,
    },
    /// One of another user or another container.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftBehind { pid } => write!(
                f,
                "process {pid} has the port: the DNS process of an earlier daemon, which this state directory does not \
                 lead to and whose zone nobody changes: end it (kill {pid})"
            ),
            Self::Process { pid, name } => {
                write!(f, "process {pid} ({name}) has the port: stop it or choose another address")
            }
            Self::Unknown => write!(f, "another process has the port: stop it or choose another address"),
        }
    }
}

/// Refuses an address that a socket is bound to. One that is bound to all addresses is no hindrance: what is sent to this
/// one comes to who names it.
///
/// # Errors
///
/// Who has it.
pub fn refuse_taken(addr: SocketAddr) -> Result<(), Taken> {
    let tries: [(&'static str, io::Result<()>); 2] =
        [("UDP", UdpSocket::bind(addr).map(drop)), ("TCP", TcpListener::bind(addr).map(drop))];
    for (protocol, tried) in tries {
        // Any other reason is told by who binds to stay.
        if tried.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
            && let Some(inode) = socket_at(protocol, addr)
        {
            return Err(Taken { addr, protocol, holder: holder_of(inode) });
        }
    }
    Ok(())
}

/// Why an address cannot be had, with the process that has it where it can be found.
#[must_use]
pub fn explain(error: &ListenError) -> String {
    if error.source.kind() != io::ErrorKind::AddrInUse {
        return error.to_string();
    }
    let ListenError { addr, protocol, .. } = *error;
    let everywhere = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let everywhere = everywhere.map(|ip: IpAddr| SocketAddr::new(ip, addr.port()));
    let inode = [addr].into_iter().chain(everywhere).find_map(|addr| socket_at(protocol, addr));
    Taken { addr, protocol, holder: inode.map_or(Holder::Unknown, holder_of) }.to_string()
}

/// Inode of a socket that has this address, from the tables of this network namespace (proc_net_tcp.rst of the kernel).
fn socket_at(protocol: &str, addr: SocketAddr) -> Option<u64> {
    let table =
        format!("/proc/self/net/{}{}", protocol.to_lowercase(), if addr.is_ipv4() { "" } else { "6" });
    let text = fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| inode_if_at(line, protocol == "TCP", addr))
}

/// The inode in a line, if the line's socket has the address and, where that is asked for, listens.
fn inode_if_at(line: &str, is_to_listen: bool, addr: SocketAddr) -> Option<u64> {
    /// TCP_LISTEN of include/net/tcp_states.h.
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, _, state, _, _, _, _, _, inode, ..] = *fields.as_slice() else { return None };
    let is_meant = address_of(local)? == addr && (!is_to_listen || state == LISTENS);
    inode.parse().ok().filter(|_| is_meant)
}

/// `0100007F:0035`: 32-bit words of the address as this machine has them, and the port.
fn address_of(text: &str) -> Option<SocketAddr> {
    let (addr, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(addr.get(8 * at..8 * at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match addr.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut octets = [0; 16];
            for (at, part) in octets.chunks_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Who has the socket of this inode open.
fn holder_of(inode: u64) -> Holder {
    let wanted = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_it = |pid: &u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|link| link.as_os_str() == wanted.as_str())
    };
    let Some(pid) = pids.find(has_it) else { return Holder::Unknown };
    if super::handover::is_child(pid) {
        return Holder::LeftBehind { pid };
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Holder::Process { pid, name: name.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_kernels_tables_are_read() {
        let read = |text: &str| address_of(text).map(|addr| addr.to_string());
        // As a little-endian machine prints them.
        if cfg!(target_endian = "little") {
            assert_eq!(read("0100007F:0035").as_deref(), Some("127.0.0.1:53"));
            assert_eq!(read("00000000000000000000000001000000:0035").as_deref(), Some("[::1]:53"));
        }
        for text in ["", "0100007F", "0100007:0035", "0100007F:0x", "0100007F00:0035", "é100007F:0035"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn who_has_a_port_is_named_even_if_it_would_share() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let sockets = ::dns::server::bind(&[addr.parse().unwrap()], 1);
            // A port that is free for both protocols.
            let Ok(sockets) = sockets else { panic!("{addr}") };
            let (udp, tcp) = (sockets.udp[0].local_addr().unwrap(), sockets.tcp[0].local_addr().unwrap());
            for (addr, protocol) in [(udp, "UDP"), (tcp, "TCP")] {
                let taken = refuse_taken(addr).unwrap_err();
                assert_eq!((taken.addr, taken.protocol), (addr, protocol));
                let Holder::Process { pid, .. } = taken.holder else { panic!("{taken}") };
                assert_eq!(pid, std::process::id());
            }
            drop(sockets);
            refuse_taken(udp).unwrap();
        }
    }

    #[test]
    fn a_port_that_is_bound_to_all_addresses_is_no_hindrance() {
        let all = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = all.local_addr().unwrap().port();
        let addr = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 9).into(), port);
        refuse_taken(addr).unwrap();
        // Only who cannot share it is hindered.
        let error = ::dns::server::bind(&[addr], 1).unwrap_err();
        assert!(explain(&error).contains(&format!("process {} (", std::process::id())), "{error}");
    }
}
