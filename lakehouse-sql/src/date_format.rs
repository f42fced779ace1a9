//! `date_format` and `to_char`, with the patterns that people write elsewhere.
//!
//! The engine knows one kind of pattern, `%Y-%m-%d` as Rust's chrono and C have it, and takes the
//! rest of a pattern for text: `yyyy-MM-dd` would be the answer to itself, and `%M` minutes to some
//! and the name of a month to others. `date_format` is the function of Spark, with Java's letters,
//! and of Trino, Athena and MySQL, whose pattern has `%`. `to_char` is the engine's, `strftime` the
//! same under DuckDB's name.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::compute::{cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::error::Result as EngineResult;
use datafusion::functions::datetime::to_char::ToCharFunc;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use lakehouse_core::error::{Error, Result};

use crate::local_time::{Misfit, read_times};

/// The functions of this module.
pub(crate) fn formats() -> [ScalarUDF; 3] {
    let function = |name, pattern| {
        ScalarUDF::from(DateFormat {
            engine: ToCharFunc::new(),
            signature: Signature::any(2, Volatility::Immutable),
            name,
            pattern,
        })
    };
    [
        function("date_format", Pattern::JavaOrMysql),
        function("to_char", Pattern::Chrono),
        function("strftime", Pattern::Chrono),
    ]
}

/// Whose patterns a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pattern {
    /// MySQL's if there is a `%`, else Java's.
    JavaOrMysql,
    Chrono,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateFormat {
    engine: ToCharFunc,
    signature: Signature,
    name: &'static str,
    pattern: Pattern,
}

impl ScalarUDFImpl for DateFormat {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let [time, pattern] = args.args.as_slice() else {
            return Err(Error::invalid(format!("{} takes a time and a pattern", self.name)).into());
        };
        // Intervals and differences of times have no pattern.
        let is_length = matches!(
            time.data_type(),
            DataType::Duration(_) | DataType::Interval(_)
        );
        let translated = |text: &str| match (is_length, self.pattern) {
            (true, _) => Ok(text.to_owned()),
            (false, Pattern::Chrono) => chrono_pattern(self.name, text),
            (false, Pattern::JavaOrMysql) if text.contains('%') => of_mysql(text),
            (false, Pattern::JavaOrMysql) => of_java(text),
        };
        let pattern = match pattern {
            ColumnarValue::Scalar(pattern) => {
                let text = pattern.try_as_str().flatten().map(translated).transpose()?;
                ColumnarValue::Scalar(ScalarValue::Utf8(text))
            }
            ColumnarValue::Array(patterns) => {
                let patterns = cast(patterns, &DataType::Utf8)?;
                let patterns = patterns.as_string::<i32>().iter();
                let patterns = patterns.map(|text| text.map(translated).transpose());
                let patterns: StringArray = patterns.collect::<Result<_>>()?;
                ColumnarValue::Array(Arc::new(patterns))
            }
        };
        let time = with_clock(time, args.config_options.execution.time_zone.as_deref())?;
        args.args = vec![time, pattern];
        self.engine.invoke_with_args(args)
    }
}

/// Dates and texts as times, which have all that a pattern may ask for.
fn with_clock(time: &ColumnarValue, zone: Option<&str>) -> Result<ColumnarValue> {
    let target = DataType::Timestamp(TimeUnit::Microsecond, None);
    let given = time.data_type();
    let is_date = matches!(given, DataType::Date32 | DataType::Date64 | DataType::Null);
    if !is_date && !given.is_string() {
        return Ok(time.clone());
    }
    let times = time.to_array(1)?;
    let times = match is_date {
        true => cast_with_options(&times, &target, &DEFAULT_CAST_OPTIONS)?,
        false => read_times(&times, &target, zone.unwrap_or("UTC"), Misfit::Cut)?,
    };
    Ok(match time {
        ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&times, 0)?),
        ColumnarValue::Array(_) => ColumnarValue::Array(times),
    })
}

/// A pattern as the engine has it; one without any `%` is somebody else's.
fn chrono_pattern(function: &str, text: &str) -> Result<String> {
    if text.contains('%') || !text.chars().any(char::is_alphabetic) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!(
        "{function} takes a pattern like '%Y-%m-%d %H:%M:%S', found {text:?}; for 'yyyy-MM-dd \
         HH:mm:ss' there is date_format"
    )))
}

