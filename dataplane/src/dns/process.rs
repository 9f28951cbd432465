//! The child process, seen from the daemon: started, fed, asked, ended.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use ::dns::feed::{Channel, FeedError, FromChild, Setup, ToChild, Update, descriptors};
use ::dns::record::Change;
use ::dns::server::Sockets;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long the child may take to take a message: it hangs otherwise.
const PATIENCE: Duration = Duration::from_secs(3);
/// Objects in one message: while the child takes one, the next is made.
const CHUNK: usize = 500;

/// Why a child is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It cannot be started.
    #[error("starting the DNS process: {0}")]
    Start(#[source] io::Error),
    /// It is gone, or is not understood.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// It takes no messages.
    #[error("the DNS process has taken no message for {} s", PATIENCE.as_secs())]
    Hangs,
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    child: Child,
    channel: Channel,
}

/// What a child says, or that it is gone.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(FromChild),
    /// It ended; how.
    Ended(String),
}

impl Process {
    /// Starts a child: this same program. It serves nothing yet.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(args: &[OsString]) -> Result<Self, ProcessError> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(ProcessError::Start)?;
        ours.set_nonblocking(true).map_err(ProcessError::Start)?;
        let channel = Channel::new(UnixStream::from_std(ours).map_err(ProcessError::Start)?);
        // The file that runs, even if another has taken its name. Its end of the channel is its standard input.
        let child = Command::new("/proc/self/exe")
            .arg0("ferrule")
            .args(args)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .kill_on_drop(false)
            .spawn()
            .map_err(ProcessError::Start)?;
        Ok(Self { child, channel })
    }

    /// Its process id; `None` once it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells it what to serve, on which sockets, and where the next daemon finds it. Where none can it ends with this one.
    ///
    /// # Errors
    ///
    /// It is gone or hangs.
    pub async fn set_up(
        &self,
        setup: &Setup,
        sockets: &Sockets,
        listener: Option<&UnixListener>,
    ) -> Result<(), ProcessError> {
        self.send(&ToChild::Setup(Box::new(setup.clone()))).await?;
        let announced = ToChild::Sockets { udp: sockets.udp.len(), tcp: sockets.tcp.len() };
        let mut passed = descriptors(sockets);
        passed.extend(listener.map(AsFd::as_fd));
        patient(self.channel.send(&announced, &passed)).await
    }

    /// Tells it what changed, in portions.
    ///
    /// # Errors
    ///
    /// It is gone or hangs.
    pub async fn update(
        &self,
        changes: impl IntoIterator<Item = Change>,
        rest: Update,
    ) -> Result<(), ProcessError> {
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let portion: Vec<Change> = changes.by_ref().take(CHUNK).collect();
            let is_last = changes.peek().is_none();
            let update = Update { changes: portion, is_synced: rest.is_synced && is_last, ..rest.clone() };
            self.send(&ToChild::Zone(update)).await?;
            if is_last {
                return Ok(());
            }
        }
        self.send(&ToChild::Zone(rest)).await
    }

    /// Tells it anything else.
    ///
    /// # Errors
    ///
    /// It is gone or hangs.
    pub async fn send(&self, message: &ToChild) -> Result<(), ProcessError> {
        patient(self.channel.send(message, &[])).await
    }

    /// What it says next. Nothing is lost if the future is dropped.
    pub async fn hear(&mut self) -> Heard {
        tokio::select! {
            biased;
            heard = self.channel.receive() => match heard {
                Ok(Some(message)) => return Heard::Message(message),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the DNS process is not understood: it is replaced"),
            },
            status = self.child.wait() => return Heard::Ended(ended(status)),
        }
        // Its end of the channel is closed: it ends, or is made to.
        Heard::Ended(self.end().await)
    }

    /// Makes it end now.
    pub async fn end(&mut self) -> String {
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "the DNS process had ended");
        }
        ended(self.child.wait().await)
    }
}

async fn patient(send: impl Future<Output = Result<(), FeedError>>) -> Result<(), ProcessError> {
    match timeout(PATIENCE, send).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(ProcessError::Hangs),
    }
}

fn ended(status: io::Result<std::process::ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
