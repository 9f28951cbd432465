//! Starts that are refused: one line, an exit code of its own, and nothing touched.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use lab::Output;

use crate::world::{World, service};

/// What a refused start must look like.
#[track_caller]
fn assert_refused(out: &Output, code: i32, words: &[&str]) {
    assert_eq!(out.code, Some(code), "{out:?}");
    assert_eq!(out.stderr.lines().count(), 1, "one line: {out:?}");
    assert!(out.stderr.starts_with("error: "), "{out:?}");
    for word in words {
        assert!(out.stderr.contains(word), "{word:?} is missing: {out:?}");
    }
}

/// `ferrule run` on the first node with these roots and arguments.
fn run(world: &World, bpf_root: &str, cgroup_root: &str, more: &[&str]) -> Result<Output> {
    let manifests = world.lab.manifests().dir().to_string_lossy().into_owned();
    let mut args = vec!["run", "--bpf-root", bpf_root, "--cgroup-root", cgroup_root];
    if !more.contains(&"--manifests") {
        args.extend(["--manifests", &manifests]);
    }
    args.extend(more);
    world.node()?.ferrule(&args)
}

struct Roots {
    bpf: String,
    cgroup: String,
}

fn roots(world: &World, node: &str) -> Result<Roots> {
    let node = world.lab.node(node)?;
    Ok(Roots {
        bpf: node.bpf_root().to_string_lossy().into_owned(),
        cgroup: node.cgroup().path().to_string_lossy().into_owned(),
    })
}

#[test]
fn a_start_that_cannot_work_says_why_in_one_line() -> Result<()> {
    let world = World::new()?;
    let Roots { bpf, cgroup } = roots(&world, "node-1")?;
    assert_refused(&run(&world, &bpf, &cgroup, &["--wings"])?, 2, &["--wings"]);
    assert_refused(&run(&world, &bpf, &cgroup, &["--healthz-bind-address", "here"])?, 2, &["here"]);
    assert_refused(&run(&world, "/proc", &cgroup, &[])?, 4, &["/proc", "mount -t bpf"]);
    assert_refused(&run(&world, "/does/not/exist", &cgroup, &[])?, 4, &["/does/not/exist"]);
    assert_refused(&run(&world, &bpf, "/proc", &[])?, 5, &["/proc", "--cgroup-root"]);
    assert_refused(
        &run(&world, &bpf, &cgroup, &["--manifests", "/does/not/exist"])?,
        6,
        &["/does/not/exist"],
    );
    Ok(())
}

#[test]
fn a_second_daemon_on_one_bpf_root_is_refused_and_the_first_goes_on() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&[])?;
    let Roots { bpf, cgroup } = roots(&world, "node-1")?;
    let out = run(&world, &bpf, &cgroup, &["--healthz-bind-address", "", "--metrics-bind-address", ""])?;
    assert_refused(&out, 8, &[&bpf]);
    let out = world.node()?.cleanup_ferrule()?;
    assert_eq!(out.code, Some(1), "cleanup beside a daemon: {out:?}");
    assert!(out.stderr.contains("daemon"), "{out:?}");
    assert_eq!(world.answers("10.96.0.1")?, 5);
    assert!(world.report("status")?["ready"] == true);
    Ok(())
}

#[test]
fn a_taken_port_is_refused_or_waited_for_as_told() -> Result<()> {
    let world = World::new()?;
    world.start_and_wait(&[])?;
    // Another bpf-root and cgroup, but the first node's network.
    let Roots { bpf, cgroup } = roots(&world, "node-2")?;
    let state = world.lab.node("node-2")?.state_dir().to_string_lossy().into_owned();
    let manifests = world.lab.manifests().dir().to_string_lossy().into_owned();
    let args = ["run", "--manifests", &manifests, "--bpf-root", &bpf, "--cgroup-root", &cgroup];
    assert_refused(&world.node()?.ferrule(&args)?, 7, &["health", "10256"]);
    let pins = world.lab.node("node-2")?.bpf_root().join("ferrule");
    assert_eq!(std::fs::read_dir(&pins)?.count(), 0, "a refused start leaves no maps behind");
    // Told to wait, it runs without the port; it ends when it is told to.
    let ferrule = lab::ferrule()?;
    let mut waiting = world.node()?.netns().run(|| {
        let mut command = Command::new(&ferrule);
        command.args(args).args(["--state-dir", &state, "--bind-address-hard-fail=false"]);
        command.stderr(std::process::Stdio::null());
        Ok(command.spawn()?)
    })?;
    let socket = format!("{state}/ferrule.sock");
    let began =
        lab::until("its admin socket", crate::world::LIMIT, || Ok(std::path::Path::new(&socket).exists()));
    let is_running = waiting.try_wait()?.is_none();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(waiting.id())?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
    let status = waiting.wait()?;
    began?;
    assert!(is_running, "it ended by itself: {status:?}");
    assert!(status.success(), "{status:?}");
    Ok(())
}

#[test]
fn without_privileges_what_is_missing_is_named() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("ferrule-unprivileged-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755))?;
    let copy = dir.join("ferrule");
    std::fs::copy(lab::ferrule()?, &copy)?;
    let out = Command::new(&copy).args(["run", "--manifests", "/tmp"]).uid(65534).gid(65534).output();
    std::fs::remove_dir_all(&dir)?;
    let out = out.context("running as nobody")?;
    let out = Output {
        code: out.status.code(),
        stdout: String::from_utf8(out.stdout)?,
        stderr: String::from_utf8(out.stderr)?,
    };
    assert_refused(&out, 3, &["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "root"]);
    Ok(())
}

#[test]
fn a_refused_start_leaves_what_is_in_force() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&[])?;
    world.node()?.kill_ferrule()?;
    let Roots { bpf, cgroup } = roots(&world, "node-1")?;
    assert_refused(&run(&world, &bpf, &cgroup, &["--manifests", "/does/not/exist"])?, 6, &["manifests"]);
    assert_eq!(world.answers("10.96.0.1")?, 5);
    world.write("more.yaml", &service("more", "10.96.0.2"))?;
    world.start_and_wait(&[])?;
    assert_eq!(world.answers("10.96.0.1")?, 5);
    Ok(())
}
