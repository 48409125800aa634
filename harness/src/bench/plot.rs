//! Pictures of how times grow, as SVG.

use std::collections::BTreeSet;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::latency::{Grown, Growth};
use imalab_check::figures::{By, Held};

/// Width and height of a panel, pixels.
const PANEL: (u32, u32) = (460, 340);
/// Height of what is drawn of a panel, and of a series' line in the legend, pixels.
const DRAWN: f64 = 265.0;
const LEGEND: f64 = 16.0;
/// Changes that hold somebody up, a panel each.
const CHANGES: [By; 3] = [By::Stage, By::Delete, By::Trim];
/// The same of all interfaces.
const ALL_CHANGES: [By; 4] = [By::Stage, By::Delete, By::Trim, By::Snapshot];
/// One colour a series; told apart without red and green.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
];

/// A picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw: {0}")]
pub struct PlotError(String);

fn drawn<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, PlotError> {
    result.map_err(|error| PlotError(error.to_string()))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// How long the change itself takes, and how long an append and an open take meanwhile, over the size of the list.
///
/// # Errors
/// When nothing can be drawn of these figures.
pub fn lines(growth: &Growth) -> Result<String, PlotError> {
    panels(&CHANGES, |area, by| {
        let wanted = [(Held::Writer, by), (Held::Append, by), (Held::Open, by), (Held::Append, By::Nothing)];
        let series: Vec<(&Grown, String)> = wanted
            .iter()
            .filter_map(|(held, by)| {
                let grown = growth.times.iter().find(|grown| (grown.held, grown.by) == (*held, *by))?;
                let name = match (held, by) {
                    (Held::Writer, by) => format!("the {} itself", by.name()),
                    (held, By::Nothing) => format!("{} with nothing going on", held.name()),
                    (held, by) => format!("{} during {}", held.name(), by.name()),
                };
                Some((grown, name))
            })
            .collect();
        let points = series.iter().map(|(grown, name)| {
            let points: Vec<(f64, f64)> = grown
                .sizes
                .iter()
                .map(|(size, latency)| (*size as f64, latency.max_us.max(1) as f64))
                .collect();
            (name.clone(), points)
        });
        chart(area, &format!("{}: longest times", by.name()), ("records", "us"), &points.collect::<Vec<_>>())
    })
}

/// Histograms of the times of an append during each change, a line a list size. Each panel names all sizes, so that each
/// has its colour.
///
/// # Errors
/// As [`lines`].
pub fn histograms(growth: &Growth) -> Result<String, PlotError> {
    let sizes: BTreeSet<u64> = growth.times.iter().flat_map(|grown| grown.sizes.keys().copied()).collect();
    panels(&CHANGES, |area, by| {
        let grown = growth.times.iter().find(|grown| (grown.held, grown.by) == (Held::Append, by));
        let points = |size: &u64| {
            let buckets = grown.and_then(|grown| grown.sizes.get(size)).map(|latency| &latency.buckets);
            let bucket = |(at, count): (usize, &u64)| {
                (*count > 0).then(|| (f64::powi(2.0, i32::try_from(at).unwrap_or(0)), *count as f64))
            };
            buckets.into_iter().flatten().enumerate().filter_map(bucket).collect()
        };
        let series: Vec<(String, Vec<(f64, f64)>)> =
            sizes.iter().map(|size| (format!("{size} records"), points(size))).collect();
        chart(area, &format!("append during {}: histogram", by.name()), ("us", "appends"), &series)
    })
}

/// How long an append took meanwhile at most, or the request itself, over the size of the list: a panel a change, a line a
/// kernel.
///
/// # Errors
/// As [`lines`].
pub fn compared(kernels: &[(&str, &Growth)], held: Held) -> Result<String, PlotError> {
    panels(&ALL_CHANGES, |area, by| {
        let series = kernels.iter().filter_map(|(name, growth)| {
            let grown = growth.times.iter().find(|grown| (grown.held, grown.by) == (held, by))?;
            let points =
                grown.sizes.iter().map(|(size, latency)| (*size as f64, latency.max_us.max(1) as f64));
            Some(((*name).to_owned(), points.collect()))
        });
        let title = match held {
            Held::Writer => format!("{}: the request itself, longest", by.name()),
            held => format!("{}: an {} meanwhile, longest", by.name(), held.name()),
        };
        chart(area, &title, ("records", "us"), &series.collect::<Vec<_>>())
    })
}

fn panels(
    changes: &[By],
    mut panel: impl FnMut(&Area<'_>, By) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let size = (PANEL.0 * changes.len() as u32, PANEL.1);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        drawn(root.fill(&WHITE))?;
        for (area, by) in root.split_evenly((1, changes.len())).iter().zip(changes) {
            panel(area, *by)?;
        }
        drawn(root.present())?;
    }
    Ok(svg)
}

/// One panel, both axes logarithmic.
fn chart(
    area: &Area<'_>,
    title: &str,
    (x, y): (&str, &str),
    series: &[(String, Vec<(f64, f64)>)],
) -> Result<(), PlotError> {
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let top = |value: fn((f64, f64)) -> f64| all().map(value).fold(10.0, f64::max) * 2.0;
    let bottom =
        |value: fn((f64, f64)) -> f64| all().map(value).fold(f64::INFINITY, f64::min).clamp(1.0, 1e9) / 2.0;
    let (xs, low, high) = (bottom(|p| p.0)..top(|p| p.0), bottom(|p| p.1), top(|p| p.1));
    // The legend stands above all points.
    let legend = (LEGEND * (series.len() + 1) as f64 / DRAWN).min(0.7);
    let ys = low..high * (high / low).powf(legend / (1.0 - legend));
    let mut chart = drawn(
        ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(xs.log_scale(), ys.log_scale()),
    )?;
    drawn(
        chart
            .configure_mesh()
            .x_desc(x)
            .y_desc(y)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .light_line_style(WHITE)
            .draw(),
    )?;
    for (at, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let line =
            drawn(chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3)))?;
        line.label(name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    if series.is_empty() {
        return Ok(());
    }
    drawn(
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw(),
    )
}

/// `1000` as `1k`.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use imalab_check::figures::Latency;

    #[test]
    fn every_series_and_panel_is_in_the_picture() {
        let sizes = |factor: u64| -> BTreeMap<u64, Latency> {
            let of = |size: u64| Latency::of(Held::Append, By::Stage, vec![size * factor * 1000; 5]).unwrap();
            [100, 1000, 10_000].into_iter().map(|size| (size, of(size))).collect()
        };
        let grown = |held, by, factor| Grown {
            held,
            by,
            sizes: sizes(factor),
            median_exponent: None,
            max_exponent: None,
        };
        let times = vec![grown(Held::Append, By::Delete, 3), grown(Held::Writer, By::Stage, 1)];
        let growth = Growth { runs: 3, times, freed: Vec::new() };
        let (lines, histograms) = (lines(&growth).unwrap(), histograms(&growth).unwrap());
        for text in ["stage: longest times", "append during delete", "the stage itself", "10k"] {
            assert!(lines.contains(text), "{text}");
        }
        assert!(histograms.starts_with("<svg"));
        let named = histograms.matches("10000 records").count();
        assert_eq!(named, 3, "each panel names each size, also of no appends");
    }

    #[test]
    fn each_kernel_is_a_line() {
        let sizes = BTreeMap::from([(100, Latency::of(Held::Writer, By::Trim, vec![5_000]).unwrap())]);
        let (held, by) = (Held::Writer, By::Trim);
        let times = vec![Grown { held, by, sizes, median_exponent: None, max_exponent: None }];
        let growth = Growth { runs: 1, times, freed: Vec::new() };
        let picture = compared(&[("one", &growth), ("other", &growth)], Held::Writer).unwrap();
        for text in ["trim: the request itself, longest", "one", "other"] {
            assert!(picture.contains(text), "{text}");
        }
    }

    #[test]
    fn no_figures_are_an_empty_picture() {
        assert!(lines(&Growth::default()).unwrap().starts_with("<svg"));
    }
}
