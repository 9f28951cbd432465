//! The initramfs: busybox, `ferrule` and the libraries that it is linked to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::cached;
use crate::toolchain;

const INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
echo
echo \"kernel: $(/bin/busybox uname -r)\"
/bin/ferrule check-kernel
/bin/busybox sync
/bin/busybox poweroff -f
";

/// Builds the image and returns its path.
pub(super) fn build(cache: &Path, ferrule: &Path) -> Result<PathBuf, String> {
    let tree = cached(cache, "initramfs")?;
    for dir in ["bin", "proc", "sys", "dev"] {
        cached(&tree, dir)?;
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|p| Path::new(p).exists());
    copy(Path::new(busybox.ok_or("no busybox")?), &tree.join("bin/busybox"))?;
    copy(ferrule, &tree.join("bin/ferrule"))?;
    toolchain::run(Command::new("strip").arg(tree.join("bin/ferrule")))?;
    for library in libraries(ferrule)? {
        let to = tree.join(library.strip_prefix("/").unwrap_or(&library));
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        copy(&library, &to)?;
    }
    let init = tree.join("init");
    fs::write(&init, INIT).map_err(|e| format!("{}: {e}", init.display()))?;
    toolchain::run(Command::new("chmod").arg("755").arg(&init))?;
    pack(&tree, &cache.join("initramfs.cpio"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|e| format!("{} to {}: {e}", from.display(), to.display()))
}

/// The dynamic loader and the libraries, as `ldd` finds them.
fn libraries(binary: &Path) -> Result<Vec<PathBuf>, String> {
    let done = Command::new("ldd").arg(binary).output().map_err(|e| format!("ldd: {e}"))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

fn pack(tree: &Path, image: &Path) -> Result<PathBuf, String> {
    let out = fs::File::create(image).map_err(|e| format!("{}: {e}", image.display()))?;
    let status = Command::new("sh")
        .args(["-c", "find . | cpio --quiet -o -H newc"])
        .current_dir(tree)
        .stdout(Stdio::from(out))
        .status()
        .map_err(|e| format!("cpio: {e}"))?;
    if status.success() { Ok(image.to_owned()) } else { Err("cpio failed".to_owned()) }
}
