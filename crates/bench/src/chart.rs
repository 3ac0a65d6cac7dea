//! One picture for each measurement: a row for each contestant, time on a logarithmic axis, a mark
//! for each round, and the floor as a line.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    growth_chart,
    results::{Results, Series},
};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 50.0;
const ROW: f64 = 54.0;
const TOP: f64 = 54.0;
const BOTTOM: f64 = 46.0;
pub(crate) const COLOURS: [&str; 6] = [
    "#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626", "#0891b2",
];

/// A picture of one thing that was measured.
pub(crate) struct Chart {
    pub(crate) file: String,
    pub(crate) what: String,
    pub(crate) svg: String,
}

/// All pictures that there are values for.
pub(crate) fn draw(results: &Results, folder: &Path) -> Result<()> {
    for name in results.measurements.keys() {
        for chart in charts(results, name) {
            let path = folder.join(&chart.file);
            fs::write(&path, chart.svg)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// The pictures of one measurement, where there is more than a value or two to see.
pub(crate) fn charts(results: &Results, name: &str) -> Vec<Chart> {
    let Some(measured) = results.measurements.get(name) else {
        return Vec::new();
    };
    if measured.series.iter().any(|one| one.at.is_some()) {
        return growth_chart::charts(name, &measured.series);
    }
    let mut kinds: Vec<&str> = Vec::new();
    for one in &measured.series {
        let is_floor = name != "floor" && ["floor", "replace"].contains(&&*one.contestant);
        if one.unit == "ms" && one.n > 1 && !is_floor && !kinds.contains(&&*one.what) {
            kinds.push(&one.what);
        }
    }
    let mut charts = Vec::new();
    for (number, what) in kinds.into_iter().enumerate() {
        let series = measured.series.iter();
        let rows: Vec<&Series> = series.filter(|one| one.what == what).collect();
        let floor = results.floor(name).map(|floor| floor.p50);
        let Some(svg) = picture(name, &rows, floor.filter(|_| name != "floor")) else {
            continue;
        };
        let file = match number {
            0 => format!("{name}.svg"),
            number => format!("{name}-{}.svg", number + 1),
        };
        charts.push(Chart {
            file,
            what: what.to_owned(),
            svg,
        });
    }
    charts
}

fn picture(name: &str, rows: &[&Series], floor: Option<f64>) -> Option<String> {
    let positive = rows.iter().flat_map(|row| row.values.iter().copied());
    let positive = positive.filter(|value| *value > 0.0).chain(floor);
    let (low, high) = positive.fold((f64::MAX, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let first = rows.first()?;
    if high <= 0.0 {
        return None;
    }
    let (low, high) = (
        low.log10().floor(),
        high.log10().ceil().max(low.log10().floor() + 1.0),
    );
    let x = |value: f64| {
        let share = (value.max(1e-9).log10() - low) / (high - low);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    };
    #[allow(clippy::cast_precision_loss, reason = "there are few rows")]
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let axis = height - BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"600\">{name}: {}</text>\n",
        first.what
    );
    let mut power = low;
    while power <= high {
        let at = x(10_f64.powf(power));
        let label = format_value(10_f64.powf(power));
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{axis}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#6b7280\">{label} {}</text>",
            axis + 20.0,
            first.unit
        );
        power += 1.0;
    }
    for (number, row) in rows.iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "there are few rows")]
        let y = TOP + ROW * (number as f64 + 0.5);
        let colour = COLOURS[number % COLOURS.len()];
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 12.0,
            y + 4.0,
            row.contestant
        );
        for value in &row.values {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\" fill-opacity=\"0.25\"/>",
                x(*value)
            );
        }
        let median = x(row.p50);
        let _ = writeln!(
            svg,
            "<line x1=\"{median:.1}\" y1=\"{:.1}\" x2=\"{median:.1}\" y2=\"{:.1}\" \
             stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{median:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{colour}\">{}</text>",
            y - 12.0,
            y + 12.0,
            y - 16.0,
            format_value(row.p50)
        );
    }
    if let Some(floor) = floor {
        let at = x(floor);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{axis}\" stroke=\"#111827\" \
             stroke-dasharray=\"4 4\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">floor \
             {}</text>",
            TOP - 6.0,
            format_value(floor)
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// Three digits.
pub(crate) fn format_value(value: f64) -> String {
    match value {
        value if value.abs() >= 100.0 => group(value.round()),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// With a comma between thousands.
pub(crate) fn group(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits() {
        assert_eq!(format_value(17_626.4), "17,626");
        assert_eq!(format_value(-429.0), "-429");
        assert_eq!(format_value(15.04), "15.0");
        assert_eq!(format_value(7.333), "7.33");
    }

    #[test]
    fn a_picture_has_a_row_for_each_contestant_and_the_floor() {
        let series = |who: &str, values| Series::of(who, "ms", "it takes", values).expect("values");
        let (a, b) = (
            series("tenure", vec![8.0, 9.0]),
            series("client-go", vec![2000.0]),
        );
        let drawn = picture("handover-1", &[&a, &b], Some(7.0)).expect("a picture");
        assert!(drawn.contains(">tenure<") && drawn.contains(">client-go<"));
        assert!(drawn.contains("floor 7.00") && drawn.matches("<circle").count() == 3);
        assert!(picture("x", &[], None).is_none());
        let nothing = series("late", vec![-3.0]);
        assert!(picture("x", &[&nothing], None).is_none());
    }
}
