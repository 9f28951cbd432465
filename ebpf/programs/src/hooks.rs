//! Entry points, one file a hook, each with its two families.

mod connect;
mod getpeername;
mod recvmsg;
mod sendmsg;
mod sock_release;