/// A pattern of Java's `DateTimeFormatter`, as Spark takes it.
fn of_java(text: &str) -> Result<String> {
    let mut pattern = String::with_capacity(text.len() * 2);
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        if letter == '\'' {
            quoted(&mut rest, &mut pattern).ok_or_else(|| {
                Error::invalid(format!("the pattern {text:?} has a quote without an end"))
            })?;
            continue;
        }
        if !letter.is_ascii_alphabetic() {
            push_text(&mut pattern, letter);
            continue;
        }
        let mut count = 1;
        while rest.next_if_eq(&letter).is_some() {
            count += 1;
        }
        let part = java_part(letter, count).ok_or_else(|| {
            let letters = String::from(letter).repeat(count);
            Error::unsupported(format!(
                "date_format does not know {letters:?} of the pattern {text:?}; it knows y, M, d, \
                 D, E, Q, H, h, m, s, S, a, x and Z of Java's letters, text in quotes, and with % \
                 those of MySQL and Trino"
            ))
        })?;
        pattern += part;
    }
    Ok(pattern)
}

/// Text in single quotes, two of which are one; `None` where it does not end.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, pattern: &mut String) -> Option<()> {
    if rest.next_if_eq(&'\'').is_some() {
        pattern.push('\'');
        return Some(());
    }
    loop {
        match rest.next()? {
            '\'' if rest.next_if_eq(&'\'').is_some() => pattern.push('\''),
            '\'' => return Some(()),
            letter => push_text(pattern, letter),
        }
    }
}

fn push_text(pattern: &mut String, letter: char) {
    pattern.push(letter);
    if letter == '%' {
        pattern.push('%');
    }
}

fn java_part(letter: char, count: usize) -> Option<&'static str> {
    Some(match (letter, count) {
        ('y' | 'u', 2) => "%y",
        ('y' | 'u', 1 | 4) => "%Y",
        ('M' | 'L', 1) => "%-m",
        ('M' | 'L', 2) => "%m",
        ('M' | 'L', 3) => "%b",
        ('M' | 'L', 4) => "%B",
        ('d', 1) => "%-d",
        ('d', 2) => "%d",
        ('D', 1) => "%-j",
        ('D', 3) => "%j",
        ('E', 1..=3) => "%a",
        ('E', 4) => "%A",
        ('Q' | 'q', 1) => "%q",
        ('H', 1) => "%-H",
        ('H', 2) => "%H",
        ('h', 1) => "%-I",
        ('h', 2) => "%I",
        ('m', 1) => "%-M",
        ('m', 2) => "%M",
        ('s', 1) => "%-S",
        ('s', 2) => "%S",
        ('S', 3) => "%3f",
        ('S', 6) => "%6f",
        ('S', 9) => "%9f",
        ('a', 1) => "%p",
        ('Z', 1..=3) | ('x', 2) => "%z",
        ('x', 3) => "%:z",
        _ => return None,
    })
}

/// A pattern of MySQL's `DATE_FORMAT`, as Trino and Athena take it.
fn of_mysql(text: &str) -> Result<String> {
    let mut pattern = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        if letter != '%' {
            pattern.push(letter);
            continue;
        }
        let part = rest.next().and_then(mysql_part).ok_or_else(|| {
            Error::unsupported(format!(
                "date_format does not know all of the pattern {text:?}; with % it takes those of \
                 MySQL and Trino: %a %b %c %d %e %f %H %h %I %i %j %k %l %M %m %p %r %S %s %T %v \
                 %W %x %Y %y %%"
            ))
        })?;
        pattern += part;
    }
    Ok(pattern)
}

fn mysql_part(letter: char) -> Option<&'static str> {
    Some(match letter {
        'a' => "%a",
        'b' => "%b",
        'c' => "%-m",
        'd' => "%d",
        'e' => "%-d",
        'f' => "%6f",
        'H' => "%H",
        'h' | 'I' => "%I",
        'i' => "%M",
        'j' => "%j",
        'k' => "%-H",
        'l' => "%-I",
        'M' => "%B",
        'm' => "%m",
        'p' => "%p",
        'r' => "%I:%M:%S %p",
        'S' | 's' => "%S",
        'T' => "%H:%M:%S",
        'v' => "%V",
        'W' => "%A",
        'x' => "%G",
        'Y' => "%Y",
        'y' => "%y",
        '%' => "%%",
        _ => return None,
    })
}
