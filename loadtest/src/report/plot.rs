//! Line and strip charts as SVG text, drawn with the classes that the page's style sheet colours.

use std::fmt::Write;

/// Points kept of each line; more than the chart has pixels would only make the page heavy.
const MOST_POINTS: usize = 300;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// A line of a chart.
pub(crate) struct Line {
    /// Shown when the pointer rests on it, and at its end when `named`.
    pub(crate) label: String,
    /// Its class in the style sheet.
    pub(crate) class: String,
    /// In the units of the axes, by rising x.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A row of dots.
pub(crate) struct Strip {
    /// In front of the row.
    pub(crate) label: String,
    /// Its class in the style sheet.
    pub(crate) class: String,
    /// A label and a place on the x axis for each dot.
    pub(crate) dots: Vec<(String, f64)>,
}

/// Where values lie on the paper.
struct Frame {
    height: f64,
    x_max: f64,
    y_max: f64,
}

/// A chart of lines; both axes start at zero.
pub(crate) fn lines(x_label: &str, y_label: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let frame = Frame {
        height: 260.0,
        x_max: points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max),
        y_max: points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max) * 1.04,
    };
    let mut svg = frame.open(&format!("{y_label} over {x_label}"));
    frame.x_axis(&mut svg, x_label);
    for tick in ticks(frame.y_max) {
        let y = frame.y(tick);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{tick}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
        );
    }
    let middle = frame.y(frame.y_max / 2.0);
    let _ = write!(
        svg,
        r#"<text class="axis" transform="translate(14 {middle:.1}) rotate(-90)" text-anchor="middle">{y_label}</text>"#
    );
    for line in lines {
        let _ = write!(
            svg,
            r#"<polyline class="line {}" points="{}"><title>{}</title></polyline>"#,
            line.class,
            frame.path(&line.points),
            escape(&line.label),
        );
    }
    svg + "</svg>"
}

/// Rows of dots over one axis, with a mark at `bound`.
pub(crate) fn strips(x_label: &str, bound: f64, rows: &[Strip]) -> String {
    let row_height = 34.0;
    let x_max = rows.iter().flat_map(|row| &row.dots).map(|dot| dot.1).fold(bound, f64::max) * 1.02;
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let height = TOP + BOTTOM + row_height * f64::from(count);
    let frame = Frame { height, x_max, y_max: 1.0 };
    let mut svg = frame.open(x_label);
    frame.x_axis(&mut svg, x_label);
    let x = frame.x(bound);
    let _ = write!(
        svg,
        r#"<line class="bound" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{:.1}"><title>bound {bound:.1} s</title></line>"#,
        height - BOTTOM,
    );
    for (row, y) in rows.iter().zip((0..).map(|n| TOP + row_height * (f64::from(n) + 0.5))) {
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="name" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            escape(&row.label),
        );
        for (label, at) in &row.dots {
            let _ = write!(
                svg,
                r#"<circle class="dot {}" cx="{:.1}" cy="{y:.1}" r="5"><title>{}</title></circle>"#,
                row.class,
                frame.x(*at),
                escape(label),
            );
        }
    }
    svg + "</svg>"
}

/// Text that is safe between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

// === impl Frame ===

impl Frame {
    fn open(&self, title: &str) -> String {
        let height = self.height;
        let title = escape(title);
        format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">"#)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * value / self.x_max
    }

    fn y(&self, value: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - (bottom - TOP) * value / self.y_max
    }

    fn x_axis(&self, svg: &mut String, label: &str) {
        let bottom = self.height - BOTTOM;
        for tick in ticks(self.x_max) {
            let x = self.x(tick);
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom:.1}"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{tick}</text>"#,
                bottom + 16.0,
            );
        }
        let _ = write!(
            svg,
            r#"<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            self.x(self.x_max / 2.0),
            self.height - 6.0,
            escape(label),
        );
    }

    /// Every n-th point and the last.
    fn path(&self, points: &[(f64, f64)]) -> String {
        let step = points.len().div_ceil(MOST_POINTS).max(1);
        let last = points.last().filter(|_| !(points.len().max(1) - 1).is_multiple_of(step));
        let kept = points.iter().step_by(step).chain(last);
        let kept = kept.map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y)));
        kept.collect::<Vec<_>>().join(" ")
    }
}

/// Four to ten round values from zero to `max`.
fn ticks(max: f64) -> Vec<f64> {
    let magnitude = 10f64.powf((max / 10.0).log10().ceil());
    let steps = [0.1, 0.2, 0.5, 1.0].map(|step| step * magnitude);
    let step = steps.into_iter().find(|step| max / step <= 10.0).unwrap_or(magnitude);
    let ticks = (0..=10).map(|n| f64::from(n) * step).take_while(|tick| *tick <= max);
    // Multiples of a decimal fraction carry noise in their last binary digits.
    ticks.map(|tick| (tick * 1e6).round() / 1e6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(8.3), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(ticks(0.37), [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]);
        assert_eq!(ticks(91.0).len(), 10);
        assert_eq!(ticks(266.0), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]);
    }

    #[test]
    fn a_long_line_is_thinned_but_keeps_its_ends() {
        let frame = Frame { height: 260.0, x_max: 1000.0, y_max: 1.0 };
        let points: Vec<_> = (0..=1000).map(|x| (f64::from(x), 1.0)).collect();
        let path = frame.path(&points);
        let kept: Vec<_> = path.split(' ').collect();
        assert!(kept.len() <= MOST_POINTS + 1);
        assert!(kept[0].starts_with("64.0,"));
        assert!(kept[kept.len() - 1].starts_with("704.0,"));
    }

    #[test]
    fn text_from_outside_cannot_become_markup() {
        assert_eq!(escape(r#"<a href="x">&"#), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
