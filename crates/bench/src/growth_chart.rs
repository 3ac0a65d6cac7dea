//! Pictures of growth: how many across, what it costs upwards, both on logarithmic axes; a line for
//! each contestant, and what there is when nobody stands as a line of dashes.

use std::fmt::Write as _;

use crate::{
    chart::{COLOURS, Chart, WIDTH, decades, format_value, group, head, share},
    results::Series,
};

const HEIGHT: f64 = 380.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 54.0;
const BOTTOM: f64 = 46.0;

/// A picture for each thing that was measured at more than one size.
pub(crate) fn charts(name: &str, series: &[Series]) -> Vec<Chart> {
    let mut whats: Vec<&str> = Vec::new();
    for one in series.iter().filter(|one| one.at.is_some()) {
        if !whats.contains(&&*one.what) {
            whats.push(&one.what);
        }
    }
    let pictures = whats.into_iter().filter_map(|what| {
        let rows: Vec<&Series> = series.iter().filter(|one| one.what == what).collect();
        Some((what, picture(name, what, &rows)?))
    });
    pictures
        .enumerate()
        .map(|(number, (what, svg))| Chart {
            file: format!("{name}-{}.svg", number + 1),
            what: what.to_owned(),
            svg,
        })
        .collect()
}

/// From values to places.
struct Axes {
    across: (f64, f64),
    upwards: (f64, f64),
}

impl Axes {
    fn x(&self, value: f64) -> f64 {
        LEFT + share(value, self.across) * (WIDTH - LEFT - RIGHT)
    }

    /// What is nothing, or less, lies on the lower edge.
    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - share(value, self.upwards) * (HEIGHT - TOP - BOTTOM)
    }
}

fn picture(name: &str, what: &str, rows: &[&Series]) -> Option<String> {
    let sizes = rows.iter().filter_map(|row| row.at.map(f64::from));
    let across = decades(sizes)?;
    let values = rows.iter().map(|row| row.p50);
    // Less than a thousandth of whatever it is is nothing.
    let upwards = decades(values.filter(|value| *value >= 0.001))?;
    let axes = Axes { across, upwards };
    let unit = &rows.first()?.unit;
    let mut svg = frame(name, what, unit, &axes);
    if let Some(nobody) = rows.iter().find(|row| row.at.is_none()) {
        let y = axes.y(nobody.p50);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#111827\" \
             stroke-dasharray=\"4 4\"/>\n<text x=\"{:.1}\" y=\"{:.1}\">{} {}</text>",
            WIDTH - RIGHT,
            WIDTH - RIGHT + 8.0,
            y + 4.0,
            nobody.contestant,
            format_value(nobody.p50)
        );
    }
    let mut contestants: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.at.is_some()) {
        if !contestants.contains(&&*row.contestant) {
            contestants.push(&row.contestant);
        }
    }
    let points = |contestant: &str| -> Vec<(f64, f64, f64)> {
        let theirs = rows.iter().filter(|row| row.contestant == contestant);
        let places = theirs.filter_map(|row| {
            let size = f64::from(row.at?);
            Some((axes.x(size), axes.y(row.p50), row.p50))
        });
        places.collect()
    };
    let lines: Vec<_> = contestants
        .into_iter()
        .map(|who| (who, points(who)))
        .collect();
    // Downwards, as pictures count.
    let end = |line: usize| lines[line].1.last().map_or(0.0, |(_, y, _)| *y);
    let lowest = (0..lines.len()).min_by(|one, other| end(*other).total_cmp(&end(*one)));
    for (number, (contestant, points)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        line(&mut svg, contestant, colour, lowest == Some(number), points);
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn frame(name: &str, what: &str, unit: &str, axes: &Axes) -> String {
    let mut svg = head(name, what, HEIGHT);
    let (left, right, lower) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut power = axes.across.0;
    while power <= axes.across.1 {
        let value = 10_f64.powf(power);
        let x = axes.x(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{lower}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#6b7280\">{} {}</text>",
            lower + 20.0,
            group(value),
            if value > 1.0 {
                name
            } else {
                name.trim_end_matches('s')
            }
        );
        power += 1.0;
    }
    let mut power = axes.upwards.0;
    while power <= axes.upwards.1 {
        let value = 10_f64.powf(power);
        let y = axes.y(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#6b7280\">{}</text>",
            left - 8.0,
            y + 4.0,
            power_label(value)
        );
        power += 1.0;
    }
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{:.1}\" fill=\"#6b7280\">{unit}</text>",
        TOP - 8.0
    );
    svg
}

fn power_label(value: f64) -> String {
    if value < 1.0 {
        format!("{value}")
    } else {
        group(value)
    }
}

fn line(
    svg: &mut String,
    contestant: &str,
    colour: &str,
    lowest: bool,
    points: &[(f64, f64, f64)],
) {
    let path: Vec<String> = points
        .iter()
        .map(|(x, y, _)| format!("{x:.1},{y:.1}"))
        .collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        path.join(" ")
    );
    // Two lines that lie on each other are still told apart: the values of the one that ends lower are
    // below it, the other's above.
    let beside = if lowest { 18.0 } else { -10.0 };
    for (x, y, value) in points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{colour}\" \
             font-size=\"11\">{}</text>",
            (y + beside).min(HEIGHT - BOTTOM - 3.0),
            format_value(*value)
        );
    }
    if let Some((_, y, _)) = points.last() {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{contestant}</text>",
            // Beside the last value, which is as wide on either side of its place.
            WIDTH - RIGHT + 24.0,
            y + if lowest { 12.0 } else { -6.0 }
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_a_line_for_each_contestant_and_what_is_nothing_lies_on_the_edge() {
        let one = |who: &str, at, value| {
            Series::of(who, "s/min", "CPU", vec![value])
                .expect("a value")
                .with(at)
        };
        let nobody = Series::of("nobody", "s/min", "CPU", vec![0.5]).expect("a value");
        let series = [
            nobody,
            one("tenure", 1, 0.0),
            one("tenure", 1000, 0.7),
            one("client-go", 1, 0.1),
            one("client-go", 1000, 80.0),
        ];
        let charts = charts("candidates", &series);
        assert_eq!(charts.len(), 1);
        let svg = &charts[0].svg;
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("stroke-dasharray").count(), 1);
        assert!(svg.contains("points=\"90.0,334.0 "), "{svg}");
        for label in [">1,000 candidates<", ">1 candidate<"] {
            assert!(svg.contains(label), "{svg}");
        }
    }

    #[test]
    fn what_is_always_nothing_is_no_picture() {
        let none = |at| {
            Series::of("tenure", "locks", "locks lost", vec![0.0])
                .expect("a value")
                .with(at)
        };
        assert!(charts("locks", &[none(1), none(10)]).is_empty());
    }
}
