//! The Corefile: text in, [`DnsConfig`] out. Pure; reads no file and no environment of its own.
//!
//! ```text
//! text ─ lexer ─▶ tokens ─ imports ─▶ tokens ─ tree ─▶ blocks of directives ─ server, one module a plugin ─▶ DnsConfig
//! ```
//!
//! The syntax is that of CoreDNS. What CoreDNS would refuse is an error here; what it honours and this server does
//! not is a warning with its name, and the rest of the file is in force. Where it is more lenient: a block may open and
//! close on one line, a snippet may stand after its use, and a backslash at the end of a line continues it. A plugin
//! that is not known is skipped with a warning, unless its name is one slip away from a plugin of this server.

mod directive;
mod duration;
mod error;
mod forward;
mod imports;
mod kubernetes;
mod lexer;
mod listen;
mod plugin;
mod probes;
mod server;
mod tree;
mod warning;
mod zone;

use std::net::{IpAddr, Ipv6Addr};

use crate::config::DnsConfig;

pub use error::{CorefileError, CorefileErrorKind};
pub use listen::{ListenHost, Listener};
pub use warning::{CorefileWarning, CorefileWarningKind};
pub use zone::{ZoneError, parse_zone};

/// What a Corefile leaves to its surroundings.
#[derive(Clone, Copy)]
pub struct Defaults<'a> {
    /// Port of a server block that names none.
    pub port: u16,
    /// Where `health` and `ready` listen when they name a port only.
    pub any: IpAddr,
    /// Values of `{$NAME}` and `{%NAME%}`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Defaults<'a> {
    /// CoreDNS's defaults: port 53, all addresses of both families.
    #[must_use]
    pub fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { port: 53, any: IpAddr::V6(Ipv6Addr::UNSPECIFIED), env }
    }
}

/// What a Corefile says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What is served.
    pub config: DnsConfig,
    /// Where its blocks ask to be served, each place once, in order. Never empty.
    pub listen: Vec<Listener>,
    /// What is not honoured, by line; each thing once, where it was met first.
    pub warnings: Vec<CorefileWarning>,
}

/// Reads a Corefile.
///
/// # Errors
///
/// The first mistake, with its line, the offending word and what was expected. A file that serves nothing is a mistake.
pub fn parse(text: &str, defaults: &Defaults<'_>) -> Result<Parsed, CorefileError> {
    let mut warnings = warning::Warnings::default();
    let tokens = lexer::lex(text, defaults.env, &mut warnings)?;
    let tokens = imports::expand(&tokens, &mut warnings)?;
    let blocks = tree::build(tokens)?;
    let mut server = server::Server::new(defaults, warnings);
    for block in &blocks {
        server.add(block)?;
    }
    server.finish()
}
