//! Text → tokens: words and braces, with their lines.

use super::directive::Word;
use super::error::{CorefileError, CorefileErrorKind};
use super::warning::{CorefileWarningKind, Warnings};

/// A word or a brace.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) line: u32,
    /// Whether it is the first one on its line; a continued line is one line.
    pub(super) starts_line: bool,
}

#[derive(Clone, Debug)]
pub(super) enum TokenKind {
    /// `{`
    Open,
    /// `}`
    Close,
    /// Anything else. A brace in quotes is a word.
    Word(Box<str>),
}

impl Token {
    pub(super) fn error(&self, kind: CorefileErrorKind) -> CorefileError {
        let word: Box<str> = match &self.kind {
            TokenKind::Open => "{".into(),
            TokenKind::Close => "}".into(),
            TokenKind::Word(text) => text.clone(),
        };
        CorefileError { line: self.line, word, kind }
    }

    /// The word, if it is one.
    pub(super) fn word(&self) -> Option<Word> {
        match &self.kind {
            TokenKind::Word(text) => Some(Word { text: text.clone(), line: self.line }),
            TokenKind::Open | TokenKind::Close => None,
        }
    }
}

/// Splits a text. References to the environment are replaced after splitting: a value is one word, spaces or not.
pub(super) fn lex(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Warnings,
) -> Result<Vec<Token>, CorefileError> {
    let mut lexer = Lexer { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, starts_line: true };
    let mut tokens = Vec::new();
    while let Some(first) = lexer.skip_blanks() {
        if first == '"' {
            let (line, starts_line) = (lexer.line, lexer.starts_line);
            let text = expand_env(&lexer.quoted()?, line, env, warnings);
            tokens.push(Token { kind: TokenKind::Word(text), line, starts_line });
        } else {
            lexer.bare(env, warnings, &mut tokens);
        }
        lexer.starts_line = false;
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: u32,
    starts_line: bool,
}

impl<'a> Lexer<'a> {
    /// Goes to the next token and returns its first character.
    fn skip_blanks(&mut self) -> Option<char> {
        loop {
            let first = self.rest.chars().next()?;
            if first == '\n' {
                self.line += 1;
                self.starts_line = true;
                self.rest = &self.rest[1..];
            } else if first.is_whitespace() {
                self.rest = &self.rest[first.len_utf8()..];
            } else if first == '#' {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else if let Some(rest) = after_continuation(self.rest) {
                self.line += 1;
                self.rest = rest;
            } else {
                return Some(first);
            }
        }
    }

    /// A word in quotes. Only the quote can be escaped; it may go over several lines.
    fn quoted(&mut self) -> Result<String, CorefileError> {
        let start_line = self.line;
        let mut text = String::new();
        let mut chars = self.rest[1..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[1 + at + 1..];
                    return Ok(text);
                }
                '\\' if chars.next_if(|(_, next)| *next == '"').is_some() => text.push('"'),
                c => {
                    self.line += u32::from(c == '\n');
                    text.push(c);
                }
            }
        }
        let first_line = text.lines().next().unwrap_or_default();
        Err(CorefileError {
            line: start_line,
            word: first_line.into(),
            kind: CorefileErrorKind::UnclosedQuote,
        })
    }

    /// A word without quotes, or a brace; a brace at the end of a word is a token of its own.
    fn bare(
        &mut self,
        env: &dyn Fn(&str) -> Option<String>,
        warnings: &mut Warnings,
        tokens: &mut Vec<Token>,
    ) {
        let rest: &'a str = self.rest;
        let end = rest
            .char_indices()
            .find(|(at, c)| c.is_whitespace() || *c == '#' || after_continuation(&rest[*at..]).is_some())
            .map_or(rest.len(), |(at, _)| at);
        let word = &rest[..end];
        self.rest = &rest[end..];
        let (line, starts_line) = (self.line, self.starts_line);
        if word == "}" {
            tokens.push(Token { kind: TokenKind::Close, line, starts_line });
            return;
        }
        let (word, closes) = match word {
            "{}" => ("{", true),
            _ => (word, false),
        };
        let (name, opens) = match word.strip_suffix('{') {
            Some(name) => (name, true),
            None => (word, false),
        };
        if !name.is_empty() {
            let text = expand_env(name, line, env, warnings);
            tokens.push(Token { kind: TokenKind::Word(text), line, starts_line });
        }
        if opens {
            tokens.push(Token { kind: TokenKind::Open, line, starts_line: starts_line && name.is_empty() });
        }
        if closes {
            tokens.push(Token { kind: TokenKind::Close, line, starts_line: false });
        }
    }
}

/// What follows a backslash and a line's end, if the text starts with them.
fn after_continuation(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\\')?;
    text.strip_prefix('\n').or_else(|| text.strip_prefix("\r\n"))
}

/// Replaces `{$NAME}` and `{%NAME%}`, once: a value is not looked through again.
fn expand_env(
    text: &str,
    line: u32,
    env: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Warnings,
) -> Box<str> {
    // Where nothing closes any more, nothing is looked for: a word of a megabyte stays linear.
    let forms =
        [("{$", "}"), ("{%", "%}")].map(|(open, close)| (open, close, text.rfind(close).unwrap_or(0)));
    let mut done = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, reference) = rest.split_at(start);
        done.push_str(before);
        let at = text.len() - reference.len();
        let closed = forms.iter().filter(|(_, _, last)| at < *last).find_map(|(open, close, _)| {
            let (name, after) = reference.strip_prefix(open)?.split_once(close)?;
            (!name.is_empty()).then_some((name, after))
        });
        if let Some((name, after)) = closed {
            match env(name) {
                Some(value) => done.push_str(&value),
                None => warnings.add(&Word { text: name.into(), line }, CorefileWarningKind::UnsetVariable),
            }
            rest = after;
        } else {
            done.push('{');
            rest = &reference[1..];
        }
    }
    done.push_str(rest);
    done.into()
}
