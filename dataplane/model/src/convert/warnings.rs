//! Collecting the warnings of one object.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use super::addr::{self, Origin};
use crate::api::Annotations;
use crate::{Kind, ObjectKey, ObjectName, Protocol, SocketLb, Warning, WarningKind};

/// The warnings of one object so far.
pub(super) struct Warnings {
    object: ObjectKey,
    list: Vec<Warning>,
}

impl Warnings {
    pub(super) fn new(kind: Kind, name: ObjectName) -> Self {
        Self { object: ObjectKey { kind, name }, list: Vec::new() }
    }

    pub(super) fn into_vec(self) -> Vec<Warning> {
        self.list
    }

    pub(super) fn add(&mut self, kind: WarningKind, detail: String) {
        self.list.push(Warning { object: self.object.clone(), kind, detail });
    }

    /// The value of a field is left out.
    pub(super) fn bad(&mut self, field: impl fmt::Display, value: &str, why: impl fmt::Display) {
        self.add(WarningKind::BadField, format!("{field}: {} is {why}: left out", Shown(value)));
    }

    /// The value of a field is none that we know.
    pub(super) fn unknown(&mut self, field: impl fmt::Display, value: &str, effect: &str) {
        self.add(WarningKind::UnknownValue, format!("{field}: {} is unknown: {effect}", Shown(value)));
    }

    /// The address in a field.
    pub(super) fn addr(&mut self, field: impl fmt::Display, value: &str, origin: Origin) -> Option<IpAddr> {
        addr::parse(value, origin).map_err(|fault| self.bad(field, value, fault)).ok()
    }

    /// The port number in a field.
    pub(super) fn port(&mut self, field: impl fmt::Display, value: i64) -> Option<NonZeroU16> {
        let port = u16::try_from(value).ok().and_then(NonZeroU16::new);
        if port.is_none() {
            self.add(
                WarningKind::BadField,
                format!("{field}: {value} is not a port number (1 to 65535): left out"),
            );
        }
        port
    }

    /// What the annotation of a pod or namespace says.
    pub(super) fn socket_lb(&mut self, annotations: &Annotations) -> Option<SocketLb> {
        let value = annotations.socket_lb.as_deref()?;
        let said = SocketLb::parse(value);
        if said.is_none() {
            let field = format_args!("annotation {}", SocketLb::ANNOTATION);
            self.unknown(field, value, "treated as absent");
        }
        said
    }

    /// The protocol in a field; absent is TCP, as the API defaults it.
    pub(super) fn protocol(&mut self, field: impl fmt::Display, value: Option<&str>) -> Option<Protocol> {
        match value {
            None | Some("" | "TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            Some("SCTP") => Some(Protocol::Sctp),
            Some(other) => {
                self.bad(field, other, "not TCP, UDP or SCTP");
                None
            }
        }
    }
}

/// A value as it is shown: quoted, without control characters, not longer than a line.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_CHARS: usize = 64;
        match self.0.char_indices().nth(MAX_CHARS) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_on_one_line_and_cut() {
        assert_eq!(Shown("a\nb").to_string(), r#""a\nb""#);
        assert_eq!(Shown(&"ä".repeat(64)).to_string(), format!("\"{}\"", "ä".repeat(64)));
        assert_eq!(Shown(&"ä".repeat(65)).to_string(), format!("\"{}\"…", "ä".repeat(64)));
    }
}
