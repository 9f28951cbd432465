//! The log: to standard error, as text or JSON.

use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, LoggingArgs};

/// Environment variable with a filter that overrides `-v`.
const FILTER: &str = "FERRULE_LOG";

/// Starts logging. A second call changes nothing.
pub fn init(args: &LoggingArgs) {
    let level = match args.v {
        0 => "warn",
        1..=3 => "info",
        4..=5 => "debug",
        6.. => "trace",
    };
    let (filter, bad_filter) = match EnvFilter::try_from_env(FILTER) {
        Ok(filter) => (filter, None),
        Err(error) => {
            let is_set = std::env::var_os(FILTER).is_some_and(|filter| !filter.is_empty());
            (EnvFilter::new(format!("warn,dataplane={level},dns={level}")), is_set.then_some(error))
        }
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A reader of the log that is gone is no reason to fail: without this a failed write is written, and that panics.
    let builder = builder.log_internal_errors(false);
    let started = match args.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging had started already");
    }
    if let Some(error) = bad_filter {
        tracing::warn!(%error, "{FILTER} is not a filter: -v counts");
    }
}
