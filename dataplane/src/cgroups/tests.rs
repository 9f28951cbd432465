use std::collections::BTreeSet;

use super::*;
use crate::testing::skip;

/// A cgroup of the test's own below the first cgroup v2 mount; removed with all below it when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount = mounts.find(|fields| fields.get(2) == Some(&"cgroup2"));
        let Some(mount) = mount else {
            skip(name, "no cgroup v2 hierarchy is mounted");
            return None;
        };
        let path = Path::new(mount[1]).join(format!(
            "ferrule-{}-{}",
            std::process::id(),
            name.rsplit("::").next().unwrap()
        ));
        match fs::create_dir(&path) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                skip(name, &format!("a cgroup: {error}"));
                None
            }
        }
    }

    fn make(&self, below: &str) -> CgroupId {
        let path = self.0.join(below);
        fs::create_dir_all(&path).unwrap();
        CgroupId(fs::metadata(&path).unwrap().ino())
    }

    fn remove(&self, below: &str) {
        fs::remove_dir(self.0.join(below)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fn remove(path: &Path) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            let _ = fs::remove_dir(path);
        }
        remove(&self.0);
    }
}

type Pods = watch::Receiver<Arc<PodCgroups>>;

async fn until(pods: &mut Pods, what: &str, wanted: &[(&str, CgroupId)]) {
    let wanted: PodCgroups = wanted.iter().map(|(uid, id)| (Arc::from(*uid), *id)).collect();
    let waited = timeout(Duration::from_secs(20), pods.wait_for(|pods| **pods == wanted)).await;
    waited.unwrap_or_else(|_| panic!("{what}: not seen")).unwrap();
}

#[tokio::test]
async fn pods_of_both_drivers_are_followed_as_their_cgroups_come_and_go() {
    let name = "cgroups::tests::pods_of_both_drivers_are_followed_as_their_cgroups_come_and_go";
    let Some(scratch) = Scratch::new(name) else { return };
    let a = scratch.make("kubepods/burstable/poda-1");
    let (mut pods, task) = watch_pods(scratch.0.clone());
    assert_eq!(**pods.borrow(), PodCgroups::from([("a-1".into(), a)]), "what is there at the start");
    tokio::spawn(task);
    let b = scratch.make("kubepods/podb-2");
    until(&mut pods, "a pod beside known ones", &[("a-1", a), ("b-2", b)]).await;
    // The whole tree of a driver at once: each level is made before its watch can be.
    let c = scratch
        .make("kubelet.slice/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podc_3.slice");
    until(&mut pods, "a pod of a new tree", &[("a-1", a), ("b-2", b), ("c-3", c)]).await;
    scratch.remove("kubepods/burstable/poda-1");
    until(&mut pods, "a removal", &[("b-2", b), ("c-3", c)]).await;
    let again = scratch.make("kubepods/burstable/poda-1");
    assert_ne!(again, a, "another cgroup of the same name has another id");
    until(&mut pods, "the same pod anew", &[("a-1", again), ("b-2", b), ("c-3", c)]).await;
}

#[tokio::test]
async fn cgroups_of_containers_and_of_services_are_not_looked_at() {
    let name = "cgroups::tests::cgroups_of_containers_and_of_services_are_not_looked_at";
    let Some(scratch) = Scratch::new(name) else { return };
    scratch.make("system.slice/sshd.service/podx");
    let a = scratch.make("kubepods/poda");
    scratch.make("kubepods/poda/podinner");
    let tree = Tree::watch(scratch.0.clone()).unwrap();
    assert_eq!(tree.pods(), PodCgroups::from([("a".into(), a)]));
    let below = |path: &PathBuf| path.strip_prefix(&scratch.0).unwrap().to_owned();
    let watched: BTreeSet<_> = tree.watched.values().map(below).collect();
    assert_eq!(watched, ["", "kubepods", "system.slice"].map(PathBuf::from).into());
}

#[tokio::test]
async fn a_tree_that_goes_and_comes_back_is_followed_again() {
    let name = "cgroups::tests::a_tree_that_goes_and_comes_back_is_followed_again";
    let Some(scratch) = Scratch::new(name) else { return };
    let a = scratch.make("kubepods/burstable/poda");
    let (mut pods, task) = watch_pods(scratch.0.clone());
    tokio::spawn(task);
    until(&mut pods, "the pod", &[("a", a)]).await;
    for path in ["kubepods/burstable/poda", "kubepods/burstable", "kubepods"] {
        scratch.remove(path);
    }
    until(&mut pods, "its end", &[]).await;
    let a = scratch.make("kubepods/burstable/poda");
    until(&mut pods, "its return", &[("a", a)]).await;
}

#[test]
fn a_root_that_is_not_there_is_an_error_that_names_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let error = Tree::watch("/proc/self/nowhere".into()).map(|tree| tree.pods()).unwrap_err();
    assert!(error.to_string().starts_with("cgroup /proc/self/nowhere: No such file"), "{error}");
}
