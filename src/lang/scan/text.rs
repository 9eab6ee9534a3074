//! The scan of text with sequences in it: quoted strings, heredocs, whole files.

use super::{Frame, Open, Scanner, Template};

impl Scanner<'_> {
    pub(super) fn push_template(&mut self, start: usize, mark: Option<String>, quoted: bool) {
        self.stack.push(Frame::Template(Template { start, mark, quoted, directives: Vec::new() }));
    }

    /// `<<NAME` or `<<-NAME` with a line break right behind it.
    pub(super) fn heredoc_start(&mut self) -> bool {
        let start = self.at;
        let rest = &self.text[start + 2..];
        let name_start = rest.strip_prefix('-').unwrap_or(rest);
        let end =
            name_start.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(name_start.len());
        let (name, after) = name_start.split_at(end);
        if name.is_empty() || !(after.starts_with('\n') || after.starts_with("\r\n")) {
            self.error_with_hint(
                "Invalid expression",
                "A heredoc begins with << or <<-, a name right behind it, and a line break behind the name.".into(),
                "write <<EOT without any blank, and EOT alone in the line that ends the text".into(),
                start,
                start + 2,
            );
            return false;
        }
        let line_end = after.find('\n').map_or(self.text.len(), |i| self.text.len() - after.len() + i + 1);
        self.push_template(start, Some(name.to_owned()), false);
        self.at = line_end;
        true
    }

    /// At the start of a line of a heredoc: its end, or a line of text up to its end or to the next sequence.
    pub(super) fn heredoc_line(&mut self) -> bool {
        let line_end = self.rest().find('\n').map_or(self.text.len(), |i| self.at + i);
        let at_line_start = self.at == 0 || self.text.as_bytes()[self.at - 1] == b'\n';
        if at_line_start && let Some(Frame::Template(Template { mark: Some(mark), .. })) = self.stack.last() {
            let line = &self.text[self.at..line_end];
            let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
            let name = self.at + blanks..self.at + blanks + mark.len();
            let lookalike = line[blanks..].starts_with(mark.as_str());
            // Without a line break behind it, it is no end.
            if line.trim() == mark && line_end < self.text.len() {
                self.at = name.end;
                return self.end_template();
            }
            if lookalike {
                // The parser would take it for the end.
                let other = if mark.starts_with('_') { b'x' } else { b'_' };
                self.masked[name].fill(other);
            }
        }
        self.template_until(line_end)
    }

    pub(super) fn template(&mut self) -> bool {
        self.template_until(self.text.len())
    }

    /// Literal text up to `limit` or to the next sequence, whichever comes first.
    fn template_until(&mut self, limit: usize) -> bool {
        let quoted = matches!(self.stack.last(), Some(Frame::Template(Template { quoted: true, .. })));
        while self.at < limit {
            let rest = &self.text[self.at..];
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                self.at += 3;
                continue;
            }
            if rest.starts_with("${") || rest.starts_with("%{") {
                return self.sequence();
            }
            let Some(c) = rest.chars().next() else { break };
            match c {
                '"' if quoted => {
                    self.at += 1;
                    return self.end_template();
                }
                '\\' if quoted => {
                    let escaped = rest[1..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
                    self.at += 1 + escaped;
                }
                '\n' if quoted => return self.newline_in_string(),
                c => self.at += c.len_utf8(),
            }
        }
        // The line break itself belongs to a heredoc's text.
        self.at = (limit + 1).min(self.text.len());
        true
    }

    fn newline_in_string(&mut self) -> bool {
        let Some(Frame::Template(t)) = self.stack.pop() else { return false };
        let end = self.at;
        // `"${name"`: what looks like a string inside of a sequence is the end of the one around it.
        if let Some(Frame::Sequence(from)) = self.stack.last()
            && self.text[*from..end].lines().count() == 1
        {
            let from = *from;
            self.error_with_hint(
                "Unclosed template interpolation sequence",
                "There is no } for this sequence before the string ends.".into(),
                "where it is meant as text, write $${ or %%{".into(),
                from,
                t.start,
            );
            self.stack.pop();
            self.stack.pop();
            return true;
        }
        self.error_with_hint(
            "Invalid multi-line string",
            "A string between double quotes ends in the line in which it begins.".into(),
            "close it with a double quote; text of several lines is a heredoc (<<EOT), a line break in a string is \\n"
                .into(),
            t.start,
            end,
        );
        // What follows is probably sound: the string ends here.
        true
    }

    /// `${` or `%{` and, of a directive, its word.
    fn sequence(&mut self) -> bool {
        let start = self.at;
        let directive = self.rest().starts_with('%');
        self.at += 2;
        if self.rest().starts_with('~') {
            self.at += 1;
        }
        if directive {
            let after = self.rest().trim_start();
            let word_start = self.text.len() - after.len();
            let length = after.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(after.len());
            let word = &self.text[word_start..word_start + length];
            if !self.directive(word, word_start) {
                return false;
            }
            self.at = word_start + length;
        }
        self.stack.push(Frame::Sequence(start));
        true
    }

    fn directive(&mut self, word: &str, start: usize) -> bool {
        let Some(Frame::Template(template)) = self.stack.last_mut() else { return false };
        let open = &mut template.directives;
        let unexpected = match word {
            "if" => {
                open.push(Open { word: "if", start, has_else: false });
                false
            }
            "for" => {
                open.push(Open { word: "for", start, has_else: false });
                false
            }
            "else" => match open.last_mut() {
                Some(o) if o.word == "if" && !o.has_else => {
                    o.has_else = true;
                    false
                }
                _ => true,
            },
            "endif" => open.pop_if(|o| o.word == "if").is_none(),
            "endfor" => open.pop_if(|o| o.word == "for").is_none(),
            _ => {
                self.error_with_hint(
                    "Invalid template control keyword",
                    format!("{word:?} is no directive: it is one of if, else, endif, for, endfor."),
                    "a percent sign and a brace that are meant as text are written %%{".into(),
                    start,
                    start + word.len().max(1),
                );
                return false;
            }
        };
        if unexpected {
            let what = match open.last() {
                Some(o) => {
                    format!("The directive that is open here is the %{{ {} }}; {word:?} does not go with it.", o.word)
                }
                None => format!("There is no open directive that {word:?} could go with."),
            };
            self.error(&format!("Unexpected {word} directive"), what, start, start + word.len());
        }
        !unexpected
    }

    pub(super) fn end_template(&mut self) -> bool {
        let Some(Frame::Template(t)) = self.stack.pop() else { return false };
        self.item_start = false;
        self.unclosed_directives(&t)
    }

    pub(super) fn unclosed_directives(&mut self, t: &Template) -> bool {
        let Some(open) = t.directives.last() else { return true };
        self.error_with_hint(
            "Unexpected end of template",
            format!("The string ends, but this %{{ {} }} is still open.", open.word),
            format!("close it with %{{ end{} }}", open.word),
            open.start,
            open.start + open.word.len(),
        );
        false
    }
}
