//! Mistakes in a Corefile.

use super::zone::ZoneError;

/// The first mistake in a Corefile: one line, for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Corefile:{}", self.after_name())]
pub struct CorefileError {
    /// Its line, from 1; in a snippet, the line of the snippet.
    pub line: u32,
    /// The offending word; empty if the file has none.
    pub word: Box<str>,
    /// What is wrong with it, and what was expected.
    pub kind: CorefileErrorKind,
}

impl CorefileError {
    /// What follows the name of the file: the line, the word, what is wrong.
    #[must_use]
    pub fn after_name(&self) -> String {
        let Self { line, word, kind } = self;
        if word.is_empty() { format!("{line}: {kind}") } else { format!("{line}: {} {kind}", shown(word)) }
    }
}

/// What is wrong with a word of a Corefile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorefileErrorKind {
    /// Nothing is served.
    #[error("nothing is served: expected a server block")]
    NoBlocks,
    /// All that there is would be served over TLS, HTTPS, QUIC or gRPC.
    #[error("is not served: expected a zone for plain DNS beside it, which alone is served")]
    NoPlainBlocks,
    /// A quoted word does not end.
    #[error("starts a quoted word that does not end: expected \"")]
    UnclosedQuote,
    /// A block does not end.
    #[error("opens a block that does not end: expected }}")]
    UnclosedBlock,
    /// A brace closes nothing.
    #[error("closes no block: expected a zone, a plugin or the end of the file")]
    UnexpectedClose,
    /// A brace follows neither zones nor a plugin nor an option.
    #[error("opens a block without a name: expected a word before it")]
    UnexpectedOpen,
    /// Zones end with a comma.
    #[error("is followed by a comma: expected one more zone")]
    DanglingComma,
    /// Blocks in blocks in blocks.
    #[error("opens too many blocks in each other: expected at most {max}")]
    TooDeep {
        /// How many are accepted.
        max: usize,
    },
    /// `import` of a snippet that there is not.
    #[error("is not a snippet of this file: expected one that stands here as \"(name) {{ … }}\"")]
    UnknownSnippet,
    /// Two snippets with one name.
    #[error("is a snippet already, from line {first}: expected another name")]
    SnippetAgain {
        /// Line of the first one.
        first: u32,
    },
    /// A snippet that imports itself, directly or through others.
    #[error("imports itself: expected a snippet that ends")]
    SnippetLoop,
    /// Snippets that multiply.
    #[error("is one import too many: expected at most {max}")]
    TooManyImports {
        /// How many are accepted.
        max: usize,
    },
    /// Snippets that multiply, and are long.
    #[error("is imported and makes the file too big: expected at most {max} words by import")]
    TooManyWords {
        /// How many are accepted.
        max: usize,
    },
    /// Where a plugin should stand, something that none is called.
    #[error("is not the name of a plugin: expected letters, digits, - and _")]
    NotAPlugin,
    /// One slip away from a plugin.
    #[error("is not a plugin: expected \"{meant}\"?")]
    Misspelt {
        /// The plugin.
        meant: &'static str,
    },
    /// A plugin that may stand in a block once stands there twice.
    #[error("is in this block already, on line {first}: expected it once")]
    PluginAgain {
        /// Line of the first one.
        first: u32,
    },
    /// Something is missing on the line.
    #[error("lacks an argument: expected {expected}")]
    MissingArgument {
        /// What.
        expected: &'static str,
    },
    /// Something more is on the line.
    #[error("is one word too many: expected the end of the line")]
    UnexpectedArgument,
    /// A block follows something that takes none.
    #[error("has a block: expected none")]
    UnexpectedBlock,
    /// An option that its plugin does not have.
    #[error("is not an option here: expected {expected}")]
    UnknownOption {
        /// The ones that it has.
        expected: &'static str,
    },
    /// A value that its option does not have.
    #[error("is not valid: expected {expected}")]
    BadValue {
        /// What it has.
        expected: &'static str,
    },
    /// A zone that is no name.
    #[error("is not a zone: {0}")]
    Zone(ZoneError),
    /// A zone that is served already in the same place.
    #[error("is served already, by line {first}: expected each zone and port once")]
    ZoneAgain {
        /// Line of the first one.
        first: u32,
    },
    /// An IPv6 address with a scope.
    #[error("names an interface: expected an address without %")]
    ScopedAddress,
    /// An upstream over TLS, HTTPS or gRPC.
    #[error("is not supported: expected plain DNS, an address without {scheme}://")]
    Scheme {
        /// The scheme.
        scheme: Box<str>,
    },
    /// Too many upstreams.
    #[error("is one upstream too many: expected at most {max}")]
    TooManyUpstreams {
        /// How many are accepted.
        max: usize,
    },
    /// A file among other upstreams.
    #[error("stands beside other upstreams: expected either one file or addresses")]
    FileNotAlone,
    /// `namespaces` together with `namespace_labels`.
    #[error("excludes namespaces: expected one of namespaces and namespace_labels")]
    NamespacesAndLabels,
    /// Only reverse zones: PTR records have nothing to point into.
    #[error("has reverse zones only: expected a zone for the names of Services")]
    NoServiceZone,
}

/// A word in quotes on one line, cut where it gets too long to read.
pub(super) fn shown(word: &str) -> String {
    const MAX_CHARS: usize = 80;
    match word.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{:?}…", &word[..end]),
        None => format!("{word:?}"),
    }
}
