//! Dates and times.

use super::args::{text, whole_at};
use super::{Function, FunctionError, Outcome, Takes, deep, param};
use crate::gotemplate::time::go_layout;
use crate::number::Number;
use crate::scope::World;
use crate::timefmt::{format_date, parse_duration, parse_rfc3339, rfc3339, strftime};
use crate::value::Value;
use chrono::{DateTime, Datelike as _, FixedOffset, TimeDelta, Timelike as _, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

const TIMESTAMP: super::Param = param("timestamp", Takes::String);

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    // Each call reads the clock; only the legacy functions tell when the run began.
    deep("timestamp", &[], Takes::String, |_, _| Ok(Value::string(rfc3339(&Utc::now().fixed_offset())))),
    deep("formatdate", &[param("format", Takes::String), param("time", Takes::String)], Takes::String, |_, a| {
        let time = parse_rfc3339(text(&a[1]), false).map_err(|e| FunctionError::at(1, e))?;
        format_date(&time, text(&a[0])).map(Value::string).map_err(|e| FunctionError::at(0, e))
    }),
    deep("timeadd", &[TIMESTAMP, param("duration", Takes::String)], Takes::String, timeadd),
    deep("rfc3339_parse", &[TIMESTAMP], Takes::Any, |_, a| {
        let time = parse_rfc3339(text(&a[0]), true).map_err(|e| FunctionError::at(0, e))?;
        let mut parts = parts(&time);
        parts.insert(Arc::from("unix"), Value::int(time.timestamp()));
        Ok(Value::object(parts))
    }),
    deep("unix_timestamp_parse", &[param("unix_timestamp", Takes::Number)], Takes::Any, |_, a| {
        let seconds = whole_at(&a[0], 0)?;
        let time = DateTime::<Utc>::from_timestamp(seconds, 0)
            .ok_or_else(|| FunctionError::at(0, "this is too far from our time"))?
            .fixed_offset();
        let mut parts = parts(&time);
        parts.insert(Arc::from("rfc3339"), Value::string(rfc3339(&time)));
        Ok(Value::object(parts))
    }),
    deep("legacy_isotime", &[], Takes::String, |world, a| match a {
        [] => Ok(Value::string(rfc3339(&world.start.fixed_offset()))),
        [layout] => Ok(Value::string(go_layout(world.start, text(layout)))),
        _ => Err(FunctionError::new("too many values, 1 needed: a layout")),
    })
    .variadic(param("format", Takes::String)),
    deep("legacy_strftime", &[], Takes::String, |world, a| match a {
        [] => Ok(Value::string(rfc3339(&world.start.fixed_offset()))),
        [format] => Ok(Value::string(strftime(&world.start.fixed_offset(), text(format)))),
        _ => Err(FunctionError::new("too many values, 1 needed: a format")),
    })
    .variadic(param("format", Takes::String)),
];

fn timeadd(_: &World, a: &[Value]) -> Outcome {
    let time = parse_rfc3339(text(&a[0]), false).map_err(|e| FunctionError::at(0, e))?;
    let nanoseconds = parse_duration(text(&a[1])).map_err(|e| FunctionError::at(1, e))?;
    let sum = time.checked_add_signed(TimeDelta::nanoseconds(nanoseconds));
    let sum = sum.ok_or_else(|| FunctionError::new("the result is too far from our time"))?;
    Ok(Value::string(rfc3339(&sum)))
}

/// Every part of a time, in its own offset.
fn parts(time: &DateTime<FixedOffset>) -> BTreeMap<Arc<str>, Value> {
    let week = time.iso_week();
    let numbers = [
        ("year", i64::from(time.year())),
        ("year_day", i64::from(time.ordinal())),
        ("day", i64::from(time.day())),
        ("month", i64::from(time.month())),
        ("weekday", i64::from(time.weekday().num_days_from_sunday())),
        ("hour", i64::from(time.hour())),
        ("minute", i64::from(time.minute())),
        ("second", i64::from(time.second())),
        ("iso_year", i64::from(week.year())),
        ("iso_week", i64::from(week.week())),
    ];
    let mut parts: BTreeMap<Arc<str>, Value> =
        numbers.into_iter().map(|(name, n)| (Arc::from(name), Value::number(Number::from_i64(n)))).collect();
    parts.insert(Arc::from("month_name"), Value::string(time.format("%B").to_string()));
    parts.insert(Arc::from("weekday_name"), Value::string(time.format("%A").to_string()));
    parts
}
