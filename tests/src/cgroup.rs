//! A cgroup of the test's own.
//!
//! A socket belongs to the cgroup of the thread that made it, and tests are threads of one process: so each test gets a
//! *threaded* cgroup (Documentation/admin-guide/cgroup-v2.rst, "Threads") below one that the whole process is in while
//! tests run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The process's own cgroup while at least one test uses it.
struct Domain {
    path: PathBuf,
    /// Where the process was before.
    home: PathBuf,
    users: usize,
    /// For the names of the tests' cgroups.
    made: usize,
}

static DOMAIN: Mutex<Option<Domain>> = Mutex::new(None);

const PREFIX: &str = "ferrule-tests-";

/// How long a cgroup may take to become empty after its last thread left.
const EMPTY_DEADLINE: Duration = Duration::from_secs(10);

/// A threaded cgroup. Dropping removes it; no thread may be in it by then.
pub struct ScratchCgroup {
    path: PathBuf,
    domain: PathBuf,
}

impl ScratchCgroup {
    /// Makes one.
    pub fn new() -> Self {
        let mut domain = DOMAIN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let domain = domain.get_or_insert_with(Domain::enter);
        domain.users += 1;
        domain.made += 1;
        let path = domain.path.join(format!("t{}", domain.made));
        fs::create_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        write(&path.join("cgroup.type"), "threaded");
        Self { path, domain: domain.path.clone() }
    }

    /// The directory, to attach programs to.
    pub fn open(&self) -> File {
        File::open(&self.path).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()))
    }

    /// The kernel's id of it.
    pub fn id(&self) -> u64 {
        self.path.metadata().unwrap_or_else(|e| panic!("{}: {e}", self.path.display())).ino()
    }

    /// Runs `work` with the calling thread, and the threads that it starts, inside.
    pub fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        between(&self.path, &self.domain, work)
    }

    /// Runs `work` with the calling thread outside, from within [`Self::hold`].
    pub fn release<T>(&self, work: impl FnOnce() -> T) -> T {
        between(&self.domain, &self.path, work)
    }
}

/// Runs `work` with the calling thread in `there`, and brings it `back` also when `work` panics.
fn between<T>(there: &Path, back: &Path, work: impl FnOnce() -> T) -> T {
    struct Back<'a>(&'a Path);
    impl Drop for Back<'_> {
        fn drop(&mut self) {
            write(&self.0.join("cgroup.threads"), "0");
        }
    }
    let _back = Back(back);
    write(&there.join("cgroup.threads"), "0");
    work()
}

impl Default for ScratchCgroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ScratchCgroup {
    fn drop(&mut self) {
        remove_when_empty(&self.path);
        let mut domain = DOMAIN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(d) = domain.as_mut() {
            d.users -= 1;
            if d.users == 0 {
                write(&d.home.join("cgroup.procs"), "0");
                remove_when_empty(&d.path);
                *domain = None;
            }
        }
    }
}

impl Domain {
    fn enter() -> Self {
        let mount = mount().expect("a mounted cgroup v2 hierarchy");
        remove_leftovers(&mount);
        let own = fs::read_to_string("/proc/self/cgroup").expect("own cgroup");
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("a cgroup v2 membership");
        let path = mount.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        write(&path.join("cgroup.procs"), "0");
        Self { path, home: mount.join(own), users: 0, made: 0 }
    }
}

/// Where cgroup v2 is mounted.
pub fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    })
}

/// Takes away what killed runs left. A cgroup that is in use cannot be removed, so trying is safe.
fn remove_leftovers(mount: &Path) {
    let is_alive =
        |name: &str| name.strip_prefix(PREFIX).is_none_or(|pid| Path::new("/proc").join(pid).exists());
    for entry in fs::read_dir(mount).expect("the cgroup hierarchy").flatten() {
        if !is_alive(&entry.file_name().to_string_lossy()) {
            for child in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                let _ = fs::remove_dir(child.path());
            }
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// A thread that has ended still counts for a moment: tries again until the deadline.
fn remove_when_empty(path: &Path) {
    let deadline = Instant::now() + EMPTY_DEADLINE;
    while let Err(e) = fs::remove_dir(path) {
        let is_busy = e.kind() == io::ErrorKind::ResourceBusy;
        assert!(is_busy && Instant::now() < deadline, "{}: {e}", path.display());
        std::thread::yield_now();
    }
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap_or_else(|e| panic!("{text} to {}: {e}", file.display()));
}
