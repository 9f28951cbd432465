//! The daemon as a whole, in a lab: how it starts and refuses to, what it makes of objects, how it survives. Needs root.

mod addresses;
mod admin;
mod dns;
mod dns_mishaps;
mod dns_serve;
mod explain;
mod objects;
mod restart;
mod start;
mod world;
