//! HTTP servers that strangers may reach: few connections, short patience, and the newest first.

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::start_error::StartError;

/// Connections served at once.
const CONNECTIONS: usize = 64;
/// For a request's headers.
const HEADERS: Duration = Duration::from_secs(5);
/// For everything that a connection does.
const CONNECTION: Duration = Duration::from_secs(10);
/// Bytes that a connection buffers; more headers than that are refused.
const BUFFER: usize = 16 * 1024;
/// Between tries to get an address that is taken.
const RETRY: Duration = Duration::from_secs(5);
/// Between tries to accept when the process is out of descriptors, say.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Takes an address.
///
/// # Errors
///
/// It is taken or not ours.
pub async fn bind(server: &'static str, addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).await.map_err(|source| StartError::Bind { server, addr, source })
}

/// Takes an address and serves there; with `bind_hard_fail` off the address may come free later.
///
/// # Errors
///
/// The address is taken and must not be.
pub async fn start(
    server: &'static str,
    addr: SocketAddr,
    bind_hard_fail: bool,
    router: Router,
) -> Result<(), StartError> {
    match bind(server, addr).await {
        Ok(listener) => drop(tokio::spawn(serve(listener, router))),
        Err(error) if bind_hard_fail => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "trying again every {} s", RETRY.as_secs());
            tokio::spawn(async move {
                loop {
                    sleep(RETRY).await;
                    if let Ok(listener) = bind(server, addr).await {
                        tracing::info!(%addr, server, "listening at last");
                        return serve(listener, router).await;
                    }
                }
            });
        }
    }
    Ok(())
}

/// Serves for as long as the daemon lives. When all connections are taken a new one ends the oldest: who holds many
/// open cannot keep a probe out, which is answered long before as many others have come.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    let mut open: VecDeque<AbortHandle> = VecDeque::with_capacity(CONNECTIONS);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(tokio::spawn(attend(stream, router.clone())).abort_handle());
    }
}

async fn attend(stream: TcpStream, router: Router) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(BUFFER)
        // One request a connection: idle clients take no place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // What goes wrong on a stranger's connection is the stranger's business.
    let _ = timeout(CONNECTION, connection).await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
