//! Numbers of HCL2: binary floating point of (nearly) any exponent, with a precision per value.
//!
//! Neither decimals nor f64 give HCL's answers: 0.1 + 0.2 is 0.3 there, and 1/3 has 154 digits. What is written in a
//! template has [`LITERAL_PRECISION`] bits, what a function counts has [`INTEGER_PRECISION`], what goes through f64 has
//! [`FLOAT_PRECISION`]; an operation has that of its more precise operand, and rounds to nearest, ties to even.

use num_bigint::BigUint;
use num_integer::Integer as _;
use num_traits::{One as _, ToPrimitive as _, Zero as _};
use std::cmp::Ordering;
use std::fmt;

/// Bits of a number that was written down: literals, strings read as numbers, JSON, YAML.
pub const LITERAL_PRECISION: u32 = 512;
/// Bits, at least, of an integer that a function made.
pub const INTEGER_PRECISION: u32 = 64;
/// Bits of a number that went through f64.
pub const FLOAT_PRECISION: u32 = 53;
/// Powers of two beyond which a number is infinite (or zero): about 39,000 decimal digits. HCL itself would spend
/// minutes on printing such a number; a hostile template shall not.
const MAX_EXPONENT: i64 = 1 << 17;
/// Decimal exponents that are read at all; beyond it the text is out of range.
const MAX_DECIMAL_EXPONENT: i64 = 39_000;
/// Bits that a product is computed with before it is cut to the precision of its operands.
const PRODUCT_PRECISION: u32 = 512;

/// A number of HCL2.
#[derive(Clone, Debug)]
pub struct Number {
    negative: bool,
    /// Beyond [`MAX_EXPONENT`].
    infinite: bool,
    /// Odd, or zero.
    mantissa: BigUint,
    /// The value is `mantissa * 2^exponent`.
    exponent: i64,
    precision: u32,
}

/// Why an operation on numbers has no result (0/0, ∞ − ∞, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the result of this operation is not a number")]
pub struct NotANumber;

impl Number {
    /// An exact integer, as functions make them.
    pub fn from_i64(n: i64) -> Number {
        Number::rounded(n < 0, BigUint::from(n.unsigned_abs()), 0, INTEGER_PRECISION, false)
    }

    /// An exact integer of any size.
    pub fn from_integer(negative: bool, magnitude: BigUint) -> Number {
        let bits = u32::try_from(magnitude.bits()).unwrap_or(u32::MAX);
        Number::rounded(negative, magnitude, 0, bits.max(INTEGER_PRECISION), false)
    }

    /// Positive or negative infinity.
    pub fn infinity(negative: bool) -> Number {
        Number { negative, infinite: true, mantissa: BigUint::zero(), exponent: 0, precision: LITERAL_PRECISION }
    }

