//! Skips: said aloud, and written down for whoever counts them.

use std::fs::OpenOptions;
use std::io::Write;

/// Why a test cannot run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The first kernel that has what the test needs ("6.8"); `None` if it is not a matter of the kernel.
    pub first_kernel: Option<&'static str>,
    /// What is missing.
    pub why: &'static str,
}

impl Skip {
    /// Prints the skip and appends `test<TAB>first kernel or dash<TAB>why` to the file in `FERRULE_SKIP_LOG`.
    ///
    /// # Panics
    ///
    /// If the file is named and cannot be written: an uncounted skip looks like a pass.
    pub fn report(self, test: &str) {
        println!("SKIP: {test}: {}", self.why);
        let Some(log) = std::env::var_os("FERRULE_SKIP_LOG") else { return };
        let line = format!("{test}\t{}\t{}\n", self.first_kernel.unwrap_or("-"), self.why);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|e| panic!("skip log {}: {e}", log.display()));
    }
}

/// Whether the test may run: as root. Reports the skip if not.
pub fn may_run(test: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        Skip { first_kernel: None, why: "needs root" }.report(test);
    }
    is_root
}

/// The name of the test function that `F` was written in, as libtest prints it.
pub fn test_name<F>(_: &F) -> String {
    let path = std::any::type_name::<F>();
    let path = path.trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::test_name;

    #[test]
    fn a_closure_is_named_after_the_test_around_it() {
        assert_eq!(test_name(&|| ()), "skip::tests::a_closure_is_named_after_the_test_around_it");
    }
}
