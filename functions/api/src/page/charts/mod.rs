//! Charts: small SVG inside HTML that says the same in numbers. Positions along x are percentages, so text keeps its
//! size on any screen; only curves are stretched, in a nested `<svg>` of their own. Everything is drawn by attributes
//! and classes, because the content security policy allows no inline style.

mod pareto;
mod spread;
mod stacked;
mod trend;

pub use pareto::{Bar, pareto};
pub use spread::{heatmap, histogram, quantile_text};
pub use stacked::{Row, Segment, Stack, stacked};
pub use trend::{Line, sparkline, trend};

/// A share of a hundred as an attribute.
fn pc(value: f64) -> String {
    format!("{value:.2}%")
}

/// A scale with at most six lines: its lowest, its highest, and the step between them.
fn scale(low: f64, high: f64) -> (f64, f64, f64) {
    let ends = |step: f64| {
        let floor = (low / step).floor() * step;
        let ceiling = (high / step).ceil() * step;
        (floor, ceiling.max(floor + step), step)
    };
    let mut decade = 1.0;
    loop {
        let steps = [1.0, 2.0, 5.0].map(|step| step * decade);
        if let Some(fits) = steps.into_iter().map(ends).find(|(low, high, step)| (high - low) / step <= 5.0) {
            return fits;
        }
        decade *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_its_values_with_few_round_lines() {
        assert_eq!(scale(10.0, 26.2), (10.0, 30.0, 5.0));
        assert_eq!(scale(23.0, 23.0), (23.0, 24.0, 1.0));
        assert_eq!(scale(0.0, 100.0), (0.0, 100.0, 20.0));
        assert_eq!(scale(0.0, 0.0), (0.0, 1.0, 1.0));
        assert_eq!(scale(0.0, 4_142.0), (0.0, 5_000.0, 1_000.0));
    }
}
