//! Conversion between types, for values and types of any shape: what holds for all of them.

#![allow(clippy::unwrap_used)]

use image_action_lang::convert::can_convert;
use image_action_lang::{Number, Type, Value, convert};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop::sample::select(vec![Type::Bool, Type::Number, Type::String, Type::Dynamic]);
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(Type::set),
            inner.clone().prop_map(Type::map),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Type::tuple),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|all| Type::object(all.into_iter().map(|(k, t)| (Arc::from(k), t)))),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{0,4}",
        2 => "-?[0-9]{1,30}(\\.[0-9]{1,12})?",
        1 => prop::sample::select(vec!["true", "false", "1", "0", "e\u{301}", "é"]).prop_map(str::to_owned),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => text().prop_map(Value::string),
        2 => any::<i64>().prop_map(Value::int),
        1 => any::<bool>().prop_map(Value::bool),
        1 => types().prop_map(Value::null),
        1 => types().prop_map(Value::unknown),
    ];
    let marked = (leaf, prop::bool::weighted(0.1)).prop_map(|(v, secret)| v.with_sensitive(secret));
    marked.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::tuple),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|all| Value::object(all.into_iter().map(|(k, v)| (Arc::from(k), v)).collect())),
            prop::collection::vec(text(), 0..4).prop_map(Value::strings),
        ]
    })
}

/// Whether an object is anywhere in it.
fn has_object(value: &Value) -> bool {
    matches!(value.ty(), Type::Object(_))
        || value.elements().unwrap_or_default().iter().any(has_object)
        || value.entries().is_some_and(|e| e.values().any(has_object))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_has_its_own_type_already(value in values()) {
        let own = value.ty().clone();
        prop_assert_eq!(&convert(&value, &own).unwrap(), &value);
    }

    #[test]
    fn what_is_converted_is_converted(value in values(), want in types()) {
        if let Ok(once) = convert(&value, &want) {
            let twice = convert(&once, &want).unwrap();
            prop_assert_eq!(&twice, &once);
            // An unknown of no type can become anything later, so it says nothing yet.
            if !want.has_dynamic() {
                prop_assert_eq!(once.ty(), &want);
            }
            prop_assert!(can_convert(value.ty(), &want), "{:?} is no {}", value, want.friendly());
        }
    }

    #[test]
    fn no_secret_is_lost_and_none_is_made(value in values(), want in types()) {
        let Ok(converted) = convert(&value, &want) else { return Ok(()) };
        prop_assert!(value.contains_sensitive() || !converted.contains_sensitive());
        // An object gives up attributes that nobody asked for, and with them their secrets.
        prop_assert!(has_object(&value) || value.contains_sensitive() == converted.contains_sensitive(), "{:?}", converted);
    }

    #[test]
    fn nothing_stays_nothing(from in types(), want in types()) {
        if let Ok(null) = convert(&Value::null(from.clone()), &want) {
            prop_assert!(null.is_null());
        }
        if let Ok(unknown) = convert(&Value::unknown(from), &want) {
            prop_assert!(!unknown.is_wholly_known());
        }
    }

    #[test]
    fn numbers_survive_as_text(digits in "-?[0-9]{1,60}(\\.[0-9]{1,60})?") {
        let number = Value::number(Number::parse(&digits).unwrap());
        let back = convert(&convert(&number, &Type::String).unwrap(), &Type::Number).unwrap();
        prop_assert_eq!(number.equals(&back), Some(true), "{} became {:?}", digits, back);
    }

    #[test]
    fn a_set_is_sorted_and_has_each_once(texts in prop::collection::vec(text(), 0..8)) {
        let list = Value::strings(&texts);
        let set = convert(&list, &Type::set(Type::String)).unwrap();
        let back = convert(&set, &Type::list(Type::String)).unwrap();
        let found: Vec<&str> = back.elements().unwrap().iter().filter_map(Value::as_str).collect();
        // Strings are NFC, so two spellings of one letter are one text.
        let mut expected: Vec<&str> = list.elements().unwrap().iter().filter_map(Value::as_str).collect();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn an_object_is_a_map_where_its_values_are_of_one_type(entries in prop::collection::btree_map("[a-z]{1,4}", text(), 0..5)) {
        let entries: BTreeMap<Arc<str>, Value> =
            entries.into_iter().map(|(k, v)| (Arc::from(k), Value::string(v))).collect();
        let object = Value::object(entries.clone());
        let map = convert(&object, &Type::map(Type::String)).unwrap();
        prop_assert_eq!(&map, &Value::map(Type::String, entries));
        prop_assert_eq!(&convert(&map, object.ty()).unwrap(), &object);
    }
}
