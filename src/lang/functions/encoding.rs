//! Base64, gzip, URLs, CSV, text in other character sets.

use super::args::text;
use super::{Function, FunctionError, Outcome, Takes, deep, param};
use crate::scope::World;
use crate::value::{Type, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

/// What a query leaves as it is, besides letters and digits.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

const STR: super::Param = param("str", Takes::String);

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("base64encode", &[STR], Takes::String, |_, a| Ok(Value::string(STANDARD.encode(text(&a[0]))))),
    deep("base64decode", &[STR], Takes::String, base64decode),
    deep("base64gzip", &[STR], Takes::String, base64gzip),
    deep("urlencode", &[STR], Takes::String, |_, a| {
        Ok(Value::string(utf8_percent_encode(text(&a[0]), QUERY).to_string().replace(' ', "+")))
    }),
    deep("csvdecode", &[STR], Takes::List, csvdecode),
    deep(
        "textencodebase64",
        &[param("string", Takes::String), param("encoding", Takes::String)],
        Takes::String,
        encode,
    ),
    deep(
        "textdecodebase64",
        &[param("source", Takes::String), param("encoding", Takes::String)],
        Takes::String,
        decode,
    ),
];

/// Bytes of base64 text; line ends in it do not count.
pub(super) fn from_base64(encoded: &str) -> Result<Vec<u8>, String> {
    let joined: String = encoded.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD.decode(joined).map_err(|e| format!("the given value is not valid base64: {e}"))
}

fn base64decode(_: &World, a: &[Value]) -> Outcome {
    let bytes = from_base64(text(&a[0])).map_err(FunctionError::new)?;
    let decoded = String::from_utf8(bytes);
    decoded
        .map(Value::string)
        .map_err(|_| FunctionError::new("the result of decoding the provided string is not valid UTF-8"))
}

fn base64gzip(_: &World, a: &[Value]) -> Outcome {
    let failed = |e: std::io::Error| FunctionError::new(format!("failed to compress: {e}"));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text(&a[0]).as_bytes()).map_err(failed)?;
    Ok(Value::string(STANDARD.encode(encoder.finish().map_err(failed)?)))
}

/// Cells of a table: each of them becomes a value with a name.
const MAX_CELLS: usize = 1_000_000;

fn csvdecode(_: &World, a: &[Value]) -> Outcome {
    let mut rows = csv_rows(text(&a[0])).map_err(FunctionError::new)?.into_iter();
    let Some(header) = rows.next() else {
        return Err(FunctionError::new("missing header line"));
    };
    let cells = header.len().saturating_mul(rows.len());
    if cells > MAX_CELLS {
        return Err(FunctionError::new(format!("the table has {cells} cells; {MAX_CELLS} are the limit")));
    }
    let names: Vec<Arc<str>> = header.iter().map(|n| Arc::from(super::args::text(&Value::string(n)))).collect();
    let mut attributes = BTreeMap::new();
    for name in &names {
        if attributes.insert(name.clone(), Type::String).is_some() {
            return Err(FunctionError::new(format!("duplicate column name {name:?}")));
        }
    }
    let mut objects = Vec::new();
    for (i, row) in rows.enumerate() {
        if row.len() != names.len() {
            return Err(FunctionError::new(format!("record {}: wrong number of fields", i + 2)));
        }
        objects.push(Value::object(names.iter().cloned().zip(row.iter().map(Value::string)).collect()));
    }
    Ok(Value::list(Type::object(attributes), objects))
}

/// Rows of RFC 4180 as strictly as Go reads them: a quote only at the start of a field, blank lines do not count, CRLF
/// is a line feed, inside of quotes too.
fn csv_rows(text: &str) -> Result<Vec<Vec<String>>, String> {
    let normalised = text.replace("\r\n", "\n");
    let mut rest = normalised.as_str();
    let mut line = 1;
    let mut rows = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('\n') {
            rest = after;
            line += 1;
            continue;
        }
        let mut row = Vec::new();
        loop {
            let (field, after) = csv_field(rest, &mut line)?;
            row.push(field);
            rest = after;
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None => break,
            }
        }
        rest = rest.strip_prefix('\n').unwrap_or(rest);
        line += 1;
        rows.push(row);
    }
    Ok(rows)
}

/// One field and what follows it: a comma, a line feed, or nothing.
fn csv_field<'a>(rest: &'a str, line: &mut usize) -> Result<(String, &'a str), String> {
    let Some(mut quoted) = rest.strip_prefix('"') else {
        let end = rest.find([',', '\n']).unwrap_or(rest.len());
        let field = &rest[..end];
        if field.contains('"') {
            return Err(format!("line {line}: bare \" in non-quoted field"));
        }
        // A carriage return before the end of the text is part of the line's end.
        let last = end == rest.len();
        return Ok((if last { field.strip_suffix('\r').unwrap_or(field) } else { field }.to_owned(), &rest[end..]));
    };
    let start = *line;
    let mut field = String::new();
    loop {
        let Some(i) = quoted.find('"') else {
            return Err(format!("line {start}: extraneous or missing \" in quoted field"));
        };
        field.push_str(&quoted[..i]);
        *line += quoted[..i].matches('\n').count();
        quoted = &quoted[i + 1..];
        if let Some(after) = quoted.strip_prefix('"') {
            field.push('"');
            quoted = after;
            continue;
        }
        if quoted == "\r" {
            quoted = "";
        }
        return if quoted.is_empty() || quoted.starts_with([',', '\n']) {
            Ok((field, quoted))
        } else {
            Err(format!("line {line}: extraneous or missing \" in quoted field"))
        };
    }
}