    /// A float.
    ///
    /// # Errors
    /// [`NotANumber`] for NaN.
    pub fn from_f64(f: f64) -> Result<Number, NotANumber> {
        if f.is_nan() {
            return Err(NotANumber);
        }
        if f.is_infinite() {
            return Ok(Number { precision: FLOAT_PRECISION, ..Number::infinity(f < 0.0) });
        }
        let bits = f.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let biased = i64::from(u16::try_from((bits >> 52) & 0x7ff).unwrap_or(0));
        let (mantissa, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | (1 << 52), biased - 1075) };
        Ok(Number::rounded(f.is_sign_negative(), BigUint::from(mantissa), exponent, FLOAT_PRECISION, false))
    }

    /// Reads decimal text as HCL converts strings: sign, digits, fraction, exponent; `.5`, `5.` and `inf` too.
    pub fn parse(text: &str) -> Option<Number> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "inf" || rest == "Inf" {
            return Some(Number::infinity(negative));
        }
        let (digits, exponent) = match rest.find(['e', 'E']) {
            Some(i) => (&rest[..i], parse_exponent(&rest[i + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let joined = format!("{whole}{fraction}");
        let significant = joined.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Number::rounded(negative, BigUint::zero(), 0, LITERAL_PRECISION, false));
        }
        let decimal = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        // Where the first digit stands decides whether the number is in range, however it was written.
        let magnitude = decimal.checked_add(i64::try_from(significant.len()).ok()?)?;
        if magnitude.abs() > MAX_DECIMAL_EXPONENT || decimal.abs() > 4 * MAX_DECIMAL_EXPONENT {
            return None;
        }
        let trimmed = significant.trim_end_matches('0');
        let decimal = decimal + i64::try_from(significant.len() - trimmed.len()).ok()?;
        let mantissa = BigUint::parse_bytes(trimmed.as_bytes(), 10)?;
        Some(Number::from_decimal(negative, mantissa, decimal))
    }

    /// `±mantissa * 10^decimal`, rounded once.
    fn from_decimal(negative: bool, mantissa: BigUint, decimal: i64) -> Number {
        let five = BigUint::from(5u8).pow(u32::try_from(decimal.unsigned_abs()).unwrap_or(u32::MAX));
        if decimal >= 0 {
            return Number::rounded(negative, mantissa * five, decimal, LITERAL_PRECISION, false);
        }
        let (quotient, shift, sticky) = divide(&mantissa, &five, LITERAL_PRECISION);
        Number::rounded(negative, quotient, decimal - shift, LITERAL_PRECISION, sticky)
    }

    /// Cuts to `precision` bits (nearest, ties to even; `sticky` says that something more follows the last bit).
    fn rounded(negative: bool, mut mantissa: BigUint, mut exponent: i64, precision: u32, sticky: bool) -> Number {
        let bits = mantissa.bits();
        if bits > u64::from(precision) {
            let shift = bits - u64::from(precision);
            let half = mantissa.bit(shift - 1);
            let below = sticky || mantissa.trailing_zeros().is_some_and(|z| z < shift - 1);
            mantissa >>= shift;
            exponent += i64::try_from(shift).unwrap_or(MAX_EXPONENT);
            if half && (below || mantissa.is_odd()) {
                mantissa += 1u8;
            }
        }
        let zeros = mantissa.trailing_zeros().unwrap_or(0);
        mantissa >>= zeros;
        exponent += i64::try_from(zeros).unwrap_or(0);
        if mantissa.is_zero() {
            return Number { negative, infinite: false, mantissa, exponent: 0, precision };
        }
        let magnitude = exponent.saturating_add(i64::try_from(mantissa.bits()).unwrap_or(MAX_EXPONENT));
        if magnitude > MAX_EXPONENT {
            return Number { precision, ..Number::infinity(negative) };
        }
        if magnitude < -MAX_EXPONENT {
            return Number { negative, infinite: false, mantissa: BigUint::zero(), exponent: 0, precision };
        }
        Number { negative, infinite: false, mantissa, exponent, precision }
    }

    /// Whether it is zero, of either sign.
    pub fn is_zero(&self) -> bool {
        !self.infinite && self.mantissa.is_zero()
    }

    /// Whether it is infinite, of either sign.
    pub fn is_infinite(&self) -> bool {
        self.infinite
    }

    /// Whether it bears a minus sign (zero may).
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        !self.infinite && self.exponent >= 0
    }

    /// The whole number, where it is one: sign and magnitude.
    pub fn to_integer(&self) -> Option<(bool, BigUint)> {
        self.is_integer().then(|| (self.negative, &self.mantissa << self.exponent.unsigned_abs()))
    }

    /// The integer, where it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        if !self.is_integer() || self.exponent > 63 {
            return None;
        }
        let magnitude = i128::from(self.mantissa.to_u64()?).checked_shl(u32::try_from(self.exponent).ok()?)?;
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }

    /// The nearest f64.
    pub fn as_f64(&self) -> f64 {
        let sign = if self.negative { -1.0 } else { 1.0 };
        if self.infinite {
            return sign * f64::INFINITY;
        }
        let n = Number::rounded(false, self.mantissa.clone(), self.exponent, FLOAT_PRECISION, false);
        let mantissa = n.mantissa.to_f64().unwrap_or(0.0);
        // Two steps, so that the power of a subnormal number does not vanish on the way.
        let exponent = i32::try_from(n.exponent.clamp(-2200, 2200)).unwrap_or(0);
        sign * mantissa * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)
    }

    /// The same value with the other sign.
    #[must_use]
    pub fn neg(&self) -> Number {
        Number { negative: !self.negative, ..self.clone() }
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(&self) -> Number {
        Number { negative: false, ..self.clone() }
    }

    /// Toward zero.
    #[must_use]
    pub fn truncate(&self) -> Number {
        if self.infinite || self.exponent >= 0 {
            return self.clone();
        }
        let mantissa = &self.mantissa >> self.exponent.unsigned_abs();
        Number::rounded(self.negative, mantissa, 0, self.precision, false)
    }

    /// Toward negative infinity.
    #[must_use]
    pub fn floor(&self) -> Number {
        let whole = self.truncate();
        if self.negative && !self.infinite && self.exponent < 0 { whole.add_small(true) } else { whole }
    }

    /// Toward positive infinity.
    #[must_use]
    pub fn ceil(&self) -> Number {
        let whole = self.truncate();
        if self.infinite || self.exponent >= 0 {
            whole
        } else if self.negative {
            // -0.5 becomes 0, not -0.
            if whole.is_zero() { whole.abs() } else { whole }
        } else {
            whole.add_small(false)
        }
    }

    /// A finite whole number plus or minus one.
    fn add_small(&self, minus: bool) -> Number {
        let one = Number { negative: minus, precision: self.precision, ..Number::from_i64(1) };
        self.add(&one).unwrap_or_else(|NotANumber| self.clone())
    }

    /// # Errors
    /// [`NotANumber`] for ∞ − ∞.
    pub fn add(&self, other: &Number) -> Result<Number, NotANumber> {
        self.add_at(other, self.precision.max(other.precision))
    }

    fn add_at(&self, other: &Number, precision: u32) -> Result<Number, NotANumber> {
        match (self.infinite, other.infinite) {
            (true, true) if self.negative != other.negative => return Err(NotANumber),
            (true, _) => return Ok(self.clone()),
            (_, true) => return Ok(other.clone()),
            _ => {}
        }
        let exponent = self.exponent.min(other.exponent);
        let left = &self.mantissa << (self.exponent - exponent).unsigned_abs();
        let right = &other.mantissa << (other.exponent - exponent).unsigned_abs();
        if self.negative == other.negative {
            return Ok(Number::rounded(self.negative, left + right, exponent, precision, false));
        }
        Ok(match left.cmp(&right) {
            // x − x is +0 when rounding to nearest.
            Ordering::Equal => Number::rounded(false, BigUint::zero(), 0, precision, false),
            Ordering::Greater => Number::rounded(self.negative, left - right, exponent, precision, false),
            Ordering::Less => Number::rounded(other.negative, right - left, exponent, precision, false),
        })
    }

    /// # Errors
    /// [`NotANumber`] for ∞ − ∞.
    pub fn sub(&self, other: &Number) -> Result<Number, NotANumber> {
        self.add(&other.neg())
    }

    /// # Errors
    /// [`NotANumber`] for 0 × ∞.
    pub fn mul(&self, other: &Number) -> Result<Number, NotANumber> {
        let negative = self.negative != other.negative;
        if self.infinite || other.infinite {
            return if self.is_zero() || other.is_zero() { Err(NotANumber) } else { Ok(Number::infinity(negative)) };
        }
        // The product keeps the bits that it needs, up to 512, even where its operands have fewer.
        let full = Number::rounded(
            negative,
            &self.mantissa * &other.mantissa,
            self.exponent + other.exponent,
            PRODUCT_PRECISION,
            false,
        );
        let needed = u32::try_from(full.mantissa.bits()).unwrap_or(PRODUCT_PRECISION);
        Ok(Number { precision: needed.max(self.precision).max(other.precision), ..full })
    }

    /// # Errors
    /// [`NotANumber`] for 0/0 and ∞/∞.
    pub fn div(&self, other: &Number) -> Result<Number, NotANumber> {
        let negative = self.negative != other.negative;
        let precision = self.precision.max(other.precision);
        if (self.is_zero() && other.is_zero()) || (self.infinite && other.infinite) {
            return Err(NotANumber);
        }
        if self.infinite || other.is_zero() {
            return Ok(Number { precision, ..Number::infinity(negative) });
        }
        if self.is_zero() || other.infinite {
            return Ok(Number::rounded(negative, BigUint::zero(), 0, precision, false));
        }
        let (quotient, shift, sticky) = divide(&self.mantissa, &other.mantissa, precision);
        Ok(Number::rounded(negative, quotient, self.exponent - other.exponent - shift, precision, sticky))
    }

    /// The rest of a division that is cut toward zero; `x % 0` is `x`.
    ///
    /// # Errors
    /// [`NotANumber`] for 0 × ∞ (an infinite operand gives an infinite result of the product's sign, as in HCL).
    pub fn rem(&self, other: &Number) -> Result<Number, NotANumber> {
        if self.infinite || other.infinite {
            return self.mul(other);
        }
        if other.is_zero() {
            return Ok(self.clone());
        }
        let (negative, whole) = self.div(other)?.truncate().to_integer().ok_or(NotANumber)?;
        // HCL computes the rest at the precision of the whole quotient, which is why 1.1 % 0.3 is not 0.2.
        let whole = Number::from_integer(negative, whole);
        let precision = whole.precision;
        let product = Number::rounded(
            other.negative != whole.negative,
            &other.mantissa * &whole.mantissa,
            other.exponent + whole.exponent,
            precision,
            false,
        );
        self.add_at(&product.neg(), precision)
    }

    /// By value.
    pub fn compare(&self, other: &Number) -> Ordering {
        let sign = |n: &Number| {
            if n.is_zero() {
                0i8
            } else if n.negative {
                -1
            } else {
                1
            }
        };
        let (a, b) = (sign(self), sign(other));
        if a != b || a == 0 {
            return a.cmp(&b);
        }
        let magnitude = match (self.infinite, other.infinite) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let exponent = self.exponent.min(other.exponent);
                let left = &self.mantissa << (self.exponent - exponent).unsigned_abs();
                let right = &other.mantissa << (other.exponent - exponent).unsigned_abs();
                left.cmp(&right)
            }
        };
        if a < 0 { magnitude.reverse() } else { magnitude }
    }

    /// The shortest decimal that reads back as the same value at this number's own precision; `None` if infinite.
    pub fn shortest(&self) -> Option<Decimal> {
        if self.infinite {
            return None;
        }
        let mut decimal = Decimal::exact(&self.mantissa, self.exponent);
        if self.mantissa.is_zero() {
            return Some(decimal);
        }
        // Scaled so that one unit is half of the last bit of this precision.
        let want = u64::from(self.precision) + 1;
        let shift = want - self.mantissa.bits().min(want);
        let scaled = &self.mantissa << shift;
        let exponent = self.exponent - i64::try_from(shift).unwrap_or(0);
        let inclusive = !scaled.bit(1);
        let lower = Decimal::exact(&(&scaled - BigUint::one()), exponent);
        let upper = Decimal::exact(&(&scaled + BigUint::one()), exponent);
        for i in 0..decimal.digits.len() {
            let (l, m, u) = (lower.digit(i), decimal.digits[i], upper.digit(i));
            let down = l != m || (inclusive && i + 1 == lower.digits.len());
            let up = m != u && (inclusive || m + 1 < u || i + 1 < upper.digits.len());
            match (down, up) {
                (true, true) => decimal.round(i + 1),
                (true, false) => decimal.cut(i + 1),
                (false, true) => decimal.round_up(i + 1),
                (false, false) => continue,
            }
            break;
        }
        Some(decimal)
    }

    /// All of its decimal digits; `None` if infinite.
    pub fn exact(&self) -> Option<Decimal> {
        (!self.infinite).then(|| Decimal::exact(&self.mantissa, self.exponent))
    }
}

