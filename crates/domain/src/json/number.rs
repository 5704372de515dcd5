//! Which numbers can be represented exactly: 64-bit integers, and decimals whose nearest double has the same digits.

/// The maximum of significant digits of a double.
const DIGITS_MAX: usize = 767;
/// Every decimal with this many digits survives the conversion to a double and back.
const DIGITS_EXACT: usize = 15;
const SHOWN_MAX: usize = 40;

/// Why a number in JSON or YAML cannot be represented exactly.
///
/// An integer must fit into 64 bits. A number with a fraction or an exponent becomes a double: it is refused if the
/// nearest double, written with as many digits, is a different number. So `0.1` and `0.10000000000000001` (the 17
/// digits that C prints for that double) are accepted, and `0.1234567890123456789` is not.
pub fn check_number(text: &str) -> Result<(), String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    if !mantissa.contains('.') && mantissa.len() == text.len() {
        let fits = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
        return if fits { Ok(()) } else { Err(beyond_64_bits(text)) };
    }
    let (digits, place) = significant(mantissa);
    if digits.is_empty() {
        return Ok(());
    }
    let double = text.parse::<f64>().unwrap_or(f64::NAN);
    if double.is_normal() && digits.len() <= DIGITS_EXACT {
        return Ok(());
    }
    let exponent = exponent.parse::<i64>().ok().and_then(|given| given.checked_add(place));
    match exponent {
        Some(exponent) if double.is_finite() && double != 0.0 => {
            let given = (digits, exponent);
            let rounded = format!("{:.*e}", given.0.len().min(DIGITS_MAX) - 1, double.abs());
            // The shortest text of a power of two may not be the nearest one of its length.
            let shortest = format!("{:e}", double.abs());
            if [rounded, shortest]
                .iter()
                .any(|text| parts(text).as_ref() == Some(&given))
            {
                return Ok(());
            }
            let advice = "send it as a string, or with at most 15 digits";
            Err(format!(
                "is {}, which a double does not hold exactly: {advice}",
                shown(text)
            ))
        }
        _ => Err(format!(
            "is {}, which is outside the range of a double: send it as a string",
            shown(text)
        )),
    }
}

pub(super) fn beyond_64_bits(text: &str) -> String {
    format!(
        "is {}, which does not fit into 64 bits: send it as a string",
        shown(text)
    )
}

/// The digits without zeros around them, and the power of ten of the first one.
fn significant(mantissa: &str) -> (String, i64) {
    let mantissa = mantissa.trim_start_matches(['-', '+']);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading = digits.bytes().take_while(|digit| *digit == b'0').count();
    let place = i64::try_from(whole.len()).unwrap_or(i64::MAX) - i64::try_from(leading).unwrap_or(i64::MAX) - 1;
    (digits.trim_matches('0').to_owned(), place)
}

/// The digits, and the power of ten of the first one, of a double in scientific notation.
fn parts(text: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = text.split_once('e')?;
    Some((mantissa.replace('.', ""), exponent.parse().ok()?))
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_representable_numbers_are_accepted() {
        for text in [
            "0",
            "-0",
            "1",
            "-1",
            "9007199254740993",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "0.0",
            "-0.0",
            "0e999999999999999999999",
            "0.000",
            "1.0",
            "1E5",
            "1e5",
            "1e+5",
            "100000000000000000000.0",
            "1e22",
            "1e23",
            "1e300",
            "1.7976931348623157e308",
            "2.2250738585072014e-308",
            "5e-324",
            "4.9e-324",
            "4.94065645841246544176568792868e-324",
            "0.1",
            "0.10",
            "0.10000000000000000000000",
            "0.30000000000000004",
            "5.684341886080802e-14",
            "3.141592653589793",
            "0.10000000000000001",
            "52.520007999999997",
            "0.1000000000000000055511151231257827021181583404541015625",
            "9007199254740992.0",
            "1764495254.123456",
            "123456789012345.6",
            "1.",
            ".5",
            "+1.5",
        ] {
            assert_eq!(check_number(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn numbers_that_would_be_rounded() {
        let long = format!("0.{}1", "3".repeat(100_000));
        for (text, why) in [
            ("9223372036854775807000", "64 bits"),
            ("18446744073709551616", "64 bits"),
            ("-9223372036854775809", "64 bits"),
            ("123456789012345678901234567890", "64 bits"),
            ("100000000000000000000", "64 bits"),
            ("1e400", "range"),
            ("-1e400", "range"),
            ("1.8e308", "range"),
            ("1e99999999999999999999", "range"),
            ("1e-400", "range"),
            ("1e-99999999999999999999", "range"),
            ("2e-324", "range"),
            ("6e-324", "exactly"),
            ("9007199254740993.0", "exactly"),
            ("9.007199254740993e15", "exactly"),
            ("0.1234567890123456789", "exactly"),
            ("0.10000000000000000001", "exactly"),
            ("1764495254.123456789", "exactly"),
            ("123456789012345678901234567890.5", "exactly"),
            ("3.14159265358979323846264338327950288", "exactly"),
            (&long, "exactly"),
        ] {
            let refused = check_number(text).expect_err(text);
            assert!(refused.contains(why) && refused.len() < 200, "{text}: {refused}");
        }
    }
}
