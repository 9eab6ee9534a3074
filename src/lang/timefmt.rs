//! Times and durations in the notations that templates use: RFC 3339, the verbs of `formatdate`, strftime, Go's
//! durations. Go's layouts stand with the Go templates.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, Offset as _, TimeZone as _, Timelike as _};
use std::fmt::Write as _;

/// RFC 3339 in whole seconds, `Z` for no offset.
pub fn rfc3339(time: &DateTime<FixedOffset>) -> String {
    format!("{:04}{}{}", time.year(), time.format("-%m-%dT%H:%M:%S"), offset(time, true, true))
}

/// `+hh:mm` or `+hhmm`; `Z` for none where `zulu`.
fn offset(time: &DateTime<FixedOffset>, colon: bool, zulu: bool) -> String {
    let seconds = time.offset().fix().local_minus_utc();
    if zulu && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    let colon = if colon { ":" } else { "" };
    format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
}

/// Reads RFC 3339 strictly: capital T (or a blank, where `blank`) and Z, two digits each, a fraction after a point.
///
/// # Errors
/// A phrase that says what is wrong.
pub fn parse_rfc3339(text: &str, blank: bool) -> Result<DateTime<FixedOffset>, String> {
    let invalid = || format!("{text:?} is not a valid RFC 3339 timestamp, such as 2006-01-02T15:04:05Z");
    let b = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        let digits = b.get(range)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    let separators = |all: &[(usize, u8)]| all.iter().all(|(i, c)| b.get(*i) == Some(c));
    let parse = || -> Option<DateTime<FixedOffset>> {
        let middle = *b.get(10)?;
        if !separators(&[(4, b'-'), (7, b'-'), (13, b':'), (16, b':')])
            || !(middle == b'T' || (blank && middle == b' '))
        {
            return None;
        }
        let date = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(5..7)?, number(8..10)?)?;
        let mut at = 19;
        let mut nanoseconds = 0;
        if b.get(at) == Some(&b'.') {
            let digits = b[at + 1..].iter().take_while(|d| d.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            // More digits than nanoseconds have are cut off.
            let kept = format!("{:0<9}", &text[at + 1..at + 1 + digits.min(9)]);
            nanoseconds = kept.parse().ok()?;
            at += 1 + digits;
        }
        let time = date.and_hms_nano_opt(number(11..13)?, number(14..16)?, number(17..19)?, nanoseconds)?;
        let seconds = match *b.get(at)? {
            b'Z' if b.len() == at + 1 => 0,
            sign @ (b'+' | b'-') if b.len() == at + 6 && b[at + 3] == b':' => {
                let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
                if sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        FixedOffset::east_opt(seconds)?.from_local_datetime(&time).single()
    };
    parse().ok_or_else(invalid)
}

/// Writes a time by the verbs of `formatdate`: `YYYY-MM-DD'T'hh:mm:ssZ`.
///
/// # Errors
/// A letter or a run of letters that is no verb; a quote without its end.
pub fn format_date(time: &DateTime<FixedOffset>, format: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        if c == '\'' {
            rest = quoted(rest, &mut out)?;
            continue;
        }
        if !c.is_ascii_alphabetic() {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let length = rest.chars().take_while(|d| *d == c).count();
        let (verb, after) = rest.split_at(length);
        rest = after;
        date_verb(time, verb, &mut out)?;
    }
    Ok(out)
}

/// A quoted part; `''` in it is a quote, and `''` alone is one as well.
fn quoted<'a>(text: &'a str, out: &mut String) -> Result<&'a str, String> {
    let mut rest = &text[1..];
    let mut empty = true;
    loop {
        let Some(i) = rest.find('\'') else {
            return Err("unterminated literal '".to_owned());
        };
        out.push_str(&rest[..i]);
        empty &= i == 0;
        rest = &rest[i + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                out.push('\'');
                empty = false;
                rest = after;
            }
            None => {
                if empty {
                    out.push('\'');
                }
                return Ok(rest);
            }
        }
    }
}

