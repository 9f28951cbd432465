//! What tests of this crate share.

use std::io::Write;

/// Says that a test cannot run here, where a person and the run's log see it.
pub(crate) fn skip(test: &str, why: &str) {
    println!("SKIP: {test}: {why}");
    if let Some(log) = std::env::var_os("FERRULE_SKIP_LOG") {
        let mut log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        log.write_all(format!("{test}\t-\t{why}\n").as_bytes()).unwrap();
    }
}