/// A character set by its IANA name.
enum Charset {
    Utf16 { little: bool, mark: bool },
    Ascii,
    Latin1,
    Other(&'static encoding_rs::Encoding),
}

/// Labels that browsers know but IANA does not.
const NOT_IANA: &[&str] = &["utf8", "unicode-1-1-utf-8", "x-sjis", "ms932", "x-gbk", "x-cp1252", "x-x-big5", "dos-874"];

fn charset(name: &str) -> Result<Charset, FunctionError> {
    let unknown = || FunctionError::at(1, format!("{name:?} is not a supported IANA encoding name or alias"));
    let label = name.to_ascii_lowercase();
    match label.as_str() {
        "utf-16le" => return Ok(Charset::Utf16 { little: true, mark: false }),
        "utf-16be" => return Ok(Charset::Utf16 { little: false, mark: false }),
        "utf-16" => return Ok(Charset::Utf16 { little: false, mark: true }),
        "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso646-us" | "us" | "csascii" | "cp367" | "ibm367" | "iso-ir-6" => {
            return Ok(Charset::Ascii);
        }
        "iso-8859-1" | "iso_8859-1:1987" | "iso_8859-1" | "latin1" | "l1" | "ibm819" | "cp819" | "iso-ir-100"
        | "csisolatin1" => {
            return Ok(Charset::Latin1);
        }
        _ => {}
    }
    if NOT_IANA.contains(&label.as_str()) || label != label.trim() {
        return Err(unknown());
    }
    let encoding = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(unknown)?;
    // What the label stands for among browsers, such as windows-1254 for ISO-8859-9, is near enough.
    Ok(Charset::Other(encoding))
}

fn encode(_: &World, a: &[Value]) -> Outcome {
    let given = text(&a[0]);
    let name = text(&a[1]);
    let impossible = |c: Option<char>| {
        let which = c.map_or_else(String::new, |c| format!(" {c:?}"));
        FunctionError::at(
            0,
            format!("the given string contains characters that cannot be represented in {name}:{which}"),
        )
    };
    let single = |limit: u32| {
        given
            .chars()
            .map(|c| {
                u8::try_from(u32::from(c)).ok().filter(|_| u32::from(c) < limit).ok_or_else(|| impossible(Some(c)))
            })
            .collect::<Result<Vec<u8>, _>>()
    };
    let bytes = match charset(name)? {
        Charset::Ascii => single(0x80)?,
        Charset::Latin1 => single(0x100)?,
        Charset::Utf16 { little, mark } => {
            let units = mark.then_some(0xfeff).into_iter().chain(given.encode_utf16());
            units.flat_map(|u: u16| if little { u.to_le_bytes() } else { u.to_be_bytes() }).collect()
        }
        Charset::Other(encoding) => {
            let (bytes, _, unmappable) = encoding.encode(given);
            if unmappable {
                return Err(impossible(None));
            }
            bytes.into_owned()
        }
    };
    Ok(Value::string(STANDARD.encode(bytes)))
}

fn decode(_: &World, a: &[Value]) -> Outcome {
    let set = charset(text(&a[1]))?;
    let bytes = from_base64(text(&a[0])).map_err(|e| FunctionError::at(0, e))?;
    let invalid = || FunctionError::at(0, format!("the given string is not valid in the encoding {}", text(&a[1])));
    let decoded = match set {
        Charset::Ascii => String::from_utf8(bytes).ok().filter(|s| s.is_ascii()).ok_or_else(invalid)?,
        Charset::Latin1 => bytes.iter().map(|b| char::from(*b)).collect(),
        Charset::Utf16 { little, mark } => {
            let (little, body) = match bytes.get(..2) {
                Some([0xff, 0xfe]) if mark => (true, &bytes[2..]),
                Some([0xfe, 0xff]) if mark => (false, &bytes[2..]),
                _ => (little, &bytes[..]),
            };
            if body.len() % 2 != 0 {
                return Err(invalid());
            }
            let units = body.chunks_exact(2).map(|c| {
                let pair = [c[0], c[1]];
                if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
            });
            char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| invalid())?
        }
        Charset::Other(encoding) => {
            let decoded = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
            decoded.ok_or_else(invalid)?.into_owned()
        }
    };
    if decoded.contains('\u{fffd}') { Err(invalid()) } else { Ok(Value::string(decoded)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn csv_as_strict_as_go() {
        assert_eq!(csv_rows("a,b\n\n\"x\"\"y\nz\",\r\n").unwrap(), [vec!["a", "b"], vec!["x\"y\nz", ""]]);
        assert_eq!(csv_rows("a,\n").unwrap(), [vec!["a", ""]]);
        assert!(csv_rows("a\"b").is_err());
        assert!(csv_rows("\"a\"b").is_err());
        assert!(csv_rows("\"a").is_err());
    }
}
