//! `ferrule dns serve` as a user runs it: on loopback, without the lab, without privileges where none are needed.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::world::LIMIT;

/// An unprivileged user.
const NOBODY: u32 = 65_534;

const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.7.7, ports: [{name: http, port: 80}]}
";

/// A directory of its own, gone when dropped.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("ferrule-dns-serve-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("manifests"))?;
        std::fs::write(path.join("manifests/web.yaml"), MANIFEST)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    fn manifests(&self) -> String {
        self.0.join("manifests").display().to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A server that ends with this value.
struct Server(Child);

impl Server {
    /// Starts as an unprivileged user, and waits until everything is known.
    fn start(binary: &Path, args: &[&str]) -> Result<Self> {
        Self::start_until(binary, args, "all Services are known")
    }

    /// Starts as an unprivileged user.
    fn spawn(binary: &Path, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["dns", "serve"]).args(args).uid(NOBODY).gid(NOBODY);
        Ok(Self(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?))
    }

    /// Starts as an unprivileged user, and waits for a word in the log.
    fn start_until(binary: &Path, args: &[&str], word: &str) -> Result<Self> {
        let mut server = Self::spawn(binary, args)?;
        let log = BufReader::new(server.0.stderr.take().context("no log")?);
        let mut seen = String::new();
        let mut lines = log.lines();
        for line in lines.by_ref() {
            let line = line?;
            seen.push_str(&line);
            if line.contains(word) {
                // Whatever else it says has a reader.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(server);
            }
        }
        anyhow::bail!("it ended: {seen}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A copy of the binary where every user can reach it.
fn binary(dir: &Dir) -> Result<PathBuf> {
    let copy = dir.0.join("ferrule");
    std::fs::copy(lab::ferrule()?, &copy)?;
    Ok(copy)
}

/// A port that nobody has now, for either protocol, and that the kernel gives to nobody (ip_local_port_range).
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 1000)? * 10;
    for _ in 0..1000 {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        let address = (Ipv4Addr::LOCALHOST, port);
        if UdpSocket::bind(address).is_ok() && std::net::TcpListener::bind(address).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port from {first} on")
}

fn dig(port: u16, args: &[&str]) -> Result<String> {
    let port = port.to_string();
    let out = Command::new("dig")
        .args(["+short", "+tries=1", "+time=2", "-p", &port, "@127.0.0.1"])
        .args(args)
        .output()?;
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

#[test]
fn it_serves_without_privileges_and_several_processes_share_a_port() -> Result<()> {
    let dir = Dir::new("share")?;
    let binary = binary(&dir)?;
    let port = free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let args = ["--manifests", &dir.manifests(), "--listen", &listen];
    let first = Server::start(&binary, &args)?;
    let _second = Server::start(&binary, &args)?;
    for _ in 0..20 {
        assert_eq!(dig(port, &["web.shop.svc.cluster.local"])?, "10.96.7.7");
    }
    drop(first);
    for _ in 0..20 {
        assert_eq!(dig(port, &["+tcp", "web.shop.svc.cluster.local"])?, "10.96.7.7");
    }
    std::fs::write(dir.0.join("manifests/web.yaml"), MANIFEST.replace("10.96.7.7", "10.96.7.8"))?;
    lab::until("the change", LIMIT, || Ok(dig(port, &["web.shop.svc.cluster.local"])? == "10.96.7.8"))?;
    Ok(())
}

#[test]
fn a_corefile_says_what_is_served_and_health_and_readiness_answer() -> Result<()> {
    let dir = Dir::new("corefile")?;
    let (port, health, ready) = (free_port()?, free_port()?, free_port()?);
    let corefile = dir.file(
        "Corefile",
        &format!(
            ".:53 {{\n errors\n health 127.0.0.1:{health}\n ready 127.0.0.1:{ready}\n\
             kubernetes k8s.example in-addr.arpa {{\n ttl 30\n pods insecure\n }}\n cache 30\n}}\n"
        ),
    )?;
    let listen = format!("127.0.0.1:{port}");
    let _server = Server::start(
        &binary(&dir)?,
        &["--manifests", &dir.manifests(), "--listen", &listen, "--corefile", &corefile],
    )?;
    assert_eq!(dig(port, &["web.shop.svc.k8s.example"])?, "10.96.7.7");
    assert_eq!(dig(port, &["-x", "10.96.7.7"])?, "web.shop.svc.k8s.example.");
    assert_eq!(dig(port, &["10-1-2-3.shop.pod.k8s.example"])?, "10.1.2.3");
    let out = Command::new("dig")
        .args(["+noall", "+answer", "-p", &port.to_string(), "@127.0.0.1", "web.shop.svc.k8s.example"])
        .output()?;
    let line = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(line.split_whitespace().nth(1), Some("30"), "the TTL: {line}");
    for (port, path) in [(health, "health"), (ready, "ready")] {
        let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        std::io::Write::write_all(&mut stream, format!("GET /{path} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut status = String::new();
        BufReader::new(stream).read_line(&mut status)?;
        assert!(status.contains("200"), "{path}: {status}");
    }
    Ok(())
}

#[test]
fn until_everything_is_known_hits_are_answered_and_misses_are_not_denied() -> Result<()> {
    let dir = Dir::new("unsynced")?;
    std::fs::write(dir.0.join("manifests/broken.yaml"), "oops: [")?;
    let port = free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let args = ["--manifests", &dir.manifests(), "--listen", &listen];
    let _server = Server::start_until(&binary(&dir)?, &args, "serving DNS")?;
    let status = |name: &str| -> Result<String> {
        let args = ["+noall", "+comments", "+tries=1", "-p", &port.to_string(), "@127.0.0.1", name];
        let out = Command::new("dig").args(args).output()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let status = text.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
        Ok(status.with_context(|| text.clone())?.to_owned())
    };
    lab::until("the Service", LIMIT, || Ok(dig(port, &["web.shop.svc.cluster.local"])? == "10.96.7.7"))?;
    assert_eq!(status("other.shop.svc.cluster.local")?, "SERVFAIL");
    assert_eq!(status("9.9.96.10.in-addr.arpa")?, "SERVFAIL");
    std::fs::write(dir.0.join("manifests/broken.yaml"), "")?;
    lab::until(
        "everything to be known",
        LIMIT,
        || Ok(status("other.shop.svc.cluster.local")? == "NXDOMAIN"),
    )?;
    Ok(())
}

#[test]
fn a_reader_of_the_log_that_is_gone_stops_nothing() -> Result<()> {
    let dir = Dir::new("unread")?;
    let port = free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let args = ["--manifests", &dir.manifests(), "--listen", &listen];
    let mut server = Server::spawn(&binary(&dir)?, &args)?;
    let log = server.0.stderr.take().context("no log")?;
    let mut lines = BufReader::new(log).lines();
    while !lines.next().context("it ended")??.contains("all Services are known") {}
    drop(lines);
    // Something to warn of, by the task that reads changes, and then a change.
    std::fs::write(dir.0.join("manifests/broken.yaml"), "oops: [")?;
    std::fs::write(dir.0.join("manifests/web.yaml"), MANIFEST.replace("10.96.7.7", "10.96.7.8"))?;
    lab::until("a change", LIMIT, || Ok(dig(port, &["web.shop.svc.cluster.local"])? == "10.96.7.8"))?;
    std::fs::write(dir.0.join("manifests/broken.yaml"), "")?;
    std::fs::write(dir.0.join("manifests/web.yaml"), MANIFEST.replace("10.96.7.7", "10.96.7.9"))?;
    lab::until("the next", LIMIT, || Ok(dig(port, &["web.shop.svc.cluster.local"])? == "10.96.7.9"))?;
    assert!(server.0.try_wait()?.is_none());
    Ok(())
}

#[test]
fn what_cannot_be_served_is_named_in_one_line() -> Result<()> {
    let dir = Dir::new("refused")?;
    let manifests = dir.manifests();
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let taken = format!("127.0.0.1:{}", taken.local_addr()?.port());
    let free = format!("127.0.0.1:{}", free_port()?);
    let block = |inside: &str| format!(".:53 {{\n    errors\n    kubernetes cluster.local\n{inside}\n}}\n");
    let misspelt = dir.file("misspelt", &block("    forwrd . 192.0.2.1"))?;
    let looping = dir.file("looping", &block(&format!("    forward . {free}")))?;
    let open = dir.file("open", ".:53 {\n    errors\n")?;
    let not_a_zone = dir.file("zone", "a..b:53 {\n    errors\n}\n")?;
    // Four labels of 63 bytes are 257 bytes in a packet: two too many.
    let long = vec!["a".repeat(63); 4].join(".");
    let too_long = dir.file("long", &format!("{long}:53 {{\n    errors\n}}\n"))?;
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--manifests", &manifests, "--listen", &taken], 7, &[&taken, "another server has the port"]),
        (
            &["--manifests", &manifests, "--listen", &free, "--corefile", &misspelt],
            13,
            &["/misspelt:4: ", "forwrd"],
        ),
        (
            &["--manifests", &manifests, "--listen", &free, "--corefile", &looping],
            13,
            &[&free, "this server"],
        ),
        (
            &["--manifests", &manifests, "--listen", &free, "--corefile", &open],
            13,
            &["/open:1: ", "does not end"],
        ),
        (
            &["--manifests", &manifests, "--listen", &free, "--corefile", &not_a_zone],
            13,
            &["/zone:1: ", "a..b"],
        ),
        (&["--manifests", &manifests, "--listen", &free, "--corefile", &too_long], 13, &["/long:1: ", "255"]),
        (&["--manifests", &manifests, "--listen", &free, "--corefile", "/nowhere"], 13, &["/nowhere"]),
        (
            &[
                "--manifests",
                &manifests,
                "--listen",
                &free,
                "--corefile",
                &open,
                "--cluster-domain",
                "a.example",
            ],
            2,
            &["--corefile", "--cluster-domain"],
        ),
        (&["--manifests", "/nowhere", "--listen", &free], 6, &["/nowhere"]),
        (&["--manifests", &manifests, "--listen", "somewhere"], 2, &["somewhere"]),
        (&["--manifests", &manifests, "--listen", &free, "--cluster-domain", "a..b"], 2, &["a..b"]),
        (&["--kubeconfig", "/x", "--listen", &free], 2, &["--kubeconfig", "not yet"]),
        (&["--listen", &free], 2, &["--manifests", "--kubeconfig"]),
    ];
    for (args, code, words) in cases {
        let out =
            Command::new(lab::ferrule()?).args(["dns", "serve"]).args(*args).stdin(Stdio::null()).output()?;
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.code() == Some(*code), "{args:?}: {:?}: {stderr}", out.status);
        let error: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(error.len() == 1 && words.iter().all(|word| error[0].contains(word)), "{args:?}: {stderr}");
    }
    Ok(())
}
