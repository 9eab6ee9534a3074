//! Texts as the remote shell reads them.

/// A text that the shell takes as it is.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// A script run by `/bin/sh`, whatever the login shell is.
pub fn sh(script: &str) -> String {
    format!("/bin/sh -c {}", literal(script))
}

/// A remote path as templates write it: a leading `~` or `~user` and variables (`$HOME`, `${HOME}`) are the shell's, all else
/// is taken as it is. (Packer hands paths to the shell unquoted, and templates rely on that for the home directory.)
pub fn path(text: &str) -> String {
    path_keeping(text, "")
}

/// As [`path`], and `*`, `?`, `[`, `]` are the shell's too.
pub fn glob(text: &str) -> String {
    path_keeping(text, "*?[]")
}

fn path_keeping(text: &str, keep: &str) -> String {
    let (home, rest) = home_prefix(text);
    let mut out = home.to_owned();
    let mut quoted = String::new();
    let mut chars = rest.char_indices().peekable();
    while let Some((n, c)) = chars.next() {
        match c {
            '$' => {
                let length = variable(&rest[n..]);
                if length == 0 {
                    quoted.push_str("\\$");
                } else {
                    quoted.push_str(&rest[n..n + length]);
                    while chars.next_if(|(m, _)| *m < n + length).is_some() {}
                }
            }
            '"' | '\\' | '`' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if keep.contains(c) => {
                flush(&mut out, &mut quoted);
                out.push(c);
            }
            c => quoted.push(c),
        }
    }
    flush(&mut out, &mut quoted);
    if out.is_empty() { "\"\"".to_owned() } else { out }
}

fn flush(out: &mut String, quoted: &mut String) {
    if !quoted.is_empty() {
        out.push('"');
        out.push_str(quoted);
        out.push('"');
        quoted.clear();
    }
}

/// `~` or `~user` with its slash, and the rest.
fn home_prefix(text: &str) -> (&str, &str) {
    if !text.starts_with('~') {
        return ("", text);
    }
    let end = text.find('/').map_or(text.len(), |n| n + 1);
    let name = text[1..end].trim_end_matches('/');
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if plain { text.split_at(end) } else { ("", text) }
}

/// How long the variable is that the text begins with (`$HOME`, `${HOME}`); 0 where it is none.
fn variable(text: &str) -> usize {
    let name = |t: &str| {
        let length = t.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(t.len());
        if t.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { length }
    };
    let body = &text[1..];
    if let Some(inner) = body.strip_prefix('{') {
        let length = name(inner);
        return if length > 0 && inner[length..].starts_with('}') { length + 3 } else { 0 };
    }
    let length = name(body);
    if length > 0 { length + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_home_and_variables_are_left_to_the_shell() {
        assert_eq!(path("/tmp/a b"), "\"/tmp/a b\"");
        assert_eq!(path("~/a b"), "~/\"a b\"");
        assert_eq!(path("~"), "~");
        assert_eq!(path("~x y/z"), "\"~x y/z\"");
        assert_eq!(path("$HOME/${X}/$1/$"), "\"$HOME/${X}/\\$1/\\$\"");
        assert_eq!(path("a\"`\\'"), "\"a\\\"\\`\\\\'\"");
        assert_eq!(path("$(rm x)${a b}"), "\"\\$(rm x)\\${a b}\"");
        assert_eq!(path(""), "\"\"");
        assert_eq!(glob("/var/*.l og"), "\"/var/\"*\".l og\"");
        assert_eq!(literal("it's"), "'it'\"'\"'s'");
    }
}
