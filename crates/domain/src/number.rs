//! Numbers, compared and calculated without silent rounding.
//!
//! An integer is exact (128 bits inside an expression, 64 bits in JSON); a decimal number is a 64-bit double. Comparisons
//! are exact: 9007199254740992.0 and 9007199254740993 differ. An operand or result that cannot be represented exactly is an
//! error; only the quotient of [`divide`] is rounded to the nearest double.

use std::cmp::Ordering;

/// 2^127, the first double beyond the whole numbers.
const WHOLE_END: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

#[derive(Debug, Clone, Copy)]
pub enum Number {
    Whole(i128),
    /// Always finite.
    Decimal(f64),
}

use Number::{Decimal, Whole};

impl Number {
    pub fn from_json(number: &serde_json::Number) -> Self {
        match number.as_i64() {
            Some(whole) => Whole(whole.into()),
            None => number
                .as_i128()
                .map_or_else(|| Decimal(number.as_f64().unwrap_or_default()), Whole),
        }
    }

    pub fn to_json(self) -> Result<serde_json::Number, String> {
        let number = match self {
            Whole(whole) => i64::try_from(whole)
                .map(Into::into)
                .ok()
                .or_else(|| u64::try_from(whole).map(Into::into).ok()),
            Decimal(decimal) => serde_json::Number::from_f64(decimal),
        };
        number.ok_or_else(|| format!("results in an integer that does not fit into 64 bits: {self}"))
    }

    pub fn decimal(number: f64) -> Result<Self, String> {
        if number.is_finite() {
            // Zero has no sign.
            Ok(Decimal(number + 0.0))
        } else {
            Err("results in a number that is not finite".to_owned())
        }
    }

    /// The whole number of the same value, if JSON has it; otherwise the number itself.
    pub fn plain(self) -> Self {
        let whole = match self {
            Whole(_) => return self,
            Decimal(decimal) => truncated(decimal).map(Whole),
        };
        whole
            .filter(|whole| *whole == self && whole.to_json().is_ok())
            .unwrap_or(self)
    }

    pub fn is_zero(self) -> bool {
        match self {
            Whole(whole) => whole == 0,
            Decimal(decimal) => decimal == 0.0,
        }
    }

    /// The nearest double.
    #[expect(clippy::cast_precision_loss, reason = "callers request the nearest double")]
    pub fn nearest(self) -> f64 {
        match self {
            Whole(whole) => whole as f64,
            Decimal(decimal) => decimal,
        }
    }

    /// The double with the same value. An error when none exists.
    pub fn exact(self) -> Result<f64, String> {
        let nearest = self.nearest();
        if self == Decimal(nearest) {
            Ok(nearest)
        } else {
            Err(format!(
                "would round {self}: a decimal number holds 15 to 17 digits; calculate with whole numbers (`//` divides them)"
            ))
        }
    }

    pub fn whole(self) -> Option<i128> {
        match self {
            Whole(whole) => Some(whole),
            Decimal(_) => None,
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Whole(whole) => write!(f, "{whole}"),
            // As JSON writes it: 2.0, 1e30.
            Decimal(decimal) => match serde_json::Number::from_f64(*decimal) {
                Some(number) => write!(f, "{number}"),
                None => write!(f, "{decimal}"),
            },
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Whole(a), Whole(b)) => a.cmp(&b),
            // Both are finite, so there is always an order.
            (Decimal(a), Decimal(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Whole(a), Decimal(b)) => compare(a, b),
            (Decimal(a), Whole(b)) => compare(b, a).reverse(),
        }
    }
}

fn compare(whole: i128, decimal: f64) -> Ordering {
    match truncated(decimal) {
        Some(part) => whole
            .cmp(&part)
            .then_with(|| 0.0.partial_cmp(&decimal.fract()).unwrap_or(Ordering::Equal)),
        None if decimal > 0.0 => Ordering::Less,
        None => Ordering::Greater,
    }
}

/// The integer part of a double, if it fits into 128 bits.
pub fn truncated(decimal: f64) -> Option<i128> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked, and the fraction is dropped"
    )]
    (-WHOLE_END..WHOLE_END)
        .contains(&decimal)
        .then_some(decimal.trunc() as i128)
}

fn calculate(
    a: Number,
    b: Number,
    whole: fn(i128, i128) -> Option<i128>,
    decimal: fn(f64, f64) -> f64,
) -> Result<Number, String> {
    match (a, b) {
        (Whole(a), Whole(b)) => whole(a, b)
            .map(Whole)
            .ok_or_else(|| "results in an integer that does not fit into 128 bits".to_owned()),
        _ => Number::decimal(decimal(a.exact()?, b.exact()?)),
    }
}

pub fn add(a: Number, b: Number) -> Result<Number, String> {
    calculate(a, b, i128::checked_add, |a, b| a + b)
}

pub fn subtract(a: Number, b: Number) -> Result<Number, String> {
    calculate(a, b, i128::checked_sub, |a, b| a - b)
}

pub fn multiply(a: Number, b: Number) -> Result<Number, String> {
    calculate(a, b, i128::checked_mul, |a, b| a * b)
}

pub fn negate(a: Number) -> Result<Number, String> {
    subtract(Whole(0), a)
}

/// Always a decimal number, except for a whole quotient that no double holds.
pub fn divide(a: Number, b: Number) -> Result<Number, String> {
    refuse_zero(b, "/")?;
    if let (Whole(a), Whole(b)) = (a, b)
        && a.checked_rem(b) == Some(0)
        && let Some(quotient) = a.checked_div(b)
        && Whole(quotient).exact().is_err()
    {
        return Ok(Whole(quotient));
    }
    Number::decimal(a.exact()? / b.exact()?)
}

