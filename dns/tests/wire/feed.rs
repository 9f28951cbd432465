//! The channel between daemon and child, with whatever comes in.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;

use dns::feed::{Channel, FeedError, FromChild, MAX_DESCRIPTORS, ToChild, Update, descriptors};
use dns::record::Change;
use dns::server::{Sockets, bind};
use tokio::net::UnixStream;

use crate::served::{LOCALHOST, free_addr};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(crate::served::DEADLINE, future).await.unwrap() })
}

/// A channel and the plain other end of it. Needs the runtime.
fn half() -> (Channel, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Channel::new(UnixStream::from_std(ours).unwrap()), theirs)
}

fn pair() -> (Channel, Channel) {
    let (one, other) = UnixStream::pair().unwrap();
    (Channel::new(one), Channel::new(other))
}

#[test]
fn frames_of_any_size_come_as_they_were_sent() {
    block_on(async {
        let (sender, mut receiver) = pair();
        let sizes = [0, 1, 127, 128, 65_531, 65_532, 65_536, 1 << 20, 100 << 20];
        let sending = async {
            for size in sizes {
                sender.send(&"x".repeat(size), &[]).await.unwrap();
            }
        };
        let receiving = async {
            for size in sizes {
                let text: String = receiver.receive().await.unwrap().unwrap();
                assert!(text.len() == size && text.bytes().all(|byte| byte == b'x'), "{size}");
            }
        };
        tokio::join!(sending, receiving);
        drop(sender);
        assert!(receiver.receive::<String>().await.unwrap().is_none());
    });
}

#[test]
fn a_frame_of_no_bytes_is_nothing_but_no_message() {
    block_on(async {
        let (mut channel, mut raw) = half();
        raw.write_all(&[0; 8]).unwrap();
        assert_eq!(channel.receive::<()>().await.unwrap(), Some(()));
        assert!(matches!(channel.receive::<ToChild>().await, Err(FeedError::Frame(_))));
    });
}

#[test]
fn a_frame_in_pieces_is_one_and_two_in_one_piece_are_two() {
    block_on(async {
        let update = ToChild::Zone(Update {
            service_addrs: Vec::new(),
            changes: vec![Change::Namespace { name: "demo".into(), exists: true }],
            serial: 7,
            is_synced: true,
        });
        let (sender, mut listener) = half();
        sender.send(&update, &[]).await.unwrap();
        drop(sender);
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut listener, &mut bytes).unwrap();
        let (mut channel, mut raw) = half();
        let writing = std::thread::spawn(move || {
            for byte in &bytes {
                raw.write_all(&[*byte]).unwrap();
            }
            raw.write_all(&bytes.repeat(2)).unwrap();
            // And half of one: the end of the stream ends it.
            raw.write_all(&bytes[..bytes.len() / 2]).unwrap();
        });
        for _ in 0..3 {
            let message = channel.receive().await.unwrap();
            let Some(ToChild::Zone(update)) = message else { panic!("{message:?}") };
            assert_eq!((update.serial, update.changes.len()), (7, 1));
        }
        assert!(channel.receive::<ToChild>().await.unwrap().is_none());
        writing.join().unwrap();
    });
}

#[test]
fn a_length_that_cannot_be_is_an_error_before_anything_is_read() {
    block_on(async {
        for length in [u32::MAX, (256 << 20) + 1, u32::from_be_bytes(*b"GET ")] {
            let (mut channel, mut raw) = half();
            raw.write_all(&length.to_be_bytes()).unwrap();
            assert!(matches!(channel.receive::<ToChild>().await, Err(FeedError::Broken(_))), "{length}");
        }
    });
}

#[test]
fn bytes_that_are_no_message_are_an_error() {
    block_on(async {
        for junk in [&[200_u8][..], &[4], &[3, 255, 255, 255, 255, 255], &[4, 255, 255, 255, 255, 15]] {
            let (mut channel, mut raw) = half();
            raw.write_all(&u32::try_from(junk.len()).unwrap().to_be_bytes()).unwrap();
            raw.write_all(junk).unwrap();
            assert!(matches!(channel.receive::<ToChild>().await, Err(FeedError::Frame(_))), "{junk:?}");
        }
    });
}

