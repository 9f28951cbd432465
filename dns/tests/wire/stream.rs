//! TCP: order, pieces, and clients that mean no good.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use crate::client::{Stream, framed};
use crate::packet::{A, NOERROR, Response, parse, query};
use crate::served::{Served, config, forward_to, wait_until};
use crate::upstream::Upstream;

const WEB: &str = "web.demo.svc.cluster.local";

#[test]
fn pipelined_queries_are_all_answered() {
    let served = Served::start(&config(Vec::new()));
    let mut stream = Stream::to(served.addr);
    let count = 5_000_u16;
    let all: Vec<u8> = (0..count).flat_map(|id| framed(&query(WEB, A).id(id).bytes())).collect();
    let mut writer = stream.tcp.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&all).unwrap());
    // Answers of the zone come in order.
    for id in 0..count {
        let parsed = parse(&stream.receive()).unwrap();
        assert_eq!((parsed.id, parsed.answers.len()), (id, 1));
    }
    writing.join().unwrap();
}

#[test]
fn an_answer_that_takes_time_holds_up_no_other() {
    let upstream = Upstream::holding();
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    let mut stream = Stream::to(served.addr);
    stream.send(&query("slow.example.org", A).id(1).bytes());
    for id in 2..10 {
        assert_eq!(stream.ask(&query(WEB, A).id(id)).id, id);
    }
    wait_until("the upstream is asked", || upstream.count() == 1);
    stream.send(&query("slower.example.org", A).id(10).bytes());
    wait_until("the upstream is asked again", || upstream.count() == 2);
    for asked in upstream.release().iter().rev() {
        asked.reply(&Response::to(&asked.packet, NOERROR).bytes());
        stream.receive();
    }
}

#[test]
fn a_query_in_pieces_is_a_query() {
    let served = Served::start(&config(Vec::new()));
    let mut stream = Stream::to(served.addr);
    for byte in framed(&query(WEB, A).bytes()) {
        stream.tcp.write_all(&[byte]).unwrap();
    }
    assert_eq!(parse(&stream.receive()).unwrap().answers.len(), 1);
    // The end of one and the beginning of the next in one piece.
    let two = [framed(&query(WEB, A).id(1).bytes()), framed(&query(WEB, A).id(2).bytes())].concat();
    stream.tcp.write_all(&two[..two.len() - 5]).unwrap();
    assert_eq!(parse(&stream.receive()).unwrap().id, 1);
    stream.tcp.write_all(&two[two.len() - 5..]).unwrap();
    assert_eq!(parse(&stream.receive()).unwrap().id, 2);
}

