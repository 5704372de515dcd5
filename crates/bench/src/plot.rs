//! Distributions as an SVG that needs nothing but itself: milliseconds on a logarithmic axis against the share of what
//! was at least so quick.

use std::{collections::BTreeMap, fmt::Write as _};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
const COLORS: [&str; 8] = [
    "#1b6ca8", "#d1495b", "#2e8b57", "#8e5ea2", "#e08e0b", "#3c3c3c", "#00a0a0", "#a0522d",
];
const LOWEST_MS: f64 = 0.1;

/// `percentile → ms` of each, in one picture. None when there is nothing to draw.
pub fn svg(distributions: &BTreeMap<String, Vec<(f64, f64)>>) -> Option<String> {
    let highest = distributions
        .values()
        .flatten()
        .map(|point| point.1)
        .fold(LOWEST_MS, f64::max);
    if distributions.is_empty() || highest <= LOWEST_MS {
        return None;
    }
    let decades = (highest / LOWEST_MS).log10().ceil().max(1.0);
    let x = |ms: f64| LEFT + (ms.max(LOWEST_MS) / LOWEST_MS).log10() / decades * (WIDTH - LEFT - RIGHT);
    let y = |percentile: f64| HEIGHT - BOTTOM - percentile / 100.0 * (HEIGHT - TOP - BOTTOM);
    let legend = 18.0 * usize_as_f64(distributions.len());
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>"##,
        total = HEIGHT + legend
    );
    axes(&mut svg, decades, x, y);
    for (place, (name, points)) in distributions.iter().enumerate() {
        let color = COLORS[place % COLORS.len()];
        let line: Vec<String> = points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point.1), y(point.0)))
            .collect();
        let at = HEIGHT + 18.0 * usize_as_f64(place);
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            r#"<polyline fill="none" stroke="{color}" stroke-width="2" points="{}"/><rect x="{LEFT}" y="{at}" width="12" height="12" fill="{color}"/><text x="{}" y="{}">{}</text>"#,
            line.join(" "),
            LEFT + 18.0,
            at + 10.0,
            escaped(name)
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn axes(svg: &mut String, decades: f64, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
    let mut ms = LOWEST_MS;
    while ms <= LOWEST_MS * 10_f64.powf(decades) * 1.01 {
        let at = x(ms);
        let _ = write!(
            svg,
            r##"<line x1="{at}" y1="{TOP}" x2="{at}" y2="{}" stroke="#ddd"/><text x="{at}" y="{}" text-anchor="middle">{ms} ms</text>"##,
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0
        );
        ms = (ms * 10.0 * 1e6).round() / 1e6;
    }
    for percentile in [0.0, 25.0, 50.0, 75.0, 95.0, 99.0] {
        let at = y(percentile);
        let _ = write!(
            svg,
            r##"<line x1="{LEFT}" y1="{at}" x2="{}" y2="{at}" stroke="#ddd"/><text x="{}" y="{}" text-anchor="end">{percentile} %</text>"##,
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn usize_as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distribution_is_drawn_and_named() {
        let points = vec![(0.0, 0.5), (50.0, 2.0), (100.0, 40.0)];
        let svg = svg(&BTreeMap::from([("a < b".to_owned(), points)])).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert!(svg.contains("a &lt; b") && svg.contains("100 ms") && svg.ends_with("</svg>\n"));
        assert!(super::svg(&BTreeMap::new()).is_none());
    }
}
