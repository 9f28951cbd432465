//! Where server blocks ask to be served: their ports and `bind`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::directive::{Directive, Word};
use super::error::{CorefileError, CorefileErrorKind};
use super::warning::{CorefileWarningKind, Warnings};

/// A place to listen, UDP and TCP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener {
    /// The address.
    pub host: ListenHost,
    /// The port, never 0.
    pub port: u16,
}

/// The address of a [`Listener`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenHost {
    /// All addresses; the block has no `bind`.
    Any,
    /// This one; the unspecified address of a family is all of its addresses.
    Addr(IpAddr),
    /// The addresses of an interface, without link-local ones.
    Interface(Arc<str>),
}

impl Listener {
    /// Whether both are one place, or one includes the other, as far as can be told without looking at interfaces.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let same_host = match (&self.host, &other.host) {
            (ListenHost::Any, _) | (_, ListenHost::Any) => true,
            (ListenHost::Addr(a), ListenHost::Addr(b)) => {
                a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
            }
            (ListenHost::Interface(a), ListenHost::Interface(b)) => a == b,
            (ListenHost::Addr(_), ListenHost::Interface(_))
            | (ListenHost::Interface(_), ListenHost::Addr(_)) => false,
        };
        same_host && self.port == other.port
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            ListenHost::Any => write!(f, "*:{}", self.port),
            ListenHost::Addr(addr) => write!(f, "{}", std::net::SocketAddr::new(*addr, self.port)),
            ListenHost::Interface(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Adds what a `bind` names.
pub(super) fn read_bind(
    bind: &Directive,
    hosts: &mut Vec<ListenHost>,
    warnings: &mut Warnings,
) -> Result<(), CorefileError> {
    for word in bind.some_args("addresses or names of interfaces")? {
        hosts.push(host(word)?);
    }
    for option in bind.options() {
        option.no_block()?;
        match &*option.name.text {
            "except" => {
                option.first_arg("addresses or names of interfaces")?;
                warnings.add(&option.name, CorefileWarningKind::OptionNotYet);
            }
            _ => return Err(option.unknown_option("except")),
        }
    }
    Ok(())
}

fn host(word: &Word) -> Result<ListenHost, CorefileError> {
    if let Ok(addr) = word.text.parse() {
        return Ok(ListenHost::Addr(addr));
    }
    if word.text.contains('%') {
        return Err(word.error(CorefileErrorKind::ScopedAddress));
    }
    // What the kernel accepts as an interface's name (dev_valid_name: up to 15 bytes, no slash, colon or space) and is not
    // a mistyped address.
    let is_name = (1..=15).contains(&word.text.len())
        && !matches!(&*word.text, "." | "..")
        && !word.text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
        && word.text.contains(|c: char| !c.is_ascii_digit() && c != '.');
    if is_name {
        Ok(ListenHost::Interface(word.text.as_ref().into()))
    } else {
        Err(word.bad_value("an address or the name of an interface"))
    }
}
