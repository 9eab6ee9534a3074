//! Traps of the provisioner `file`.

use crate::lint::fix::Edit;
use crate::lint::{Found, Rule, Subject, flag, says, text, texts};
use crate::template::plan::Part;
use crate::template::syntax::Expr;
use image_action_lang::SourceMap;

/// Neither a source nor a content.
pub static NOTHING: Rule = Rule {
    id: "file-copies-nothing",
    on: "provisioner `file`",
    summary: "Nothing is copied: neither source nor content is set",
    reason: "The provisioner succeeds without doing anything. An empty `content` counts as not set.",
    cure: "set `source`, `sources` or `content`",
    fixes: false,
    check: nothing,
};

fn nothing(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("file") {
        if !["source", "sources", "content"].iter().any(|o| says(&part.block, o)) {
            found.at(Some(part.header.clone()));
        }
    }
}

/// Several files, one path.
pub static OVERWRITE: Rule = Rule {
    id: "file-sources-overwrite-each-other",
    on: "provisioner `file`",
    summary: "Several files are copied to one path: only the last of them is left",
    reason: "A `destination` that does not end in a slash is the path of the file itself.",
    cure: "end `destination` with a slash, so that every file keeps its name in that directory",
    fixes: true,
    check: overwrite,
};

fn overwrite(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("file") {
        let body = &part.block;
        let upload = text(body, "direction").is_none_or(|d| d == "upload");
        let mut sources = texts(body, "sources").unwrap_or_default();
        sources.extend(text(body, "source"));
        let is_file = |source: &&str| subject.settings.cwd.join(source).is_file();
        let files = sources.iter().copied().filter(|s| flag(body, "generated") == Some(true) || is_file(s)).count();
        if upload && files > 1 && text(body, "destination").is_some_and(|d| !d.ends_with('/')) {
            found.at(body.span_of("destination")).fix(with_slash(part, subject.sources));
        }
    }
}

/// A slash at the end of a destination that is written out.
fn with_slash(part: &Part, sources: &SourceMap) -> Option<Edit> {
    let expr = &part.content.attribute("destination")?.expr;
    let Expr::Native(..) = expr else { return None };
    let span = expr.span();
    sources.slice(&span)?.strip_prefix('"')?.strip_suffix('"')?;
    Some(Edit::insert(&span, span.end - 1, "/"))
}
