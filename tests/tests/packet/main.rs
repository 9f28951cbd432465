//! The packet programs, one packet at a time: each test runs them in the kernel, in both families, and looks at every
//! byte, every counter and every flow.

mod backend_gone;
mod events;
mod first_packet;
mod flows;
mod forward;
mod fragments;
mod headers;
mod icmp_errors;
mod link_layer;
mod node_port;
mod pods;
mod policy;
mod policy_flows;
mod ports;
mod refusals;
mod scene;
mod spoofing;
mod untouched;
