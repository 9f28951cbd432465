//! The files of `/etc` that a container has of its own: its resolver's configuration, its hosts file.

use std::ffi::CString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::address::Dual;
use crate::mounts;
use crate::registry::LabId;

/// Address of the cluster DNS Service where nothing else is said, the tenth of the Services' range as kubeadm has it.
pub const CLUSTER_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));

/// Domain of the cluster in every pod's search list.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// A directory whose files lie over those of `/etc` of the same names in a pod's mount namespaces.
#[derive(Clone, Debug)]
pub struct Etc {
    dir: PathBuf,
}

/// A file and what it lies over, as the child of a fork can mount them.
#[derive(Debug)]
pub(crate) struct Bind {
    pub(crate) source: CString,
    pub(crate) target: CString,
}

impl Etc {
    /// Writes the files as a kubelet does for a pod with the DNS policy ClusterFirst.
    pub(crate) fn write(
        id: &LabId,
        place: &str,
        namespace: &str,
        address: Dual,
        nameservers: &[IpAddr],
    ) -> Result<Self> {
        let dir = dir_of(id, place);
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let pod = place.rsplit('.').next().unwrap_or(place);
        let files = [
            ("resolv.conf", resolv_conf(namespace, nameservers)),
            ("hosts", hosts(pod, address)),
            ("nsswitch.conf", "hosts: files dns\n".to_owned()),
        ];
        for (name, text) in files {
            let path = dir.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(Self { dir })
    }

    /// The files of a place of any lab; nothing where it sees the machine's own.
    pub(crate) fn find(id: &LabId, place: &str) -> Option<Self> {
        let dir = dir_of(id, place);
        dir.is_dir().then_some(Self { dir })
    }

    /// What to mount where. A file that the machine does not have is left out: there is nothing to lie over.
    pub(crate) fn binds(&self) -> Result<Vec<Bind>> {
        let mut binds = Vec::new();
        for (source, target) in self.files()? {
            let source = CString::new(source.as_os_str().as_bytes())?;
            binds.push(Bind { source, target: CString::new(target.as_os_str().as_bytes())? });
        }
        Ok(binds)
    }

    /// Lets this process see them, in a mount namespace of its own. It must have one thread.
    ///
    /// # Errors
    ///
    /// The mounts need CAP_SYS_ADMIN.
    pub fn enter(&self) -> Result<()> {
        unshare(CloneFlags::CLONE_NEWNS).context("unsharing the mount namespace")?;
        let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("keeping mounts to ourselves")?;
        self.files()?.iter().try_for_each(|(source, target)| mounts::bind(source, target))
    }

    /// Removes them.
    pub(crate) fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.dir).with_context(|| format!("removing {}", self.dir.display()))
    }

    fn files(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let entries = fs::read_dir(&self.dir).with_context(|| format!("listing {}", self.dir.display()))?;
        let files = entries.flatten().map(|entry| (entry.path(), Path::new("/etc").join(entry.file_name())));
        Ok(files.filter(|(_, target)| target.exists()).collect())
    }
}

fn dir_of(id: &LabId, place: &str) -> PathBuf {
    id.dir().join("etc").join(place)
}

fn resolv_conf(namespace: &str, nameservers: &[IpAddr]) -> String {
    let servers: String = nameservers.iter().map(|server| format!("nameserver {server}\n")).collect();
    format!(
        "search {namespace}.svc.{CLUSTER_DOMAIN} svc.{CLUSTER_DOMAIN} {CLUSTER_DOMAIN}\n\
         {servers}options ndots:5\n"
    )
}

fn hosts(pod: &str, address: Dual) -> String {
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{}\t{pod}\n{}\t{pod}\n", address.v4, address.v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_configuration_is_that_of_a_pod_in_the_namespace() {
        assert_eq!(
            resolv_conf("production", &[CLUSTER_DNS, "fd00:10:96::a".parse().unwrap()]),
            "search production.svc.cluster.local svc.cluster.local cluster.local\n\
             nameserver 10.96.0.10\nnameserver fd00:10:96::a\noptions ndots:5\n"
        );
    }
}
