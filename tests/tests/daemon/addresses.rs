//! The node's own addresses are followed.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

use anyhow::{Result, ensure};
use lab::{Dial, Workload};

use crate::world::World;

const NODE_PORT: u16 = 30080;

/// Gives `lo` a second address, as an operator's `ip address add` would: an alias by ioctl, since `ip` may be missing.
fn add_address(addr: Ipv4Addr) -> Result<()> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    // SAFETY: a struct of plain bytes and integers; all zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo:7") {
        *to = i8::try_from(*from)?;
    }
    // SAFETY: as above.
    let mut inet: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    inet.sin_family = libc::AF_INET as u16;
    inet.sin_addr.s_addr = u32::from_ne_bytes(addr.octets());
    // SAFETY: sockaddr_in is what the kernel reads in the place of sockaddr for AF_INET, and both have 16 bytes.
    request.ifr_ifru.ifru_addr = unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(inet) };
    // SAFETY: `request` outlives the call.
    let ret = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) };
    ensure!(ret == 0, "SIOCSIFADDR: {}", std::io::Error::last_os_error());
    Ok(())
}

#[test]
fn a_new_address_of_the_node_answers_on_node_ports_at_once() -> Result<()> {
    let world = World::new()?;
    let yaml = world
        .service_yaml("web", "10.96.0.1")
        .replace("port: 80}", &format!("port: 80, nodePort: {NODE_PORT}}}"))
        .replace("spec:\n", "spec:\n  type: NodePort\n");
    world.write("web.yaml", &yaml)?;
    world.start_and_wait(&[])?;
    let node = world.node()?;
    let addr = Ipv4Addr::new(192, 0, 2, 77);
    let dial =
        |count| node.client().run(Workload::new(Dial::Tcp, SocketAddr::from((addr, NODE_PORT))), count);
    assert_eq!(dial(1)?.failures(), 1, "not an address of the node yet");
    node.netns().run(|| add_address(addr))?;
    lab::until("the new address", crate::world::LIMIT, || Ok(dial(1)?.failures() == 0))?;
    assert_eq!(dial(5)?.answered.get(world.server.name()), Some(&5));
    Ok(())
}
