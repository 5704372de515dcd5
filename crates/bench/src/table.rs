//! Measures as rows for people. Three percentiles of one thing are one row.

use crate::result::{Measure, number};
use std::fmt::Write as _;

/// One row.
#[derive(Debug)]
pub struct Row {
    pub suite: &'static str,
    pub name: String,
    pub value: String,
    pub floor: String,
    pub goal: String,
}

pub fn rows(measures: &[Measure]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut rest = measures;
    while let Some(first) = rest.first() {
        let taken = together(rest);
        let (these, others) = rest.split_at(taken);
        rest = others;
        rows.push(Row {
            suite: first.suite,
            name: stem(&first.name, taken).to_owned(),
            value: values(these),
            floor: floor(these),
            goal: goals(these),
        });
    }
    rows
}

/// 3 when p50, p95 and p99 of one thing follow, otherwise 1.
fn together(measures: &[Measure]) -> usize {
    match measures {
        [a, b, c, ..]
            if a.name.strip_suffix(", p50").is_some_and(|name| {
                b.name.strip_suffix(", p95") == Some(name) && c.name.strip_suffix(", p99") == Some(name)
            }) =>
        {
            3
        }
        _ => 1,
    }
}

fn stem(name: &str, taken: usize) -> &str {
    if taken == 3 {
        name.strip_suffix(", p50").unwrap_or(name)
    } else {
        name
    }
}

fn values(measures: &[Measure]) -> String {
    match measures {
        [one] => number(one.value, one.unit),
        many => {
            let values: Vec<String> = many.iter().map(|measure| number(measure.value, "")).collect();
            let unit = many.first().map_or("", |measure| measure.unit);
            format!("{} {unit} (p50 / p95 / p99)", values.join(" / "))
        }
    }
}

fn floor(measures: &[Measure]) -> String {
    let Some((unit, floor)) = measures
        .iter()
        .find_map(|measure| Some((measure.unit, measure.floor.as_ref()?)))
    else {
        return String::new();
    };
    format!("{:.2} × {} ({})", floor.ratio, floor.name, number(floor.value, unit))
}

fn goals(measures: &[Measure]) -> String {
    let texts = measures.iter().filter_map(|measure| {
        let goal = measure.goal.as_ref()?;
        let which = if measures.len() > 1 {
            measure.name.rsplit_once(", ").map_or("", |(_, which)| which)
        } else {
            ""
        };
        let ends = if goal.met {
            "met".to_owned()
        } else {
            format!("missed: {:.2} × the limit", goal.of_limit)
        };
        Some(format!("{which} {}: {ends}", goal.text).trim_start().to_owned())
    });
    texts.collect::<Vec<_>>().join("; ")
}

/// Columns as wide as what they hold.
pub fn text(rows: &[Row]) -> String {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (names, values) = (width(|row| &row.name), width(|row| &row.value));
    let mut text = String::new();
    let mut suite = "";
    for row in rows {
        if row.suite != suite {
            suite = row.suite;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n{suite}");
        }
        let comparison = [&row.floor, &row.goal].map(String::as_str).join("  ");
        let line = format!("  {:<names$}  {:<values$}  {}", row.name, row.value, comparison.trim());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_percentiles_are_one_row() {
        let measure = |name: &str, value| Measure::new("latency", name, value, "ms");
        let measures = [
            measure("start, p50", 1.0),
            measure("start, p95", 2.0),
            measure("start, p99", 30.0).at_most(10.0, "≤ 10 ms"),
            measure("alone", 4.0).relative_to("a commit", 2.0),
        ];
        let rows = rows(&measures);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].name.as_str(), rows[0].value.as_str()),
            ("start", "1.00 / 2.00 / 30.0 ms (p50 / p95 / p99)")
        );
        assert_eq!(rows[0].goal, "p99 ≤ 10 ms: missed: 3.00 × the limit");
        assert_eq!(rows[1].floor, "2.00 × a commit (2.00 ms)");
    }
}
