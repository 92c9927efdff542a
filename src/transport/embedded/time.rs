//! Reads the notations of time that document collections use.

use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::fmt::{rfc2822, temporal};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A smaller number counts neither seconds nor anything finer since 1970: it is a sentinel such as 0 and −1, a year, days,
/// or `20170105`. 10⁸ s is March 1973.
const FIRST_SECOND: f64 = 1e8;
/// From here on a number counts ms, then µs, then ns: 10¹¹ s is the year 5138, 10¹¹ ms is March 1973, and so on.
const FIRST_MS: f64 = 1e11;
const FIRST_US: f64 = 1e14;
const FIRST_NS: f64 = 1e17;
const BEYOND: f64 = 1e20;

/// Notations that are no standards: of `date`, of Twitter, with a space before the zone, with slashes, months, years, in English.
const FORMATS: [&str; 9] = [
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %z %Y",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y/%m/%d",
    "%Y-%m",
    "%Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d %B %Y",
];

/// Reads a time by `format` if that is not empty and fits, or else in any notation that cannot be mistaken for another:
/// RFC 9557, RFC 3339, RFC 2822, ISO 8601, [`FORMATS`], and numbers since 1970 in s, ms, µs or ns, told apart by size.
///
/// What has no zone is in UTC, a date is its midnight, a month or a year its first. Returns ms since 1970, rounded down;
/// `None` if `text` is none of these.
pub(super) fn read(text: &str, format: &str) -> Option<i64> {
    let text = text.trim();
    let own = (!format.is_empty()).then(|| by_format(text, format)).flatten();
    own.or_else(|| match text.parse::<f64>() {
        Ok(number) if number.is_nan() || number.abs() >= FIRST_SECOND => since_1970(number),
        _ => in_words(text),
    })
}

/// Why `format` can read no time, if so.
pub(super) fn mistake(format: &str) -> Option<String> {
    strtime::format(format, &Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC))
        .err()
        .map(|error| error.to_string())
}

fn since_1970(number: f64) -> Option<i64> {
    let ms = match number.abs() {
        size if size < FIRST_MS => number * 1e3,
        size if size < FIRST_US => number,
        size if size < FIRST_NS => number / 1e3,
        size if size < BEYOND => number / 1e6,
        _ => return None,
    };
    Timestamp::from_millisecond(ms.floor() as i64).ok().map(Timestamp::as_millisecond)
}

fn in_words(text: &str) -> Option<i64> {
    // Of a time with a zone's name the name counts; to read it without would shift it.
    if text.ends_with(']') {
        return text.parse::<Zoned>().ok().map(|zoned| zoned.timestamp().as_millisecond());
    }
    let bare = text.strip_suffix(" UTC").unwrap_or(text);
    let timestamp = bare.parse::<Timestamp>().ok();
    let timestamp = timestamp.or_else(|| rfc2822::DateTimeParser::new().parse_timestamp(text).ok());
    let timestamp = timestamp.or_else(|| {
        let pieces = temporal::Pieces::parse(bare).ok().filter(|pieces| pieces.offset().is_none())?;
        in_utc(pieces.date().to_datetime(pieces.time().unwrap_or_default()))
    });
    let ms = timestamp.map(Timestamp::as_millisecond);
    // `strptime` takes 0 and −1 for years.
    let no_year = |format: &str| format.starts_with("%Y") && !text.starts_with(['1', '2']);
    ms.or_else(|| FORMATS.iter().filter(|format| !no_year(format)).find_map(|format| by_format(text, format)))
}

fn by_format(text: &str, format: &str) -> Option<i64> {
    let mut read = BrokenDownTime::parse(format, text).ok()?;
    if read.year().is_some() && read.day().is_none() && read.day_of_year().is_none() {
        read.set_day(Some(1)).ok()?;
        read.set_month(Some(read.month().unwrap_or(1))).ok()?;
    }
    let timestamp = read.to_zoned().map(|zoned| zoned.timestamp()).or_else(|_| read.to_timestamp()).ok();
    let timestamp = timestamp.or_else(|| {
        let civil = read.to_datetime().or_else(|_| read.to_date().map(DateTime::from)).ok()?;
        in_utc(civil)
    });
    timestamp.map(Timestamp::as_millisecond)
}

fn in_utc(civil: DateTime) -> Option<Timestamp> {
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_notation_of_one_moment() {
        for text in [
            "2017-01-05T10:00:00Z",
            " 2017-01-05T12:00:00+02:00 ",
            "2017-01-05T10:00:00+0000",
            "2017-01-05T11:00:00[Europe/Paris]",
            "2017-01-05T11:00:00+01:00[Europe/Paris]",
            "2017-01-05T10:00:00",
            "2017-01-05 10:00:00",
            "2017-01-05 10:00:00,000",
            "2017-01-05 10:00:00 UTC",
            "2017-01-05 11:00:00 +0100",
            "2017-01-05 11:00:00.000 +0100",
            "20170105T100000Z",
            "Thu, 05 Jan 2017 10:00:00 GMT",
            "Thu, 5 Jan 2017 11:00:00 +0100",
            "5 Jan 2017 10:00 +0000",
            "Thu Jan 05 10:00:00 +0000 2017",
            "Thu Jan  5 10:00:00 2017",
            "1483610400",
            "1483610400000",
            "1.4836104e9",
            "1483610400.000000",
            "1483610400000000",
            "1483610400000000000",
        ] {
            assert_eq!(read(text, ""), Some(1_483_610_400_000), "{text}");
        }
        for text in
            ["2017-01-05", "20170105", "2017/01/05", "Jan 5, 2017", "January 05, 2017", "5 January 2017"]
        {
            assert_eq!(read(text, ""), Some(1_483_574_400_000), "{text}");
        }
        assert_eq!(read("2021-05", ""), read("2021-05-01", ""));
        assert_eq!(read("2021", ""), read("2021-01-01", ""));
        assert_eq!(read("1969-12-31T23:59:59.999Z", ""), Some(-1));
        assert_eq!(read("1483610400.25", ""), Some(1_483_610_400_250));
        assert_eq!(read("-300000000", ""), read("1960-06-29T18:40:00Z", ""));
    }

    #[test]
    fn a_format_of_ones_own_comes_first() {
        assert_eq!(read("18.05.2021", "%d.%m.%Y"), read("2021-05-18", ""));
        assert_eq!(read("01/05/2017", "%m/%d/%Y"), read("2017-01-05", ""));
        assert_eq!(read("18.05.2021 13:00 +0200", "%d.%m.%Y %H:%M %z"), read("2021-05-18T11:00:00Z", ""));
        assert_eq!(read("5/2021", "%m/%Y"), read("2021-05", ""));
        assert_eq!(read("2021-05-18", "%d.%m.%Y"), read("2021-05-18", ""), "others are read all the same");
        assert_eq!(mistake("%d.%m.%Y %H:%M:%S%.f %z"), None);
        assert!(mistake("%E").is_some());
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "yesterday",
            "2017-13-01",
            "2017-02-30",
            "05/01/2017",
            "18.05.2021",
            "0000-00-00",
            "0",
            "-1",
            "45000",
            "1e300",
            "-1e300",
            "inf",
            "NaN",
            "99999999999999999999999",
            "2017-01-05T10:00:00[Atlantis/City]",
            "2017-01-05T10:00:00+99:00",
            "true",
        ] {
            assert_eq!(read(text, ""), None, "{text}");
        }
    }
}
