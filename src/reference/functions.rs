//! What the functions of the language do, in words and examples. Their parameters are those of the language's own table; the
//! examples are evaluated by a test.

use image_action_lang::functions::{Function, Param, Takes, all};

/// What is said of one function.
pub struct About {
    /// As it is called.
    pub name: &'static str,
    /// What it gives, what is an error, what surprises (Markdown).
    pub meaning: &'static str,
    /// Expressions, and their results as `jsonencode` writes them. None where a result is never the same twice, or comes from
    /// outside.
    pub examples: &'static [(&'static str, &'static str)],
}

const fn about(name: &'static str, meaning: &'static str, examples: &'static [(&'static str, &'static str)]) -> About {
    About { name, meaning, examples }
}

/// How a function is called: `cidrsubnet(prefix: string, newbits: number, netnum: number) → string`.
pub fn signature(function: &Function) -> String {
    let show = |p: &Param| format!("{}: {}", p.name, p.takes.ty());
    match function.name {
        // These evaluate their arguments themselves, and declare none.
        "try" => return "try(expression, expression, ...)".to_owned(),
        "can" => return "can(expression) → bool".to_owned(),
        "convert" => return "convert(value, type)".to_owned(),
        _ => {}
    }
    let mut params: Vec<String> = function.params.iter().map(show).collect();
    params.extend(function.variadic.iter().map(|p| format!("{}...", show(p))));
    let result = match function.returns {
        Takes::Any => String::new(),
        takes => format!(" → {}", takes.ty()),
    };
    format!("{}({}){result}", function.name, params.join(", "))
}

/// Every function with what is said of it, by name.
pub fn documented() -> impl Iterator<Item = (&'static Function, &'static About)> {
    all().iter().filter_map(|f| Some((f, ABOUT.iter().find(|a| a.name == f.name)?)))
}

