//! The one type that several others can be converted to: for `cond ? a : b`, `[…]` as a list, `coalesce`, `concat`.

use crate::convert::can_convert_within;
use crate::value::Type;
use std::cell::Cell;
use std::cmp::Ordering;

/// The type that all of `types` convert to, if there is one. No types at all: none.
///
/// Of one kind alone the result may be a type that none of the given ones is: `[1]` and `["a", "b"]` meet in
/// `list(string)`. Else the most general of the given types that every other one converts to.
pub fn unify(types: &[Type]) -> Option<Type> {
    unify_within(types, &Fuel::default())
}

/// Types that one question may look at. Lists and tuples inside of each other make the same question come up again and
/// again; types that take longer than this were made to.
const MAX_STEPS: u32 = 100_000;

/// What is left of [`MAX_STEPS`].
pub(crate) struct Fuel(Cell<u32>);

impl Default for Fuel {
    fn default() -> Self {
        Fuel(Cell::new(MAX_STEPS))
    }
}

impl Fuel {
    /// Takes one step; `None` when there is none left.
    pub(crate) fn step(&self) -> Option<()> {
        self.0.set(self.0.get().checked_sub(1)?);
        Some(())
    }
}

/// [`unify`] as part of a larger question.
pub(crate) fn unify_within(types: &[Type], fuel: &Fuel) -> Option<Type> {
    fuel.step()?;
    let first = types.first()?;
    if types.iter().all(|t| t == first) {
        return Some(first.clone());
    }
    match structural(types, fuel) {
        Outcome::Type(t) => return Some(t),
        Outcome::Impossible => return None,
        Outcome::Undecided => {}
    }
    let mut candidates: Vec<&Type> = types.iter().collect();
    candidates.sort_by(|a, b| preference(a, b));
    candidates.into_iter().find(|want| types.iter().all(|t| t == *want || can_convert_within(t, want, fuel))).cloned()
}

enum Outcome {
    Type(Type),
    Impossible,
    /// Only conversion between the given types is left to try.
    Undecided,
}

impl From<Option<Type>> for Outcome {
    fn from(t: Option<Type>) -> Self {
        t.map_or(Outcome::Impossible, Outcome::Type)
    }
}

fn structural(types: &[Type], fuel: &Fuel) -> Outcome {
    let count = |f: fn(&Type) -> bool| types.iter().filter(|t| f(t)).count();
    let maps = count(|t| matches!(t, Type::Map(_)));
    let lists = count(|t| matches!(t, Type::List(_)));
    let sets = count(|t| matches!(t, Type::Set(_)));
    let objects = count(|t| matches!(t, Type::Object(_)));
    let tuples = count(|t| matches!(t, Type::Tuple(_)));
    let dynamic = count(|t| matches!(t, Type::Dynamic));
    let all = types.len();
    let collection = |make: fn(Type) -> Type| -> Outcome {
        if dynamic > 0 {
            return Outcome::Type(Type::Dynamic);
        }
        let elements: Vec<Type> = types.iter().filter_map(|t| t.element().cloned()).collect();
        unify_within(&elements, fuel).map(make).into()
    };
    if maps > 0 && maps + dynamic == all {
        return collection(Type::map);
    }
    if maps > 0 && maps + objects + dynamic == all {
        return match flattened(types, |t| matches!(t, Type::Object(_)), attributes_as_map, fuel) {
            Some(t @ Type::Map(_)) => Outcome::Type(t),
            _ => Outcome::Undecided,
        };
    }
    if lists > 0 && lists + dynamic == all {
        return collection(Type::list);
    }
    if lists > 0 && lists + tuples + dynamic == all {
        return match flattened(types, |t| matches!(t, Type::Tuple(_)), elements_as_list, fuel) {
            Some(t @ Type::List(_)) => Outcome::Type(t),
            _ => Outcome::Undecided,
        };
    }
    if sets > 0 && sets + dynamic == all {
        return collection(Type::set);
    }
    if objects > 0 && objects + dynamic == all {
        return if dynamic > 0 { Outcome::Type(Type::Dynamic) } else { same_objects(types, fuel).into() };
    }
    if tuples > 0 && tuples + dynamic == all {
        return if dynamic > 0 { Outcome::Type(Type::Dynamic) } else { same_tuples(types, fuel).into() };
    }
    if objects > 0 && tuples > 0 { Outcome::Impossible } else { Outcome::Undecided }
}

