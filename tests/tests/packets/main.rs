//! Packets between hosts, nodes and pods of a lab whose nodes run the daemon: what the packet programs do to traffic
//! that no socket of a node sees.

mod frontends;
mod icmp;
mod node_port;
mod opt_out;
mod policy;
mod refusals;
mod world;
