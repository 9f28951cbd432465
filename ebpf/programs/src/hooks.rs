//! Entry points, one file a hook, each with its two families.

mod connect;
mod from_net;
mod from_pod;
mod getpeername;
pub(crate) mod packet;
mod recvmsg;
mod sendmsg;
mod sock_release;
mod to_net;
mod to_pod;
