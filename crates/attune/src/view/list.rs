//! Objects in the requested format: rows as they arrive, or one object.

use super::{
    cell::{Column, Kind, at, color, for_terminal, one_line, plain, shown},
    out, pager,
    term::{Format, View},
};
use serde_json::Value;

/// The columns of a kind of object, and the field that identifies it.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub key: &'static str,
    pub columns: &'static [Column],
    /// Additional columns of `-o wide`.
    pub wide: &'static [Column],
}

/// Prints rows page by page.
pub struct List<'a> {
    view: &'a View,
    columns: Vec<(String, String, Kind)>,
    key: &'static str,
    /// On a terminal, the first page determines the widths.
    widths: Option<Vec<usize>>,
    started: bool,
    /// More pages follow, so that nothing is held back for a pager.
    streams: bool,
}

impl<'a> List<'a> {
    pub fn new(view: &'a View, shape: Shape, streams: bool) -> Self {
        let owned = |column: &Column| (column.title.to_owned(), column.path.to_owned(), column.kind);
        let columns = match &view.format {
            Format::Cols(paths) => paths
                .iter()
                .map(|path| (path.clone(), path.clone(), Kind::Text))
                .collect(),
            Format::Wide | Format::Csv => shape.columns.iter().chain(shape.wide).map(owned).collect(),
            _ => shape.columns.iter().map(owned).collect(),
        };
        Self {
            view,
            columns,
            key: shape.key,
            widths: None,
            started: false,
            streams,
        }
    }

    pub fn page(&mut self, rows: &[Value]) -> anyhow::Result<()> {
        let first = !std::mem::replace(&mut self.started, true);
        match &self.view.format {
            Format::Json => self.json_page(rows, first),
            Format::Jsonl => rows
                .iter()
                .try_for_each(|row| out::line(&safe(self.view, &row.to_string()))),
            Format::Yaml => rows
                .iter()
                .try_for_each(|row| out::text(&format!("---\n{}", yaml(row)?))),
            Format::Name => rows
                .iter()
                .try_for_each(|row| out::line(&one_line(&plain(at(row, self.key))))),
            Format::Csv => self.csv_page(rows, first),
            Format::Table | Format::Wide | Format::Cols(_) => self.table_page(rows, first),
        }
    }

    /// A list that is empty, or the end of one.
    pub fn end(&mut self) -> anyhow::Result<()> {
        let empty = !self.started;
        match &self.view.format {
            Format::Json if empty => out::line("[]"),
            Format::Json => out::line("\n]"),
            Format::Table | Format::Wide | Format::Cols(_) if empty && !self.view.tty => self.table_page(&[], true),
            _ => Ok(()),
        }
    }

    fn json_page(&self, rows: &[Value], first: bool) -> anyhow::Result<()> {
        for (index, row) in rows.iter().enumerate() {
            let before = if first && index == 0 { "[\n" } else { ",\n" };
            let text = serde_json::to_string_pretty(row)?.replace('\n', "\n  ");
            out::text(&format!("{before}  {}", safe(self.view, &text)))?;
        }
        if first && rows.is_empty() {
            out::text("[")?;
        }
        Ok(())
    }

    fn csv_page(&self, rows: &[Value], first: bool) -> anyhow::Result<()> {
        let quoted = |cells: Vec<String>| {
            let quote = |cell: String| {
                if cell.contains([',', '"', '\n', '\r']) {
                    format!("\"{}\"", cell.replace('"', "\"\""))
                } else {
                    cell
                }
            };
            cells.into_iter().map(quote).collect::<Vec<_>>().join(",")
        };
        if first {
            out::line(&quoted(self.columns.iter().map(|(_, path, _)| path.clone()).collect()))?;
        }
        for row in rows {
            let cell = |path: &str| match at(row, path) {
                Value::Null => String::new(),
                value => plain(value),
            };
            let cells = self.columns.iter().map(|(_, path, _)| cell(path)).collect();
            out::line(&safe(self.view, &quoted(cells)))?;
        }
        Ok(())
    }