/// The quotient, rounded down as in Python.
pub fn divide_down(a: Number, b: Number) -> Result<Number, String> {
    refuse_zero(b, "//")?;
    calculate(
        a,
        b,
        |a, b| quotient_and_rest(a, b).map(|(quotient, _)| quotient),
        |a, b| {
            // Subtracts the remainder first, because `a / b` may have been rounded up to a whole number or past it.
            let rest = a % b;
            let less = f64::from(u8::from(rest != 0.0 && (rest < 0.0) != (b < 0.0)));
            ((a - rest) / b - less).round()
        },
    )
}

/// The remainder of [`divide_down`]; it has the sign of the divisor, as in Python.
pub fn remainder(a: Number, b: Number) -> Result<Number, String> {
    refuse_zero(b, "%")?;
    calculate(
        a,
        b,
        |a, b| quotient_and_rest(a, b).map(|(_, rest)| rest),
        |a, b| {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
                rest + b
            } else {
                rest
            }
        },
    )
}

fn quotient_and_rest(a: i128, b: i128) -> Option<(i128, i128)> {
    let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
    if rest != 0 && (rest < 0) != (b < 0) {
        return Some((quotient.checked_sub(1)?, rest.checked_add(b)?));
    }
    Some((quotient, rest))
}

pub fn power(a: Number, b: Number) -> Result<Number, String> {
    if let (Whole(base), Whole(exponent)) = (a, b)
        && exponent >= 0
    {
        let power = u32::try_from(exponent)
            .ok()
            .and_then(|exponent| base.checked_pow(exponent));
        return power
            .map(Whole)
            .ok_or_else(|| "results in an integer that does not fit into 128 bits".to_owned());
    }
    Number::decimal(a.exact()?.powf(b.exact()?))
}

fn refuse_zero(divisor: Number, operator: &str) -> Result<(), String> {
    if divisor.is_zero() {
        return Err(format!("divides by zero with `{operator}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_never_rounds() {
        let check = |a: Number, b: Number, expected: Ordering| {
            assert_eq!(a.cmp(&b), expected, "{a} {b}");
            assert_eq!(b.cmp(&a), expected.reverse(), "{b} {a}");
        };
        check(Whole(1), Decimal(1.0), Ordering::Equal);
        check(Whole(0), Decimal(-0.0), Ordering::Equal);
        check(
            Whole(9_007_199_254_740_993),
            Decimal(9_007_199_254_740_992.0),
            Ordering::Greater,
        );
        check(
            Whole(9_007_199_254_740_992),
            Decimal(9_007_199_254_740_992.0),
            Ordering::Equal,
        );
        check(
            Whole(u64::MAX.into()),
            Decimal(18_446_744_073_709_551_616.0),
            Ordering::Less,
        );
        check(Whole(-3), Decimal(-3.5), Ordering::Greater);
        check(Whole(3), Decimal(3.5), Ordering::Less);
        check(Whole(i128::MAX), Decimal(1e300), Ordering::Less);
        check(Whole(i128::MAX), Decimal(WHOLE_END), Ordering::Less);
        check(Whole(i128::MIN), Decimal(-1e300), Ordering::Greater);
        check(Whole(i128::MIN), Decimal(-WHOLE_END), Ordering::Equal);
    }

    #[test]
    fn calculating_is_exact_or_an_error() {
        let check = |result: Result<Number, String>, expected: &str| {
            let text = result.map_or_else(|error| error, |number| number.to_string());
            assert!(text.starts_with(expected), "{text} is not {expected}");
        };
        check(add(Whole(u64::MAX.into()), Whole(1)), "18446744073709551616");
        check(
            add(Whole(i128::MAX), Whole(1)),
            "results in an integer that does not fit into 128 bits",
        );
        check(
            multiply(Whole(i128::MAX), Whole(2)),
            "results in an integer that does not fit",
        );
        check(
            multiply(Decimal(1e308), Whole(10)),
            "results in a number that is not finite",
        );
        check(
            add(Whole(9_007_199_254_740_993), Decimal(0.5)),
            "would round 9007199254740993",
        );
        check(divide(Whole(9_007_199_254_740_993), Whole(1)), "9007199254740993");
        check(divide(Whole(7), Whole(2)), "3.5");
        check(divide(Whole(4), Whole(2)), "2.0");
        check(divide(Whole(1), Whole(0)), "divides by zero");
        check(divide_down(Whole(-7), Whole(2)), "-4");
        // The divisor is a little nearer to zero than -1/27.
        check(divide_down(Whole(1), Decimal(-1.0 / 27.0)), "-28.0");
        check(divide_down(Decimal(-7.5), Whole(2)), "-4.0");
        check(divide_down(Decimal(7.5), Whole(2)), "3.0");
        check(remainder(Whole(-7), Whole(2)), "1");
        check(remainder(Decimal(-7.5), Whole(2)), "0.5");
        check(power(Whole(2), Whole(-1)), "0.5");
        check(power(Whole(0), Whole(-1)), "results in a number that is not finite");
        check(power(Whole(10), Whole(100)), "results in an integer that does not fit");
        check(negate(Whole(i128::MIN)), "results in an integer that does not fit");
        check(negate(Decimal(0.0)), "0.0");
        check(multiply(Decimal(0.0), Whole(-1)), "0.0");
        check(
            divide(Whole(9_007_199_254_740_993), Whole(2)),
            "would round 9007199254740993",
        );
    }
}