/// `a / b` to at least `precision + 2` bits: quotient, how far it is shifted to the left, and whether a rest remains.
fn divide(a: &BigUint, b: &BigUint, precision: u32) -> (BigUint, i64, bool) {
    let shift = (b.bits() + u64::from(precision) + 2).saturating_sub(a.bits());
    let (quotient, rest) = (a << shift).div_rem(b);
    (quotient, i64::try_from(shift).unwrap_or(MAX_EXPONENT), !rest.is_zero())
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than an i64 holds: out of range, whatever stands before.
    text.parse().ok()
}

/// Decimal digits: the value is `0.d₁d₂… × 10^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// 0…9 each, without zeros at the end; empty for zero.
    pub digits: Vec<u8>,
    /// Where the decimal point stands, counted from before the first digit.
    pub exponent: i64,
}

impl Decimal {
    fn exact(mantissa: &BigUint, exponent: i64) -> Decimal {
        if mantissa.is_zero() {
            return Decimal { digits: Vec::new(), exponent: 0 };
        }
        let (whole, tens) = if exponent >= 0 {
            (mantissa << exponent.unsigned_abs(), 0)
        } else {
            // m / 2^k = m * 5^k / 10^k
            let k = u32::try_from(exponent.unsigned_abs()).unwrap_or(u32::MAX);
            (mantissa * BigUint::from(5u8).pow(k), exponent)
        };
        let digits: Vec<u8> = whole.to_str_radix(10).bytes().map(|b| b - b'0').collect();
        let exponent = i64::try_from(digits.len()).unwrap_or(0) + tens;
        let mut decimal = Decimal { digits, exponent };
        decimal.trim();
        decimal
    }