/// In the order of the alphabet.
pub const ABOUT: &[About] = &[
    about("abs", "The number without its sign.", &[("abs(-3)", "3")]),
    about("abspath", "The path made absolute from the working directory, without `.` and `..`.", &[]),
    about(
        "alltrue",
        "Whether every element is true. An empty list gives true; an element that is null gives false.",
        &[("alltrue([true, \"true\"])", "true"), ("alltrue([])", "true")],
    ),
    about(
        "anytrue",
        "Whether an element is true. An empty list gives false; elements that are null do not count.",
        &[("anytrue([false, true])", "true")],
    ),
    about(
        "aws_secretsmanager",
        "A value out of a secret in AWS Secrets Manager, read with the credentials and region of the environment. Of a secret that is a \
         JSON object, `key` says which entry; it may be null where there is one entry only. The value is sensitive.",
        &[],
    ),
    about(
        "aws_secretsmanager_raw",
        "The whole text of a secret in AWS Secrets Manager, read with the credentials and region of the environment. It is sensitive.",
        &[],
    ),
    about("basename", "The last part of a path.", &[("basename(\"/a/b.txt\")", "\"b.txt\"")]),
    about(
        "base64decode",
        "The text that a base64 text stands for. An error where that is not UTF-8.",
        &[("base64decode(\"aGk=\")", "\"hi\"")],
    ),
    about("base64encode", "The text in base64.", &[("base64encode(\"hi\")", "\"aGk=\"")]),
    about("base64gzip", "The text compressed with gzip, in base64: what cloud-init takes as user data.", &[]),
    about(
        "bcrypt",
        "A bcrypt hash of a password of at most 72 bytes. The cost is 10 where it is not given. Every call gives another hash.",
        &[],
    ),
    about("can", "Whether the expression can be evaluated without an error.", &[("can([1][5])", "false")]),
    about("ceil", "The nearest whole number that is not smaller.", &[("ceil(1.2)", "2")]),
    about("chomp", "The text without line breaks at its end.", &[("chomp(\"a\\n\\n\")", "\"a\"")]),
    about(
        "chunklist",
        "The list cut into lists of so many elements; the last may have fewer.",
        &[("chunklist([1, 2, 3], 2)", "[[1,2],[3]]")],
    ),
    about(
        "cidrhost",
        "The address of a host in an address block: the number is added to the block's first address. A negative one counts from \
         the end.",
        &[("cidrhost(\"10.0.0.0/8\", 5)", "\"10.0.0.5\""), ("cidrhost(\"10.0.0.0/8\", -1)", "\"10.255.255.255\"")],
    ),
    about("cidrnetmask", "The mask of an address block.", &[("cidrnetmask(\"10.0.0.0/12\")", "\"255.240.0.0\"")]),
    about(
        "cidrsubnet",
        "One of the equal parts of an address block: `newbits` more bits (32 at most) are fixed, to the value `netnum`.",
        &[("cidrsubnet(\"10.0.0.0/16\", 8, 2)", "\"10.0.2.0/24\"")],
    ),
    about(
        "cidrsubnets",
        "Parts of an address block, one after the other, each with so many bits more than the block.",
        &[("cidrsubnets(\"10.0.0.0/16\", 4, 8)", "[\"10.0.0.0/20\",\"10.0.16.0/24\"]")],
    ),
    about(
        "coalesce",
        "The first argument that is neither null nor an empty text. All are converted to one type first.",
        &[("coalesce(null, \"\", \"x\")", "\"x\"")],
    ),
    about("coalescelist", "The first list that has an element.", &[("coalescelist([], [1, 2])", "[1,2]")]),
    about("compact", "The list without empty texts and nulls.", &[("compact([\"a\", \"\", null])", "[\"a\"]")]),
    about("concat", "The lists, one behind the other.", &[("concat([1], [2, 3])", "[1,2,3]")]),
    about(
        "consul_key",
        "The value of a key in Consul. Its server is named by `CONSUL_HTTP_ADDR`, a token by `CONSUL_HTTP_TOKEN`; \
         the other variables of its own client hold too. It is sensitive.",
        &[],
    ),
    about(
        "contains",
        "Whether the list, tuple or set has this element. Nothing is converted: a number is not found among texts.",
        &[("contains([\"a\", \"b\"], \"a\")", "true"), ("contains([1], \"1\")", "false")],
    ),
    about(
        "convert",
        "The value as another type. The second argument is a type as in a variable's declaration.",
        &[("convert([1, 1], set(string))", "[\"1\"]"), ("convert(\"5\", number)", "5")],
    ),
    about(
        "csvdecode",
        "The rows of a CSV text as objects, whose attributes are named by the first row. All values are texts.",
        &[("csvdecode(\"a,b\\n1,2\\n\")", "[{\"a\":\"1\",\"b\":\"2\"}]")],
    ),
    about("dirname", "The path without its last part.", &[("dirname(\"/a/b.txt\")", "\"/a\"")]),
    about(
        "distinct",
        "The list without repeated elements; the first of each stays.",
        &[("distinct([\"a\", \"b\", \"a\"])", "[\"a\",\"b\"]")],
    ),
    about(
        "element",
        "The element at an index, counted from 0. Behind the end it goes on from the start. A negative index is an error.",
        &[("element([\"a\", \"b\"], 3)", "\"b\"")],
    ),
    about("endswith", "Whether the text ends with this one.", &[("endswith(\"a.txt\", \".txt\")", "true")]),
    about(
        "env",
        "The value of an environment variable, or an empty text. It can be called in the default of a variable only.",
        &[],
    ),
    about(
        "file",
        "The text of a file. The path is relative to the template's directory; `~` is the home directory. An error where the file \
         is not UTF-8: see `filebase64`.",
        &[],
    ),
    about("filebase64", "The bytes of a file in base64. The path is relative to the working directory.", &[]),
    about(
        "fileexists",
        "Whether there is a file. The path is relative to the template's directory. A directory is an error.",
        &[],
    ),
    about(
        "fileset",
        "The files below a directory whose paths match a pattern (`*`, `?`, `[a-z]`, `{a,b}`, `**` for any directories), relative \
         to that directory.",
        &[],
    ),
    about(
        "flatten",
        "The list with lists inside of it replaced by their elements, at every depth.",
        &[("flatten([[1], [2, [3]]])", "[1,2,3]")],
    ),
    about("floor", "The nearest whole number that is not bigger.", &[("floor(1.8)", "1")]),
    about(
        "format",
        "A text with the arguments in the place of verbs: `%s` text, `%d` whole number, `%f` number, `%t` bool, `%q` quoted text, \
         `%x` hexadecimal, `%v` anything, `%#v` as JSON. `%05d` pads with zeros, `%-10s` with blanks at the right, `%.2f` says how \
         many decimals, `%[2]s` which argument. Too few and too many arguments are errors.",
        &[("format(\"%s-%03d\", \"web\", 7)", "\"web-007\"")],
    ),
    about(
        "formatdate",
        "A time (RFC 3339) in another form: `YYYY` year, `MM` month, `DD` day, `hh` hour, `mm` minute, `ss` second, `MMM` Jan, \
         `EEE` Mon, `HH` hour of 12 with `AA` AM, `ZZZZZ` +01:00. Letters that stand for themselves go between single quotes.",
        &[("formatdate(\"YYYY-MM-DD\", \"2024-03-09T10:00:00Z\")", "\"2024-03-09\"")],
    ),
    about(
        "formatlist",
        "`format` for every element of the lists among the arguments, which must be equally long; other arguments are repeated.",
        &[("formatlist(\"%s.%s\", [\"a\", \"b\"], \"x\")", "[\"a.x\",\"b.x\"]")],
    ),
    about(
        "indent",
        "The text with so many blanks in front of every line but the first.",
        &[("indent(2, \"a\\nb\")", "\"a\\n  b\"")],
    ),
    about(
        "index",
        "Where an element is in a list, counted from 0. An error where it is not.",
        &[("index([\"a\", \"b\"], \"b\")", "1")],
    ),
    about(
        "join",
        "The elements of the lists as one text, with the separator in between.",
        &[("join(\", \", [\"a\", \"b\"])", "\"a, b\"")],
    ),
    about(
        "jsondecode",
        "The value that a JSON text stands for.",
        &[("jsondecode(\"{\\\"a\\\": [1]}\")", "{\"a\":[1]}")],
    ),
    about("jsonencode", "The value as JSON, on one line.", &[("jsonencode({ a = 1 })", "\"{\\\"a\\\":1}\"")]),
    about("keys", "The names of a map or an object, sorted.", &[("keys({ b = 1, a = 2 })", "[\"a\",\"b\"]")]),
    about(
        "legacy_isotime",
        "The time at which the build was started, in UTC, in the form of Go's time package: `legacy_isotime(\"2006-01-02\")`. \
         Without a format as RFC 3339. Unlike `timestamp` it is the same in every call.",
        &[],
    ),
    about(
        "legacy_strftime",
        "The time at which the build was started, in UTC, in the form of strftime: `legacy_strftime(\"%Y%m%d\")`.",
        &[],
    ),
    about(
        "length",
        "How many elements a collection has, or how many characters a text.",
        &[("length([1, 2])", "2"), ("length(\"é\")", "1")],
    ),
    about("log", "The logarithm to a base.", &[("log(16, 2)", "4")]),
    about(
        "lookup",
        "The value of a key in a map or an object, or the default where the key is not there.",
        &[("lookup({ a = 1 }, \"b\", 0)", "0")],
    ),
    about("lower", "The text in lower case.", &[("lower(\"AbC\")", "\"abc\"")]),
    about("max", "The biggest of the numbers; `max(list...)` takes those of a list.", &[("max(1, 3, 2)", "3")]),
    about("md5", "The MD5 sum of the text, in hexadecimal.", &[("md5(\"\")", "\"d41d8cd98f00b204e9800998ecf8427e\"")]),
    about(
        "merge",
        "The entries of all maps or objects; a later one wins. Values inside are not merged.",
        &[("merge({ a = 1, b = 1 }, { b = 2 })", "{\"a\":1,\"b\":2}")],
    ),
    about("min", "The smallest of the numbers; `min(list...)` takes those of a list.", &[("min(1, 3, 2)", "1")]),
    about("parseint", "The whole number that a text writes in a base of 2 to 62.", &[("parseint(\"ff\", 16)", "255")]),
    about("pathexpand", "The path with a leading `~` replaced by the home directory.", &[]),
    about("pow", "The number to a power, with the precision of a 64-bit float.", &[("pow(2, 10)", "1024")]),
    about(
        "range",
        "Numbers in a row: `range(limit)`, `range(start, limit)` or `range(start, limit, step)`. The limit itself is not among \
         them; there are 1024 at most.",
        &[("range(3)", "[0,1,2]"), ("range(1, 8, 3)", "[1,4,7]")],
    ),
    about(
        "regex",
        "The first match of a pattern (RE2): the text, or a list of the groups, or an object where the groups have names. No match \
         is an error; see `can` and `regexall`.",
        &[
            ("regex(\"[a-z]+\", \"12ab\")", "\"ab\""),
            ("regex(\"(?P<n>[0-9]+)-(?P<m>[0-9]+)\", \"1-2\")", "{\"m\":\"2\",\"n\":\"1\"}"),
        ],
    ),
    about(
        "regex_replace",
        "The text with every match of a pattern (RE2) replaced. `$1` is a group there; `$${name}`, with two dollars, one that has \
         a name.",
        &[("regex_replace(\"a-b\", \"(.)-(.)\", \"$2-$1\")", "\"b-a\"")],
    ),
    about(
        "regexall",
        "Every match of a pattern, each as `regex` gives it. No match is an empty list.",
        &[("regexall(\"[0-9]\", \"a1b2\")", "[\"1\",\"2\"]")],
    ),
    about(
        "replace",
        "The text with every place of a text replaced. There are no patterns here: see `regex_replace`.",
        &[("replace(\"1.2.3\", \".\", \"-\")", "\"1-2-3\"")],
    ),
    about("reverse", "The list from its end to its start.", &[("reverse([1, 2])", "[2,1]")]),
    about(
        "rfc3339_parse",
        "The parts of a time: `year`, `month`, `month_name`, `day`, `hour`, `minute`, `second`, `weekday` (0 is Sunday), \
         `weekday_name`, `year_day`, `iso_year`, `iso_week`, `unix`.",
        &[("rfc3339_parse(\"2024-03-09T10:00:00Z\").year_day", "69")],
    ),
    about(
        "rsadecrypt",
        "A text that was encrypted for an RSA key (PKCS #1 v1.5, in base64). The key is PEM that begins with `BEGIN RSA PRIVATE KEY`.",
        &[],
    ),
    about(
        "setintersection",
        "What is in all of the sets.",
        &[("setintersection([\"a\", \"b\"], [\"b\", \"c\"])", "[\"b\"]")],
    ),
    about(
        "setproduct",
        "Every combination of one element of each.",
        &[("setproduct([\"a\", \"b\"], [\"x\"])", "[[\"a\",\"x\"],[\"b\",\"x\"]]")],
    ),
    about("setunion", "What is in any of the sets.", &[("setunion([\"a\"], [\"b\", \"a\"])", "[\"a\",\"b\"]")]),
    about(
        "sha1",
        "The SHA-1 sum of the text, in hexadecimal.",
        &[("sha1(\"\")", "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"")],
    ),
    about("sha256", "The SHA-256 sum of the text, in hexadecimal.", &[]),
    about("sha512", "The SHA-512 sum of the text, in hexadecimal.", &[]),
    about("signum", "-1, 0 or 1: the sign of a whole number.", &[("signum(-7)", "-1")]),
    about(
        "slice",
        "The elements from one index to before another, counted from 0.",
        &[("slice([\"a\", \"b\", \"c\"], 1, 3)", "[\"b\",\"c\"]")],
    ),
    about(
        "sort",
        "The texts in the order of their bytes. Numbers become texts: 10 comes before 9.",
        &[("sort([\"b\", \"a\"])", "[\"a\",\"b\"]"), ("sort([10, 9])", "[\"10\",\"9\"]")],
    ),
    about(
        "split",
        "The parts of the text between separators.",
        &[("split(\",\", \"a,b\")", "[\"a\",\"b\"]"), ("split(\",\", \"\")", "[\"\"]")],
    ),
    about("startswith", "Whether the text begins with this one.", &[("startswith(\"web-1\", \"web\")", "true")]),
    about("strcontains", "Whether the text has this one in it.", &[("strcontains(\"abc\", \"b\")", "true")]),
    about("strrev", "The characters of the text from the end to the start.", &[("strrev(\"abc\")", "\"cba\"")]),
    about(
        "substr",
        "Characters of the text: from which one, counted from 0 (or from the end, if negative), and how many (-1 for all that \
         follow).",
        &[("substr(\"hello\", 1, 3)", "\"ell\""), ("substr(\"hello\", -2, -1)", "\"lo\"")],
    ),
    about("sum", "The sum of the numbers of a list. An empty list is an error.", &[("sum([1, 2])", "3")]),
    about(
        "templatefile",
        "A file as a template, in which the entries of the map or object are variables: `${name}`. The path is relative to the \
         template's directory. The variables of the template itself are not seen there.",
        &[],
    ),
    about(
        "textdecodebase64",
        "The text that a base64 text stands for in an encoding.",
        &[("textdecodebase64(\"aABpAA==\", \"UTF-16LE\")", "\"hi\"")],
    ),
    about(
        "textencodebase64",
        "The text in an encoding (`UTF-16LE`, `ISO-8859-1`, ...) and that in base64; PowerShell's `-EncodedCommand` takes UTF-16LE.",
        &[("textencodebase64(\"hi\", \"UTF-16LE\")", "\"aABpAA==\"")],
    ),
    about(
        "timeadd",
        "A time (RFC 3339) with a duration added, which may be negative: `2h30m`, `-10m`.",
        &[("timeadd(\"2024-03-09T10:00:00Z\", \"90m\")", "\"2024-03-09T11:30:00Z\"")],
    ),
    about(
        "timestamp",
        "The time now, in UTC, as RFC 3339. Every call looks at the clock: put it into a local where the same time is needed twice.",
        &[],
    ),
    about(
        "title",
        "The text with every word beginning in upper case.",
        &[("title(\"hello world\")", "\"Hello World\"")],
    ),
    about("trim", "The text without these characters at both ends.", &[("trim(\"--a-b-\", \"-\")", "\"a-b\"")]),
    about("trimprefix", "The text without this one at its start.", &[("trimprefix(\"v1.2\", \"v\")", "\"1.2\"")]),
    about("trimspace", "The text without white space at both ends.", &[("trimspace(\"  a \\n\")", "\"a\"")]),
    about("trimsuffix", "The text without this one at its end.", &[("trimsuffix(\"a.txt\", \".txt\")", "\"a\"")]),
    about(
        "try",
        "The first of the expressions that can be evaluated without an error. null is no error: see `coalesce`.",
        &[("try({ a = 1 }.b, \"none\")", "\"none\"")],
    ),
    about(
        "unix_timestamp_parse",
        "The parts of a time that is given in seconds since 1970, in UTC: those of `rfc3339_parse`, with `rfc3339` in the place of \
         `unix`.",
        &[("unix_timestamp_parse(0).rfc3339", "\"1970-01-01T00:00:00Z\"")],
    ),
    about("upper", "The text in upper case.", &[("upper(\"AbC\")", "\"ABC\"")]),
    about(
        "urlencode",
        "The text as it stands in the query of a URL; a blank becomes `+`.",
        &[("urlencode(\"a b/c\")", "\"a+b%2Fc\"")],
    ),
    about("uuidv4", "A random UUID. Every call gives another one.", &[]),
    about(
        "uuidv5",
        "The UUID of a name in a namespace: `dns`, `url`, `oid`, `x500`, or a UUID.",
        &[("uuidv5(\"dns\", \"example.com\")", "\"cfbff0d1-9375-5685-968c-48ce8b15ae17\"")],
    ),
    about(
        "values",
        "The values of a map or an object, in the order of their names.",
        &[("values({ b = 1, a = 2 })", "[2,1]")],
    ),
    about(
        "vault",
        "A value of a secret in Vault: the path of the secret (`secret/data/NAME` in a key-value store of version 2), and the key \
         in it. The server is named by `VAULT_ADDR`; `VAULT_TOKEN` must be set, and the other variables of its own client hold \
         too. The value is sensitive.",
        &[],
    ),
    about(
        "yamldecode",
        "The value that a YAML text stands for. `yes`, `no`, `on` and `off` are bools, as in YAML 1.1.",
        &[("yamldecode(\"a: [1, yes]\")", "{\"a\":[1,true]}")],
    ),
    about("yamlencode", "The value as YAML.", &[("yamlencode({ a = [1] })", "\"\\\"a\\\":\\n- 1\\n\"")]),
    about(
        "zipmap",
        "A map of keys and values that stand in two lists of the same length.",
        &[("zipmap([\"a\", \"b\"], [1, 2])", "{\"a\":1,\"b\":2}")],
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use image_action_lang::{Diagnostics, Scope, Source, World, eval, parse};
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    #[test]
    fn every_function_is_described_once() {
        let ours: BTreeSet<_> = ABOUT.iter().map(|a| a.name).collect();
        let table: BTreeSet<_> = all().iter().map(|f| f.name).collect();
        assert_eq!(ours, table);
        assert_eq!(ours.len(), ABOUT.len());
    }

    #[test]
    fn every_example_gives_what_it_says() {
        let world = World::new(std::path::Path::new("/"), BTreeMap::new(), std::time::SystemTime::now().into());
        let scope = Scope::new(Arc::new(world));
        for (expression, result) in ABOUT.iter().flat_map(|a| a.examples) {
            let text = format!("jsonencode({expression})");
            let mut diags = Diagnostics::new();
            let value = eval(
                &parse::parse_expr(&Arc::from("x"), &text).unwrap(),
                &scope,
                &Source::new("x", &*text),
                &mut diags,
            );
            assert_eq!(value.as_str(), Some(*result), "{expression}: {:?}", diags.iter().collect::<Vec<_>>());
        }
    }
}