    fn table_page(&mut self, rows: &[Value], first: bool) -> anyhow::Result<()> {
        let titles = || self.columns.iter().map(|(title, ..)| title.clone()).collect::<Vec<_>>();
        let cells = |row: &Value| -> Vec<String> {
            let columns = self.columns.iter();
            columns
                .map(|(_, path, kind)| shown(at(row, path), *kind, self.view))
                .collect()
        };
        let lines: Vec<Vec<String>> = rows.iter().map(cells).collect();
        if !self.view.tty {
            let head = first.then(titles).into_iter().chain(lines);
            return head.into_iter().try_for_each(|line| out::line(&line.join("\t")));
        }
        let widths = self.widths.get_or_insert_with(|| {
            let mut widths: Vec<usize> = self.columns.iter().map(|(title, ..)| title.len()).collect();
            for line in &lines {
                for (width, cell) in widths.iter_mut().zip(line) {
                    *width = (*width).max(cell.chars().count());
                }
            }
            widths
        });
        let mut text = String::new();
        if first {
            let head = padded(&titles(), widths, self.view, |_, cell| self.view.paint(cell, "1"));
            text.push_str(&head);
        }
        for line in &lines {
            text.push_str(&padded(line, widths, self.view, |index, cell| {
                let colored = matches!(self.columns[index].2, Kind::Status | Kind::Enabled);
                let color = if colored { color(cell.trim_end()) } else { "" };
                self.view.paint(cell, color)
            }));
        }
        if self.streams {
            out::text(&text)
        } else {
            pager::show(&text, self.view)
        }
    }
}

/// One line of a table. The last cell is cut at the width of the terminal.
fn padded(cells: &[String], widths: &[usize], view: &View, paint: impl Fn(usize, &str) -> String) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let last = index + 1 == cells.len();
        let mut cell = cell.clone();
        let room = view.width.saturating_sub(used).max(8);
        if last && cell.chars().count() > room {
            cell = cell.chars().take(room - 1).chain(['…']).collect();
        }
        let pad = if last {
            0
        } else {
            width.saturating_sub(cell.chars().count()) + 2
        };
        used += cell.chars().count() + pad;
        line.push_str(&paint(index, &cell));
        line.push_str(&" ".repeat(pad));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// JSON escapes most control characters, but not all that a terminal obeys.
fn safe(view: &View, text: &str) -> String {
    if view.tty { for_terminal(text) } else { text.to_owned() }
}

pub fn yaml(value: &Value) -> anyhow::Result<String> {
    Ok(serde_norway::to_string(value)?)
}

/// One object: its fields as lines, or in the requested format.
pub fn one(value: &Value, shape: Shape, view: &View) -> anyhow::Result<()> {
    match &view.format {
        Format::Json => out::line(&safe(view, &serde_json::to_string_pretty(value)?)),
        Format::Jsonl => out::line(&safe(view, &value.to_string())),
        Format::Yaml => out::text(&safe(view, &yaml(value)?)),
        Format::Table => fields(value, view),
        Format::Wide | Format::Name | Format::Csv | Format::Cols(_) => {
            let mut list = List::new(view, shape, true);
            list.page(std::slice::from_ref(value))?;
            list.end()
        }
    }
}

fn fields(value: &Value, view: &View) -> anyhow::Result<()> {
    let fields = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null());
    let fields: Vec<_> = fields.collect();
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in fields {
        let kind = if name.ends_with("_at") { Kind::Time } else { Kind::Text };
        let shown = shown(value, kind, view);
        let line = if view.tty {
            format!("{name:width$}  {shown}\n")
        } else {
            format!("{name}\t{shown}\n")
        };
        text.push_str(&line);
    }
    pager::show(&text, view)
}
