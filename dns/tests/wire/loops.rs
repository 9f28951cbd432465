//! Upstreams that ask us in turn.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dns::config::{ForwardConfig, Upstreams};

use crate::client::{ask, exchange, timed};
use crate::log;
use crate::packet::{A, NOERROR, Response, SERVFAIL, parse, query};
use crate::served::{LOCALHOST, Served, config, forward_to, free_addr, wait_until};
use crate::upstream::{Over, Upstream};

const NAME: &str = "www.example.org";

/// Looks for loops until the test is over.
fn watch(served: &Served) {
    let resolver = Arc::clone(&served.resolver);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(resolver.watch_for_loops()));
}

/// Whether a query fails at once, as one that is not sent anywhere.
fn fails_at_once(served: &Served) -> bool {
    let (parsed, took) = timed(served.addr, &query(NAME, A));
    parsed.code() == SERVFAIL && took < Duration::from_millis(200)
}

#[test]
fn an_upstream_that_is_ourselves_by_another_address_is_found() {
    log::keep();
    let first = free_addr(LOCALHOST);
    let second = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), first.port()));
    let served = Served::on(&[first, second], 1, &config(vec![forward_to(&[second])]));
    watch(&served);
    wait_until("the loop is found", || log::has_error(&format!("upstream={second}")));
    assert!(fails_at_once(&served));
    // The rest is served.
    assert_eq!(ask(served.addr, &query("web.demo.svc.cluster.local", A)).answers.len(), 1);
}

#[test]
fn a_loop_through_another_server_is_found_and_when_it_is_gone_it_is_asked_again() {
    log::keep();
    let addr = free_addr(LOCALHOST);
    let is_loop = Arc::new(AtomicBool::new(true));
    let is_relaying = Arc::clone(&is_loop);
    // Another server that forwards to us.
    let relay = Upstream::new(move |asked| {
        if is_relaying.load(Ordering::Relaxed) && asked.over == Over::Udp {
            let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            socket.send_to(&asked.packet, addr).unwrap();
            let mut buffer = [0; 512];
            if let Ok(length) = socket.recv(&mut buffer) {
                asked.reply(&buffer[..length]);
            }
        } else {
            asked.reply(&Response::to(&asked.packet, NOERROR).answer(NAME, A, &[192, 0, 2, 1]).bytes());
        }
    });
    let file = Upstreams::File("resolv.conf".into());
    let forward = ForwardConfig::new(".".parse().unwrap(), file);
    let served = Served::on(&[addr], 1, &config(vec![forward]));
    // Not read yet.
    assert!(fails_at_once(&served));
    let file = Path::new("resolv.conf");
    served.resolver.set_file_upstreams(file, &[relay.addr]);
    watch(&served);
    wait_until("the loop is found", || log::has_error(&format!("upstream={}", relay.addr)));
    assert!(fails_at_once(&served));
    is_loop.store(false, Ordering::Relaxed);
    // A change of the file is a reason to look at once.
    served.resolver.set_file_upstreams(file, &[relay.addr, free_addr(LOCALHOST)]);
    wait_until("it is asked again", || ask(served.addr, &query(NAME, A)).answers.len() == 1);
}

#[test]
fn a_probe_that_is_not_ours_is_a_question_like_any_other() {
    let upstream = Upstream::new(|asked| asked.reply(&Response::to(&asked.packet, NOERROR).bytes()));
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    let asked = query("0.0.123456789.987654321", 13);
    assert_eq!(parse(&exchange(served.addr, &asked.bytes())).unwrap().code(), NOERROR);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn an_address_that_becomes_our_own_is_not_asked_until_it_is_not_any_more() {
    let answer = |asked: &crate::upstream::Asked| {
        asked.reply(&Response::to(&asked.packet, NOERROR).answer(NAME, A, &[192, 0, 2, 1]).bytes());
    };
    let (named, in_file) = (Upstream::new(answer), Upstream::new(answer));
    let file = Path::new("resolv.conf");
    let of_file = ForwardConfig::new("example.org.".parse().unwrap(), Upstreams::File(file.into()));
    let served = Served::start(&config(vec![forward_to(&[named.addr]), of_file]));
    served.resolver.set_file_upstreams(file, &[in_file.addr]);
    let codes = || ["www.example.org", "www.example.net"].map(|n| ask(served.addr, &query(n, A)).code());
    assert_eq!(codes(), [NOERROR, NOERROR]);
    served.resolver.leave_out(&[named.addr, in_file.addr]);
    assert_eq!(codes(), [SERVFAIL, SERVFAIL]);
    // Whatever its file says anew.
    served.resolver.set_file_upstreams(file, &[in_file.addr]);
    assert_eq!(codes(), [SERVFAIL, SERVFAIL]);
    assert_eq!((named.count(), in_file.count()), (1, 1));
    served.resolver.leave_out(&[]);
    assert_eq!(codes(), [NOERROR, NOERROR]);
}
