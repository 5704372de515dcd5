//! The arguments, help and examples of each verb.

use super::table::{Does, Noun, Own, Verb};
use crate::cmd::input;
use clap::{Arg, ArgAction, Command as Grammar, value_parser};

/// The command of a verb, without the options of every command.
pub fn of(named: &'static Noun, verb: &'static Verb) -> Grammar {
    let noun = verb.on.unwrap_or(named);
    let command = Grammar::new(verb.name)
        .about(about(noun, verb))
        .after_help(examples(named, verb));
    match verb.does {
        Does::List => list(command, noun),
        Does::Get | Does::Post { .. } => command.arg(keys(noun)),
        Does::Rows { .. } => command.arg(key(noun)),
        Does::Create => command
            .arg(
                Arg::new("key")
                    .value_name(upper(noun.key))
                    .help("Ref of the new object, such as acme.name"),
            )
            .args([fields(), file()]),
        Does::Edit => command.args([key(noun), fields(), file(), version()]),
        Does::Delete => command.args([keys(noun), yes(), version()]),
        Does::Own(own) => own_arguments(command, noun, own),
    }
}

fn about(noun: &Noun, verb: &Verb) -> String {
    let article = if noun.name.starts_with(['a', 'e']) { "an" } else { "a" };
    let name = noun.name;
    match (verb.does, verb.on.is_some() && noun.name.contains(' ')) {
        (_, true) | (Does::Own(Own::EventSend | Own::UserPasswd), _) => verb.about.to_owned(),
        (Does::List | Does::Own(Own::PoolList), _) => match name {
            "queue" => "List quarantined events".to_owned(),
            "retention" => "List how long the rows of each table are retained".to_owned(),
            "audit" => "List audit entries, newest first".to_owned(),
            _ => format!("{} {name}s", verb.about),
        },
        _ if name == "queue" => format!("{} quarantined events", verb.about.trim_end_matches(':')),
        _ => format!("{} {article} {name}", verb.about.trim_end_matches(':')),
    }
}

fn upper(key: &str) -> &'static str {
    match key {
        "ref" | "trigger_ref" => "REF",
        "login" => "LOGIN",
        _ => "ID",
    }
}

fn key(noun: &Noun) -> Arg {
    Arg::new("key").required(true).value_name(upper(noun.key)).help(format!(
        "{} of the {}",
        capital(noun.key),
        noun.name
    ))
}

fn keys(noun: &Noun) -> Arg {
    key(noun).action(ArgAction::Append).num_args(1..)
}

fn capital(key: &str) -> &'static str {
    match upper(key) {
        "REF" => "Ref",
        "LOGIN" => "Login",
        _ => "Id",
    }
}

fn fields() -> Arg {
    Arg::new("field")
        .action(ArgAction::Append)
        .num_args(1..)
        .value_name("FIELD")
        .help(input::HELP)
}

fn file() -> Arg {
    option(
        "file",
        "FILE",
        "Read the object from a JSON or YAML file; - is standard input",
    )
    .short('f')
}

fn yes() -> Arg {
    flag("yes", "Skip the confirmation").short('y')
}

