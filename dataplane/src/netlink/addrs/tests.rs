use std::io::Write;

use nix::sched::{CloneFlags, unshare};
use rtnetlink::{LinkUnspec, LinkVeth};
use tokio::time::timeout;

use super::*;

fn message(family: AddressFamily, flags: AddressFlags, attributes: &[AddressAttribute]) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family;
    message.attributes = attributes.to_vec();
    message.attributes.push(AddressAttribute::Flags(flags));
    message
}

#[test]
fn an_address_counts_when_it_can_be_used() {
    let v6: IpAddr = "fd00::1".parse().unwrap();
    let v6 = |flags| usable(&message(AddressFamily::Inet6, flags, &[AddressAttribute::Address(v6)]));
    assert!(v6(AddressFlags::Permanent).is_some());
    assert!(v6(AddressFlags::Permanent | AddressFlags::Deprecated).is_some());
    assert!(v6(AddressFlags::Tentative).is_none());
    assert!(v6(AddressFlags::Tentative | AddressFlags::Optimistic).is_some());
    assert!(v6(AddressFlags::Permanent | AddressFlags::Tentative | AddressFlags::Dadfailed).is_none());
}

#[test]
fn of_a_point_to_point_link_our_own_end_counts() {
    let [ours, theirs]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|a| a.parse().unwrap());
    let ends = [AddressAttribute::Address(theirs), AddressAttribute::Local(ours)];
    assert_eq!(usable(&message(AddressFamily::Inet, AddressFlags::Permanent, &ends)), Some(ours));
}

#[test]
fn loopback_addresses_do_not_count() {
    for (family, addr) in [
        (AddressFamily::Inet, "127.0.0.1"),
        (AddressFamily::Inet, "127.8.0.1"),
        (AddressFamily::Inet6, "::1"),
    ] {
        let addr = AddressAttribute::Address(addr.parse().unwrap());
        assert_eq!(usable(&message(family, AddressFlags::Permanent, &[addr])), None);
    }
}

/// Runs a test in a network namespace of its own, or says that it cannot.
fn in_a_new_netns<F: Future<Output = ()>>(test: &str, body: impl FnOnce() -> F + Send) {
    let work = || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            return skip(test, &format!("a network namespace: {error}"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body());
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

fn skip(test: &str, why: &str) {
    println!("SKIP: {test}: {why}");
    if let Some(log) = std::env::var_os("FERRULE_SKIP_LOG") {
        let mut log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        log.write_all(format!("{test}\t-\t{why}\n").as_bytes()).unwrap();
    }
}

const LO: u32 = 1;

fn connect() -> Handle {
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    handle
}

async fn up(handle: &Handle, index: u32) {
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
}

async fn add(handle: &Handle, index: u32, addr: IpAddr) {
    let bits = if addr.is_ipv4() { 32 } else { 128 };
    handle.address().add(index, addr, bits).execute().await.unwrap();
}

async fn delete(handle: &Handle, addr: IpAddr) {
    let found = handle.address().get().set_address_filter(addr).execute().try_next().await.unwrap().unwrap();
    handle.address().del(found).execute().await.unwrap();
}

async fn until(
    addrs: &mut watch::Receiver<BTreeSet<IpAddr>>,
    what: &str,
    wanted: impl Fn(&BTreeSet<IpAddr>) -> bool,
) {
    let waited = timeout(Duration::from_secs(20), addrs.wait_for(|addrs| wanted(addrs))).await;
    waited.unwrap_or_else(|_| panic!("{what}: not seen")).unwrap();
}

#[test]
fn addresses_are_followed_as_they_come_and_go() {
    in_a_new_netns("netlink::addrs::tests::addresses_are_followed_as_they_come_and_go", || async {
        let handle = connect();
        up(&handle, LO).await;
        let [v4, v6]: [IpAddr; 2] = ["192.0.2.1", "2001:db8::1"].map(|a| a.parse().unwrap());
        add(&handle, LO, v4).await;
        let (mut addrs, task) = watch_addrs().await.unwrap();
        assert_eq!(
            *addrs.borrow(),
            BTreeSet::from([v4]),
            "what is there at the start, without loopback's own"
        );
        tokio::spawn(task);
        add(&handle, LO, v6).await;
        until(&mut addrs, "a new address", |a| *a == BTreeSet::from([v4, v6])).await;
        delete(&handle, v4).await;
        until(&mut addrs, "a lost address", |a| *a == BTreeSet::from([v6])).await;
    });
}

#[test]
fn an_ipv6_address_counts_when_duplicate_detection_is_over() {
    let name = "netlink::addrs::tests::an_ipv6_address_counts_when_duplicate_detection_is_over";
    in_a_new_netns(name, || async {
        let handle = connect();
        handle.link().add(LinkVeth::new("v0", "v1").build()).execute().await.unwrap();
        let mut indices = Vec::new();
        let mut links = handle.link().get().execute();
        while let Some(link) = links.try_next().await.unwrap() {
            indices.extend((link.header.index != LO).then_some(link.header.index));
        }
        let (mut addrs, task) = watch_addrs().await.unwrap();
        tokio::spawn(task);
        let addr = "2001:db8::2".parse().unwrap();
        // Without the other end there is no carrier and detection does not begin.
        up(&handle, indices[0]).await;
        add(&handle, indices[0], addr).await;
        let marker = "192.0.2.9".parse().unwrap();
        add(&handle, LO, marker).await;
        until(&mut addrs, "the marker", |a| a.contains(&marker)).await;
        assert!(!addrs.borrow().contains(&addr), "it is tentative");
        up(&handle, indices[1]).await;
        until(&mut addrs, "the address", |a| a.contains(&addr)).await;
    });
}

#[test]
fn messages_that_were_lost_do_not_matter() {
    in_a_new_netns("netlink::addrs::tests::messages_that_were_lost_do_not_matter", || async {
        up(&connect(), LO).await;
        let (mut addrs, task) = watch_addrs().await.unwrap();
        tokio::spawn(task);
        let all: BTreeSet<IpAddr> =
            (0..4_000u32).map(|i| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0001 + i))).collect();
        // From another thread, while this one, which reads the socket, waits: its buffer overflows.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let handle = connect();
                    for addr in &all {
                        add(&handle, LO, *addr).await;
                    }
                });
            });
        });
        until(&mut addrs, "all of them", |a| *a == all).await;
    });
}
