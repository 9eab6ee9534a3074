//! Durations as Go writes them (`1h2m3.5s`, `500ms`).

use std::time::Duration;

/// Units by name, in nanoseconds; longer names first where one begins another.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

/// Reads a duration of Go's syntax.
///
/// # Errors
/// A sentence that names what is wrong with the text, with an example of a right one.
pub fn parse(text: &str) -> Result<Duration, String> {
    let body = text.strip_prefix('+').unwrap_or(text);
    if body == "0" {
        return Ok(Duration::ZERO);
    }
    if body.starts_with('-') {
        return Err(format!("the duration \"{text}\" is negative"));
    }
    if body.is_empty() {
        return Err("a duration is a number with a unit, such as \"90s\" or \"5m\"; this one is empty".to_owned());
    }
    let mut rest = body;
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| {
            format!("\"{text}\" is not a duration; write a number with a unit, such as \"90s\" or \"5m\"")
        })?;
        rest = &rest[digits..];
        let length = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..length];
        if unit.is_empty() {
            return Err(format!("the duration \"{text}\" has no unit; write \"{text}s\" for seconds"));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!(
                "the duration \"{text}\" has the unknown unit \"{unit}\"; units are ns, us, ms, s, m, h"
            ));
        };
        nanos += number * scale;
        rest = &rest[length..];
    }
    // Go keeps a duration in an int64 of nanoseconds.
    if nanos > 9.2e18 {
        return Err(format!("the duration \"{text}\" is too long"));
    }
    Ok(Duration::from_nanos(nanos as u64))
}

/// Writes a duration for people: `1h2m3s`, `1.5s`, `0s`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (h, m) {
        (0, 0) if seconds < 10 && duration.subsec_millis() > 0 => {
            let text = format!("{:.1}", duration.as_secs_f64());
            format!("{}s", text.trim_end_matches(".0"))
        }
        (0, 0) => format!("{s}s"),
        (0, _) => format!("{m}m{s}s"),
        _ => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        assert_eq!(parse("1h2m3s"), Ok(Duration::from_secs(3723)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        for bad in ["", "5", "s", "5x", "-3s", "1..2s", "99999999999h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shows_for_people() {
        assert_eq!(show(Duration::from_millis(1500)), "1.5s");
        assert_eq!(show(Duration::from_secs(3723)), "1h2m3s");
        assert_eq!(show(Duration::from_secs(62)), "1m2s");
        assert_eq!(show(Duration::ZERO), "0s");
    }
}
