//! Names from Jinja, Ansible, `StackStorm` and Home Assistant that do not exist here, and their replacements.

/// A name from another system, and its replacement.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["json_query", "jsonpath_query", "json_parse"],
        "read the field with its path, `event.payload.items[0].name`, or with `map(attribute='name')`",
    ),
    (&["to_nice_json", "to_pretty_json"], "write `tojson`"),
    (
        &[
            "to_yaml",
            "to_nice_yaml",
            "to_yaml_string",
            "from_yaml",
            "from_yaml_string",
            "from_yaml_all",
        ],
        "YAML is not available; JSON is: `tojson` and `from_json`",
    ),
    (&["format"], "join texts with `~`: `'a ' ~ event.payload.name`"),
    (&["wordcount"], "write `value.split() | length`"),
    (&["basename"], "write `value.split('/') | last`"),
    (&["dirname"], "write `value | regex_replace('/[^/]*$', '')`"),
    (&["regex_substring"], "write `(value | regex_findall('…'))[0]`"),
    (&["regex_escape"], "patterns are literals here: escape them yourself"),
    (
        &["sameas"],
        "compare with `==`, or with `is true`, `is false`, `is none`",
    ),
    (&["subset", "issubset"], "write `a | difference(b) | length == 0`"),
    (&["superset", "issuperset"], "write `b | difference(a) | length == 0`"),
    (
        &["symmetric_difference"],
        "write `(a | difference(b)) + (b | difference(a))`",
    ),
    (
        &["escape", "e", "safe", "forceescape", "striptags", "xmlattr"],
        "values are not HTML here; leave it out",
    ),
    (
        &["random", "shuffle"],
        "a decision about an event is always the same; nothing is random",
    ),
    (
        &[
            "strftime",
            "to_datetime",
            "timestamp_custom",
            "as_timestamp",
            "as_datetime",
            "timestamp_local",
            "isoformat",
        ],
        "times are not calculated here; pass `event.received_at` on, or compare it as text",
    ),
    (
        &["hash", "md5", "sha1", "password_hash", "checksum"],
        "hashes are not available; let the action calculate them",
    ),
    (
        &["urlencode", "quote"],
        "pass the value as a parameter; the action encodes it",
    ),
    (
        &["decrypt_kv", "use_none", "from_cli", "lookup"],
        "stored values are not available in expressions",
    ),
    (
        &["indent", "center", "wordwrap", "filesizeformat", "pprint"],
        "texts are not laid out here; the action can",
    ),
    (&["batch", "slice"], "take parts with `value[0:10]`"),
    (&["items2dict", "dict"], "write an object: `{'name': value}`"),
    (
        &["zip", "product", "permutations", "combinations", "range"],
        "there are no loops, so lists are not combined",
    ),
    (
        &["isdigit", "isnumeric", "isdecimal"],
        "write `value is match('[0-9]+$')`",
    ),
    (&["isalpha"], "write `value is match('[A-Za-z]+$')`"),
    (&["isalnum"], "write `value is match('[A-Za-z0-9]+$')`"),
    (&["islower"], "write `value is lower`"),
    (&["isupper"], "write `value is upper`"),
    (&["find", "index", "rfind"], "write `'part' in value`"),
    (&["has_key", "__contains__"], "write `'name' in value`"),
    (&["append", "extend", "insert"], "write `list + [item]`"),
    (&["update"], "write `object | combine(other)`"),
    (
        &["encode", "decode"],
        "strings are Unicode; `b64encode` and `b64decode` encode them",
    ),
    (
        &["version_compare", "version"],
        "versions are not compared here; let the action do it",
    ),
    (&["is_defined"], "write `value is defined`"),
    (&["nonempty", "empty"], "write `value | length > 0`"),
    (
        &["type_debug", "typeof"],
        "test the type: `is string`, `is number`, `is sequence`, `is mapping`",
    ),
    (&["slugify"], "write `value | lower | regex_replace('[^a-z0-9]+', '-')`"),
    (&["median", "average", "mean"], "write `(list | sum) / (list | length)`"),
    (
        &["attr"],
        "read the field with its path: `value.name` or `value['name']`",
    ),
    (&["substr", "substring"], "take a part with `value[0:10]`"),
    (&["concat"], "join texts with `~` and lists with `+`"),
    (&["len", "size"], "write `value | length`"),
    (&["str", "to_string"], "write `value | string`"),
    (
        &["isinstance"],
        "test the type: `is string`, `is number`, `is sequence`, `is mapping`",
    ),
];

pub fn advice(name: &str) -> Option<&'static str> {
    let found = ADVICE.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, advice)| *advice)
}
