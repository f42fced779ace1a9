//! SQL's types as a lake's tables have them.
//!
//! Times are microseconds: the engine alone takes nanoseconds, which reach only from 1677 to 2262
//! and which it does not compare with microseconds of the day. It knows no UUIDs, and bytes by one
//! name only.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{self, TimezoneInfo};
use lakehouse_core::error::Error;

use crate::parse::CAST_TO_MAP;
use crate::uuid_text::UUID;

/// Digits after the second that microseconds hold.
const MICROSECOND_DIGITS: u64 = 6;

/// Plans UUIDs, bytes, and TIME and TIMESTAMP without a number of digits or with six as
/// microseconds; fewer digits are a coarser unit, which the engine knows.
#[derive(Debug)]
pub(crate) struct TableTypes {
    /// The session's time zone, of timestamps with zone.
    pub(crate) zone: String,
}

impl TypePlanner for TableTypes {
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
            ast::DataType::Uuid => Some(UUID),
            ast::DataType::Binary(None)
            | ast::DataType::Varbinary(None)
            | ast::DataType::Blob(None)
            | ast::DataType::Bytes(None) => Some(DataType::Binary),
            ast::DataType::Map(..) => {
                return Err(Error::unsupported(CAST_TO_MAP).into());
            }
            _ => None,
        })
    }
}