#[test]
fn a_message_of_4096_bytes_is_read_and_a_longer_one_or_one_of_none_ends_the_connection() {
    let served = Served::start(&config(Vec::new()));
    let mut stream = Stream::to(served.addr);
    // Padding (RFC 7830) up to the last byte.
    let padding = vec![0; 4096 - query(WEB, A).bytes().len() - 11 - 4];
    let largest = query(WEB, A).opt(1232, 0, false, &[(12, &padding)]);
    assert_eq!(largest.bytes().len(), 4096);
    let parsed = stream.ask(&largest);
    assert_eq!((parsed.answers.len(), parsed.opts.len()), (1, 1));
    stream.send(&[]);
    assert!(stream.until_closed() < Duration::from_secs(2));
    let mut stream = Stream::to(served.addr);
    std::io::Write::write_all(&mut stream.tcp, &4097_u16.to_be_bytes()).unwrap();
    assert!(stream.until_closed() < Duration::from_secs(2));
    // So does a response, and less than a header.
    for silent in [&[0; 11][..], &[0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let mut stream = Stream::to(served.addr);
        stream.send(silent);
        assert!(stream.until_closed() < Duration::from_secs(2));
    }
}

#[test]
fn the_end_of_a_clients_questions_is_not_the_end_of_the_answers() {
    let upstream = Upstream::holding();
    let served = Served::start(&config(vec![forward_to(&[upstream.addr])]));
    let mut stream = Stream::to(served.addr);
    stream.send(&query("www.example.org", A).bytes());
    stream.send(&query(WEB, A).bytes());
    stream.tcp.shutdown(std::net::Shutdown::Write).unwrap();
    stream.receive();
    wait_until("the upstream is asked", || upstream.count() == 1);
    for asked in upstream.release() {
        asked.reply(&Response::to(&asked.packet, NOERROR).bytes());
    }
    stream.receive();
    assert!(stream.until_closed() < Duration::from_secs(2));
}

/// Sends pieces, a pause after each, until the server has enough.
fn dribble(stream: &Stream, pieces: impl Iterator<Item = Vec<u8>>) {
    let (_keep, pause) = mpsc::channel::<()>();
    for piece in pieces {
        if (&stream.tcp).write_all(&piece).is_err() {
            return;
        }
        let _ = pause.recv_timeout(Duration::from_millis(200));
    }
}

#[test]
fn connections_that_do_nothing_or_never_finish_are_closed() {
    let served = Served::start(&config(Vec::new()));
    let addr = served.addr;
    let one = framed(&query(WEB, A).bytes());
    let half = one[..one.len() / 2].to_vec();
    let seconds =
        |range: std::ops::Range<u64>| Duration::from_secs(range.start)..Duration::from_secs(range.end);
    // What is sent, and when the connection is closed. All at once: the longest takes ten seconds.
    let cases: Vec<(&str, Vec<u8>, std::ops::Range<Duration>)> = vec![
        ("nothing", Vec::new(), seconds(9..12)),
        ("half a length", vec![0], seconds(2..5)),
        ("a length", vec![0, 30], seconds(2..5)),
        ("half a query", half.clone(), seconds(2..5)),
        ("a query and a half", [one.clone(), half].concat(), seconds(2..5)),
        ("a query", one, seconds(9..12)),
    ];
    let waiting = cases.into_iter().map(|(what, bytes, expected)| {
        std::thread::spawn(move || {
            let mut stream = Stream::to(addr);
            stream.tcp.write_all(&bytes).unwrap();
            (what, stream.until_closed(), expected)
        })
    });
    let waiting: Vec<_> = waiting.collect();
    let dribbling = std::thread::spawn(move || {
        let mut stream = Stream::to(addr);
        let began = std::time::Instant::now();
        // 100 bytes are announced, one comes each 0.2 seconds.
        dribble(&stream, std::iter::once(vec![0, 100]).chain(std::iter::repeat_n(vec![1], 99)));
        drop(stream.tcp.shutdown(std::net::Shutdown::Write));
        stream.until_closed();
        began.elapsed()
    });
    for waiting in waiting {
        let (what, took, expected) = waiting.join().unwrap();
        println!("{what}: closed after {took:?}");
        assert!(expected.contains(&took), "{what}: closed after {took:?}");
    }
    let took = dribbling.join().unwrap();
    println!("a byte each 0.2 s: closed after {took:?}");
    assert!(seconds(2..5).contains(&took), "{took:?}");
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let served = Served::start(&config(Vec::new()));
    let stream = Stream::to(served.addr);
    stream.tcp.set_write_timeout(Some(Duration::from_secs(15))).unwrap();
    let many = framed(&query("n-100.demo.svc.cluster.local", A).bytes()).repeat(1000);
    let began = std::time::Instant::now();
    // The answers are larger than the queries: soon the server cannot write, so it does not read either.
    let error = loop {
        if let Err(error) = (&stream.tcp).write_all(&many) {
            break error;
        }
    };
    println!("cut off after {:?}: {error}", began.elapsed());
    let kinds = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
    assert!(kinds.contains(&error.kind()), "{error}");
    // Others do not notice.
    assert_eq!(Stream::to(served.addr).ask(&query(WEB, A)).answers.len(), 1);
}
