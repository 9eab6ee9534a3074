//! Makes untrusted text safe to show.

/// Longest line that is shown, in characters; the rest is counted.
pub const LONGEST_LINE: usize = 4096;

/// One line of untrusted output, safe for a terminal and for a runner's log: what [`visible`] leaves of it, and workflow commands
/// (`::error::` at its beginning, `##[…]`) broken by a zero-width space, so that a guest cannot speak to the runner.
pub fn line(text: &str) -> String {
    break_commands(&visible(text))
}

/// One line of untrusted text without control characters, escape sequences and text direction overrides; for what is shown on a
/// page and copied from there, not for a log.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST_LINE));
    let mut chars = text.chars().peekable();
    let mut shown = 0usize;
    while let Some(c) = chars.next() {
        if shown == LONGEST_LINE {
            let more = chars.count() + 1;
            out.push_str(&format!(" … ({more} more characters)"));
            break;
        }
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => out.push('\t'),
            c if c.is_control() || is_override(c) => {}
            c => {
                out.push(c);
                shown += 1;
            }
        }
    }
    out
}

/// Characters that change the order or the look of what follows (Trojan Source, CVE-2021-42574).
fn is_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{feff}')
}

/// Passes over what follows an ESC: a CSI sequence up to its final byte, an OSC string up to its end, or one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            while let Some(&c) = chars.peek() {
                if !('\u{20}'..='\u{7e}').contains(&c) {
                    return;
                }
                chars.next();
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    return;
                }
            }
        }
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some(_) => {
            chars.next();
        }
        None => {}
    }
}

/// The runner takes a command at the beginning of a line and, of the old form, anywhere in it
/// (`runner:src/Runner.Common/ActionCommand.cs`). Elsewhere `::` is left alone: people copy ARNs out of logs.
pub fn break_commands(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The runner passes over blanks, and whoever forgets one kind of them opens the door: a word has to stand before.
    let leading = |before: &str| {
        let line = before.rsplit('\n').next().unwrap_or(before);
        let first = line.find("::").map_or(line, |at| &line[..at]);
        !first.contains(char::is_alphanumeric)
    };
    for (at, c) in text.char_indices() {
        let before = &text[..at];
        if (c == ':' && before.ends_with(':') && leading(before)) || (c == '[' && before.ends_with("##")) {
            out.push('\u{200b}');
        }
        out.push(c);
    }
    out
}

/// What a terminal shows of a line that was overwritten by carriage returns: the last part that is not empty.
pub fn after_returns(text: &str) -> &str {
    let text = text.trim_end();
    text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_guest_steers_the_terminal_or_the_runner() {
        assert_eq!(line("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{8}y\u{202e}z"), "red xyz");
        assert_eq!(line("\u{1b}]8;;http://x\u{1b}\\link"), "link");
        assert!(!line("::error::owned").contains("::"));
        assert!(!line("::::add-mask::x").contains("::"));
        assert!(!line("a ##[group]x").contains("##["));
        assert!(!line("\u{1b}[1m:\u{1b}[1m:error::x").contains("::"), "an escape cannot hide a command");
    }

    #[test]
    fn what_people_copy_stays_whole_and_what_runners_read_does_not() {
        let arn = "arn:aws:iam::123456789012:role/image-builder";
        assert_eq!(line(arn), arn);
        for command in ["::x::arn::y", " \t::x::", "\u{a0}::x::", "--> ::x::", "\u{200b}::x"] {
            assert!(!line(command).contains("::"), "{command:?}");
        }
        assert!(!break_commands("a::b\n::error::x").contains("\n::"));
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let cut = line(&"x".repeat(LONGEST_LINE + 10));
        assert!(cut.ends_with("… (10 more characters)"), "{}", &cut[cut.len() - 40..]);
    }

    #[test]
    fn carriage_returns_leave_the_last_part() {
        assert_eq!(after_returns("10%\r50%\r100%\r"), "100%");
        assert_eq!(after_returns("plain  "), "plain");
    }
}
