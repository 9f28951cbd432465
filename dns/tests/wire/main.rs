//! Servers on real sockets of the loopback device: what goes in and what comes out, byte by byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panic")]
#![allow(clippy::print_stdout, reason = "measured times are shown")]

mod aliases;
mod client;
mod connections;
mod drain;
mod feed;
mod forward;
mod log;
mod loops;
mod packet;
mod served;
mod stream;
mod udp;
mod upstream;
