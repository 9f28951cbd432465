//! HTTP servers that strangers may reach: few connections, short patience.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::start_error::StartError;

/// Connections served at once; more wait in the backlog.
const CONNECTIONS: usize = 64;
/// For a request's headers.
const HEADERS: Duration = Duration::from_secs(5);
/// For everything that a connection does.
const CONNECTION: Duration = Duration::from_secs(10);
/// Between tries to get an address that is taken.
const RETRY: Duration = Duration::from_secs(5);

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

async fn serve(listener: TcpListener, router: Router) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Out of descriptors, say: waiting is all that helps.
                tracing::warn!(%error, "accepting a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                // One request a connection: idle clients must not keep others out.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // What goes wrong on a stranger's connection is the stranger's business.
            let _ = timeout(CONNECTION, connection).await;
            drop(permit);
        });
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