#[test]
fn sockets_come_along_in_order_and_with_the_frame_that_announces_them() {
    block_on(async {
        let (sender, mut receiver) = pair();
        let addrs = [free_addr(LOCALHOST), free_addr(LOCALHOST)];
        let sockets = bind(&addrs, 2).unwrap();
        let listener = std::os::unix::net::UnixListener::bind_addr(&abstract_addr()).unwrap();
        let mut along = descriptors(&sockets);
        along.push(listener.as_fd());
        sender.send(&"before", &[]).await.unwrap();
        sender.send(&ToChild::Sockets { udp: 4, tcp: 4 }, &along).await.unwrap();
        sender.send(&"after", &[]).await.unwrap();
        assert_eq!(receiver.receive::<String>().await.unwrap().as_deref(), Some("before"));
        let Some(ToChild::Sockets { udp, tcp }) = receiver.receive().await.unwrap() else {
            panic!("sockets")
        };
        let received = receiver.sockets(udp, tcp).unwrap();
        let udp_addrs =
            |sockets: &Sockets| sockets.udp.iter().map(|s| s.local_addr().unwrap()).collect::<Vec<_>>();
        let tcp_addrs =
            |sockets: &Sockets| sockets.tcp.iter().map(|s| s.local_addr().unwrap()).collect::<Vec<_>>();
        assert_eq!(udp_addrs(&received), udp_addrs(&sockets));
        assert_eq!(tcp_addrs(&received), tcp_addrs(&sockets));
        assert!(receiver.descriptor().is_some() && receiver.descriptor().is_none());
        assert_eq!(receiver.receive::<String>().await.unwrap().as_deref(), Some("after"));
    });
}

fn abstract_addr() -> std::os::unix::net::SocketAddr {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("ferrule-dns-test-{}", std::process::id());
    std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap()
}

#[test]
fn sockets_that_are_announced_and_do_not_come_are_an_error() {
    block_on(async {
        let (sender, mut receiver) = pair();
        let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
        let announced = ToChild::Sockets { udp: 1, tcp: 1 };
        sender.send(&announced, &[socket.as_fd()]).await.unwrap();
        assert!(matches!(receiver.receive().await.unwrap(), Some(ToChild::Sockets { udp: 1, tcp: 1 })));
        assert!(matches!(receiver.sockets(1, 1), Err(FeedError::Broken(_))));
        assert!(matches!(receiver.sockets(usize::MAX, 1), Err(FeedError::Broken(_))));
        assert_eq!(receiver.sockets(1, 0).unwrap().udp.len(), 1);
    });
}

#[test]
fn as_many_sockets_as_one_message_carries_and_no_more() {
    block_on(async {
        let (sender, mut receiver) = pair();
        let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
        let most = vec![listener.as_fd(); MAX_DESCRIPTORS];
        let message = FromChild::Sockets { udp: 0, tcp: MAX_DESCRIPTORS };
        sender.send(&message, &most).await.unwrap();
        receiver.receive::<FromChild>().await.unwrap().unwrap();
        assert_eq!(receiver.sockets(0, MAX_DESCRIPTORS).unwrap().tcp.len(), MAX_DESCRIPTORS);
        let more = vec![listener.as_fd(); MAX_DESCRIPTORS + 1];
        assert!(matches!(sender.send(&message, &more).await, Err(FeedError::Io(_))));
    });
}

#[test]
fn the_other_end_being_gone_is_an_error_for_the_sender_alone() {
    block_on(async {
        let (sender, receiver) = pair();
        drop(receiver);
        assert!(matches!(sender.send(&"nobody", &[]).await, Err(FeedError::Io(_))));
    });
}
