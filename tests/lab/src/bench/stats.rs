//! Medians and their spread.

use serde::Serialize;

/// What many measurements of the same come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Number of measurements.
    pub(super) n: usize,
}

impl Summary {
    /// Of no values all is zero.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let (Some(min), Some(max)) = (values.first().copied(), values.last().copied()) else {
            return Self::default();
        };
        Self { median: (values[(n - 1) / 2] + values[n / 2]) / 2.0, min, max, n }
    }

    /// `0.98 (0.95–1.01)`.
    pub(super) fn as_ratio(&self) -> String {
        format!("{:.3} ({:.2}–{:.2})", self.median, self.min, self.max)
    }
}

/// A whole number with a comma between thousands.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let head = digits.len() % 3;
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 3 == head {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let summary = Summary::of([4.0, 1.0, 2.0, 10.0]);
        assert_eq!(summary, Summary { median: 3.0, min: 1.0, max: 10.0, n: 4 });
        assert_eq!(Summary::of([5.0]).median, 5.0);
        assert_eq!(Summary::of([]), Summary::default());
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(7.4), "7");
        assert_eq!(thousands(999.6), "1,000");
        assert_eq!(thousands(22_846.0), "22,846");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