    fn digit(&self, i: usize) -> u8 {
        self.digits.get(i).copied().unwrap_or(0)
    }

    fn trim(&mut self) {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.exponent = 0;
        }
    }

    /// To the nearest of `n` digits, ties to even.
    pub fn round(&mut self, n: usize) {
        let Some(&next) = self.digits.get(n) else {
            return;
        };
        let tie = next == 5 && n + 1 == self.digits.len();
        let up = if tie { n > 0 && self.digits[n - 1] % 2 == 1 } else { next >= 5 };
        if up { self.round_up(n) } else { self.cut(n) }
    }

    fn cut(&mut self, n: usize) {
        self.digits.truncate(n);
        self.trim();
    }

    fn round_up(&mut self, n: usize) {
        self.digits.truncate(n);
        while self.digits.last() == Some(&9) {
            self.digits.pop();
        }
        if let Some(last) = self.digits.last_mut() {
            *last += 1;
        } else {
            self.digits.push(1);
            self.exponent += 1;
        }
    }

    /// Without an exponent, with `places` digits after the point.
    pub fn plain(&self, places: usize) -> String {
        let mut out = String::new();
        let point = usize::try_from(self.exponent).unwrap_or(0);
        if point == 0 {
            out.push('0');
        }
        for i in 0..point {
            out.push(char::from(b'0' + self.digit(i)));
        }
        if places > 0 {
            out.push('.');
            for i in 0..i64::try_from(places).unwrap_or(0) {
                let digit = usize::try_from(self.exponent + i).map_or(0, |i| self.digit(i));
                out.push(char::from(b'0' + digit));
            }
        }
        out
    }

    /// Digits that stand after the point.
    pub fn places(&self) -> usize {
        usize::try_from(i64::try_from(self.digits.len()).unwrap_or(0) - self.exponent).unwrap_or(0)
    }
}

