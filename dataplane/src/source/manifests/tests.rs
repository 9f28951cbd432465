use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use model::{Event, Kind, Snapshot, Store};
use nix::fcntl::{AT_FDCWD, AtFlags};
use tokio::time::{Instant, timeout, timeout_at};

use super::*;

/// A folder of its own, taken away at the end.
struct Temp(PathBuf);

impl Temp {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("ferrule-manifests-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes beside and renames, as careful writers do.
    fn put(&self, name: &str, text: &str) {
        let beside = self.path(&format!(".{name}.new"));
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path(name)).unwrap();
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A source with a store behind it.
struct Watched {
    source: Source,
    store: Store,
    /// What was deleted on the way.
    deleted: Vec<String>,
}

impl Watched {
    fn start(dir: &Path) -> Self {
        let (source, task) = watch(dir.to_owned()).unwrap();
        tokio::spawn(task);
        Self { source, store: Store::new(&Kind::ALL), deleted: Vec::new() }
    }

    fn apply(&mut self, event: Event) {
        if let Event::Delete(key) = &event {
            self.deleted.push(key.to_string());
        }
        self.store.apply(event);
    }

    /// Waits until the store's content is as wanted.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Snapshot) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !wanted(&self.store.snapshot()) {
            match timeout_at(deadline, self.source.events.recv()).await {
                Ok(Some(events)) => events.into_iter().for_each(|event| self.apply(event)),
                Ok(None) => panic!("{what}: the source ended"),
                Err(_) => panic!("{what}: not seen; {:?}", self.source.status.borrow()),
            }
        }
    }

    async fn until_status(&mut self, what: &str, wanted: impl Fn(&SourceStatus) -> bool) -> SourceStatus {
        let waited =
            timeout(Duration::from_secs(10), self.source.status.wait_for(|status| wanted(status))).await;
        waited.unwrap_or_else(|_| panic!("{what}: not seen")).unwrap().clone()
    }
}

fn service(name: &str, ip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: {ip}, ports: [{{port: 80}}]}}\n"
    )
}

fn has(snapshot: &Snapshot, name: &str, ip: &str) -> bool {
    let name = model::ObjectName::new("default", name);
    snapshot.services.get(&name).is_some_and(|s| s.cluster_ips.iter().any(|a| a.to_string() == ip))
}

fn is_absent(snapshot: &Snapshot, name: &str) -> bool {
    !snapshot.services.contains_key(&model::ObjectName::new("default", name))
}

#[tokio::test]
async fn a_readable_folder_is_one_complete_list() {
    let dir = Temp::new();
    dir.put(
        "a.yaml",
        &format!("{}---\n# nothing here\n---\n{}", service("a", "10.96.0.1"), service("b", "10.96.0.2")),
    );
    dir.put("c.json", r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}, "spec": {"clusterIP": "10.96.0.3"}}]}"#);
    dir.put("empty.yml", "");
    dir.put("comment.yaml", "# nothing yet\n");
    dir.put("notes.txt", "not: [a, manifest");
    fs::create_dir(dir.path("sub")).unwrap();
    fs::write(dir.path("sub/d.yaml"), service("d", "10.96.0.4")).unwrap();
    let mut watched = Watched::start(&dir.0);
    watched.until("the list", |s| s.synced.is_some()).await;
    let snapshot = watched.store.snapshot();
    assert!(
        has(&snapshot, "a", "10.96.0.1")
            && has(&snapshot, "b", "10.96.0.2")
            && has(&snapshot, "c", "10.96.0.3")
    );
    assert!(is_absent(&snapshot, "d"), "subfolders are not read");
    let status = watched.until_status("the status", |s| s.is_listed).await;
    assert!(status.problems.is_empty(), "{:?}", status.problems);
}