fn date_verb(time: &DateTime<FixedOffset>, verb: &str, out: &mut String) -> Result<(), String> {
    let hour12 = (time.hour() + 11) % 12 + 1;
    let written = match verb {
        "YYYY" => write!(out, "{:04}", time.year()),
        "YY" => write!(out, "{:02}", time.year().rem_euclid(100)),
        "MMMM" => write!(out, "{}", time.format("%B")),
        "MMM" => write!(out, "{}", time.format("%b")),
        "MM" => write!(out, "{:02}", time.month()),
        "M" => write!(out, "{}", time.month()),
        "DD" => write!(out, "{:02}", time.day()),
        "D" => write!(out, "{}", time.day()),
        "EEEE" => write!(out, "{}", time.format("%A")),
        "EEE" => write!(out, "{}", time.format("%a")),
        "hh" => write!(out, "{:02}", time.hour()),
        "h" => write!(out, "{}", time.hour()),
        "HH" => write!(out, "{hour12:02}"),
        "H" => write!(out, "{hour12}"),
        "AA" => write!(out, "{}", time.format("%p")),
        "aa" => write!(out, "{}", time.format("%P")),
        "mm" => write!(out, "{:02}", time.minute()),
        "m" => write!(out, "{}", time.minute()),
        "ss" => write!(out, "{:02}", time.second()),
        "s" => write!(out, "{}", time.second()),
        "ZZZZZ" => write!(out, "{}", offset(time, true, false)),
        "ZZZZ" => write!(out, "{}", offset(time, false, false)),
        "ZZZ" if time.offset().fix().local_minus_utc() == 0 => write!(out, "UTC"),
        "ZZZ" => write!(out, "{}", offset(time, false, false)),
        "Z" => write!(out, "{}", offset(time, true, true)),
        _ => {
            let known = match verb.as_bytes()[0] {
                b'Y' => "YYYY or YY",
                b'M' => "MMMM, MMM, MM or M",
                b'D' => "DD or D",
                b'E' => "EEEE or EEE",
                b'h' | b'H' => "hh, h, HH or H",
                b'A' | b'a' => "AA or aa",
                b'm' => "mm or m",
                b's' => "ss or s",
                b'Z' => "ZZZZZ, ZZZZ, ZZZ or Z",
                _ => "no such letter; text goes between single quotes",
            };
            return Err(format!("invalid date format verb {verb:?}: {known}"));
        }
    };
    // Writing to a string does not fail.
    let _ = written;
    Ok(())
}

/// Writes a time by strftime's letters, as far as Packer knows them; others stay as they are.
pub fn strftime(time: &DateTime<FixedOffset>, format: &str) -> String {
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(c) = letters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let written = match letters.next() {
            Some(l @ ('a' | 'A' | 'b' | 'B' | 'd' | 'H' | 'I' | 'm' | 'M' | 'p' | 'S' | 'y' | 'z')) => {
                write!(out, "{}", time.format(&format!("%{l}")))
            }
            Some('Y') => write!(out, "{:04}", time.year()),
            // Milliseconds, with their point.
            Some('L') => write!(out, ".{:03}", time.timestamp_subsec_millis()),
            Some('Z') => write!(out, "UTC"),
            Some('%') => write!(out, "%"),
            Some(other) => write!(out, "%{other}"),
            None => write!(out, "%"),
        };
        // Writing to a string does not fail.
        let _ = written;
    }
    out
}

/// Nanoseconds of a Go duration: `1h30m`, `-1.5s`, `500ms`, `0`.
///
/// # Errors
/// A phrase that says what is wrong.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid duration {text:?}: a number with a unit is needed, such as 300ms, 1.5h or 2h45m");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, tail) = after.split_at(unit_length);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("missing unit in duration {text:?}: write {text}s for seconds")),
            _ => return Err(format!("unknown unit {unit:?} in duration {text:?}: it is one of ns us ms s m h")),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
            return Err(invalid());
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let mut part = whole * scale;
        let kept = &fraction[..fraction.len().min(18)];
        if !kept.is_empty() {
            let numerator: i128 = kept.parse().map_err(|_| invalid())?;
            part += numerator * scale / 10i128.pow(u32::try_from(kept.len()).unwrap_or(0));
        }
        total += part;
        if total > i128::from(i64::MAX) {
            return Err(format!("duration {text:?} is too long"));
        }
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn letters_of_strftime() {
        let time = parse_rfc3339("2006-01-02T15:04:05.678Z", false).unwrap();
        assert_eq!(strftime(&time, "%Y%m%d %H:%M:%S%L %p %Z%%%"), "20060102 15:04:05.678 PM UTC%%");
    }

    #[test]
    fn durations_of_go() {
        assert_eq!(parse_duration("1h30m").unwrap(), 5_400_000_000_000);
        assert_eq!(parse_duration("-1.5s").unwrap(), -1_500_000_000);
        for bad in ["", "1", "1d", "-", ".s", "1..2s", "99999999999999999999h", "1h 2m", "é"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        for text in ["", "é", "2020-01-02Té", "2020-01-02T03:04:05.", "2020-01-02T03:04:05é0000", "éééééééééééééé"]
        {
            assert!(parse_rfc3339(text, true).is_err(), "{text}");
        }
    }
}
