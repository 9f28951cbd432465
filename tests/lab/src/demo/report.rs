//! One line for each step: ✓ or ✗, what was shown, what was measured.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::client::lock;
use crate::demo::app::App;
use crate::interrupt;
use crate::lab::Lab;

/// Column in which measurements begin.
const MEASURED_COLUMN: usize = 59;
/// A step that takes longer than this shows how far it is, again whenever this has passed and it got further.
const PROGRESS_EVERY: Duration = Duration::from_millis(1500);

/// What a step found.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    holds: bool,
    measured: String,
}

impl Finding {
    /// Something that was done, with what it took.
    pub(super) fn measured(measured: impl Into<String>) -> Self {
        Self { holds: true, measured: measured.into() }
    }

    /// Something that holds or does not.
    pub(super) fn new(holds: bool, measured: impl Into<String>) -> Self {
        Self { holds, measured: measured.into() }
    }
}

/// How far a step is.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<String>>);

impl Progress {
    pub(super) fn note(&self, note: impl Into<String>) {
        *lock(&self.0) = note.into();
    }
}

/// Prints the steps and counts them.
#[derive(Debug)]
pub(super) struct Report {
    begun: Instant,
    held: u32,
    failed: u32,
}

impl Report {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), held: 0, failed: 0 }
    }

    /// Carries a step out and prints its line.
    pub(super) fn step(
        &mut self,
        title: &str,
        work: impl FnOnce(&Progress) -> Result<Finding>,
    ) -> Result<()> {
        let progress = Progress::default();
        let found = thread::scope(|scope| {
            // Dropping the sender ends the thread.
            let (working, ticks) = channel::<()>();
            scope.spawn({
                let (progress, title) = (progress.clone(), title.to_owned());
                move || {
                    let mut shown = String::new();
                    while let Err(RecvTimeoutError::Timeout) = ticks.recv_timeout(PROGRESS_EVERY) {
                        let note = lock(&progress.0).clone();
                        if note != shown {
                            show_progress(&title, &note);
                            shown = note;
                        }
                    }
                }
            });
            let found = work(&progress);
            drop(working);
            found
        });
        if interrupt::is_interrupted() {
            return Err(anyhow!("interrupted"));
        }
        let finding = match &found {
            Ok(finding) => finding.clone(),
            Err(error) => Finding::new(false, format!("{error:#}")),
        };
        let mark = if finding.holds { '✓' } else { '✗' };
        clear_line();
        println!("{mark} {title:<MEASURED_COLUMN$}  {}", finding.measured);
        if finding.holds {
            self.held += 1;
        } else {
            self.failed += 1;
        }
        found.map(drop)
    }

    /// Prints the sum; returns whether all steps held.
    pub(super) fn conclude(&self) -> bool {
        let took = self.begun.elapsed().as_secs_f64();
        println!("\n{} of {} held, in {took:.1} s", self.held, self.held + self.failed);
        self.failed == 0
    }
}

/// Prints how to enter a lab that stays and how to take it down.
pub(super) fn print_kept(lab: &Lab, app: &App) -> Result<()> {
    let program = std::env::current_exe()?;
    let (program, id) = (program.display(), lab.id());
    println!("\nThe lab stays. Enter its pods and nodes ({program} list):");
    for place in app.clients().iter().map(|pod| pod.place()).chain(lab.nodes().iter().map(|node| node.name()))
    {
        println!("  {program} exec {id} {place} -- sh");
    }
    let service = app.cluster_ip().v4;
    if let Some(client) = app.clients().first() {
        println!("Ask the Service:\n  {program} exec {id} {} -- curl http://{service}", client.place());
    }
    println!("Change it:\n  {}", lab.manifests().dir().display());
    println!("Take it down:\n  {program} down {id}");
    Ok(())
}

/// On a terminal the line is overwritten; in a log it is a line of its own.
fn show_progress(title: &str, note: &str) {
    let mut stdout = std::io::stdout();
    let line = if stdout.is_terminal() {
        format!("\r\x1b[K… {title:<MEASURED_COLUMN$}  {note}")
    } else {
        format!("  … {note}\n")
    };
    // A reader that is gone must not end the demo before it has cleaned up.
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

fn clear_line() {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[K");
    }
}

/// A time as people read it.
pub(super) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// A time in microseconds as people read it.
pub(super) fn us(time_us: u64) -> String {
    ms(Duration::from_micros(time_us))
}

/// A number with separators: 12,345.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!(count(7), "7");
        assert_eq!(count(123), "123");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(us(1_234), "1.23 ms");
        assert_eq!(us(123_456), "123 ms");
    }
}
