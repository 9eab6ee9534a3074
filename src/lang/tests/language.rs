//! What the recorded answers cannot show: sensitivity, unknown values, defaults of types, references, scopes.
#![allow(clippy::unwrap_used, missing_docs)]

use image_action_lang::parse::{parse_body, parse_expr};
use image_action_lang::{
    Diagnostics, FunctionSet, Scope, Source, Step, Type, Value, World, body_references, eval, parse_type, references,
};
use std::collections::BTreeMap;
use std::sync::Arc;

fn world() -> World {
    let environment = BTreeMap::from([("HOME".to_owned(), "/home/me".to_owned()), ("A".to_owned(), "b".to_owned())]);
    World::new("/nonexistent", environment, chrono::DateTime::UNIX_EPOCH)
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::object(entries.into_iter().map(|(k, v)| (Arc::from(k), v)).collect())
}

fn scope() -> Scope {
    let var = object([
        ("a", Value::string("x")),
        ("secret", Value::string("s3cret").with_sensitive(true)),
        ("list", Value::tuple(vec![Value::string("s3cret").with_sensitive(true), Value::string("y")])),
        ("later", Value::dynamic()),
        ("text", Value::unknown(Type::String)),
        ("some", Value::unknown(Type::list(Type::Number))),
    ]);
    Scope::new(Arc::new(world())).with("var", var)
}

fn value(text: &str, scope: &Scope) -> Result<Value, Diagnostics> {
    let source = Source::new("t", text);
    let expr = parse_expr(&source.name, &source.text)?;
    let mut diags = Diagnostics::new();
    let value = eval(&expr, scope, &source, &mut diags);
    if diags.has_errors() { Err(diags) } else { Ok(value) }
}

fn ok(text: &str) -> Value {
    value(text, &scope()).unwrap_or_else(|d| panic!("{text}: {d:?}"))
}

#[test]
fn sensitivity_travels_with_the_value() {
    for text in [
        "var.secret",
        "\"a${var.secret}b\"",
        "\"%{ for v in var.list }${v}%{ endfor }\"",
        "upper(var.secret)",
        "base64encode(var.secret)",
        "sha256(var.secret)",
        "join(\",\", var.list)",
        "jsonencode({ a = var.secret })",
        "var.secret == \"x\"",
        "length(var.secret)",
        "var.secret == \"x\" ? 1 : 2",
        "split(\"c\", var.secret)",
        "convert(var.secret, string)",
        "format(\"%s\", var.secret)",
        "var.list[0]",
        "element(var.list, 0)",
        "lookup({ a = var.secret }, \"a\", \"\")",
        "coalesce(var.secret, \"\")",
        "try(var.secret, 1)",
        "{ (var.secret) = 1 }",
        "zipmap([var.secret], [1])",
        "setunion(var.list)",
        "contains(var.list, \"y\")",
        "sort(var.list)[0]",
        "merge({ a = var.secret }, {}).a",
        "[for v in var.list : v][0]",
        "flatten([[var.secret]])[0]",
        "<<EOT\n${var.secret}\nEOT\n",
        "!(var.secret == 1)",
        "-length(var.secret)",
        "regex(\"s\", var.secret)",
        "[{ a = var.secret }].*.a[0]",
    ] {
        let found = ok(text);
        assert!(found.is_sensitive(), "{text} is {found:?}");
        assert!(!format!("{found:?}").contains("3cret"), "{text}");
    }
}

#[test]
fn what_stands_beside_a_secret_is_none() {
    for text in [
        "var.list[1]",
        "length(var.list)",
        "{ a = var.secret, b = 1 }.b",
        "merge({ a = var.secret }, { b = 1 }).b",
        "keys({ a = var.secret })",
        "[for v in var.list : v][1]",
        "concat(var.list, [1])[2]",
        "reverse(var.list)[0]",
        "values({ a = var.secret, b = 1 })[1]",
        "can(var.secret)",
    ] {
        assert!(!ok(text).contains_sensitive(), "{text}");
    }
}

