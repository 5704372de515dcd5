//! A decimal number in a string, digit by digit, so that nothing is rounded: `-12.5e3`.

/// More digits than an integer of 128 bits has.
const DIGITS_MAX: i64 = 40;

pub struct Digits<'t> {
    is_negative: bool,
    whole: &'t str,
    fraction: &'t str,
    exponent: i64,
}

impl<'t> Digits<'t> {
    /// `None` for a string that is not a decimal number.
    pub fn read(text: &'t str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, power(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let are_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let is_number = are_digits(whole) && are_digits(fraction) && whole.len() + fraction.len() > 0;
        is_number.then_some(Self {
            is_negative: text.starts_with('-'),
            whole,
            fraction,
            exponent,
        })
    }

    /// The integer part. `None` if it does not fit into 128 bits.
    pub fn whole_part(&self) -> Option<i128> {
        let digits = format!("{}{}", self.whole, self.fraction);
        let point = i64::try_from(self.whole.len()).ok()?.saturating_add(self.exponent);
        let taken = usize::try_from(point.max(0)).ok()?.min(digits.len());
        let significant = digits.get(..taken)?.trim_start_matches('0');
        if significant.is_empty() {
            return Some(0);
        }
        let zeros = point.saturating_sub(i64::try_from(taken).ok()?);
        if zeros > DIGITS_MAX {
            return None;
        }
        let sign = if self.is_negative { "-" } else { "" };
        let zeros = "0".repeat(usize::try_from(zeros).ok()?);
        format!("{sign}{significant}{zeros}").parse().ok()
    }
}

/// An exponent, saturated if it is out of range.
fn power(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let largest = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_parts() {
        let check = |text: &str, expected: Option<i128>| {
            let found = Digits::read(text).expect(text).whole_part();
            assert_eq!(found, expected, "{text}");
        };
        check("9007199254740993e0", Some(9_007_199_254_740_993));
        check("9007199254740993.7", Some(9_007_199_254_740_993));
        check("-12.5e3", Some(-12_500));
        check("12.5e-3", Some(0));
        check("0.00125e5", Some(125));
        check("1250e-2", Some(12));
        check("1.", Some(1));
        check(".5e1", Some(5));
        check("0e999999999999999999999", Some(0));
        check("1e999999999999999999999", None);
        check("1e-999999999999999999999", Some(0));
        check("1e38", Some(100_000_000_000_000_000_000_000_000_000_000_000_000));
        check("1e39", None);
        check("170141183460469231731687303715884105728", None);
        for text in [
            "", "-", ".", "e5", "1e", "1e+", "0x1f", "1_000", "inf", "NaN", "1 2", "١",
        ] {
            assert!(Digits::read(text).is_none(), "{text}");
        }
    }
}
