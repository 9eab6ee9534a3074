//! Numbers.

use super::args::whole;
use super::{Function, FunctionError, Outcome, Takes, deep, param};
use crate::convert::convert;
use crate::number::Number;
use crate::scope::World;
use crate::value::{Kind, Type, Value};
use num_bigint::BigUint;
use std::cmp::Ordering;

/// `range` gives no more numbers than this.
const MAX_RANGE: usize = 1024;

/// `parseint` reads no more digits than this.
const MAX_DIGITS: usize = 10_000;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("abs", &[param("num", Takes::Number)], Takes::Number, |_, a| Ok(Value::number(num(&a[0])?.abs()))),
    deep("ceil", &[param("num", Takes::Number)], Takes::Number, |_, a| Ok(Value::number(num(&a[0])?.ceil()))),
    deep("floor", &[param("num", Takes::Number)], Takes::Number, |_, a| Ok(Value::number(num(&a[0])?.floor()))),
    deep("log", &[param("num", Takes::Number), param("base", Takes::Number)], Takes::Number, log),
    deep("pow", &[param("num", Takes::Number), param("power", Takes::Number)], Takes::Number, pow),
    deep("signum", &[param("num", Takes::Number)], Takes::Number, |_, a| Ok(Value::int(whole(&a[0])?.signum()))),
    deep("max", &[], Takes::Number, |_, a| extreme(a, Ordering::Greater)).variadic(param("numbers", Takes::Number)),
    deep("min", &[], Takes::Number, |_, a| extreme(a, Ordering::Less)).variadic(param("numbers", Takes::Number)),
    deep("parseint", &[param("number", Takes::Any), param("base", Takes::Number)], Takes::Number, parseint),
    deep("sum", &[param("list", Takes::Any)], Takes::Number, sum),
    deep("range", &[], Takes::List, range).variadic(param("params", Takes::Number)),
];

fn num(value: &Value) -> Result<&Number, FunctionError> {
    value.as_number().ok_or_else(|| FunctionError::new("a number is required"))
}

fn float(f: f64) -> Outcome {
    Number::from_f64(f).map(Value::number).map_err(|e| FunctionError::new(e.to_string()))
}

fn log(_: &World, a: &[Value]) -> Outcome {
    float(num(&a[0])?.as_f64().ln() / num(&a[1])?.as_f64().ln())
}

fn pow(_: &World, a: &[Value]) -> Outcome {
    float(num(&a[0])?.as_f64().powf(num(&a[1])?.as_f64()))
}

fn extreme(a: &[Value], wanted: Ordering) -> Outcome {
    let mut best = a.first().ok_or_else(|| FunctionError::new("must pass at least one number"))?;
    for value in a {
        if num(value)?.compare(num(best)?) == wanted {
            best = value;
        }
    }
    Ok(best.clone())
}

fn parseint(_: &World, a: &[Value]) -> Outcome {
    let Kind::String(given) = a[0].kind() else {
        return Err(FunctionError::at(0, format!("this argument must be a string, not {}", a[0].ty().friendly())));
    };
    let base = whole(&a[1]).ok().and_then(|b| u32::try_from(b).ok()).filter(|b| (2..=62).contains(b));
    let base = base.ok_or_else(|| FunctionError::at(1, "base must be a whole number between 2 and 62 inclusive"))?;
    let invalid = || FunctionError::at(0, format!("cannot parse {given:?} as a base {base} integer"));
    let (negative, digits) = match given.as_bytes().first() {
        Some(b'-') => (true, &given[1..]),
        Some(b'+') => (false, &given[1..]),
        _ => (false, &given[..]),
    };
    if digits.is_empty() {
        return Err(invalid());
    }
    if digits.len() > MAX_DIGITS {
        return Err(FunctionError::at(0, format!("a number of more than {MAX_DIGITS} digits is not read")));
    }
    let mut magnitude = BigUint::from(0u8);
    for b in digits.bytes() {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'z' => b - b'a' + 10,
            b'A'..=b'Z' if base <= 36 => b - b'A' + 10,
            b'A'..=b'Z' => b - b'A' + 36,
            _ => return Err(invalid()),
        };
        if u32::from(digit) >= base {
            return Err(invalid());
        }
        magnitude = magnitude * base + digit;
    }
    Ok(Value::number(Number::from_integer(negative, magnitude)))
}

fn sum(_: &World, a: &[Value]) -> Outcome {
    let fail = |message: &str| FunctionError::at(0, message);
    if !matches!(a[0].ty(), Type::List(_) | Type::Set(_) | Type::Tuple(_)) {
        return Err(fail("cannot sum noniterable"));
    }
    let elements = a[0].elements().unwrap_or_default();
    let mut total: Option<Number> = None;
    for element in elements {
        if element.is_null() {
            return Err(fail("argument must be list, set, or tuple of number values"));
        }
        let n = convert(element, &Type::Number)
            .map_err(|_| fail("argument must be list, set, or tuple of number values"))?;
        let n = num(&n)?.clone();
        total = Some(match total {
            Some(t) => t.add(&n).map_err(|e| fail(&e.to_string()))?,
            None => n,
        });
    }
    total.map(Value::number).ok_or_else(|| fail("cannot sum an empty list"))
}

fn range(_: &World, a: &[Value]) -> Outcome {
    let zero = Number::from_i64(0);
    let below = |x: &Number, y: &Number| x.compare(y) == Ordering::Less;
    let unit = |down: bool| Number::from_i64(if down { -1 } else { 1 });
    let (start, end, step) = match a {
        [end] => (zero.clone(), num(end)?.clone(), unit(below(num(end)?, &zero))),
        [start, end] => (num(start)?.clone(), num(end)?.clone(), unit(below(num(end)?, num(start)?))),
        [start, end, step] => (num(start)?.clone(), num(end)?.clone(), num(step)?.clone()),
        _ => return Err(FunctionError::new("must have one, two, or three arguments")),
    };
    if step.is_zero() {
        return Err(FunctionError::at(2, "step must not be zero"));
    }
    let down = step.is_negative();
    if down && below(&start, &end) {
        return Err(FunctionError::at(1, "end must be less than start when step is negative"));
    }
    if !down && below(&end, &start) {
        return Err(FunctionError::at(1, "end must be greater than start when step is positive"));
    }
    let mut values = Vec::new();
    let mut at = start;
    while if down { below(&end, &at) } else { below(&at, &end) } {
        if values.len() >= MAX_RANGE {
            return Err(FunctionError::new(format!("more than {MAX_RANGE} values were generated")));
        }
        let next = at.add(&step).map_err(|e| FunctionError::new(e.to_string()))?;
        values.push(Value::number(at));
        at = next;
    }
    Ok(Value::list(Type::Number, values))
}