#[test]
fn messages_do_not_quote_secrets() {
    for text in [
        "regex(\"(\", var.secret)",
        "parseint(var.secret, 10)",
        "file(var.secret)",
        "{ for v in [1, 2] : var.secret => v }",
    ] {
        let diags = value(text, &scope()).unwrap_err();
        assert!(!format!("{diags:?}").contains("s3cret"), "{text}: {diags:?}");
    }
}

#[test]
fn unknown_stays_unknown_and_knows_its_type() {
    for (text, ty) in [
        ("var.later", "any"),
        ("var.later.x[3].y", "any"),
        ("var.later + 1", "number"),
        ("var.later == 1", "bool"),
        ("\"a${var.later}\"", "string"),
        ("upper(var.later)", "string"),
        ("length(var.some)", "number"),
        ("var.some[0]", "number"),
        ("[for v in var.some : v]", "any"),
        ("var.later ? 1 : 2", "number"),
        ("var.later ? [1] : [1, 2]", "list(number)"),
        ("true && var.later", "bool"),
        ("try(var.later, 1)", "any"),
        ("can(var.later)", "bool"),
        ("var.some[*]", "list(number)"),
        ("convert(var.text, number)", "number"),
        ("coalesce(var.text, \"x\")", "string"),
        ("format(\"%s-%s\", \"x\", var.later)", "string"),
        ("{ (var.text) = 1 }", "any"),
        ("distinct([\"a\", var.text])", "list(string)"),
        ("contains([var.text], \"x\")", "bool"),
        ("max(var.some...)", "any"),
    ] {
        let found = ok(text);
        assert!(found.is_unknown() && found.ty().to_string() == ty, "{text} is {found:?} of type {}", found.ty());
    }
    // What does not depend on the unknown part is known.
    for (text, want) in [
        ("length([var.later, 1])", Value::int(2)),
        ("false && var.later", Value::bool(false)),
        ("var.later || true", Value::bool(true)),
        ("[var.later, 1][1]", Value::int(1)),
        ("{ a = var.later, b = 2 }.b", Value::int(2)),
        ("coalesce(\"x\", var.text)", Value::string("x")),
        ("contains([\"x\", var.text], \"x\")", Value::bool(true)),
        ("merge({ a = var.later }, { b = 1 }).b", Value::int(1)),
        ("var.some == \"a\"", Value::bool(false)),
        ("anytrue([var.later, true])", Value::bool(true)),
        ("element([1, var.later], 0)", Value::int(1)),
    ] {
        assert_eq!(ok(text), want, "{text}");
    }
}

#[test]
fn optional_attributes_are_filled_in_at_every_depth() {
    let text = "list(object({ a = optional(string, \"d\"), b = optional(number), c = optional(object({ x = optional(bool, true) }), {}) }))";
    let source = Source::new("t", text);
    let constraint = parse_type(&parse_expr(&source.name, text).unwrap(), &source).unwrap();
    let given = ok("[{}, { a = null, b = \"3\", c = { x = false }, z = 1 }]");
    let got = constraint.convert(&given).unwrap();
    let entry = |a: &str, b: Value, x: bool| {
        object([("a", Value::string(a)), ("b", b), ("c", object([("x", Value::bool(x))]))])
    };
    let want = [entry("d", Value::null(Type::Number), true), entry("d", ok("convert(\"3\", number)"), false)];
    assert_eq!(got.elements().unwrap(), want);
    assert_eq!(got.ty().to_string(), "list(object({a = string, b = number, c = object({x = bool})}))");
    for bad in [
        "list",
        "string()",
        "\"string\"",
        "object({ a = optional(number, \"x\") })",
        "optional(string)",
        "int",
        "list(a, b)",
        "object({ a = string, a = number })",
    ] {
        let source = Source::new("t", bad);
        assert!(parse_type(&parse_expr(&source.name, bad).unwrap(), &source).is_err(), "{bad}");
    }
}

