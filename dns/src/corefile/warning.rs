//! What in a Corefile is not honoured.

use std::collections::BTreeSet;
use std::fmt;

use super::directive::Word;
use super::error::shown;

/// Something that is valid and not honoured; the rest of the file is in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CorefileWarning {
    /// Its first line, from 1.
    pub line: u32,
    /// Its name.
    pub word: Box<str>,
    /// Why not.
    pub kind: CorefileWarningKind,
}

impl fmt::Display for CorefileWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Corefile:{}", self.after_name())
    }
}

impl CorefileWarning {
    /// What follows the name of the file: the line, the word, why it is not honoured.
    #[must_use]
    pub fn after_name(&self) -> String {
        format!("{}: {} {}", self.line, shown(&self.word), self.kind)
    }
}

/// Why something is not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CorefileWarningKind {
    /// A plugin that this server does not have.
    PluginSkipped,
    /// The plugin `cache`.
    CacheNotYet,
    /// An option about the connection to the API server.
    DaemonsOwn,
    /// An option that would change answers.
    OptionNotYet,
    /// An option that changes nothing here.
    OptionUnused,
    /// Options of `errors`.
    ErrorsOptions,
    /// `max_concurrent 0`, CoreDNS's word for no limit.
    NeverUnlimited,
    /// A zone served over TLS, HTTPS, QUIC or gRPC.
    SchemeLeftOut,
    /// A zone that an earlier block serves in another place.
    ZoneElsewhere,
    /// A block with other ports or addresses than the first one.
    SharedListeners,
    /// A second, different `health`.
    HealthAgain,
    /// A second, different `ready`.
    ReadyAgain,
    /// `import` of a file.
    FileImport,
    /// A variable of the environment that is not set.
    UnsetVariable,
}

impl fmt::Display for CorefileWarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PluginSkipped => "is a plugin that is not supported; it is skipped",
            Self::CacheNotYet => "is accepted; nothing is cached yet",
            Self::DaemonsOwn => "is not used: the daemon has its own connection to the API server",
            Self::OptionNotYet => "is not supported yet; it is skipped",
            Self::OptionUnused => "is not used",
            Self::ErrorsOptions => "has options; they are not used",
            Self::NeverUnlimited => "would be no limit; the default is in force",
            Self::SchemeLeftOut => "is left out: only plain DNS is served",
            Self::ZoneElsewhere => {
                "is left out: an earlier block serves this zone in another place, and every block is served everywhere"
            }
            Self::SharedListeners => {
                "has other ports or addresses than the first block; every block is served on all of them"
            }
            Self::HealthAgain => "differs from an earlier health; the first one is in force for the whole server",
            Self::ReadyAgain => "differs from an earlier ready; the first one is in force for the whole server",
            Self::FileImport => "is a file; files are not imported",
            Self::UnsetVariable => "is not set in the environment; it stands for nothing",
        })
    }
}

/// Warnings so far, each once.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    list: Vec<CorefileWarning>,
    seen: BTreeSet<(CorefileWarningKind, Box<str>)>,
}

impl Warnings {
    pub(super) fn add(&mut self, word: &Word, kind: CorefileWarningKind) {
        if self.seen.insert((kind, word.text.clone())) {
            self.list.push(CorefileWarning { line: word.line, word: word.text.clone(), kind });
        }
    }

    /// All of them, by line.
    pub(super) fn into_list(mut self) -> Vec<CorefileWarning> {
        self.list.sort_by_key(|warning| warning.line);
        self.list
    }
}
