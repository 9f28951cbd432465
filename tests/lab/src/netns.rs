//! Network namespaces that `ip netns` sees too: files under `/run/netns`.
//!
//! A namespace belongs to a thread, so whatever must happen inside one runs on a thread of its own and no caller's
//! namespace ever changes.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};

use crate::link::LOOPBACK;
use crate::mounts;
use crate::netlink::Netlink;

/// Where `ip netns` looks.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A named network namespace.
#[derive(Debug)]
pub struct Netns {
    name: String,
    file: File,
}

impl Netns {
    /// Makes a namespace with loopback up and the common and these `sysctls` set, and opens a netlink socket in it.
    pub(crate) fn create(name: &str, sysctls: &[Sysctl]) -> Result<(Self, Netlink)> {
        let path = path_of(name);
        let file = claim_name(&path)?;
        drop(file);
        let made = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("unsharing the network namespace")?;
            mounts::bind(Path::new("/proc/thread-self/ns/net"), &path)?;
            let mut netlink = Netlink::open()?;
            // The addresses of loopback appear when it goes up, so what concerns every address comes first.
            for sysctl in COMMON_SYSCTLS.iter().chain(sysctls) {
                sysctl.set()?;
            }
            for sysctl in ICMP_TO_ALL.iter().filter(|sysctl| sysctl.exists()) {
                sysctl.set()?;
            }
            netlink.set_up(LOOPBACK)?;
            Ok(netlink)
        });
        let netlink = match made {
            Ok(netlink) => netlink,
            Err(error) => {
                remove(name)?;
                return Err(error.context(format!("creating network namespace {name}")));
            }
        };
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        Ok((Self { name: name.to_owned(), file }, netlink))
    }

    /// Name as `ip netns list` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a netlink socket inside.
    pub(crate) fn netlink(&self) -> Result<Netlink> {
        self.run(Netlink::open)
    }

    /// Sets `sysctls` inside.
    pub(crate) fn set(&self, sysctls: &[Sysctl]) -> Result<()> {
        self.run(|| sysctls.iter().try_for_each(|sysctl| sysctl.set()))
    }

    /// Runs `work` on a thread inside this namespace. Sockets that it opens stay in the namespace.
    ///
    /// # Errors
    ///
    /// Entering fails without CAP_SYS_ADMIN; else what `work` returns.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_a_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("entering network namespace {}", self.name))?;
            work()
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What every namespace gets: no duplicate address detection, no router advertisements, no redirects, no reverse path
/// filter, and every ICMP error sent, whereas a host sends a peer one a second: a refusal that is left out looks like
/// silence.
const COMMON_SYSCTLS: &[Sysctl] = &[
    Sysctl("ipv6/conf/all/accept_dad", "0"),
    Sysctl("ipv6/conf/default/accept_dad", "0"),
    Sysctl("ipv6/conf/default/accept_ra", "0"),
    Sysctl("ipv6/conf/default/router_solicitations", "0"),
    Sysctl("ipv4/conf/all/rp_filter", "0"),
    Sysctl("ipv4/conf/default/rp_filter", "0"),
    Sysctl("ipv4/icmp_ratelimit", "0"),
    Sysctl("ipv6/icmp/ratelimit", "0"),
    // A route that a test sets is the route.
    Sysctl("ipv4/conf/all/accept_redirects", "0"),
    Sysctl("ipv4/conf/default/accept_redirects", "0"),
    Sysctl("ipv6/conf/all/accept_redirects", "0"),
    Sysctl("ipv6/conf/default/accept_redirects", "0"),
];

/// The limit of ICMP messages of both families to all peers: 1,000 a second where nothing is set. Older kernels have one
/// for the whole machine, which is not a lab's to change.
const ICMP_TO_ALL: &[Sysctl] =
    &[Sysctl("ipv4/icmp_msgs_per_sec", "1000000"), Sysctl("ipv4/icmp_msgs_burst", "1000000")];

/// What nodes get besides.
pub(crate) const FORWARDING: &[Sysctl] =
    &[Sysctl("ipv4/ip_forward", "1"), Sysctl("ipv6/conf/all/forwarding", "1")];

/// One file of `/proc/sys/net` and what goes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sysctl(pub(crate) &'static str, pub(crate) &'static str);

impl Sysctl {
    fn path(self) -> PathBuf {
        Path::new("/proc/sys/net").join(self.0)
    }

    /// Whether the calling thread's namespace has one.
    fn exists(self) -> bool {
        self.path().exists()
    }

    /// Writes it in the calling thread's namespace.
    fn set(self) -> Result<()> {
        let Self(name, value) = self;
        fs::write(self.path(), value).with_context(|| format!("setting net/{name} to {value}"))
    }
}

/// Names of the namespaces that `ip netns list` would show, sorted.
pub(crate) fn names() -> Result<Vec<String>> {
    let entries = match fs::read_dir(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("listing /run/netns"),
    };
    let mut names: Vec<_> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Takes the name away; the namespace ends with its last process and socket. Absent is success.
pub(crate) fn remove(name: &str) -> Result<()> {
    let path = path_of(name);
    while mounts::list()?.iter().any(|m| m.target == path) {
        mounts::detach(&path)?;
    }
    match fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
    }
}

pub(crate) fn path_of(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Makes the file to bind over. The directory may vanish meanwhile: the last lab to end takes an empty one away.
fn claim_name(path: &Path) -> Result<File> {
    for _ in 0..10 {
        fs::create_dir_all(DIRECTORY).context("creating /run/netns")?;
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("creating {}", path.display())),
        }
    }
    Err(anyhow!("{DIRECTORY} vanishes again and again"))
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| scope.spawn(work).join().map_err(|_| anyhow!("a namespace thread panicked"))?)
}
