use super::*;
use serde_json::json;

fn redactor(value: &Value) -> Arc<Redactor> {
    Arc::new(Redactor::new([("a.b", value)].into_iter()).unwrap().unwrap())
}

#[track_caller]
fn check(value: &Value, output: &str, expected: &str) {
    assert_eq!(redactor(value).text(output.to_owned()), expected, "{value}: {output}");
}

#[test]
fn every_encoding_is_found() {
    let value = "p\"ä/ß wörd+\n€";
    let value = json!(value);
    let text = value.as_str().unwrap();
    let encoded = [
        text.to_owned(),
        json!({ "k": text }).to_string(),
        "p\\\"\\u00e4/\\u00df w\\u00f6rd+\\n\\u20ac".to_owned(),
        "p\\\"ä\\/ß wörd+\\n€".to_owned(),
        "p%22%C3%A4%2F%C3%9F%20w%C3%B6rd%2B%0A%E2%82%AC".to_owned(),
        "p%22%C3%A4/%C3%9F%20w%C3%B6rd%2B%0A%E2%82%AC".to_owned(),
        "p%22%C3%A4%2F%C3%9F+w%C3%B6rd%2B%0A%E2%82%AC".to_owned(),
        "p%22%c3%a4%2f%c3%9f%20w%c3%b6rd%2b%0a%e2%82%ac".to_owned(),
        "7022c3a42fc39f2077c3b672642b0ae282ac".to_owned(),
        "7022C3A42FC39F2077C3B672642B0AE282AC".to_owned(),
    ];
    for output in encoded {
        let redacted = redactor(&value).text(format!("<{output}>"));
        assert!(redacted.contains("[secret a.b]"), "{output}: {redacted}");
        assert!(!redacted.contains("rd"), "{output}: {redacted}");
    }
    // Base64 at every alignment, with other text around it.
    let value = json!("correct horse battery");
    for before in ["", "a", "ab", "abc", "user:"] {
        for after in ["", "x", "xy", "xyz"] {
            let text = format!("{before}correct horse battery{after}");
            let encoded = STANDARD.encode(&text);
            let redacted = redactor(&value).text(encoded.clone());
            let left = redacted.replace("[secret a.b]", "");
            assert!(
                redacted.contains("[secret a.b]") && left.len() <= encoded.len() - 24,
                "{text}: {redacted}"
            );
        }
    }
}

#[test]
fn parts_of_a_value_are_found() {
    check(&json!("admin:hunter2"), "hunter2 admin-x", "[secret a.b] admin-x");
    check(
        &json!("operator:hunter2"),
        "hunter2 operator",
        "[secret a.b] [secret a.b]",
    );
    check(
        &json!("line one\nx\nline two\n"),
        "line two, x, line one",
        "[secret a.b], x, [secret a.b]",
    );
    check(
        &json!({"user": "u", "password": "hunter2", "port": 1_234_567}),
        "u hunter2 1234567",
        "u [secret a.b] [secret a.b]",
    );
    check(&json!(12_345_678), "n=12345678", "n=[secret a.b]");
    check(
        &json!("hunter2"),
        "hunter hunter2hunter2",
        "hunter [secret a.b][secret a.b]",
    );
    let all = [("a.b", json!("abcdefgh")), ("a.c", json!("efghijkl"))];
    let all = Redactor::new(all.iter().map(|(name, value)| (*name, value)))
        .unwrap()
        .unwrap();
    assert_eq!(all.text("xabcdefghijkly".to_owned()), "x[secret a.b]y");
    assert!(Redactor::new([("a.b", &json!("short"))].into_iter()).unwrap().is_none());
}

#[test]
fn values_and_their_names_are_redacted() {
    let redactor = redactor(&json!("hunter2"));
    // The last character of base64 depends on what follows the value, and has only two bits of it.
    let found = redactor.value(json!({"hunter2": ["x hunter2", 1, null], "k": {"aHVudGVyMg": true}}));
    assert_eq!(
        found,
        json!({"[secret a.b]": ["x [secret a.b]", 1, null], "k": {"[secret a.b]g": true}})
    );
}

#[test]
fn no_cut_of_a_stream_reveals_a_value() {
    let secret: String = (0..4096_u32)
        .map(|i| char::from(b'!' + u8::try_from((i * i + i / 7) % 90).unwrap()))
        .collect();
    let redactor = redactor(&json!(secret));
    let output = format!("before {secret} after");
    let expected = redactor.text(output.clone());
    assert_eq!(expected, "before [secret a.b] after");
    for cut in 0..output.len() {
        let (first, second) = output.split_at(cut);
        let mut stream = Stream::new(Arc::clone(&redactor));
        let mut live = stream.push(first.as_bytes());
        live.extend(stream.push(second.as_bytes()));
        assert!(expected.as_bytes().starts_with(&live), "cut at {cut}");
        // Where the middle is left out, neither end contains a part of it. Every place would take minutes.
        if (32..output.len() - 32).contains(&cut) && cut % 16 != 0 {
            continue;
        }
        let (head, tail) = (redactor.head(first.as_bytes()), redactor.tail(second.as_bytes()));
        for (what, end) in [("head", head), ("tail", tail)] {
            let end = String::from_utf8(end).unwrap();
            let plain = end
                .replace("[secret a.b]", "")
                .replace("before ", "")
                .replace(" after", "");
            assert!(plain.len() < 12, "{what} at {cut}: {plain}");
        }
    }
    for size in [1, 7, 4095, 4096, 5000] {
        let mut stream = Stream::new(Arc::clone(&redactor));
        let live: Vec<u8> = output
            .as_bytes()
            .chunks(size)
            .flat_map(|piece| stream.push(piece))
            .collect();
        assert!(expected.as_bytes().starts_with(&live), "in pieces of {size}");
    }
}

#[test]
fn a_stream_of_repeated_values_ends_like_the_whole() {
    let redactor = redactor(&json!("aaaaaaaa"));
    let output = "aaaaaaaaaaaaaaaaaaaaaaa b aaaaaaaa c aaaaaaa d".repeat(9);
    let expected = redactor.text(output.clone());
    for size in [1, 2, 3, 8, 64] {
        let mut stream = Stream::new(Arc::clone(&redactor));
        let live: Vec<u8> = output
            .as_bytes()
            .chunks(size)
            .flat_map(|piece| stream.push(piece))
            .collect();
        assert!(expected.as_bytes().starts_with(&live), "in pieces of {size}");
    }
}
