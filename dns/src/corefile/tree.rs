//! Tokens → server blocks of directives.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::directive::{Directive, Word};
use super::error::{CorefileError, CorefileErrorKind};
use super::lexer::{Token, TokenKind};

/// Blocks in each other. CoreDNS's plugins have two; the parser calls itself for each.
const MAX_DEPTH: usize = 16;

/// Zones as they are written, and what is in their block.
#[derive(Debug)]
pub(super) struct ServerBlock {
    pub(super) keys: Vec<Word>,
    pub(super) directives: Vec<Directive>,
}

/// Builds the blocks of a file.
pub(super) fn build(tokens: Vec<Token>) -> Result<Vec<ServerBlock>, CorefileError> {
    let mut builder = Builder { tokens: tokens.into_iter().peekable() };
    let mut blocks = Vec::new();
    while builder.tokens.peek().is_some() {
        blocks.push(builder.server_block()?);
    }
    Ok(blocks)
}

struct Builder {
    tokens: Peekable<IntoIter<Token>>,
}

impl Builder {
    fn server_block(&mut self) -> Result<ServerBlock, CorefileError> {
        let keys = self.keys()?;
        let opener = match (self.tokens.next_if(|token| matches!(token.kind, TokenKind::Open)), keys.last()) {
            (Some(brace), None) => return Err(brace.error(CorefileErrorKind::UnexpectedOpen)),
            (Some(_), Some(last)) => Some(last),
            // A file's last block, usually its only one, may do without braces.
            (None, _) => None,
        };
        let directives = self.directives(opener, 1)?;
        Ok(ServerBlock { keys, directives })
    }

    /// Zones up to the end of the line or a brace; a comma goes on to the next line.
    fn keys(&mut self) -> Result<Vec<Word>, CorefileError> {
        let mut keys: Vec<Word> = Vec::new();
        let mut comma: Option<Word> = None;
        while let Some(token) = self.tokens.next_if(|token| match token.kind {
            TokenKind::Word(_) => keys.is_empty() || comma.is_some() || !token.starts_line,
            TokenKind::Open => false,
            TokenKind::Close => true,
        }) {
            let Some(word) = token.word() else {
                return Err(token.error(CorefileErrorKind::UnexpectedClose));
            };
            let parts = word.text.split(',').filter(|part| !part.is_empty());
            keys.extend(parts.map(|part| Word { text: part.into(), line: word.line }));
            comma = word.text.ends_with(',').then_some(word);
        }
        match comma {
            Some(word) => Err(word.error(CorefileErrorKind::DanglingComma)),
            None => Ok(keys),
        }
    }

    /// Lines up to the brace that closes the opener's block, or to the end of the file where there is no opener.
    fn directives(&mut self, opener: Option<&Word>, depth: usize) -> Result<Vec<Directive>, CorefileError> {
        let mut directives = Vec::new();
        while let Some(token) = self.tokens.next() {
            match (&token.kind, opener) {
                (TokenKind::Word(_), _) => {}
                (TokenKind::Close, Some(_)) => return Ok(directives),
                (TokenKind::Close, None) => return Err(token.error(CorefileErrorKind::UnexpectedClose)),
                (TokenKind::Open, _) => return Err(token.error(CorefileErrorKind::UnexpectedOpen)),
            }
            let Some(name) = token.word() else { continue };
            directives.push(self.directive(name, depth)?);
        }
        match opener {
            Some(opener) => Err(opener.error(CorefileErrorKind::UnclosedBlock)),
            None => Ok(directives),
        }
    }

    fn directive(&mut self, name: Word, depth: usize) -> Result<Directive, CorefileError> {
        let mut args = Vec::new();
        while let Some(arg) = self.same_line_word() {
            args.push(arg);
        }
        let block = match self.tokens.next_if(|token| matches!(token.kind, TokenKind::Open)) {
            Some(_) if depth == MAX_DEPTH => {
                return Err(name.error(CorefileErrorKind::TooDeep { max: MAX_DEPTH }));
            }
            Some(_) => Some(self.directives(Some(&name), depth + 1)?),
            None => None,
        };
        match self.same_line_word() {
            Some(extra) => Err(extra.error(CorefileErrorKind::UnexpectedArgument)),
            None => Ok(Directive { name, args, block }),
        }
    }

    fn same_line_word(&mut self) -> Option<Word> {
        self.tokens
            .next_if(|token| !token.starts_line && matches!(token.kind, TokenKind::Word(_)))
            .and_then(|token| token.word())
    }
}