#[test]
fn references_are_found_without_evaluating() {
    let text = "x = [for a in local.list : \"${a}-${var.b[\"c\"].d[0]}-${data.t.n[*].z}\" if a != local.k]\ny = convert(var.q, list(string))\nb {\n  z = <<EOT\n%{ for v in local.loop }${v}${source.name}%{ endfor }\nEOT\n}\n";
    let source = Source::new("t", text);
    let body = parse_body(&source.name, text).unwrap();
    let found = body_references(&body, &source);
    let names: Vec<&str> = found.iter().map(|t| source.slice(t.span.start..t.span.end)).collect();
    assert_eq!(
        names,
        ["local.list", "var.b[\"c\"].d[0]", "data.t.n[*].z", "local.k", "var.q", "local.loop", "source.name"]
    );
    assert_eq!(
        found[1].steps,
        [Step::Attribute("b".into()), Step::Attribute("c".into()), Step::Attribute("d".into()), Step::Index(0)]
    );
    assert_eq!(
        (found[2].root.as_ref(), found[2].attribute(0), found[2].steps.last()),
        ("data", Some("t"), Some(&Step::Attribute("z".into())))
    );
    assert!(references(&parse_expr(&source.name, "1").unwrap(), &source).is_empty());
}

#[test]
fn a_minus_may_stand_apart_from_its_number() {
    for text in ["-5", "- 5", "-/* 7 */ 5", "- /*a*/ /*b*/5", "-(5)"] {
        assert_eq!(ok(text), ok("0 - 5"), "{text}");
    }
}

#[test]
fn scopes_allow_what_they_are_for() {
    let summary = |text: &str, scope: &Scope| value(text, scope).unwrap_err().iter().next().unwrap().summary.clone();
    let bare = Scope::new(Arc::new(world()));
    assert_eq!(summary("var.a", &bare), "Variables not allowed");
    assert_eq!(summary("upper(\"a\")", &Scope::constant()), "Function calls not allowed");
    let default = bare.with_functions(FunctionSet::EnvOnly);
    assert_eq!(value("env(\"A\")", &default).unwrap(), Value::string("b"));
    assert_eq!(value("env(\"unset\")", &default).unwrap(), Value::string(""));
    assert_eq!(summary("upper(\"a\")", &default), "Call to unknown function");
    assert_eq!(summary("env(\"A\")", &bare), "Call to unknown function");
    assert_eq!(ok("pathexpand(\"~/x\")"), Value::string("/home/me/x"));
    let inner = scope().with("var", Value::int(1));
    assert_eq!(value("var", &inner).unwrap(), Value::int(1));
}

#[test]
fn a_secret_is_decrypted_with_its_key() {
    use base64::Engine as _;
    use rsa::pkcs1::EncodeRsaPrivateKey as _;
    let mut random = rsa::rand_core::OsRng;
    let key = rsa::RsaPrivateKey::new(&mut random, 1024).unwrap();
    let sealed = key.to_public_key().encrypt(&mut random, rsa::Pkcs1v15Encrypt, b"open").unwrap();
    let scope = scope()
        .with("sealed", Value::string(base64::engine::general_purpose::STANDARD.encode(sealed)))
        .with("key", Value::string(key.to_pkcs1_pem(rsa::pkcs1::LineEnding::LF).unwrap()));
    assert_eq!(value("rsadecrypt(sealed, key)", &scope).unwrap(), Value::string("open"));
    let small = rsa::RsaPrivateKey::new(&mut random, 512).unwrap();
    let scope = scope.with("key", Value::string(small.to_pkcs1_pem(rsa::pkcs1::LineEnding::LF).unwrap()));
    assert!(value("rsadecrypt(sealed, key)", &scope).is_err());
}
