//! Replays the corpora of the fuzzers: no input causes a panic or exceeds the bounds of time and memory. Time is CPU time,
//! so that a busy machine does not matter.

#[path = "../../../../fuzz/targets/domain.rs"]
mod domain;
#[path = "../../../../fuzz/targets/services.rs"]
mod services;

use nix::time::{ClockId, clock_gettime};
use std::{fs, path::Path, time::Duration};

/// For one input, without optimisation. Most take a millisecond.
const PROCESSOR_MAX: Duration = Duration::from_secs(2);
const MEMORY_MAX_KIB: usize = 64 * 1024;
/// The minimum size of a corpus, because an empty one would pass.
const INPUTS_MIN: usize = 25;

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    inputs.sort();
    assert!(inputs.len() >= INPUTS_MIN, "{name} has only {} inputs", inputs.len());
    for input in inputs {
        let data = fs::read(&input).expect("an input can be read");
        bounded(&input.display().to_string(), || target(&data));
    }
}

fn bounded(what: &str, run: impl FnOnce()) {
    // Resets the kernel's high-water mark of memory.
    fs::write("/proc/self/clear_refs", "5").expect("the mark can be reset");
    let (memory, time) = (highest(), processor());
    run();
    let (memory, time) = (highest().saturating_sub(memory), processor().saturating_sub(time));
    assert!(time < PROCESSOR_MAX, "{what} took {time:?}");
    assert!(memory < MEMORY_MAX_KIB, "{what} took {memory} KiB");
}

fn processor() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

/// The peak memory of this process in KiB.
fn highest() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("procfs is readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a number")
}

#[test]
fn cron() {
    replay("cron", domain::cron);
}

#[test]
fn timer() {
    replay("timer", domain::timer);
}

#[test]
fn webhook() {
    replay("webhook", domain::webhook);
}

#[test]
fn condition() {
    replay("condition", domain::condition);
}

#[test]
fn template() {
    replay("template", domain::template);
}

#[test]
fn body() {
    replay("body", services::body);
}

#[test]
fn pack() {
    replay("pack", services::pack);
}

#[test]
fn jwt() {
    replay("jwt", services::jwt);
}

/// Hostile conditions on a payload of a megabyte, generated because the files would be large.
#[test]
fn large_payloads() {
    let text = "ß".repeat(500_000);
    let list = format!("[{}]", vec!["\"a\""; 250_000].join(","));
    let payload = format!(r#"{{"text": "{text}", "list": {list}}}"#);
    let chain = |filters: &str, times: usize| format!("event.payload.text{} | length > 1", filters.repeat(times));
    let conditions = [
        chain("|upper", 60),
        chain("|upper|lower", 40),
        chain("|title", 60),
        chain("|trim|string", 50),
        chain("|replace('ß', 'ss')", 20),
        chain("|replace('ß', 'ßßßßßßßß')", 20),
        chain("|split('ß')|join('ß')", 20),
        chain("|tojson", 60),
        format!("{} == 1", vec!["event.payload.text"; 100].join(" ~ ")),
        format!("{} == 1", vec!["event.payload.list"; 100].join(" ~ ")),
        format!("{} == 1", vec!["event.payload.list"; 100].join(" + ")),
        format!("'x' in [{}]", vec!["event.payload.list"; 60].join(", ")),
        format!("'x' in {}", vec!["event.payload.list"; 40].join(" or 'x' in ")),
        format!(
            "event.payload.list == {}",
            vec!["event.payload.list"; 40].join(" and event.payload.list == ")
        ),
        format!("{}event.payload.list{} == 'a'", "[".repeat(100), "]|max".repeat(30)),
        "event.payload.list|join(event.payload.text)|length > 1".to_owned(),
        "event.payload.text * 1000000 == 1".to_owned(),
        "(event.payload.list|tojson|split(','))|join(',')|length > 1".to_owned(),
    ];
    for condition in conditions {
        let input = format!("{condition}\n---\n{payload}");
        bounded(&condition.chars().take(80).collect::<String>(), || {
            domain::condition(input.as_bytes());
        });
    }
    for template in [
        format!("{{{{ event.payload.text{}|length }}}}", "|upper|lower".repeat(30)).repeat(40),
        "{{ event.payload.list|tojson|length }}".repeat(250),
        "{{ event.payload.text }}".repeat(250),
        "{{ event.payload }}".repeat(250),
        "{% if event.payload.text|upper|lower == 'x' %}{% endif %}".repeat(200),
    ] {
        let input = format!("{template}\n---\n{payload}");
        bounded(&template.chars().take(80).collect::<String>(), || {
            domain::template(input.as_bytes());
        });
    }
    let deep = format!("{}1{}", "[".repeat(400_000), "]".repeat(400_000));
    bounded("deep JSON", || services::body(deep.as_bytes()));
    let wide = format!("[{}]", vec!["{}"; 300_000].join(","));
    bounded("wide JSON", || services::body(wide.as_bytes()));
}
