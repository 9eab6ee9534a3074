//! From text to pieces: literal text, and the tokens of each action.

/// One token of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// White space: it parts arguments.
    Space,
    /// `.`
    Dot,
    /// `.Name`
    Field(String),
    /// `$name` (the name without the dollar; empty for `$`)
    Variable(String),
    /// A name: keyword or function.
    Name(String),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A quoted text.
    Text(String),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `|`
    Pipe,
    /// `,`
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Literal text.
    Text(String),
    /// `{{ … }}`, with the line on which it begins.
    Action(Vec<Token>, usize),
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// An error with its line, in Go's form.
pub(super) fn error(line: usize, what: impl std::fmt::Display) -> String {
    format!("template: root:{line}: {what}")
}

/// Cuts a text into pieces.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut trim_next = false;
    loop {
        let open = rest.find("{{");
        let mut literal = &rest[..open.unwrap_or(rest.len())];
        let lines = literal.matches('\n').count();
        if trim_next {
            literal = literal.trim_start_matches(BLANKS);
        }
        let Some(open) = open else {
            push_text(&mut pieces, literal);
            return Ok(pieces);
        };
        line += lines;
        rest = &rest[open + 2..];
        if let Some(inner) = rest.strip_prefix('-').filter(|r| r.starts_with(BLANKS)) {
            literal = literal.trim_end_matches(BLANKS);
            rest = inner;
        }
        push_text(&mut pieces, literal);
        let begin = line;
        if let Some(comment) = rest.trim_start_matches(BLANKS).strip_prefix("/*") {
            (rest, trim_next) = after_comment(comment, begin, &mut line)?;
            continue;
        }
        let mut lexer = Lexer { rest, line, tokens: Vec::new() };
        trim_next = lexer.action()?;
        rest = lexer.rest;
        line = lexer.line;
        pieces.push(Piece::Action(lexer.tokens, begin));
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// What follows a comment, and whether white space is trimmed there.
fn after_comment<'a>(comment: &'a str, begin: usize, line: &mut usize) -> Result<(&'a str, bool), String> {
    let end = comment.find("*/").ok_or_else(|| error(begin, "unclosed comment"))?;
    *line += comment[..end].matches('\n').count();
    let rest = &comment[end + 2..];
    if let Some(rest) = rest.strip_prefix("}}") {
        return Ok((rest, false));
    }
    let trimmed = rest.strip_prefix(BLANKS).and_then(|r| r.strip_prefix("-}}"));
    trimmed.map(|r| (r, true)).ok_or_else(|| error(begin, "comment ends before closing delimiter"))
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Reads to the closing delimiter; whether the text after it is trimmed.
    fn action(&mut self) -> Result<bool, String> {
        loop {
            if let Some(rest) = self.rest.strip_prefix("}}") {
                self.rest = rest;
                return Ok(false);
            }
            let blanks = self.rest.len() - self.rest.trim_start_matches(BLANKS).len();
            if blanks > 0 {
                self.line += self.rest[..blanks].matches('\n').count();
                self.rest = &self.rest[blanks..];
                if let Some(rest) = self.rest.strip_prefix("-}}") {
                    self.rest = rest;
                    return Ok(true);
                }
                self.tokens.push(Token::Space);
                continue;
            }
            let token = self.token()?;
            self.tokens.push(token);
        }
    }

    fn take(&mut self, length: usize, token: Token) -> Token {
        self.rest = &self.rest[length..];
        token
    }

    fn word(&self, from: usize) -> usize {
        self.rest[from..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(self.rest.len(), |n| n + from)
    }

    fn token(&mut self) -> Result<Token, String> {
        let Some(first) = self.rest.chars().next() else { return Err(error(self.line, "unclosed action")) };
        let second = self.rest.chars().nth(1);
        match first {
            '(' => Ok(self.take(1, Token::Open)),
            ')' => Ok(self.take(1, Token::Close)),
            '|' => Ok(self.take(1, Token::Pipe)),
            ',' => Ok(self.take(1, Token::Comma)),
            ':' if second == Some('=') => Ok(self.take(2, Token::Declare)),
            '=' => Ok(self.take(1, Token::Assign)),
            '"' | '`' | '\'' => self.quoted(first),
            '.' if !second.is_some_and(|c| c.is_ascii_digit()) => {
                let end = self.word(1);
                let token = if end == 1 { Token::Dot } else { Token::Field(self.rest[1..end].to_owned()) };
                self.bounded(end, token)
            }
            '$' => {
                let end = self.word(1);
                let token = Token::Variable(self.rest[1..end].to_owned());
                self.bounded(end, token)
            }
            '+' | '-' | '.' | '0'..='9' => self.number(),
            c if c.is_alphabetic() || c == '_' => {
                let end = self.word(0);
                let token = Token::Name(self.rest[..end].to_owned());
                self.bounded(end, token)
            }
            other => Err(error(self.line, format!("unexpected {other:?} in the action"))),
        }
    }

    /// A word must be followed by something that can end it: `a!` is no word.
    fn bounded(&mut self, end: usize, token: Token) -> Result<Token, String> {
        match self.rest[end..].chars().next() {
            None => Err(error(self.line, "unclosed action")),
            Some(c) if BLANKS.contains(&c) || ".,|:=)(}".contains(c) => Ok(self.take(end, token)),
            Some(c) => Err(error(self.line, format!("bad character {c:?}"))),
        }
    }

    fn number(&mut self) -> Result<Token, String> {
        let mut end = 1;
        for (n, c) in self.rest.char_indices().skip(1) {
            let exponent = (c == '+' || c == '-') && self.rest[..n].ends_with(['e', 'E', 'p', 'P']);
            if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent) {
                break;
            }
            end = n + c.len_utf8();
        }
        let text = &self.rest[..end];
        let plain = text.replace('_', "");
        let bad = error(self.line, format!("bad number syntax: {text:?}"));
        let token = match integer(&plain) {
            Some(n) => Token::Int(n),
            None if plain.contains(['x', 'X']) || plain.ends_with(|c: char| c.is_alphabetic()) => return Err(bad),
            None => Token::Float(plain.parse().map_err(|_| bad)?),
        };
        Ok(self.take(end, token))
    }

    fn quoted(&mut self, quote: char) -> Result<Token, String> {
        let begin = self.line;
        let open = || error(begin, "unterminated quoted string");
        if quote == '`' {
            let end = self.rest[1..].find('`').ok_or_else(|| error(begin, "unterminated raw quoted string"))? + 1;
            let text = self.rest[1..end].to_owned();
            self.line += text.matches('\n').count();
            return Ok(self.take(end + 1, Token::Text(text.replace('\r', ""))));
        }
        let mut bytes = Vec::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((n, c)) = chars.next() {
            if c == '\n' {
                return Err(open());
            }
            if c == quote {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let token = if quote == '"' { Token::Text(text) } else { character(&text).ok_or_else(open)? };
                return Ok(self.take(n + 2, token));
            }
            if c == '\\' {
                escape(&mut chars, &mut bytes).ok_or_else(|| error(begin, "invalid escape in a quoted string"))?;
            } else {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Err(open())
    }
}

/// A character constant is its number.
fn character(text: &str) -> Option<Token> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Some(Token::Int(i64::from(u32::from(c)))),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i64> {
    let (sign, body) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // `from_str_radix` takes a sign of its own; there has been one already.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok()?.checked_mul(sign)
}

/// One escape of Go's interpreted strings, after its backslash.
fn escape(chars: &mut std::str::CharIndices<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let (_, c) = chars.next()?;
    let simple = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '\'' | '"' => c as u8,
        'x' | 'u' | 'U' => {
            let length = match c {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let digits: String = chars.by_ref().take(length).map(|(_, c)| c).collect();
            let all = digits.len() == length && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let number = all.then(|| u32::from_str_radix(&digits, 16).ok()).flatten()?;
            if c == 'x' {
                bytes.push(u8::try_from(number).ok()?);
            } else {
                bytes.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes());
            }
            return Some(());
        }
        '0'..='7' => {
            let mut digits = c.to_string();
            digits.extend(chars.by_ref().take(2).map(|(_, c)| c));
            u8::from_str_radix(&digits, 8).ok().filter(|_| digits.len() == 3)?
        }
        _ => return None,
    };
    bytes.push(simple);
    Some(())
}
