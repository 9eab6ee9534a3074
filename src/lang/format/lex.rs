//! The words and signs of a text that is known to be HCL, each with the blanks before it. Unlike the scan before the
//! parser this finds no mistakes: it only has to put every character somewhere.

use crate::number::literal_length;

/// What a token is, as far as its layout depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    /// A number.
    Number,
    /// A line break.
    Newline,
    /// A comment; one that ends with its line has the line break in it.
    Comment,
    /// `{`
    OpenBrace,
    /// `}`
    CloseBrace,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// `(`
    OpenParen,
    /// `)`
    CloseParen,
    /// `${` or `%{`, with the strip marker.
    OpenSequence,
    /// The `}` or `~}` that ends such a sequence.
    CloseSequence,
    /// The quote that begins a string.
    OpenQuote,
    /// The quote that ends it.
    CloseQuote,
    /// `<<NAME` or `<<-NAME`, with the line break.
    OpenHeredoc,
    /// The blanks and the name that end it.
    CloseHeredoc,
    /// Literal text in a string or heredoc.
    Text,
    /// `.`
    Dot,
    /// `,`
    Comma,
    /// `...`
    Ellipsis,
    /// `=`
    Equal,
    /// `::`
    DoubleColon,
    /// `-`
    Minus,
    /// `!`
    Bang,
    /// An operator or separator after which a minus is a sign: `+ * / %`, comparisons, `&& || ? :`
    Operator,
    /// `=>` and whatever else there may be.
    Other,
}

impl Kind {
    /// How many brackets more are open after it.
    pub(super) fn opens(self) -> i32 {
        match self {
            Kind::OpenBrace | Kind::OpenBracket | Kind::OpenParen | Kind::OpenSequence => 1,
            Kind::CloseBrace | Kind::CloseBracket | Kind::CloseParen | Kind::CloseSequence => -1,
            _ => 0,
        }
    }
}

/// A piece of the text.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Blanks before it; in the input a tab counts as one.
    pub(super) blanks: usize,
}

impl Token<'_> {
    /// Whether a line ends with it.
    pub(super) fn ends_line(&self) -> bool {
        self.kind == Kind::Newline || (self.kind == Kind::Comment && self.text.ends_with('\n'))
    }
}

/// A text in pieces.
pub(super) struct Tokens<'a> {
    pub(super) list: Vec<Token<'a>>,
    /// Blanks behind the last token.
    pub(super) trailing: usize,
}

/// What the lexer is in.
enum Frame<'a> {
    /// A `{` that is no sequence.
    Brace,
    /// `${` or `%{`
    Sequence,
    Quoted,
    /// A heredoc and the name that ends it.
    Heredoc(&'a str),
}

