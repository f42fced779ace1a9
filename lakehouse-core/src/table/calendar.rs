//! Calendar fields of days since 1970, for the whole range of 64-bit timestamps.

/// Microseconds of a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;
/// Microseconds of an hour.
pub(crate) const HOUR_US: i64 = 3_600_000_000;

/// Year, month (1 to 12) and day (1 to 31) in the proleptic Gregorian calendar.
///
/// Counts in eras of 400 years that begin on the first of March, so that the leap day is the last
/// of its year. Libraries stop some 260 000 years from now, timestamps do not.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(ERA_DAYS);
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Whole years from 1970 to the day, rounded down.
pub(crate) fn years(days: i64) -> i64 {
    civil(days).0 - 1970
}

/// Whole months from 1970-01 to the day, rounded down.
pub(crate) fn months(days: i64) -> i64 {
    let (year, month, _) = civil(days);
    (year - 1970) * 12 + month - 1
}

/// The first day of a month, which is counted from 1970-01.
pub(crate) fn first_of_month(months: i64) -> i64 {
    let (year, month) = (months.div_euclid(12) + 1970, months.rem_euclid(12) + 1);
    // Years and months that begin in March, as in `civil`.
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * 146_097 + day_of_era - 719_468
}

/// A day as `2017-12-01`.
pub(crate) fn date_text(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time of day as `10:12:55.038194`, without a fraction when it is zero.
///
/// `per_second` is the number of `ticks` in a second, `digits` its number of zeros.
pub(crate) fn time_text(ticks: i64, per_second: i64, digits: usize) -> String {
    let (seconds, fraction) = (ticks.div_euclid(per_second), ticks.rem_euclid(per_second));
    let clock = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    if fraction == 0 {
        return clock;
    }
    format!("{clock}.{fraction:0digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates_on_both_sides_of_1970() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(-719_528), (0, 1, 1));
        assert_eq!(date_text(17_486), "2017-11-16");
        assert_eq!((years(-1), months(-1)), (-1, -1));
        for month in -30_000..30_000 {
            let first = first_of_month(month);
            assert_eq!((months(first), civil(first).2), (month, 1));
        }
    }

    #[test]
    fn dates_agree_with_the_calendar_library() {
        use chrono::Datelike;
        for days in (-800_000..800_000).step_by(37) {
            let date = chrono::DateTime::from_timestamp(days * 86_400, 0).unwrap();
            let (year, month, day) = civil(days);
            assert_eq!(year, i64::from(date.year()));
            assert_eq!(month, i64::from(date.month()));
            assert_eq!(day, i64::from(date.day()));
        }
    }
}