#[tokio::test]
async fn kinds_that_are_not_used_are_passed_over_and_counted() {
    let dir = Temp::new();
    dir.put("a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    let mut watched = Watched::start(&dir.0);
    let status = watched.until_status("the count", |s| s.is_listed).await;
    assert_eq!(status.passed_over["apps/v1/Deployment"], 1);
    assert_eq!(status.passed_over["v1/ConfigMap"], 1);
    assert!(status.problems.is_empty());
}

#[tokio::test]
async fn changes_renames_and_deletions_are_seen() {
    let dir = Temp::new();
    dir.put("a.yaml", &service("a", "10.96.0.1"));
    let mut watched = Watched::start(&dir.0);
    watched.until("the first", |s| has(s, "a", "10.96.0.1")).await;
    fs::write(dir.path("a.yaml"), service("a", "10.96.0.2")).unwrap();
    watched.until("written in place", |s| has(s, "a", "10.96.0.2")).await;
    dir.put("a.yaml", &service("a", "10.96.0.3"));
    watched.until("renamed over", |s| has(s, "a", "10.96.0.3")).await;
    fs::write(dir.path("new.yaml"), service("b", "10.96.0.4")).unwrap();
    watched.until("a new file", |s| has(s, "b", "10.96.0.4")).await;
    fs::rename(dir.path("new.yaml"), dir.path("new.yaml.off")).unwrap();
    watched.until("renamed away", |s| is_absent(s, "b")).await;
    fs::remove_file(dir.path("a.yaml")).unwrap();
    watched.until("deleted", |s| is_absent(s, "a")).await;
}

#[tokio::test]
async fn a_change_is_seen_within_100_ms() {
    let dir = Temp::new();
    let mut watched = Watched::start(&dir.0);
    watched.until("the list", |s| s.synced.is_some()).await;
    // The best of several: the machine may be busy with something else.
    let mut best = Duration::MAX;
    for i in 1..=10u8 {
        let ip = format!("10.96.0.{i}");
        let began = Instant::now();
        dir.put("a.yaml", &service("a", &ip));
        watched.until("the change", |s| has(s, "a", &ip)).await;
        best = best.min(began.elapsed());
    }
    assert!(best < Duration::from_millis(100), "{best:?}");
}

#[tokio::test]
async fn the_swap_of_a_mounted_configmap_is_seen() {
    let dir = Temp::new();
    for (version, ip) in [("..v1", "10.96.0.1"), ("..v2", "10.96.0.2")] {
        fs::create_dir(dir.path(version)).unwrap();
        fs::write(dir.path(version).join("a.yaml"), service("a", ip)).unwrap();
    }
    symlink("..v1", dir.path("..data")).unwrap();
    symlink("..data/a.yaml", dir.path("a.yaml")).unwrap();
    let mut watched = Watched::start(&dir.0);
    watched.until("the first version", |s| has(s, "a", "10.96.0.1")).await;
    symlink("..v2", dir.path("..data_tmp")).unwrap();
    fs::rename(dir.path("..data_tmp"), dir.path("..data")).unwrap();
    watched.until("the second version", |s| has(s, "a", "10.96.0.2")).await;
}

#[tokio::test]
async fn a_broken_file_keeps_what_it_held_and_the_rest_goes_on() {
    let dir = Temp::new();
    dir.put("a.yaml", &service("a", "10.96.0.1"));
    dir.put("b.yaml", &service("b", "10.96.0.2"));
    let mut watched = Watched::start(&dir.0);
    watched.until("the list", |s| s.synced.is_some()).await;
    dir.put("a.yaml", "apiVersion: v1\nkind: [Service\n");
    let status = watched.until_status("the problem", |s| !s.problems.is_empty()).await;
    assert!(
        status.problems.contains_key("a.yaml") && !status.problems["a.yaml"].contains('\n'),
        "{status:?}"
    );
    dir.put("b.yaml", &service("b", "10.96.0.3"));
    watched.until("the other file", |s| has(s, "b", "10.96.0.3")).await;
    assert!(has(&watched.store.snapshot(), "a", "10.96.0.1"));
    dir.put("a.yaml", &service("a", "10.96.0.9"));
    watched.until("mended", |s| has(s, "a", "10.96.0.9")).await;
    watched.until_status("no problem", |s| s.problems.is_empty()).await;
}

#[tokio::test]
async fn files_that_are_no_manifests_are_named() {
    let dir = Temp::new();
    fs::write(dir.path("latin.yaml"), b"name: caf\xe9\n").unwrap();
    dir.put("prose.yaml", "just some words\n");
    dir.put("nameless.yaml", "apiVersion: v1\nkind: Service\n");
    dir.put(
        "typed.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: typed}\nspec: {ports: [{port: eighty}]}\n",
    );
    symlink("nowhere", dir.path("dangling.yaml")).unwrap();
    fs::create_dir(dir.path("folder.yaml")).unwrap();
    nix::unistd::mkfifo(&dir.path("fifo.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    dir.put("good.yaml", &service("good", "10.96.0.1"));
    let mut watched = Watched::start(&dir.0);
    watched.until("the good file", |s| has(s, "good", "10.96.0.1")).await;
    assert!(watched.store.is_incomplete() && !watched.store.is_synced());
    let problems = watched.until_status("problems", |s| !s.problems.is_empty()).await.problems;
    for (file, word) in [
        ("latin.yaml", "UTF-8"),
        ("prose.yaml", "not a Kubernetes object"),
        ("nameless.yaml", "metadata.name"),
        ("typed.yaml", "typed"),
        ("dangling.yaml", "leads nowhere"),
        ("folder.yaml", "not a regular file"),
        ("fifo.yaml", "not a regular file"),
    ] {
        assert!(
            problems.get(file).is_some_and(|p| p.contains(word) && !p.contains('\n')),
            "{file}: {problems:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_broken_at_the_start_withholds_the_list_until_it_is_mended() {
    let dir = Temp::new();
    dir.put("a.yaml", "kind: [");
    dir.put("b.yaml", &service("b", "10.96.0.2"));
    let mut watched = Watched::start(&dir.0);
    watched.until("the good file", |s| has(s, "b", "10.96.0.2")).await;
    assert!(watched.store.is_incomplete());
    dir.put("a.yaml", &service("a", "10.96.0.1"));
    watched.until("the list", |s| s.synced.is_some()).await;
    assert!(
        has(&watched.store.snapshot(), "a", "10.96.0.1") && has(&watched.store.snapshot(), "b", "10.96.0.2")
    );
}

#[tokio::test]
async fn one_object_in_two_files_names_both_and_stays_with_the_first() {
    let dir = Temp::new();
    dir.put("a.yaml", &service("x", "10.96.0.1"));
    dir.put("b.yaml", &service("x", "10.96.0.2"));
    let mut watched = Watched::start(&dir.0);
    watched.until("the first file's", |s| has(s, "x", "10.96.0.1")).await;
    let status = watched.until_status("the conflict", |s| !s.problems.is_empty()).await;
    let line = &status.problems["b.yaml"];
    assert!(line.contains("Service default/x") && line.contains("a.yaml"), "{line}");
    fs::remove_file(dir.path("a.yaml")).unwrap();
    watched.until("the other's turn", |s| has(s, "x", "10.96.0.2")).await;
    watched.until_status("no conflict", |s| s.problems.is_empty()).await;
    dir.put("a.yaml", &service("x", "10.96.0.3"));
    watched.until_status("a conflict again", |s| s.problems.contains_key("a.yaml")).await;
    assert!(has(&watched.store.snapshot(), "x", "10.96.0.2"), "who has it keeps it");
}

#[tokio::test]
async fn one_object_twice_in_a_file_is_named_and_the_first_counts() {
    let dir = Temp::new();
    dir.put("a.yaml", &format!("{}---\n{}", service("x", "10.96.0.1"), service("x", "10.96.0.2")));
    let mut watched = Watched::start(&dir.0);
    watched.until("the first", |s| has(s, "x", "10.96.0.1")).await;
    let status = watched.until_status("the problem", |s| !s.problems.is_empty()).await;
    assert!(status.problems["a.yaml"].contains("twice"), "{status:?}");
}

/// Takes a file's place half-written, as a writer does that truncates it and is slow.
fn begin(path: &Path, text: &str) -> File {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn a_file_is_read_when_it_is_closed_and_not_before() {
    let dir = Temp::new();
    let both = |ip: &str| format!("{}---\n{}", service("a", "10.96.0.1"), service("b", ip));
    dir.put("a.yaml", &both("10.96.0.2"));
    symlink(".", dir.path("..data")).unwrap();
    let mut watched = Watched::start(&dir.0);
    watched.until("the list", |s| s.synced.is_some()).await;
    let mut file = begin(&dir.path("a.yaml"), &service("a", "10.96.0.1"));
    // Something else happens, and something that makes us look at every file.
    dir.put("other.yaml", &service("other", "10.96.0.3"));
    watched.until("another file", |s| has(s, "other", "10.96.0.3")).await;
    symlink("./", dir.path("..data_tmp")).unwrap();
    fs::rename(dir.path("..data_tmp"), dir.path("..data")).unwrap();
    dir.put("other.yaml", &service("other", "10.96.0.4"));
    watched.until("another file again", |s| has(s, "other", "10.96.0.4")).await;
    assert!(has(&watched.store.snapshot(), "b", "10.96.0.2"), "half a file was read");
    file.write_all(b"---\n").unwrap();
    file.write_all(service("b", "10.96.0.5").as_bytes()).unwrap();
    drop(file);
    watched.until("the whole file", |s| has(s, "b", "10.96.0.5")).await;
    assert_eq!(watched.deleted, [""; 0]);
}

#[tokio::test]
async fn a_file_that_is_written_while_the_daemon_starts_withholds_the_list_until_it_is_closed() {
    let dir = Temp::new();
    dir.put("b.yaml", &service("b", "10.96.0.2"));
    let (source, task) = watch(dir.0.clone()).unwrap();
    let file = begin(&dir.path("a.yaml"), &service("a", "10.96.0.1"));
    tokio::spawn(task);
    let mut watched = Watched { source, store: Store::new(&Kind::ALL), deleted: Vec::new() };
    watched.until("the other file", |s| has(s, "b", "10.96.0.2")).await;
    assert!(watched.store.is_incomplete() && is_absent(&watched.store.snapshot(), "a"));
    assert!(watched.source.status.borrow().problems["a.yaml"].contains("being written"));
    drop(file);
    watched.until("the list", |s| s.synced.is_some() && has(s, "a", "10.96.0.1")).await;
}

#[tokio::test]
async fn what_editors_do_to_a_file_deletes_nothing() {
    // A machine that is busy may take longer from removing to writing than the source waits for.
    for _ in 0..10 {
        let (gap, deleted) = edit().await;
        if gap < Duration::from_millis(15) {
            assert_eq!(deleted, [""; 0]);
            return;
        }
    }
    panic!("ten times too slow");
}

/// How long the file was absent at most, and what was deleted meanwhile.
async fn edit() -> (Duration, Vec<String>) {
    let dir = Temp::new();
    let path = dir.path("a.yaml");
    dir.put("a.yaml", &service("a", "10.96.0.1"));
    let mut watched = Watched::start(&dir.0);
    watched.until("the list", |s| s.synced.is_some()).await;

    // vim, backupcopy=no: the old file is moved aside, a new one is written.
    let began = Instant::now();
    fs::rename(&path, dir.path("a.yaml~")).unwrap();
    let file = begin(&path, &service("a", "10.96.0.2"));
    let mut gap = began.elapsed();
    drop(file);
    fs::remove_file(dir.path("a.yaml~")).unwrap();
    watched.until("vim", |s| has(s, "a", "10.96.0.2")).await;

    // git: removed, then written anew; here slowly.
    let began = Instant::now();
    fs::remove_file(&path).unwrap();
    let mut file = begin(&path, &service("b", "10.96.0.9"));
    gap = gap.max(began.elapsed());
    dir.put("other.yaml", &service("other", "10.96.0.3"));
    watched.until("another file", |s| has(s, "other", "10.96.0.3")).await;
    file.write_all(format!("---\n{}", service("a", "10.96.0.3")).as_bytes()).unwrap();
    drop(file);
    watched.until("git", |s| has(s, "a", "10.96.0.3")).await;

    // An object that moves from one file to another.
    let began = Instant::now();
    dir.put("a.yaml", &service("b", "10.96.0.9"));
    dir.put("moved.yaml", &service("a", "10.96.0.3"));
    gap = gap.max(began.elapsed() * 5);
    dir.put("last.yaml", &service("last", "10.96.0.4"));
    watched.until("the move", |s| has(s, "last", "10.96.0.4")).await;
    assert!(has(&watched.store.snapshot(), "a", "10.96.0.3"));
    (gap, watched.deleted)
}

#[tokio::test]
async fn files_that_are_linked_in_are_complete_at_once() {
    let dir = Temp::new();
    let mut watched = Watched::start(&dir.0);
    watched.until("the list", |s| s.synced.is_some()).await;
    fs::write(dir.path("hidden"), service("a", "10.96.0.1")).unwrap();
    fs::hard_link(dir.path("hidden"), dir.path("hard.yaml")).unwrap();
    watched.until("a hard link", |s| has(s, "a", "10.96.0.1")).await;

    // A file without a name that gets one: nothing says that it is complete, only that nobody writes to it.
    let mut unnamed = File::options().write(true).custom_flags(libc::O_TMPFILE).open(&dir.0).unwrap();
    unnamed.write_all(service("b", "10.96.0.2").as_bytes()).unwrap();
    let itself = format!("/proc/self/fd/{}", unnamed.as_raw_fd());
    let (from, to) = (Path::new(&itself), dir.path("unnamed.yaml"));
    nix::unistd::linkat(AT_FDCWD, from, AT_FDCWD, &to, AtFlags::AT_SYMLINK_FOLLOW).unwrap();
    watched.until("an unnamed file", |s| has(s, "b", "10.96.0.2")).await;
}

#[tokio::test]
async fn what_a_link_leads_to_is_followed_outside_the_folder_too() {
    let outside = Temp::new();
    let dir = Temp::new();
    symlink(outside.path("a.yaml"), dir.path("a.yaml")).unwrap();
    let mut watched = Watched::start(&dir.0);
    watched.until_status("a dangling link", |s| s.problems.contains_key("a.yaml")).await;
    outside.put("a.yaml", &service("a", "10.96.0.1"));
    watched.until("the target", |s| s.synced.is_some() && has(s, "a", "10.96.0.1")).await;
    fs::write(outside.path("a.yaml"), service("a", "10.96.0.2")).unwrap();
    watched.until("a change of the target", |s| has(s, "a", "10.96.0.2")).await;
}

#[tokio::test]
async fn a_folder_that_is_exchanged_for_another_is_followed() {
    let dir = Temp::new();
    for (name, ip) in [("v1", "10.96.0.1"), ("v2", "10.96.0.2"), ("v3", "10.96.0.3")] {
        fs::create_dir(dir.path(name)).unwrap();
        fs::write(dir.path(name).join("a.yaml"), service("a", ip)).unwrap();
    }
    // By a link that leads elsewhere, then by a rename.
    let current = dir.path("current");
    symlink("v1", &current).unwrap();
    let mut watched = Watched::start(&current);
    watched.until("the first", |s| has(s, "a", "10.96.0.1")).await;
    symlink("v2", dir.path("next")).unwrap();
    fs::rename(dir.path("next"), &current).unwrap();
    watched.until("the second", |s| has(s, "a", "10.96.0.2")).await;
    fs::rename(dir.path("v2"), dir.path("old")).unwrap();
    fs::rename(dir.path("v3"), dir.path("v2")).unwrap();
    watched.until("the third", |s| has(s, "a", "10.96.0.3")).await;
    assert_eq!(watched.deleted, [""; 0]);
}

#[tokio::test]
async fn a_name_that_is_not_utf8_is_a_problem_and_not_a_gap() {
    let dir = Temp::new();
    let odd = dir.0.join(OsStr::from_bytes(b"caf\xe9.yaml"));
    fs::write(&odd, service("a", "10.96.0.1")).unwrap();
    let mut watched = Watched::start(&dir.0);
    let status = watched.until_status("the problem", |s| !s.problems.is_empty()).await;
    assert!(status.problems.values().any(|line| line.contains("UTF-8")) && !status.is_listed, "{status:?}");
    fs::rename(odd, dir.path("cafe.yaml")).unwrap();
    watched.until("the list", |s| s.synced.is_some() && has(s, "a", "10.96.0.1")).await;
}

#[tokio::test]
async fn a_copy_of_a_large_file_is_one_short_problem() {
    let dir = Temp::new();
    let text: String = (0..50).map(|i| service(&format!("s{i}"), "10.96.0.1") + "---\n").collect();
    dir.put("a.yaml", &text);
    dir.put("b.yaml", &text);
    let mut watched = Watched::start(&dir.0);
    let status = watched.until_status("the problem", |s| !s.problems.is_empty()).await;
    assert_eq!(status.problems.len(), 1);
    assert!(status.problems["b.yaml"].contains("and 47 more"), "{status:?}");
}

#[tokio::test]
async fn a_folder_that_goes_keeps_its_content_in_force_and_is_watched_again_when_it_is_back() {
    let dir = Temp::new();
    let folder = dir.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.yaml"), service("a", "10.96.0.1")).unwrap();
    let mut watched = Watched::start(&folder);
    watched.until("the list", |s| s.synced.is_some()).await;
    fs::rename(&folder, dir.path("away")).unwrap();
    watched.until_status("the loss", |s| s.problems.contains_key(".")).await;
    assert!(has(&watched.store.snapshot(), "a", "10.96.0.1"));
    fs::write(dir.path("away/a.yaml"), service("a", "10.96.0.2")).unwrap();
    fs::rename(dir.path("away"), &folder).unwrap();
    watched.until("back", |s| has(s, "a", "10.96.0.2")).await;
    watched.until_status("no problem", |s| s.problems.is_empty()).await;
    fs::write(folder.join("a.yaml"), service("a", "10.96.0.3")).unwrap();
    watched.until("watched again", |s| has(s, "a", "10.96.0.3")).await;
}

#[tokio::test]
async fn ten_thousand_objects_in_one_file_change_one_by_one() {
    let dir = Temp::new();
    let text = |last: &str| {
        let mut text = String::new();
        for i in 0..10_000u32 {
            text.push_str(&service(&format!("s{i}"), &format!("10.{}.{}.1", 96 + i / 250, i % 250)));
            text.push_str("---\n");
        }
        text + &service("last", last)
    };
    dir.put("a.yaml", &text("10.95.0.1"));
    let mut watched = Watched::start(&dir.0);
    watched.until("the list", |s| s.synced.is_some()).await;
    assert_eq!(watched.store.snapshot().services.len(), 10_001);
    dir.put("a.yaml", &text("10.95.0.2"));
    let events = timeout(Duration::from_secs(20), watched.source.events.recv()).await.unwrap().unwrap();
    assert!(matches!(events.as_slice(), [Event::Apply(_)]), "only what changed: {}", events.len());
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    assert!(watch(PathBuf::from("/does/not/exist")).is_err());
}

#[tokio::test]
async fn an_empty_folder_in_the_place_of_a_full_one_deletes_nothing() {
    let dir = Temp::new();
    let folder = dir.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.yaml"), service("a", "10.96.0.1")).unwrap();
    let mut watched = Watched::start(&folder);
    watched.until("the list", |s| s.synced.is_some()).await;
    // What an unmount leaves: the directory below, which is empty.
    fs::create_dir(dir.path("below")).unwrap();
    fs::rename(&folder, dir.path("away")).unwrap();
    fs::rename(dir.path("below"), &folder).unwrap();
    let status = watched.until_status("the loss", |s| s.problems.contains_key(".")).await;
    assert!(status.problems["."].contains("another folder"), "{status:?}");
    assert!(has(&watched.store.snapshot(), "a", "10.96.0.1"));
    fs::write(folder.join("b.yaml"), service("b", "10.96.0.2")).unwrap();
    watched.until("the new folder's manifests", |s| has(s, "b", "10.96.0.2") && is_absent(s, "a")).await;
}

#[tokio::test]
async fn a_folder_that_comes_back_empty_deletes_nothing_whatever_its_inode() {
    let dir = Temp::new();
    let folder = dir.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.yaml"), service("a", "10.96.0.1")).unwrap();
    let mut watched = Watched::start(&folder);
    watched.until("the list", |s| s.synced.is_some()).await;
    // To whoever watches the path this is a folder that was deleted and made again, and was given the inode of the old one.
    fs::rename(&folder, dir.path("away")).unwrap();
    fs::remove_file(dir.path("away/a.yaml")).unwrap();
    fs::rename(dir.path("away"), &folder).unwrap();
    let is_another =
        |s: &SourceStatus| s.problems.get(".").is_some_and(|line| line.contains("another folder"));
    watched.until_status("the doubt", is_another).await;
    // A file that comes and goes at once is not yet one that it holds.
    fs::write(dir.path("passing"), "").unwrap();
    fs::rename(dir.path("passing"), folder.join("a.yaml")).unwrap();
    fs::remove_file(folder.join("a.yaml")).unwrap();
    fs::write(folder.join("b.yaml"), service("b", "10.96.0.2")).unwrap();
    watched.until("what it holds now", |s| has(s, "b", "10.96.0.2") && is_absent(s, "a")).await;
    watched.until_status("no problem", |s| s.problems.is_empty()).await;
}