fn version() -> Arg {
    option(
        "if-version",
        "VERSION",
        "Only if the object still has this version: the ETag of `get -v -v`",
    )
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

fn list(command: Grammar, noun: &'static Noun) -> Grammar {
    let filters = noun
        .filters
        .iter()
        .map(|filter| option(filter.option, "VALUE", filter.help));
    let command = command
        .args(filters)
        .arg(option("limit", "N", "Number of rows [default: 50]").value_parser(value_parser!(u32).range(1..)))
        .arg(flag("all", "Show all rows").conflicts_with("limit"));
    if noun.feed.is_empty() {
        command
    } else {
        command.arg(flag("watch", "Then print each change, until Ctrl-C").short('w'))
    }
}

#[expect(clippy::too_many_lines, reason = "one list of arguments")]
fn own_arguments(command: Grammar, noun: &'static Noun, own: Own) -> Grammar {
    match own {
        Own::RuleTest => command
            .arg(key(noun).required_unless_present("file").required(false))
            .arg(option("event", "ID", "Evaluate this event"))
            .arg(option(
                "payload",
                "JSON",
                "Evaluate an event with this payload; @FILE reads a file",
            ))
            .arg(flag("last", "Evaluate the last event of the rule's trigger"))
            .arg(file()),
        Own::TimerCreate => command
            .args([key(noun), fields(), file()])
            .arg(option("every", "DURATION", "Fire at this interval, such as 10s or 5m"))
            .arg(option("cron", "EXPRESSION", "Fire at the times of a cron expression"))
            .arg(option("at", "INSTANT", "Fire once, such as at 2027-01-20T15:00:00Z"))
            .arg(option("timezone", "ZONE", "IANA time zone of the cron expression"))
            .arg(option(
                "if-missed",
                "POLICY",
                "Occurrences missed while Attune was down: see docs/reference/timers.md",
            ))
            .arg(option(
                "dst-gap",
                "POLICY",
                "Local times that a clock change skips: run or skip",
            ))
            .arg(option(
                "dst-overlap",
                "POLICY",
                "Local times that a clock change repeats: first, second or both",
            )),
        Own::TimerNext => command.arg(key(noun)).arg(
            option("count", "N", "Number of occurrences [default: 10]")
                .short('n')
                .value_parser(value_parser!(u32).range(1..)),
        ),
        Own::Fire | Own::EventSend => {
            let command = command.args([key(noun), fields()]);
            if own == Own::EventSend {
                command.arg(option(
                    "dedup-key",
                    "KEY",
                    "An event with the same key is not created again",
                ))
            } else {
                command
            }
        }
        Own::ExecutionRerun | Own::ExecutionWait | Own::TokenRevoke => command.arg(keys(noun)),
        Own::WebhookSend => command
            .args([key(noun), fields()])
            .arg(option("header", "NAME:VALUE", "A header of the request").action(ArgAction::Append)),
        Own::WebhookRotateSecret => command.arg(key(noun)).arg(flag("show", "Print the new secret")),
        Own::QueueDiscard => command.args([keys(noun), yes()]),
        Own::PoolList => command,
        Own::UserAdd => command
            .arg(key(noun))
            .arg(option(
                "role",
                "ROLE",
                "Role: viewer, operator, editor or admin [default: viewer]",
            ))
            .arg(option("name", "NAME", "Display name [default: the login]")),
        Own::UserPasswd => command.arg(flag("end-tokens", "Also revoke your API tokens")),
        Own::UserChange("role") => command.arg(key(noun)).arg(
            Arg::new("role")
                .required(true)
                .value_name("ROLE")
                .help("Role: viewer, operator, editor or admin"),
        ),
        Own::UserChange(_) | Own::ActionSchema => command.arg(key(noun)),
        Own::TokenCreate => command
            .arg(option("label", "TEXT", "Purpose of the token").required(true))
            .arg(option(
                "role",
                "ROLE",
                "Role: viewer, operator, editor or admin, at most yours [default: viewer]",
            ))
            .arg(
                option("expires-in-days", "DAYS", "Days until the token expires")
                    .value_parser(value_parser!(u16).range(1..)),
            ),
    }
}

/// Three examples of each verb.
fn examples(named: &'static Noun, verb: &'static Verb) -> String {
    let start = format!("attune {} {}", named.name, verb.name);
    let one = format!("{start} {}", verb.on.unwrap_or(named).example);
    let lines = match verb.does {
        Does::List | Does::Own(Own::PoolList) => {
            vec![start.clone(), format!("{start} -o json"), format!("{start} -q | wc -l")]
        }
        Does::Get => vec![
            one.clone(),
            format!("{one} -o yaml"),
            format!("{one} -o cols=ref,label"),
        ],
        Does::Create => vec![
            format!("{start} acme.new -f new.yaml"),
            format!("{start} acme.new label='A label'"),
            format!("{start} -f - < new.yaml"),
        ],
        Does::Edit => vec![
            one.clone(),
            format!("{one} label='A label'"),
            format!("{one} -f changed.yaml"),
        ],
        Does::Delete => vec![one.clone(), format!("{one} --yes")],
        Does::Own(Own::TimerCreate) => vec![
            format!("{start} acme.often --every 10s"),
            format!("{start} acme.nightly --cron '30 2 * * *' --timezone Europe/Berlin"),
            format!("{start} acme.once --at 2027-01-20T15:00:00Z"),
        ],
        Does::Own(Own::RuleTest) => vec![
            format!("{one} --last"),
            format!("{one} --payload '{{\"total\": 50}}'"),
            format!("{start} -f rule.yaml --event 019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e"),
        ],
        Does::Own(Own::EventSend) => vec![
            format!("{start} acme.order total:=150 country=DE"),
            format!("{start} acme.order @order.json --dedup-key order-7"),
        ],
        Does::Own(Own::WebhookSend) => vec![format!("{one} status=ok"), format!("{one} @body.json")],
        Does::Own(Own::UserAdd) => vec![format!("{one} --role editor")],
        Does::Own(Own::UserChange("role")) => vec![format!("{one} operator")],
        Does::Own(Own::UserPasswd) => vec![start, "attune user passwd --end-tokens".to_owned()],
        Does::Own(Own::TokenCreate) => vec![format!("{start} --label ci --role operator --expires-in-days 90")],
        Does::Post { .. } | Does::Rows { .. } | Does::Own(_) => vec![one.clone(), format!("{one} -o json")],
    };
    format!("Examples:\n  {}", lines.join("\n  "))
}
