//! Reads the notations of time that document collections use.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// From here on a number counts ms, below it seconds: 10¹¹ s is the year 5138, 10¹¹ ms is March 1973.
const FIRST_MS: f64 = 1e11;

/// Reads RFC 3339, a date and time without a zone (taken as UTC) or a date alone (its midnight in UTC).
///
/// Returns ms since 1970, rounded down; `None` if `text` is none of these.
pub(super) fn from_text(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from)).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Reads seconds or ms since 1970, told apart by their size ([`FIRST_MS`]).
///
/// Returns ms since 1970; `None` if the time is out of the years −9999 to 9999.
pub(super) fn from_number(number: f64) -> Option<i64> {
    let ms = if number.abs() < FIRST_MS { number * 1000.0 } else { number };
    Timestamp::from_millisecond(ms.floor() as i64).ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_notation_of_one_moment() {
        let moment = Some(1_483_610_400_000);
        assert_eq!(from_text("2017-01-05T10:00:00Z"), moment);
        assert_eq!(from_text(" 2017-01-05T12:00:00+02:00 "), moment);
        assert_eq!(from_text("2017-01-05T10:00:00"), moment);
        assert_eq!(from_text("2017-01-05 10:00:00"), moment);
        assert_eq!(from_number(1_483_610_400.0), moment);
        assert_eq!(from_number(1_483_610_400_000.0), moment);
        assert_eq!(from_text("2017-01-05"), Some(1_483_574_400_000));
        assert_eq!(from_text("1969-12-31T23:59:59.999Z"), Some(-1));
        assert_eq!(from_number(1_483_610_400.25), Some(1_483_610_400_250));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "yesterday", "2017-13-01", "2017-02-30", "05/01/2017"] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert_eq!(from_number(1e300), None);
        assert_eq!(from_number(f64::NAN), Some(0), "no JSON number is NaN");
    }
}
