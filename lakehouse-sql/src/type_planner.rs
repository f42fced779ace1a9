//! SQL's types of times as a lake's tables have them: microseconds.
//!
//! The engine alone takes nanoseconds, which reach only from 1677 to 2262 and which it does not
//! compare with microseconds of the day.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{self, TimezoneInfo};

/// Digits after the second that microseconds hold.
const MICROSECOND_DIGITS: u64 = 6;

/// Plans TIME and TIMESTAMP without a number of digits or with six as microseconds; fewer digits are
/// a coarser unit, which the engine knows.
#[derive(Debug)]
pub(crate) struct MicrosecondTypes {
    /// The session's time zone, of timestamps with zone.
    pub(crate) zone: String,
}

impl TypePlanner for MicrosecondTypes {
    fn plan_type(&self, sql_type: &ast::DataType) -> EngineResult<Option<DataType>> {
        let is_short = |precision: &Option<u64>| precision.is_none_or(|p| p == MICROSECOND_DIGITS);
        Ok(match sql_type {
            ast::DataType::Timestamp(precision, zone) if is_short(precision) => {
                let zone = match zone {
                    TimezoneInfo::Tz | TimezoneInfo::WithTimeZone => {
                        Some(self.zone.as_str().into())
                    }
                    TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => None,
                };
                Some(DataType::Timestamp(TimeUnit::Microsecond, zone))
            }
            ast::DataType::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
                if is_short(precision) =>
            {
                Some(DataType::Time64(TimeUnit::Microsecond))
            }
            _ => None,
        })
    }
}
