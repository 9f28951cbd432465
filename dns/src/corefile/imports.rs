//! Snippets: `(name) { … }` is taken out, `import name` is replaced by what was in it.

use std::collections::BTreeMap;

use super::directive::Word;
use super::error::{CorefileError, CorefileErrorKind};
use super::lexer::{Token, TokenKind};
use super::warning::{CorefileWarningKind, Warnings};

/// Words that imports may add: snippets that import each other twice grow without bound otherwise.
const MAX_WORDS: usize = 100_000;
/// Imports that may be made, for the same reason. CoreDNS has this limit.
const MAX_IMPORTS: usize = 1_000;

struct Snippet<'a> {
    line: u32,
    body: &'a [Token],
}

type Snippets<'a> = BTreeMap<&'a str, Snippet<'a>>;

/// Replaces every import.
pub(super) fn expand(tokens: &[Token], warnings: &mut Warnings) -> Result<Vec<Token>, CorefileError> {
    let (main, snippets) = take_out(tokens)?;
    let mut expander =
        Expander { snippets, warnings, open: Vec::new(), imports: 0, imported: 0, out: Vec::new() };
    for part in main {
        expander.copy(part)?;
    }
    Ok(expander.out)
}

/// Splits the file into what is outside of snippets, and the snippets.
fn take_out(tokens: &[Token]) -> Result<(Vec<&[Token]>, Snippets<'_>), CorefileError> {
    let mut main = Vec::new();
    let mut snippets = Snippets::new();
    let (mut start, mut at, mut depth) = (0, 0, 0_usize);
    while let Some(token) = tokens.get(at) {
        match (&token.kind, tokens.get(at + 1).map(|next| &next.kind)) {
            (TokenKind::Word(text), Some(TokenKind::Open)) if depth == 0 && token.starts_line => {
                if let Some(name) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
                    let body = body_of(&tokens[at + 2..])
                        .ok_or_else(|| token.error(CorefileErrorKind::UnclosedBlock))?;
                    if let Some(Snippet { line: first, .. }) =
                        snippets.insert(name, Snippet { line: token.line, body })
                    {
                        return Err(token.error(CorefileErrorKind::SnippetAgain { first }));
                    }
                    main.push(&tokens[start..at]);
                    // The name, both braces and what is between them.
                    at += body.len() + 3;
                    start = at;
                    continue;
                }
            }
            (TokenKind::Open, _) => depth += 1,
            // One too many is the tree's to find.
            (TokenKind::Close, _) => depth = depth.saturating_sub(1),
            (TokenKind::Word(_), _) => {}
        }
        at += 1;
    }
    main.push(&tokens[start..]);
    Ok((main, snippets))
}

/// The tokens up to the brace that closes an open block.
fn body_of(tokens: &[Token]) -> Option<&[Token]> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close if depth == 0 => return Some(&tokens[..at]),
            TokenKind::Close => depth -= 1,
            TokenKind::Word(_) => {}
        }
    }
    None
}

struct Expander<'a, 'w> {
    snippets: Snippets<'a>,
    warnings: &'w mut Warnings,
    /// Snippets that are being copied, the outermost first.
    open: Vec<Word>,
    imports: usize,
    /// Words in `out` that came from snippets.
    imported: usize,
    out: Vec<Token>,
}

impl<'a> Expander<'a, '_> {
    fn copy(&mut self, tokens: &'a [Token]) -> Result<(), CorefileError> {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let starts_line = token.starts_line
                || at
                    .checked_sub(1)
                    .and_then(|before| tokens.get(before))
                    .is_none_or(|before| matches!(before.kind, TokenKind::Open | TokenKind::Close));
            if starts_line && token.word().is_some_and(|word| &*word.text == "import") {
                let name = tokens
                    .get(at + 1)
                    .filter(|next| !next.starts_line)
                    .and_then(Token::word)
                    .ok_or_else(|| {
                        token.error(CorefileErrorKind::MissingArgument { expected: "the name of a snippet" })
                    })?;
                self.import(&name)?;
                at += 2;
                if let Some(extra) = tokens.get(at).filter(|next| !next.starts_line) {
                    match extra.kind {
                        TokenKind::Word(_) => return Err(extra.error(CorefileErrorKind::UnexpectedArgument)),
                        TokenKind::Open => return Err(name.error(CorefileErrorKind::UnexpectedBlock)),
                        TokenKind::Close => {}
                    }
                }
            } else {
                self.imported += usize::from(!self.open.is_empty());
                if self.imported > MAX_WORDS {
                    return Err(token.error(CorefileErrorKind::TooManyWords { max: MAX_WORDS }));
                }
                self.out.push(token.clone());
                at += 1;
            }
        }
        Ok(())
    }

    fn import(&mut self, name: &Word) -> Result<(), CorefileError> {
        let Some(body) = self.snippets.get(&*name.text).map(|snippet| snippet.body) else {
            // A snippet may be called anything, but nobody calls one like a path.
            if !name.text.contains(['/', '.', '*', '?', '[']) {
                return Err(name.error(CorefileErrorKind::UnknownSnippet));
            }
            self.warnings.add(name, CorefileWarningKind::FileImport);
            return Ok(());
        };
        if self.open.iter().any(|open| open.text == name.text) {
            return Err(name.error(CorefileErrorKind::SnippetLoop));
        }
        self.imports += 1;
        if self.imports > MAX_IMPORTS {
            return Err(name.error(CorefileErrorKind::TooManyImports { max: MAX_IMPORTS }));
        }
        let start = self.out.len();
        self.open.push(name.clone());
        self.copy(body)?;
        self.open.pop();
        // A body on one line with its brace is on a line of its own where it is imported.
        if let Some(first) = self.out.get_mut(start) {
            first.starts_line = true;
        }
        Ok(())
    }
}
