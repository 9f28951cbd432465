//! Durations in the form of Go's `time.ParseDuration`: `5s`, `1m30s`, `1.5h`, `0`.

use std::time::Duration;

/// What a value that is none should have been.
pub(super) const EXPECTED: &str = "a duration such as 5s, 500ms or 1m30s";

/// Reads a duration. Negative ones, which Go knows, have no meaning for any option.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        let number = split(&mut rest, |c| !c.is_ascii_digit() && c != '.');
        let unit = unit_nanos(split(&mut rest, |c| c.is_ascii_digit() || c == '.'))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        if !whole.is_empty() {
            nanos = nanos.checked_add(whole.parse::<u128>().ok()?.checked_mul(unit)?)?;
        }
        // Digits below a nanosecond are dropped.
        let mut place = unit;
        for digit in fraction.chars() {
            place /= 10;
            nanos = nanos.checked_add(u128::from(digit.to_digit(10)?).checked_mul(place)?)?;
        }
    }
    // Go's largest duration, 292 years.
    let nanos = u64::try_from(nanos).ok().filter(|nanos| i64::try_from(*nanos).is_ok())?;
    (!text.is_empty()).then(|| Duration::from_nanos(nanos))
}

/// Takes what is before the first character that ends it.
fn split<'a>(rest: &mut &'a str, ends: impl Fn(char) -> bool) -> &'a str {
    let (taken, left) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    *rest = left;
    taken
}

fn unit_nanos(unit: &str) -> Option<u128> {
    match unit {
        "ns" => Some(1),
        // Two characters look like a micro sign, U+00B5 and U+03BC.
        "us" | "µs" | "μs" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_sum_of_numbers_with_units() {
        let nanos = |text: &str| parse(text).map(|duration| duration.as_nanos());
        for (text, expected) in [
            ("0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("500ms", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1h0m1s", 3_601_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1us", 1_000),
            ("1µs", 1_000),
            ("1μs", 1_000),
            ("3ns", 3),
            ("1.9ns", 1),
            ("9223372036854775807ns", i64::MAX.unsigned_abs().into()),
        ] {
            assert_eq!(nanos(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_duration() {
        for text in [
            "",
            "+",
            "5",
            "s",
            ".s",
            "-5s",
            "5 s",
            "5sec",
            "5S",
            "1.2.3s",
            "5s5",
            "0x5s",
            "5d",
            "٥s",
            "9223372036854775808ns",
            "99999999999999999999999999999999999999999h",
            "1000000000h",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
