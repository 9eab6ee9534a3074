//! Untrusted text inside GitHub's Markdown: it cannot leave its cell, mention people, close a fence, or bring HTML, and it reads
//! as it was written.

use crate::report::clean;

/// One line, without control characters.
fn one_line(text: &str) -> String {
    clean::visible(&text.replace(['\n', '\r', '\t'], " "))
}

/// Text in a sentence or a table cell: no markup, no mention, no link, no HTML, one line.
///
/// Never put it first in a line: there a digit or a dash begins a list.
pub fn inline(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // `$x$` is a formula.
            '$' => out.push_str("<span>$</span>"),
            // A zero-width space keeps `@name`, `#1` and `www.` from becoming a mention or a link.
            '@' | '#' => out.extend([c, '\u{200b}']),
            'w' | 'W' if after.len() >= 3 && after.as_bytes()[..3].eq_ignore_ascii_case(b"ww.") => {
                out.extend([c, '\u{200b}']);
            }
            // `://` is a link, `:x:` a picture.
            ':' if after.starts_with("//") || short_code(after) => out.extend([c, '\u{200b}']),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '!' => out.extend(['\\', c]),
            c => out.push(c),
        }
        rest = after;
    }
    out
}

/// As [`inline`]; what stands between two backticks is code, as in this program's own hints.
pub fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) || parts.iter().skip(1).step_by(2).any(|p| p.trim().is_empty()) {
        return inline(text);
    }
    parts.iter().enumerate().map(|(n, part)| if n % 2 == 1 { code(part) } else { inline(part) }).collect()
}

/// Whether what follows a colon makes the name of a picture of it (`:tada:`).
fn short_code(after: &str) -> bool {
    let name = after.split(':').next().unwrap_or_default();
    name.len() < after.len()
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
}

/// Text as code, in a sentence or a cell.
pub fn code(text: &str) -> String {
    let line = one_line(text);
    // A code span shows everything as it is, except for a `|` (in a cell), its own delimiter, and blanks at its ends.
    if line.is_empty() || line.trim() != line || line.contains(['|', '\\', '`']) {
        return element(&line);
    }
    format!("`{line}`")
}

/// Text as code where Markdown is not read: between HTML tags.
pub fn html_code(text: &str) -> String {
    element(&one_line(text))
}

/// The element `<code>`: every character that means something to Markdown or HTML is written as a reference. In one pass, so
/// that a reference is not written as one again.
fn element(line: &str) -> String {
    let mut out = String::from("<code>");
    for c in line.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '-' | '=' | ';') => {
                out.push_str(&format!("&#{};", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    // GFM makes a link of it; no other letter begins one by itself.
    out.replace("www.", "&#119;ww.") + "</code>"
}

/// A fenced block of plain text.
pub fn fenced(lines: &[String]) -> String {
    fence("text", lines)
}

/// A fenced block whose fence is longer than any run of backticks inside; `language` colours it.
pub fn fence(language: &str, lines: &[String]) -> String {
    let longest = lines.iter().flat_map(|l| l.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let lines: Vec<String> = lines.iter().map(|l| clean::visible(l)).collect();
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

/// Whether an address can stand in `[text](address)` as it is.
pub fn is_plain_url(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'*+,;=%".contains(c))
}

/// A link; only its text where the address is none.
///
/// `text` is Markdown already.
pub fn link(text: &str, url: &str) -> String {
    if is_plain_url(url) { format!("[{text}]({url})") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_reads_as_it_was_written() {
        // What a browser makes of the references.
        let read = |text: &str| {
            let mut text = text.replace("<code>", "").replace("</code>", "");
            while let Some((before, rest)) = text.split_once("&#") {
                let (number, after) = rest.split_once(';').unwrap_or_default();
                let c = number.parse().ok().and_then(char::from_u32).unwrap_or('?');
                assert!(!"&<>".contains(c), "{c}");
                text = format!("{before}{c}{after}");
            }
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
        };
        let names = [
            "amazon-ebs.my_image_1",
            "a_b|c_d",
            "x # y | z",
            "<b>&amp;</b>|",
            "a`b",
            "www.example.com|\\",
            "$x$|#1@me",
        ];
        for name in names {
            assert_eq!(read(&html_code(name)), name);
            let span = code(name);
            let shown =
                span.strip_prefix('`').and_then(|s| s.strip_suffix('`')).map_or_else(|| read(&span), str::to_owned);
            assert_eq!(shown, name);
        }
    }

    #[test]
    fn nothing_leaves_its_cell() {
        let evil = "a|b\n# @octocat <img src=x> [x](y) `c` https://e.vil www.e.vil #1 \\ :tada: $x$";
        for shown in [inline(evil), code(evil), html_code(evil)] {
            assert!(!shown.contains('\n') && !shown.contains("<img") && !shown.contains("@octocat"), "{shown}");
            assert!(!shown.contains("https://") && !shown.contains("www.") && !shown.contains(" #1 "), "{shown}");
            assert!(!shown.contains(":tada:") && !shown.contains("$x$"), "{shown}");
            let bare = shown.replace("\\|", "").replace("&#124;", "");
            assert!(!bare.contains('|'), "{shown}");
        }
    }

    #[test]
    fn hints_keep_their_code() {
        assert_eq!(prose("write `a_b` or `|`"), "write `a_b` or <code>&#124;</code>");
        for odd in ["one ` only", "``` three", "`<b>"] {
            assert_eq!(prose(odd), inline(odd));
        }
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        let block = fenced(&["a ````` b".to_owned()]);
        assert!(block.starts_with("``````text\n") && block.ends_with("``````\n"), "{block}");
    }

    #[test]
    fn an_address_with_a_bracket_is_no_link() {
        assert_eq!(
            link("run", "https://github.com/o/r/actions/runs/1"),
            "[run](https://github.com/o/r/actions/runs/1)"
        );
        for url in ["javascript:alert(1)", "https://e.vil/)![x](y", "https://e.vil/ x"] {
            assert_eq!(link("run", url), "run");
        }
    }
}
