//! Blanks between the tokens of a line.

use super::Line;
use super::lex::{Kind, Token};
use crate::number::literal_length;

/// Sets the blanks before each token but the first of a line; those before comments at its end come later.
pub(super) fn separate(tokens: &mut [Token<'_>], lines: &[Line]) {
    for line in lines {
        for (from, to) in [(line.start, line.assign), (line.assign, line.comment)] {
            for i in from + 1..to {
                let before = (i >= from + 2).then(|| &tokens[i - 2]);
                if !holds_apart(&tokens[from..to], i - from) {
                    tokens[i].blanks = usize::from(apart(before, &tokens[i - 1], &tokens[i]));
                }
            }
        }
    }
}

/// Whether there is a blank between `left` and `right`; `before` is what stands before `left`.
fn apart(before: Option<&Token<'_>>, left: &Token<'_>, right: &Token<'_>) -> bool {
    use Kind::*;
    match (left.kind, right.kind) {
        (_, Newline) | (Word, OpenParen | DoubleColon) | (DoubleColon, Word) => false,
        (Dot, _) | (_, Dot | Comma | Ellipsis) => false,
        (Comma, _) => true,
        (Text | OpenQuote | OpenHeredoc, _) | (_, Text | CloseQuote | CloseHeredoc) => false,
        // `for x in [1]`, which is no index.
        (Word, _) if left.text == "in" && before.is_some_and(|t| t.kind == Word) => true,
        (Word | Number, OpenBracket) => false,
        (closed, OpenBracket) if closed.opens() < 0 => false,
        (Bang, _) => false,
        (Minus, _) => !is_sign(before),
        (OpenBrace, CloseBrace) => false,
        (OpenBrace, _) | (_, CloseBrace) => true,
        // `${ {a = 1}.a }`: the two braces are not to run together.
        (OpenSequence, OpenBrace) | (CloseBrace, CloseSequence) => true,
        (CloseSequence, OpenSequence) => false,
        (open, _) if open.opens() > 0 => false,
        (_, close) => close.opens() >= 0,
    }
}

/// Whether a minus belongs to what follows, by what stands before it.
fn is_sign(before: Option<&Token<'_>>) -> bool {
    use Kind::*;
    before
        .is_none_or(|t| matches!(t.kind, OpenParen | OpenBrace | OpenBracket | Equal | Comma | Operator | Minus | Bang))
}

/// Whether the token at `i` keeps the blanks that it has, since `1 . 5` and `1.5` are not the same.
fn holds_apart(cell: &[Token<'_>], i: usize) -> bool {
    let around = |dot: usize| {
        let (Some(left), Some(right)) = (dot.checked_sub(1).and_then(|l| cell.get(l)), cell.get(dot + 1)) else {
            return false;
        };
        let right_part = &right.text.as_bytes()[..right.text.len().min(4)];
        cell[dot].kind == Kind::Dot
            && left.kind == Kind::Number
            && matches!(right.kind, Kind::Number | Kind::Word)
            && literal_length(&[b"1.", right_part].concat()) > 1
    };
    around(i) || around(i - 1)
}
