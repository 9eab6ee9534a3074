//! Dates as Go and strftime write them, in UTC.

use chrono::{DateTime, Datelike, Timelike, Utc};
use std::fmt::Write as _;

/// What a Go layout holds at some place; longer ones first where one begins another.
const CHUNKS: &[&str] = &[
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "-07:00:00",
    "-070000",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z070000",
    "Z07:00",
    "Z0700",
    "Z07",
    "__2",
    "_2",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "1",
    "2",
    "3",
    "4",
    "5",
];

/// Writes a time by a Go layout (`2006-01-02T15:04:05Z07:00`).
pub fn go_layout(time: DateTime<Utc>, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    'next: while let Some(c) = rest.chars().next() {
        if let Some((text, length)) = fraction(time, rest, layout.len() - rest.len(), layout) {
            out.push_str(&text);
            rest = &rest[length..];
            continue;
        }
        for chunk in CHUNKS {
            // "Jan" in "January" was met before it; "Janus" and "Month" are words, not dates.
            let word = matches!(*chunk, "Jan" | "Mon")
                && rest.get(chunk.len()..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_lowercase()));
            // `_2006` is a line and the year, not `_2` and `006`.
            let year = *chunk == "_2" && rest.starts_with("_2006");
            if rest.starts_with(chunk) && !word && !year {
                chunk_text(time, chunk, &mut out);
                rest = &rest[chunk.len()..];
                continue 'next;
            }
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// A fraction of seconds (`.000`, `,999`): its text, and how much of the layout it takes.
fn fraction(time: DateTime<Utc>, rest: &str, at: usize, layout: &str) -> Option<(String, usize)> {
    let mark = rest.chars().next().filter(|c| *c == '.' || *c == ',')?;
    let digit = rest[1..].chars().next().filter(|c| *c == '0' || *c == '9')?;
    let digits = rest[1..].chars().take_while(|c| *c == digit).count();
    let after = rest[1 + digits..].chars().next();
    // A fraction follows the seconds, and no further digit follows it.
    if after.is_some_and(|c| c.is_ascii_digit())
        || digits > 9
        || !layout[..at].ends_with(['5', '0', '9']) && digit == '0'
    {
        return None;
    }
    let nanos = format!("{:09}", time.nanosecond() % 1_000_000_000);
    let text = if digit == '0' {
        format!("{mark}{}", &nanos[..digits])
    } else {
        let kept = nanos[..digits].trim_end_matches('0');
        if kept.is_empty() { String::new() } else { format!("{mark}{kept}") }
    };
    Some((text, 1 + digits))
}

fn chunk_text(time: DateTime<Utc>, chunk: &str, out: &mut String) {
    let format = match chunk {
        "January" => "%B",
        "Jan" => "%b",
        "Monday" => "%A",
        "Mon" => "%a",
        "MST" => "UTC",
        "2006" => "%Y",
        "06" => "%y",
        "01" => "%m",
        "1" => "%-m",
        "02" => "%d",
        "_2" => "%e",
        "2" => "%-d",
        "002" => "%j",
        "15" => "%H",
        "03" => "%I",
        "3" => "%-I",
        "04" => "%M",
        "4" => "%-M",
        "05" => "%S",
        "5" => "%-S",
        "PM" => "%p",
        "pm" => "%P",
        "-07:00:00" => "+00:00:00",
        "-070000" => "+000000",
        "-07:00" => "+00:00",
        "-0700" => "+0000",
        "-07" => "+00",
        "__2" => {
            let _ = write!(out, "{:>3}", time.ordinal());
            return;
        }
        // Z07:00 and its kin: UTC is Z.
        _ => "Z",
    };
    // Every format above is one of chrono's.
    let _ = write!(out, "{}", time.format(format));
}

/// What may follow the percent sign.
const SPECIFIERS: &str = "AaBbCcDdeFHIjklMmnpRrSTtUuVvWwXxYyZzh%";

/// Writes a time by a strftime format.
///
/// # Errors
/// Where a specifier is unknown.
pub fn strftime(time: DateTime<Utc>, format: &str) -> Result<String, String> {
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c == '%' {
            match chars.next() {
                Some(s) if SPECIFIERS.contains(s) => {}
                Some(s) => return Err(format!("the format {format:?} holds the unknown specifier %{s}")),
                None => return Err(format!("the format {format:?} ends in a lone %")),
            }
        }
    }
    let mut out = String::new();
    write!(out, "{}", time.format(format)).map_err(|_| format!("the format {format:?} is not valid"))?;
    Ok(out)
}
