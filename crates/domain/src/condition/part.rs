//! The parts of a path.

/// Whether an unquoted name may contain this character.
pub fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_-$@:/#+%~".contains(c)
}

pub fn is_negative(name: &str) -> bool {
    name.strip_prefix('-')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