/// Takes a text to pieces. The byte order mark before it is left out.
pub(super) fn lex(text: &str) -> Tokens<'_> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lexer = Lexer { text, at: 0, from: 0, stack: Vec::new(), list: Vec::new() };
    while lexer.at < text.len() {
        match lexer.stack.last() {
            Some(Frame::Quoted) => lexer.quoted(),
            Some(Frame::Heredoc(name)) => {
                let name = *name;
                lexer.heredoc(name);
            }
            _ => lexer.code(),
        }
    }
    Tokens { trailing: text.len() - lexer.from, list: lexer.list }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the last token ended.
    from: usize,
    stack: Vec<Frame<'a>>,
    list: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next `length` bytes are a token.
    fn push(&mut self, kind: Kind, length: usize) {
        let end = self.at + length;
        self.list.push(Token { kind, text: &self.text[self.at..end], blanks: self.at - self.from });
        (self.at, self.from) = (end, end);
    }

    /// Text up to `end`, if there is any.
    fn push_text(&mut self, end: usize) {
        if end > self.at {
            self.push(Kind::Text, end - self.at);
        }
    }

    fn code(&mut self) {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return };
        match c {
            ' ' | '\t' => self.at += 1,
            '#' => self.line_comment(),
            '/' if rest.starts_with("//") => self.line_comment(),
            '/' if rest.starts_with("/*") => {
                let length = rest[2..].find("*/").map_or(rest.len(), |end| end + 4);
                self.push(Kind::Comment, length);
            }
            '"' => {
                self.push(Kind::OpenQuote, 1);
                self.stack.push(Frame::Quoted);
            }
            '<' if rest.starts_with("<<") => self.heredoc_start(),
            '{' => {
                self.push(Kind::OpenBrace, 1);
                self.stack.push(Frame::Brace);
            }
            '}' => {
                let sequence = matches!(self.stack.pop(), Some(Frame::Sequence));
                self.push(if sequence { Kind::CloseSequence } else { Kind::CloseBrace }, 1);
            }
            '~' if rest.starts_with("~}") => {
                self.stack.pop();
                self.push(Kind::CloseSequence, 2);
            }
            '0'..='9' => self.push(Kind::Number, literal_length(rest.as_bytes())),
            c if starts_word(c) => {
                let length = rest.find(|c| !continues_word(c)).unwrap_or(rest.len());
                self.push(Kind::Word, length);
            }
            _ => {
                let (kind, length) = sign(rest, c);
                self.push(kind, length);
            }
        }
    }

    /// To the end of the line and with it.
    fn line_comment(&mut self) {
        let rest = self.rest();
        self.push(Kind::Comment, rest.find('\n').map_or(rest.len(), |end| end + 1));
    }

    fn heredoc_start(&mut self) {
        let rest = self.rest();
        let behind = rest[2..].strip_prefix('-').unwrap_or(&rest[2..]);
        let name = &behind[..behind.find(|c| !continues_word(c)).unwrap_or(behind.len())];
        let length = rest.find('\n').map_or(rest.len(), |end| end + 1);
        if name.is_empty() || !behind[name.len()..].trim_start_matches('\r').starts_with('\n') {
            return self.push(Kind::Operator, 1);
        }
        self.push(Kind::OpenHeredoc, length);
        self.stack.push(Frame::Heredoc(name));
    }

    /// In a string: text up to its end or to the next sequence, and that.
    fn quoted(&mut self) {
        let mut end = self.at;
        loop {
            let rest = &self.text[end..];
            let Some(c) = rest.chars().next() else { return self.push_text(end) };
            end += match c {
                '"' => {
                    self.push_text(end);
                    self.push(Kind::CloseQuote, 1);
                    self.stack.pop();
                    return;
                }
                '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
                _ => match literal(rest, c) {
                    Some(length) => length,
                    None => return self.sequence(end),
                },
            };
        }
    }

    /// In a heredoc: its end, or text up to the end of the line or to the next sequence, and that.
    fn heredoc(&mut self, name: &str) {
        let line_end = self.rest().find('\n').map_or(self.text.len(), |end| self.at + end);
        let line = &self.text[self.at..line_end];
        let at_line_start = self.list.last().is_some_and(|t| t.text.ends_with('\n'));
        if at_line_start && line.trim() == name {
            self.push(Kind::CloseHeredoc, line.trim_end_matches('\r').len());
            self.stack.pop();
            return;
        }
        let mut end = self.at;
        while end < line_end {
            let rest = &self.text[end..line_end];
            let Some(c) = rest.chars().next() else { break };
            match literal(rest, c) {
                Some(length) => end += length,
                None => return self.sequence(end),
            }
        }
        // The line break belongs to the text.
        self.push_text((line_end + 1).min(self.text.len()));
    }

    /// Text up to `end`, and the `${` or `%{` there.
    fn sequence(&mut self, end: usize) {
        self.push_text(end);
        let strip = usize::from(self.text[end + 2..].starts_with('~'));
        self.push(Kind::OpenSequence, 2 + strip);
        self.stack.push(Frame::Sequence);
    }
}

/// The length of what is literal at the start of a template's text; `None` at a sequence.
fn literal(rest: &str, c: char) -> Option<usize> {
    match c {
        '$' | '%' if rest.starts_with("$${") || rest.starts_with("%%{") => Some(3),
        '$' | '%' if rest[1..].starts_with('{') => None,
        c => Some(c.len_utf8()),
    }
}

fn starts_word(c: char) -> bool {
    // What the parser has taken outside of strings and comments and is no ASCII is part of a name.
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn continues_word(c: char) -> bool {
    starts_word(c) || c.is_ascii_digit() || c == '-'
}

/// What a sign is that neither begins nor ends anything but a bracket, and its length.
fn sign(rest: &str, c: char) -> (Kind, usize) {
    const LONG: &[(&str, Kind)] = &[
        ("...", Kind::Ellipsis),
        ("==", Kind::Operator),
        ("!=", Kind::Operator),
        (">=", Kind::Operator),
        ("<=", Kind::Operator),
        ("&&", Kind::Operator),
        ("||", Kind::Operator),
        ("::", Kind::DoubleColon),
        ("=>", Kind::Other),
        ("\r\n", Kind::Newline),
    ];
    if let Some((text, kind)) = LONG.iter().find(|(text, _)| rest.starts_with(text)) {
        return (*kind, text.len());
    }
    let kind = match c {
        '\n' => Kind::Newline,
        '[' => Kind::OpenBracket,
        ']' => Kind::CloseBracket,
        '(' => Kind::OpenParen,
        ')' => Kind::CloseParen,
        '.' => Kind::Dot,
        ',' => Kind::Comma,
        '=' => Kind::Equal,
        '-' => Kind::Minus,
        '!' => Kind::Bang,
        '+' | '*' | '/' | '%' | '<' | '>' | '?' | ':' => Kind::Operator,
        _ => Kind::Other,
    };
    (kind, c.len_utf8())
}
