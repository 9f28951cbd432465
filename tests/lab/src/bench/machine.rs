//! The machine, without which no number means anything.

use std::fmt;
use std::fs;

use serde::Serialize;

/// What is known of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Frequency governor; virtual machines have none to show.
    pub(super) governor: String,
    /// Load average of the last minute before the start: others' work.
    pub(super) load_before: f64,
    /// Days of UTC.
    pub(super) date: String,
}

impl Machine {
    pub(super) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let unknown = |text: String| if text.is_empty() { "unknown".to_owned() } else { text };
        let info = read("/proc/cpuinfo");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let date = std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
        Self {
            processor: unknown(model.map(|(_, name)| name.to_owned()).unwrap_or_default()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: unknown(read("/proc/sys/kernel/osrelease")),
            governor: unknown(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            load_before: load(),
            date: unknown(
                date.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default(),
            ),
        }
    }
}

/// Load average of the last minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, kernel, governor, load_before, date } = self;
        write!(f, "{date}: {cores} cores of {processor}, Linux {kernel}, governor {governor}, ")?;
        write!(f, "load {load_before:.2} before the start")
    }
}
