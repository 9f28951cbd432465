use std::os::fd::AsFd;

use super::*;
use crate::config::DnsConfig;

/// For what takes milliseconds when all is well.
const LIMIT: Duration = Duration::from_secs(10);

/// A child that has what it needs, and the daemon's end of its channel.
async fn child(
    listener: Option<&std::os::unix::net::UnixListener>,
) -> (Channel, tokio::task::JoinHandle<Result<(), ChildError>>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = tokio::spawn(Child::default().run(Channel::new(theirs)));
    let channel = Channel::new(ours);
    let config = DnsConfig { blocks: Vec::new(), health: None, lameduck: Duration::ZERO, ready: None };
    channel.send(&ToChild::Setup(Box::new(Setup { config, workers: 1 })), &[]).await.unwrap();
    let sockets = crate::server::bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
    let mut passed = descriptors(&sockets);
    passed.extend(listener.map(AsFd::as_fd));
    channel.send(&ToChild::Sockets { udp: 1, tcp: 1 }, &passed).await.unwrap();
    (channel, child)
}

#[tokio::test]
async fn questions_that_come_faster_than_their_answers_are_fetched_are_all_answered() {
    let (mut channel, child) = child(None).await;
    // More than wait to be carried out, and few enough for the socket to hold all.
    let count = 3 * MESSAGES;
    for _ in 0..count {
        channel.send(&ToChild::Count, &[]).await.unwrap();
    }
    for i in 0..count {
        let heard = timeout(LIMIT, channel.receive::<FromChild>()).await;
        let heard = heard.unwrap_or_else(|_| panic!("answer {i} does not come")).unwrap();
        assert!(matches!(heard, Some(FromChild::Counters(_))), "{heard:?}");
    }
    channel.send(&ToChild::Drain, &[]).await.unwrap();
    timeout(LIMIT, child).await.expect("it drains").unwrap().unwrap();
}

#[tokio::test]
async fn a_child_that_no_later_daemon_could_find_ends_with_its_own() {
    let (channel, child) = child(None).await;
    drop(channel);
    timeout(LIMIT, child).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_child_that_can_be_found_outlives_its_daemon_and_hands_over() {
    let path = std::env::temp_dir().join(format!("ferrule-dns-child-{}", std::process::id()));
    drop(std::fs::remove_file(&path));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (channel, child) = child(Some(&listener)).await;
    drop(channel);
    let mut next = Channel::new(UnixStream::connect(&path).await.unwrap());
    std::fs::remove_file(&path).unwrap();
    next.send(&ToChild::HandOver, &[]).await.unwrap();
    let Some(FromChild::Sockets { udp: 1, tcp: 1 }) = timeout(LIMIT, next.receive()).await.unwrap().unwrap()
    else {
        panic!("no sockets");
    };
    assert_eq!(next.sockets(1, 1).unwrap().addrs().len(), 1);
    next.send(&ToChild::Drain, &[]).await.unwrap();
    timeout(LIMIT, child).await.expect("it drains").unwrap().unwrap();
}
