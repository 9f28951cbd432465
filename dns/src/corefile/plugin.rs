//! Which plugin a directive names.

use super::directive::Word;
use super::error::{CorefileError, CorefileErrorKind};

/// The plugins of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    Bind,
    Cache,
    Errors,
    Forward,
    Health,
    Kubernetes,
    Ready,
}

const PLUGINS: [(&str, Plugin); 7] = [
    ("bind", Plugin::Bind),
    ("cache", Plugin::Cache),
    ("errors", Plugin::Errors),
    ("forward", Plugin::Forward),
    ("health", Plugin::Health),
    ("kubernetes", Plugin::Kubernetes),
    ("ready", Plugin::Ready),
];

/// The plugin of that name; none if it is somebody else's.
///
/// CoreDNS refuses any plugin that it was not built with. Here another build's plugins are skipped, so that its Corefile
/// works, and only what is surely a slip of the hand is refused: a misspelt `forward` must not end in no forwarding.
pub(super) fn named(word: &Word) -> Result<Option<Plugin>, CorefileError> {
    if let Some((_, plugin)) = PLUGINS.iter().find(|(name, _)| *name == &*word.text) {
        return Ok(Some(*plugin));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if word.text.is_empty() || !word.text.bytes().all(is_plain) {
        return Err(word.error(CorefileErrorKind::NotAPlugin));
    }
    match PLUGINS.iter().find(|(name, _)| is_one_slip(&word.text.to_ascii_lowercase(), name)) {
        Some((meant, _)) => Err(word.error(CorefileErrorKind::Misspelt { meant })),
        None => Ok(None),
    }
}

/// Whether one letter too many, missing, wrong or swapped with its neighbour, or none, is the difference.
fn is_one_slip(written: &str, meant: &str) -> bool {
    let (written, meant) = (written.as_bytes(), meant.as_bytes());
    let shorter = written.len().min(meant.len());
    let same = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(a, b)| a == b).count();
    let start = same(&mut written.iter().zip(meant));
    let end = same(&mut written.iter().rev().zip(meant.iter().rev())).min(shorter - start);
    match (&written[start..written.len() - end], &meant[start..meant.len() - end]) {
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plugins of CoreDNS that are not in [`PLUGINS`], and some that other builds have.
    const OTHERS: [&str; 57] = [
        "root",
        "metadata",
        "geoip",
        "cancel",
        "tls",
        "quic",
        "grpc_server",
        "https",
        "https3",
        "timeouts",
        "multisocket",
        "reload",
        "nsid",
        "bufsize",
        "debug",
        "trace",
        "pprof",
        "prometheus",
        "log",
        "dnstap",
        "local",
        "dns64",
        "acl",
        "any",
        "chaos",
        "loadbalance",
        "tsig",
        "rewrite",
        "header",
        "dnssec",
        "autopath",
        "minimal",
        "template",
        "transfer",
        "hosts",
        "nomad",
        "route53",
        "azure",
        "clouddns",
        "k8s_external",
        "file",
        "auto",
        "secondary",
        "etcd",
        "loop",
        "grpc",
        "erratic",
        "whoami",
        "on",
        "sign",
        "view",
        "fanout",
        "kubernetai",
        "unbound",
        "k8s_gateway",
        "alternate",
        "dynamicforward",
    ];

    fn word(text: &str) -> Word {
        Word { text: text.into(), line: 1 }
    }

    #[test]
    fn plugins_of_others_are_not_taken_for_misspelt_ones() {
        for name in OTHERS {
            assert_eq!(named(&word(name)), Ok(None), "{name}");
        }
    }

    #[test]
    fn one_slip_is_a_misspelt_plugin() {
        for (written, meant) in [
            ("forwrd", "forward"),
            ("fforward", "forward"),
            ("forwards", "forward"),
            ("orward", "forward"),
            ("forwadr", "forward"),
            ("Forward", "forward"),
            ("FORWARD", "forward"),
            ("kuberntes", "kubernetes"),
            ("kubernete", "kubernetes"),
            ("error", "errors"),
            ("cahce", "cache"),
            ("helth", "health"),
            ("bnid", "bind"),
        ] {
            let error = word(written).error(CorefileErrorKind::Misspelt { meant });
            assert_eq!(named(&word(written)), Err(error), "{written}");
        }
        for two in ["frwrd", "kubernets2", "fromward", "cacche3", "abind1"] {
            assert_eq!(named(&word(two)), Ok(None), "{two}");
        }
    }

    #[test]
    fn a_zone_or_a_brace_is_not_a_plugin() {
        for text in ["example.org", "}}", "", "10.0.0.0/8", "ä"] {
            assert_eq!(named(&word(text)), Err(word(text).error(CorefileErrorKind::NotAPlugin)), "{text}");
        }
        for (name, plugin) in PLUGINS {
            assert_eq!(named(&word(name)), Ok(Some(plugin)));
        }
    }
}
