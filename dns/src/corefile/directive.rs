//! Words, lines and blocks of a Corefile, and the checks that every plugin makes of them.

use super::error::{CorefileError, CorefileErrorKind};

/// A word and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: Box<str>,
    pub(super) line: u32,
}

impl Word {
    pub(super) fn error(&self, kind: CorefileErrorKind) -> CorefileError {
        CorefileError { line: self.line, word: self.text.clone(), kind }
    }

    pub(super) fn bad_value(&self, expected: &'static str) -> CorefileError {
        self.error(CorefileErrorKind::BadValue { expected })
    }
}

/// A plugin or an option: a name, arguments on its line, a block if it has one.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) name: Word,
    pub(super) args: Vec<Word>,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// The lines of its block.
    pub(super) fn options(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    pub(super) fn no_block(&self) -> Result<(), CorefileError> {
        match self.block {
            Some(_) => Err(self.name.error(CorefileErrorKind::UnexpectedBlock)),
            None => Ok(()),
        }
    }

    pub(super) fn no_args(&self) -> Result<(), CorefileError> {
        self.at_most(0)
    }

    pub(super) fn at_most(&self, count: usize) -> Result<(), CorefileError> {
        match self.args.get(count) {
            Some(extra) => Err(extra.error(CorefileErrorKind::UnexpectedArgument)),
            None => Ok(()),
        }
    }

    /// The one argument.
    pub(super) fn one_arg(&self, expected: &'static str) -> Result<&Word, CorefileError> {
        self.at_most(1)?;
        self.first_arg(expected)
    }

    /// The first of any number of arguments.
    pub(super) fn first_arg(&self, expected: &'static str) -> Result<&Word, CorefileError> {
        self.args.first().ok_or_else(|| self.missing(expected))
    }

    /// All arguments, of which there is at least one.
    pub(super) fn some_args(&self, expected: &'static str) -> Result<&[Word], CorefileError> {
        self.first_arg(expected)?;
        Ok(&self.args)
    }

    pub(super) fn missing(&self, expected: &'static str) -> CorefileError {
        self.name.error(CorefileErrorKind::MissingArgument { expected })
    }

    pub(super) fn unknown_option(&self, expected: &'static str) -> CorefileError {
        self.name.error(CorefileErrorKind::UnknownOption { expected })
    }
}
