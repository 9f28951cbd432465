//! A network namespace of the test's own: a thread's, gone with the thread and its sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sched::{CloneFlags, unshare};

use crate::address::{LOCAL_V4, LOCAL_V6};

/// Moves the calling thread, and threads that it starts later, to a new network namespace and sets up its loopback
/// with the addresses of a test's cluster. The mount namespace is new too, so that mounts end with the thread.
pub fn enter_new() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("new namespaces");
    let flags = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).expect("private mounts");
    set_up_loopback().expect("loopback up");
    for (i, addr) in LOCAL_V4.into_iter().enumerate() {
        add_v4(i, addr).unwrap_or_else(|e| panic!("{addr} on loopback: {e}"));
    }
    for addr in LOCAL_V6 {
        add_v6(addr).unwrap_or_else(|e| panic!("{addr} on loopback: {e}"));
    }
}

/// The cookie of the calling thread's namespace.
pub fn cookie() -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket of the namespace");
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the option writes at most `len` bytes, the size of `cookie`.
    let ret = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    assert_eq!(ret, 0, "SO_NETNS_COOKIE: {}", io::Error::last_os_error());
    cookie
}

fn set_up_loopback() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut request = named("lo");
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    ioctl(&socket, libc::SIOCSIFFLAGS, &mut request)
}

/// An address with its own label and a whole-address mask: nothing else becomes local with it.
fn add_v4(i: usize, addr: Ipv4Addr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut request = named(&format!("lo:{i}"));
    request.ifr_ifru.ifru_addr = inet(addr);
    ioctl(&socket, libc::SIOCSIFADDR, &mut request)?;
    request.ifr_ifru.ifru_netmask = inet(Ipv4Addr::BROADCAST);
    ioctl(&socket, libc::SIOCSIFNETMASK, &mut request)
}

fn add_v6(addr: Ipv6Addr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    let mut request = libc::in6_ifreq {
        ifr6_addr: libc::in6_addr { s6_addr: addr.octets() },
        ifr6_prefixlen: 128,
        // Loopback is the first interface of every namespace.
        ifr6_ifindex: 1,
    };
    ioctl(&socket, libc::SIOCSIFADDR, &mut request)
}

fn named(name: &str) -> libc::ifreq {
    // SAFETY: a C struct of integers and a union of them; all zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request
}

fn inet(addr: Ipv4Addr) -> libc::sockaddr {
    let [a, b, c, d] = addr.octets();
    let mut sa_data = [0; 14];
    for (to, from) in sa_data[2..6].iter_mut().zip([a, b, c, d]) {
        *to = from.cast_signed();
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data }
}

fn ioctl<T>(socket: &UdpSocket, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: the caller pairs the request with the struct that it reads and writes.
    let ret = unsafe { libc::ioctl(socket.as_raw_fd(), request, std::ptr::from_mut(argument)) };
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
