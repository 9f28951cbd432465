//! Nameservers of a file in the form of resolv.conf(5). Pure; reads no file.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::config::ForwardConfig;

const DNS_PORT: u16 = 53;

/// What a resolver's file says about where to ask. Search lists and options are the business of stub resolvers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Nameservers in the order of the file, port 53; at most [`ForwardConfig::MAX_UPSTREAMS`], where stub resolvers stop at 3.
    ///
    /// Empty if the file names none. A stub resolver would ask 127.0.0.1 then; a server that did so would ask itself.
    pub nameservers: Vec<SocketAddr>,
    /// Lines that were left out.
    pub warnings: Vec<ResolvConfWarning>,
}

/// A line that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConfWarning {
    /// The line, from 1.
    pub line: u32,
    /// The offending word, or the keyword that lacks one.
    pub word: Box<str>,
    /// Why.
    pub kind: ResolvConfWarningKind,
}

/// Why a line was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolvConfWarningKind {
    /// A keyword that resolv.conf(5) does not have.
    UnknownKeyword,
    /// `nameserver` and nothing.
    MissingAddress,
    /// `nameserver` and something that is no address.
    BadAddress,
    /// An IPv6 address with an interface, such as `fe80::1%eth0`.
    ScopedAddress,
    /// One nameserver too many.
    TooMany,
}

impl fmt::Display for ResolvConfWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.kind {
            ResolvConfWarningKind::UnknownKeyword => "is not a keyword; the line is left out",
            ResolvConfWarningKind::MissingAddress => "lacks an address; the line is left out",
            ResolvConfWarningKind::BadAddress => {
                "is not an IPv4 or IPv6 address without a port; it is left out"
            }
            ResolvConfWarningKind::ScopedAddress => {
                "names an interface, which is not supported; it is left out"
            }
            ResolvConfWarningKind::TooMany => "is one nameserver too many; it is left out",
        };
        write!(f, "line {}: {:?} {why}", self.line, self.word)
    }
}

impl ResolvConf {
    /// Reads a file's text. Never fails: what is not understood is left out with a warning.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for (line, number) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().zip(1..) {
            // Comments are lines of their own (resolv.conf(5)), but many people put them after an address.
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            let warning = match keyword {
                "nameserver" => conf.add(words.next()),
                "domain" | "search" | "sortlist" | "options" => None,
                _ => Some((keyword, ResolvConfWarningKind::UnknownKeyword)),
            };
            conf.warnings.extend(warning.map(|(word, kind)| ResolvConfWarning {
                line: number,
                word: word.into(),
                kind,
            }));
        }
        conf
    }

    /// Takes a nameserver, or says why not.
    fn add<'a>(&mut self, word: Option<&'a str>) -> Option<(&'a str, ResolvConfWarningKind)> {
        let Some(word) = word else { return Some(("nameserver", ResolvConfWarningKind::MissingAddress)) };
        let scoped = || word.split_once('%').is_some_and(|(addr, _)| addr.parse::<IpAddr>().is_ok());
        match word.parse::<IpAddr>() {
            Ok(_) if self.nameservers.len() == ForwardConfig::MAX_UPSTREAMS => {
                Some((word, ResolvConfWarningKind::TooMany))
            }
            Ok(addr) => {
                self.nameservers.push(SocketAddr::new(addr, DNS_PORT));
                None
            }
            Err(_) if scoped() => Some((word, ResolvConfWarningKind::ScopedAddress)),
            Err(_) => Some((word, ResolvConfWarningKind::BadAddress)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(text: &str) -> Vec<String> {
        ResolvConf::parse(text).warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nameservers_are_taken_in_order_with_port_53() {
        let conf = ResolvConf::parse(
            "\u{feff}# written by hand\r\n; so\r\nsearch a.example b.example\r\nnameserver 192.0.2.1\r\n\
             \tnameserver\t2001:db8::1  # the other one\n\noptions ndots:5 timeout:1\nnameserver 192.0.2.2;\nnameserver ::1",
        );
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53", "[::1]:53"];
        assert_eq!(conf.nameservers, expected.map(|addr| addr.parse().unwrap()));
        assert_eq!(conf.warnings, []);
    }

    #[test]
    fn a_file_without_nameservers_names_none() {
        for text in ["", "\n", "# nameserver 192.0.2.1", "search a.example\noptions edns0\nsortlist 10.0.0.0"]
        {
            assert_eq!(ResolvConf::parse(text), ResolvConf::default(), "{text:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_named_with_its_line() {
        let text = "nameserver\nnameserver fe80::1%eth0\nnameserver 192.0.2.1:53\nnameserver ns.example\n\
                    nameservers 192.0.2.1\nNameserver 192.0.2.1\nnameserver x%eth0\nnameserver 192.0.2.1";
        assert_eq!(
            warnings(text),
            [
                "line 1: \"nameserver\" lacks an address; the line is left out",
                "line 2: \"fe80::1%eth0\" names an interface, which is not supported; it is left out",
                "line 3: \"192.0.2.1:53\" is not an IPv4 or IPv6 address without a port; it is left out",
                "line 4: \"ns.example\" is not an IPv4 or IPv6 address without a port; it is left out",
                "line 5: \"nameservers\" is not a keyword; the line is left out",
                "line 6: \"Nameserver\" is not a keyword; the line is left out",
                "line 7: \"x%eth0\" is not an IPv4 or IPv6 address without a port; it is left out",
            ]
        );
        assert_eq!(ResolvConf::parse(text).nameservers, ["192.0.2.1:53".parse().unwrap()]);
    }

    #[test]
    fn the_sixteenth_nameserver_is_left_out() {
        let text: String = (1..=16).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
        let conf = ResolvConf::parse(&text);
        assert_eq!(conf.nameservers.len(), 15);
        assert_eq!(conf.nameservers[14], "192.0.2.15:53".parse().unwrap());
        assert_eq!(warnings(&text), ["line 16: \"192.0.2.16\" is one nameserver too many; it is left out"]);
    }
}