/// Unifies with every type that `is` picks replaced by the one collection that `as_collection` makes of those.
fn flattened(
    types: &[Type],
    is: fn(&Type) -> bool,
    as_collection: fn(&[Type], &Fuel) -> Option<Type>,
    fuel: &Fuel,
) -> Option<Type> {
    let picked: Vec<Type> = types.iter().filter(|t| is(t)).cloned().collect();
    let collection = as_collection(&picked, fuel)?;
    let replaced: Vec<Type> = types.iter().map(|t| if is(t) { collection.clone() } else { t.clone() }).collect();
    unify_within(&replaced, fuel)
}

fn attributes_as_map(objects: &[Type], fuel: &Fuel) -> Option<Type> {
    let all: Vec<Type> = objects
        .iter()
        .filter_map(|t| if let Type::Object(o) = t { Some(o.attributes.values().cloned()) } else { None })
        .flatten()
        .collect();
    unify_within(&all, fuel).map(Type::map)
}

fn elements_as_list(tuples: &[Type], fuel: &Fuel) -> Option<Type> {
    let all: Vec<Type> = tuples
        .iter()
        .filter_map(|t| if let Type::Tuple(e) = t { Some(e.iter().cloned()) } else { None })
        .flatten()
        .collect();
    unify_within(&all, fuel).map(Type::list)
}

fn same_objects(types: &[Type], fuel: &Fuel) -> Option<Type> {
    let objects: Vec<_> =
        types.iter().filter_map(|t| if let Type::Object(o) = t { Some(&o.attributes) } else { None }).collect();
    let (first, rest) = objects.split_first()?;
    if rest.iter().any(|o| o.keys().ne(first.keys())) {
        return attributes_as_map(types, fuel);
    }
    // An attribute without a common type ends it: as a map there would be none either.
    let mut attributes = Vec::new();
    for name in first.keys() {
        let across: Vec<Type> = objects.iter().map(|o| o[name].clone()).collect();
        attributes.push((name.clone(), unify_within(&across, fuel)?));
    }
    Some(Type::object(attributes))
}

fn same_tuples(types: &[Type], fuel: &Fuel) -> Option<Type> {
    let tuples: Vec<_> = types.iter().filter_map(|t| if let Type::Tuple(e) = t { Some(e) } else { None }).collect();
    let (first, rest) = tuples.split_first()?;
    if rest.iter().any(|t| t.len() != first.len()) {
        return elements_as_list(types, fuel);
    }
    let mut elements = Vec::new();
    for i in 0..first.len() {
        let across: Vec<Type> = tuples.iter().map(|t| t[i].clone()).collect();
        elements.push(unify_within(&across, fuel)?);
    }
    Some(Type::tuple(elements))
}

/// `Less` where `a` is to be tried first.
fn preference(a: &Type, b: &Type) -> Ordering {
    use Type::{Dynamic, List, Map, Object, Set, String, Tuple};
    match (a, b) {
        (Dynamic, Dynamic) | (String, String) => Ordering::Equal,
        (Dynamic, _) => Ordering::Greater,
        (_, Dynamic) => Ordering::Less,
        (String, b) if b.is_primitive() => Ordering::Less,
        (a, String) if a.is_primitive() => Ordering::Greater,
        (List(a), List(b)) | (Set(a), Set(b)) | (Map(a), Map(b)) => preference(a, b),
        (Tuple(_) | List(_), Set(_)) | (List(_), Tuple(_)) | (Map(_), Object(_)) => Ordering::Less,
        (Set(_), Tuple(_) | List(_)) | (Tuple(_), List(_)) | (Object(_), Map(_)) => Ordering::Greater,
        (Object(a), Object(b)) if a.attributes.keys().eq(b.attributes.keys()) => {
            unanimous(a.attributes.values().zip(b.attributes.values()))
        }
        (Tuple(a), Tuple(b)) if a.len() == b.len() => unanimous(a.iter().zip(b.iter())),
        _ => Ordering::Equal,
    }
}

/// The preference of the parts, where they do not contradict each other.
fn unanimous<'a>(pairs: impl Iterator<Item = (&'a Type, &'a Type)>) -> Ordering {
    let mut result = Ordering::Equal;
    for (a, b) in pairs {
        match preference(a, b) {
            Ordering::Equal => {}
            o if result == Ordering::Equal || result == o => result = o,
            _ => return Ordering::Equal,
        }
    }
    result
}
