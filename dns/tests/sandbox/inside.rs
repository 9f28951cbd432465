//! What a server in the sandbox can do and what it cannot.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::child::Request;

crate::tests![
    opening_a_file_is_refused_and_the_process_goes_on,
    executing_a_program_ends_the_process,
    a_process_cannot_be_forked,
    only_tcp_and_udp_sockets_open,
    runtimes_in_threads_serve_udp_and_tcp_over_both_families,
    a_panic_in_a_thread_says_so_and_the_others_go_on,
];

fn opening_a_file_is_refused_and_the_process_goes_on() {
    assert_eq!(Request::new("open").run().expect_ok().stdout, "entered\nalive\n");
}

fn executing_a_program_ends_the_process() {
    let ended = Request::new("execute").run().expect_killed_by(Signal::SIGSYS);
    assert_eq!(ended.stdout, "entered\n");
}

fn a_process_cannot_be_forked() {
    assert_eq!(Request::new("fork").run().expect_ok().stdout, "entered\nalive\n");
}

fn only_tcp_and_udp_sockets_open() {
    for request in [Request::new("sockets"), Request::new("sockets").by_user(12_345)] {
        assert_eq!(request.run().expect_ok().stdout, "entered\nalive\n");
    }
}

fn runtimes_in_threads_serve_udp_and_tcp_over_both_families() {
    assert_eq!(Request::new("serve").run().expect_ok().stdout, "entered\nserved 4 sockets\n");
}

fn a_panic_in_a_thread_says_so_and_the_others_go_on() {
    // A backtrace opens the program's own file.
    for backtrace in ["0", "1", "full"] {
        let output = Request::new("panic").command().env("RUST_BACKTRACE", backtrace).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "entered\nalive\n");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("thread 'worker'") && stderr.contains("a packet too many"), "{stderr}");
    }
}

/// Where a server listens: a UDP and a TCP socket for each family.
type Addrs = Vec<(SocketAddr, SocketAddr)>;

/// A server and a client, each a runtime in a thread of its own.
pub(crate) fn serve(enter: fn()) {
    enter();
    let (say, hear) = sync_channel(1);
    let server = thread::Builder::new().name("server".to_owned()).spawn(move || runtime(serve_all(say)));
    let client = thread::Builder::new().name("client".to_owned()).spawn(move || runtime(ask_all(hear)));
    let served = client.unwrap().join().unwrap().unwrap();
    server.unwrap().join().unwrap().unwrap();
    println!("served {served} sockets");
}

fn runtime<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let deadline = Duration::from_secs(10);
    runtime.block_on(async { timeout(deadline, work).await.unwrap_or(Err(io::ErrorKind::TimedOut.into())) })
}

async fn serve_all(say: SyncSender<Addrs>) -> io::Result<()> {
    let (mut addrs, mut tasks) = (Vec::new(), Vec::new());
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let (udp, tcp) = (UdpSocket::bind((ip, 0)).await?, TcpListener::bind((ip, 0)).await?);
        addrs.push((udp.local_addr()?, tcp.local_addr()?));
        tasks.push(tokio::spawn(async move {
            let mut packet = [0; 64];
            let (len, from) = udp.recv_from(&mut packet).await?;
            udp.send_to(&packet[..len], from).await.map(drop)
        }));
        tasks.push(tokio::spawn(async move {
            let (mut stream, _) = tcp.accept().await?;
            stream.set_nodelay(true)?;
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await?;
            stream.write_all(&text).await
        }));
    }
    say.send(addrs).map_err(io::Error::other)?;
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn ask_all(hear: Receiver<Addrs>) -> io::Result<usize> {
    // A thread of the runtime's pool waits, so that this one keeps its timers.
    let addrs = tokio::task::spawn_blocking(move || hear.recv()).await?.map_err(io::Error::other)?;
    let mut served = 0;
    for (udp, tcp) in addrs {
        let (asked, pause) = (Instant::now(), Duration::from_millis(20));
        sleep(pause).await;
        assert!(asked.elapsed() >= pause);

        let socket = UdpSocket::bind(SocketAddr::new(udp.ip(), 0)).await?;
        socket.send_to(b"datagram", udp).await?;
        let mut answer = [0; 64];
        let (len, from) = socket.recv_from(&mut answer).await?;
        assert_eq!((&answer[..len], from), (&b"datagram"[..], udp));

        // More than the buffers of a connection, so that both ends wait for each other.
        let question = vec![7; 1 << 20];
        let (mut read, mut write) = TcpStream::connect(tcp).await?.into_split();
        let asking = question.clone();
        let writer = tokio::spawn(async move {
            write.write_all(&asking).await?;
            write.shutdown().await
        });
        let mut text = Vec::new();
        read.read_to_end(&mut text).await?;
        writer.await??;
        assert!(text == question);
        served += 2;
    }
    Ok(served)
}