impl fmt::Display for Number {
    /// Plain decimal text, never with an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        match self.shortest() {
            None => write!(f, "{}Inf", if self.negative { "-" } else { "+" }),
            Some(decimal) => write!(f, "{sign}{}", decimal.plain(decimal.places())),
        }
    }
}

impl PartialEq for Number {
    /// As `==` in HCL: the same value, or the same text (0.1 + 0.2 and 0.3 differ in a bit that no text shows).
    fn eq(&self, other: &Number) -> bool {
        if self.infinite || other.infinite {
            return self.infinite == other.infinite && self.negative == other.negative;
        }
        if self.mantissa == other.mantissa && self.exponent == other.exponent {
            return self.is_zero() || self.negative == other.negative;
        }
        self.negative == other.negative && self.shortest() == other.shortest()
    }
}

/// Bytes of the number literal at the start, as HCL's scanner takes them: digits, periods and exponents in any order, with no
/// period at the end.
pub(crate) fn literal_length(bytes: &[u8]) -> usize {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let (mut at, mut end) = (0, 0);
    loop {
        match bytes.get(at) {
            Some(b'0'..=b'9') => {
                at += 1;
                end = at;
            }
            Some(b'.') => at += 1,
            Some(b'e' | b'E') => {
                let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
                if !digit(at + 1 + sign) {
                    return end;
                }
                at += sign + 2;
                end = at;
            }
            _ => return end,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn n(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn reads_and_prints() {
        for (text, want) in [
            ("1.10", "1.1"),
            ("1e3", "1000"),
            ("-0", "-0"),
            ("1e-20", "0.00000000000000000001"),
            (".5", "0.5"),
            ("5.", "5"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("+007", "7"),
            ("1e21", "1000000000000000000000"),
        ] {
            assert_eq!(n(text).to_string(), want, "{text}");
        }
        for bad in ["", "-", ".", " 1", "1 ", "0x10", "1_000", "1e", "e3", "--1", "1e99999999999999999999", "nan"] {
            assert!(Number::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn arithmetic_rounds_as_binary() {
        assert_eq!(n("0.1").add(&n("0.2")).unwrap(), n("0.3"));
        assert_eq!(n("7.5").rem(&n("-2")).unwrap().to_string(), "1.5");
        assert_eq!(n("10").div(&n("4")).unwrap().to_string(), "2.5");
        assert!(n("0").div(&n("0")).is_err());
        assert!(n("1").div(&n("0")).unwrap().is_infinite());
        assert_eq!(n("-1.5").floor().to_string(), "-2");
        assert_eq!(n("1.5").ceil().to_string(), "2");
    }

    #[test]
    fn floats_pass_through() {
        for f in [0.1, 1.5, -2.25, 1e300, 5e-324, f64::MAX, 0.0] {
            assert!((Number::from_f64(f).unwrap().as_f64() - f).abs() == 0.0, "{f}");
        }
        assert_eq!(Number::from_f64(2f64.powi(64)).unwrap().to_string(), "18446744073709550000");
    }

    #[test]
    fn literals_are_as_long_as_hcl_takes_them() {
        for (text, length) in
            [("1", 1), ("1.5e3x", 5), ("1.e5z", 4), ("1.2.3", 5), ("1..2", 4), ("1...", 1), ("1e+", 1), ("1.a", 1)]
        {
            assert_eq!(literal_length(text.as_bytes()), length, "{text}");
        }
    }
}
