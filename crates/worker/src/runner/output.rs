//! The text of a stream as it is stored: valid UTF-8 without NUL (the database stores neither), at most 1 MiB.

use super::supervisor::{KEPT_BYTES, protocol::Captured};

/// Room for the line between beginning and end. It is more than a character is long, so cutting for it also takes away
/// a character that the supervisor has cut in two.
const GAP_BYTES: usize = 64;

pub(super) fn text(captured: Captured) -> String {
    let Captured {
        mut head,
        mut omitted,
        tail,
    } = captured;
    let (mut head, mut tail) = if omitted == 0 {
        head.extend_from_slice(&tail);
        let mut whole = clean(head);
        if whole.len() <= KEPT_BYTES {
            return whole;
        }
        // Replacements are longer than what they replace.
        let tail = whole.split_off(boundary_before(&whole, whole.len() / 2));
        (whole, tail)
    } else {
        (clean(head), clean(tail))
    };
    let half = (KEPT_BYTES - GAP_BYTES) / 2;
    let head_end = boundary_before(&head, half);
    omitted += (head.len() - head_end) as u64;
    head.truncate(head_end);
    let tail_start = boundary_after(&tail, tail.len().saturating_sub(half));
    omitted += tail_start as u64;
    tail.drain(..tail_start);
    format!("{head}\n[{omitted} bytes left out]\n{tail}")
}

fn clean(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

fn boundary_before(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

fn boundary_after(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(head: &[u8], omitted: u64, tail: &[u8]) -> Captured {
        Captured {
            head: head.to_vec(),
            omitted,
            tail: tail.to_vec(),
        }
    }

    #[test]
    fn text_stays_as_it_is() {
        assert_eq!(text(captured("grüße\n".as_bytes(), 0, b"")), "grüße\n");
        // A character over the seam of the two halves is whole again.
        assert_eq!(text(captured(b"a\xc3", 0, b"\xa4b")), "aäb");
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(text(captured(b"a\xffb\0c", 0, b"")), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn what_was_left_out_is_said_and_the_limit_holds() {
        let half = KEPT_BYTES / 2;
        let head = ["ä".repeat(half / 2 - 1).as_bytes(), b"x\xc3"].concat();
        let tail = [b"\xa4x".as_slice(), "ö".repeat(half / 2 - 1).as_bytes()].concat();
        let shown = text(captured(&head, 1000, &tail));
        assert!(shown.len() <= KEPT_BYTES);
        assert!(!shown.contains('\u{fffd}'));
        let (head, rest) = shown.split_once("\n[").unwrap();
        let (count, tail) = rest.split_once(" bytes left out]\n").unwrap();
        assert!(head.ends_with('ä') && tail.starts_with('ö'));
        let left_out: usize = count.parse().unwrap();
        assert!((1000..1100).contains(&left_out), "{left_out}");
    }

    #[test]
    fn a_megabyte_of_nul_stays_within_the_limit() {
        let half = vec![0; KEPT_BYTES / 2];
        for omitted in [0, 7] {
            let shown = text(captured(&half, omitted, &half));
            assert!(shown.len() <= KEPT_BYTES && shown.contains(" bytes left out]"));
        }
    }
}
