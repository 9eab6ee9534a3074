//! Operators.

use crate::convert::{ConvertError, convert};
use crate::diag::{Diagnostic, Diagnostics, Source};
use crate::eval::eval;
use crate::number::{NotANumber, Number};
use crate::scope::Scope;
use crate::value::{Type, Value};
use hcl::edit::Span as _;
use hcl::edit::expr::{BinaryOp, BinaryOperator, UnaryOp, UnaryOperator};
use std::cmp::Ordering;

pub(crate) fn unary(op: &UnaryOp, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let ty = match op.operator.value() {
        UnaryOperator::Neg => Type::Number,
        UnaryOperator::Not => Type::Bool,
    };
    let before = diags.len();
    let given = eval(&op.expr, scope, source, diags);
    let value = match convert(&given, &ty) {
        Ok(v) => v,
        Err(e) => {
            diags.push(invalid_operand("the operand", &e).at(source.span(op.expr.span())));
            return Value::unknown(ty);
        }
    };
    if diags.len() > before && value.is_unknown() {
        return Value::unknown(ty);
    }
    if value.is_null() {
        diags.push(failed("the operand is null").at(source.span(op.span())));
        return Value::unknown(ty);
    }
    let result = match op.operator.value() {
        UnaryOperator::Neg => value.as_number().map(|n| Value::number(n.neg())),
        UnaryOperator::Not => value.as_bool().map(|b| Value::bool(!b)),
    };
    result.unwrap_or_else(|| Value::unknown(ty)).with_sensitive(value.is_sensitive())
}

fn invalid_operand(which: &str, e: &ConvertError) -> Diagnostic {
    Diagnostic::error("Invalid operand").detail(format!("Unsuitable value for {which}: {e}."))
}

fn failed(why: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("Operation failed").detail(format!("Error during operation: {why}."))
}

pub(crate) fn binary(op: &BinaryOp, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    use BinaryOperator as B;
    let operator = *op.operator.value();
    let operands = match operator {
        B::Eq | B::NotEq => Type::Dynamic,
        B::And | B::Or => Type::Bool,
        _ => Type::Number,
    };
    let result_type = match operator {
        B::Plus | B::Minus | B::Mul | B::Div | B::Mod => Type::Number,
        _ => Type::Bool,
    };
    let mut left_diags = Diagnostics::new();
    let mut right_diags = Diagnostics::new();
    let left = eval(&op.lhs_expr, scope, source, &mut left_diags);
    let right = eval(&op.rhs_expr, scope, source, &mut right_diags);
    let mut conversion = Diagnostics::new();
    let left = convert(&left, &operands).unwrap_or_else(|e| {
        conversion.push(invalid_operand("the left operand", &e).at(source.span(op.lhs_expr.span())));
        Value::dynamic()
    });
    let right = convert(&right, &operands).unwrap_or_else(|e| {
        conversion.push(invalid_operand("the right operand", &e).at(source.span(op.rhs_expr.span())));
        Value::dynamic()
    });
    if conversion.has_errors() {
        diags.extend(conversion);
        diags.extend(left_diags);
        diags.extend(right_diags);
        return Value::unknown(result_type);
    }
    let sensitive = left.is_sensitive() || right.is_sensitive();
    if let Some((result, taken)) = short_circuit(operator, &left, &right, &left_diags, &right_diags) {
        // What is wrong with the side that does not decide is dropped, as with a conditional.
        diags.extend(if taken == Side::Left { left_diags } else { right_diags });
        return result.with_sensitive(sensitive);
    }
    let errors = left_diags.has_errors() || right_diags.has_errors();
    diags.extend(left_diags);
    diags.extend(right_diags);
    if errors {
        return Value::unknown(result_type).with_sensitive(sensitive);
    }
    if matches!(operator, B::Eq | B::NotEq) {
        let equal =
            if left.ty() == &Type::Dynamic && left.is_unknown() || right.ty() == &Type::Dynamic && right.is_unknown() {
                None
            } else {
                left.equals(&right)
            };
        let sensitive = left.contains_sensitive() || right.contains_sensitive();
        return equal
            .map_or_else(|| Value::unknown(Type::Bool), |e| Value::bool(e == (operator == B::Eq)))
            .with_sensitive(sensitive);
    }
    if left.is_null() || right.is_null() {
        let side = if left.is_null() { "left" } else { "right" };
        diags.push(failed(format_args!("the {side} operand is null")).at(source.span(op.span())));
        return Value::unknown(result_type);
    }
    let result = match (left.as_number(), right.as_number(), left.as_bool(), right.as_bool()) {
        (Some(a), Some(b), ..) => arithmetic(operator, a, b),
        (_, _, Some(a), Some(b)) => Ok(Value::bool(if operator == B::And { a && b } else { a || b })),
        _ => Ok(Value::unknown(result_type.clone())),
    };
    match result {
        Ok(v) => v.with_sensitive(sensitive),
        Err(e) => {
            diags.push(failed(e).at(source.span(op.span())));
            Value::unknown(result_type)
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Whether one side of `&&` or `||` decides alone. In `&&` null counts as false.
fn short_circuit(
    operator: BinaryOperator,
    left: &Value,
    right: &Value,
    left_diags: &Diagnostics,
    right_diags: &Diagnostics,
) -> Option<(Value, Side)> {
    let deciding = match operator {
        BinaryOperator::And => false,
        BinaryOperator::Or => true,
        _ => return None,
    };
    let decides = |v: &Value| v.as_bool() == Some(deciding) || (!deciding && v.is_null());
    let neutral = |v: &Value| v.as_bool() == Some(!deciding);
    let unknown = || Value::unknown(Type::Bool);
    if left.is_unknown() && right.is_unknown() {
        // An error on the left may not hide one on the right.
        return (!left_diags.has_errors()).then(|| (unknown(), Side::Left));
    }
    if decides(left) && !left_diags.has_errors() {
        return Some((Value::bool(deciding), Side::Left));
    }
    if decides(right) && !right_diags.has_errors() {
        return Some((Value::bool(deciding), Side::Right));
    }
    if left.is_unknown() && neutral(right) {
        return Some((unknown(), Side::Left));
    }
    if right.is_unknown() && neutral(left) {
        return Some((unknown(), Side::Right));
    }
    None
}

fn arithmetic(operator: BinaryOperator, a: &Number, b: &Number) -> Result<Value, NotANumber> {
    use BinaryOperator as B;
    let order = || a.compare(b);
    Ok(match operator {
        B::Plus => Value::number(a.add(b)?),
        B::Minus => Value::number(a.sub(b)?),
        B::Mul => Value::number(a.mul(b)?),
        B::Div => Value::number(a.div(b)?),
        B::Mod => Value::number(a.rem(b)?),
        B::Less => Value::bool(order() == Ordering::Less),
        B::LessEq => Value::bool(order() != Ordering::Greater),
        B::Greater => Value::bool(order() == Ordering::Greater),
        B::GreaterEq => Value::bool(order() != Ordering::Less),
        B::Eq | B::NotEq | B::And | B::Or => Value::unknown(Type::Bool),
    })
}
