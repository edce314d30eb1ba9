//! TOML as it comes from outside: read up to a size, and looked through before a parser sees it.
//!
//! A parser goes down as deep as a text is nested, in the stack of whoever calls it. Nothing that
//! Carnet reads is nested deep, so what is has a bracket that was never closed, or means harm. It
//! does not know what a file is for.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// The largest file in bytes; thousands of titles with rules of their own fit.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// So many brackets may be open inside each other.
const NESTING_MAX: usize = 16;
/// Of so many parts a name may be: `a.b.c` is of three.
const PARTS_MAX: usize = 16;

/// Why a file has no text to look at.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot be read: {0}; check the path and its permissions")]
    Unreadable(#[from] io::Error),
    #[error("has more than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// In which line, from 1.
    #[error("is not UTF-8; save the file as UTF-8")]
    NotUtf8(usize),
}

/// Why a text is not parsed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unfit {
    /// From 1.
    pub line: usize,
    pub message: String,
}

/// The text of a file, not looked through yet.
///
/// # Errors
/// When it cannot be read, is too large, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    let most = FILE_BYTES_MAX as u64 + 1;
    if File::open(path)?.take(most).read_to_end(&mut bytes)? > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        ReadError::NotUtf8(valid.iter().filter(|byte| **byte == b'\n').count() + 1)
    })
}

/// Looks through a text before it is parsed, in time and memory that hang on nothing but its length.
///
/// # Errors
/// When it is nested deeper than anything in it can mean.
pub fn check(text: &str) -> Result<(), Unfit> {
    let (mut line, mut open, mut parts) = (1, 0_usize, 0);
    let unfit = |line, message| Err(Unfit { line, message });
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => open += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                open = open.saturating_sub(1);
            }
            _ => {}
        }
        match token.kind() {
            TokenKind::Dot => parts += 1,
            TokenKind::Atom
            | TokenKind::Whitespace
            | TokenKind::LiteralString
            | TokenKind::BasicString => {}
            _ => parts = 0,
        }
        if open > NESTING_MAX {
            let message = format!(
                "has more than {NESTING_MAX} brackets open inside each other; close those opened \
                 before, nothing is nested so deep"
            );
            return unfit(line, message);
        }
        if parts >= PARTS_MAX {
            let message = format!(
                "has a name of more than {PARTS_MAX} parts; nothing is named so, leave dots out"
            );
            return unfit(line, message);
        }
        let token = text.get(token.span().start()..token.span().end()).unwrap_or_default();
        line += token.bytes().filter(|byte| *byte == b'\n').count();
    }
    Ok(())
}
