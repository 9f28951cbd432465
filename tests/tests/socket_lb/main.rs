//! The socket programs, by real sockets: each test has programs, maps, namespace and cgroup of its own.

mod choice;
mod connected_udp;
mod frontends;
mod node_port;
mod refusals;
mod swap;
mod tcp;
mod unconnected_udp;
mod untouched;
