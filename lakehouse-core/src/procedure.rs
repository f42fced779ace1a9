//! Procedures: name, typed arguments, Arrow result. How `CALL` reaches work on a table without the
//! SQL surface knowing the work.

mod publish;
mod register;
mod rollback;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use iceberg::NamespaceIdent;

use crate::error::{Error, Result};
use crate::governance::Privilege;
use crate::lake::FoundTable;
use crate::name::{hint, parse_name};
use crate::provider::Access;

/// What kind of value a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// A text.
    Text,
    /// A whole number of 64 bits.
    Long,
    /// A time, handed over in milliseconds since 1970.
    Timestamp,
}

/// One parameter of a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, in lower case.
    pub name: &'static str,
    /// What it takes.
    pub kind: ParameterKind,
    /// Whether a call must give it.
    pub is_required: bool,
}

impl Parameter {
    /// A parameter that a call must give.
    pub const fn required(name: &'static str, kind: ParameterKind) -> Self {
        Self {
            name,
            kind,
            is_required: true,
        }
    }

    /// A parameter that a call may leave out.
    pub const fn optional(name: &'static str, kind: ParameterKind) -> Self {
        Self {
            name,
            kind,
            is_required: false,
        }
    }
}

/// The session a procedure is called in.
#[derive(Debug)]
pub struct CallContext<'a> {
    /// The lake as the caller may see it.
    pub access: &'a Access,
    /// The catalog of names that do not name one.
    pub catalog: String,
    /// The namespace of unqualified names.
    pub namespace: NamespaceIdent,
}

impl CallContext<'_> {
    /// A table that may be altered, by its name as text.
    ///
    /// # Errors
    /// Unknown names; denied access.
    pub async fn table(&self, name: &str) -> Result<FoundTable> {
        let parts = parse_name(name)?;
        let lake = self.access.lake();
        let found = lake
            .find_table(&parts, &self.catalog, &self.namespace)
            .await?;
        if found.selector.is_some() {
            return Err(Error::invalid(format!(
                "{name:?} selects a part or version of a table; a procedure takes the table itself"
            )));
        }
        self.access.check(Privilege::Alter, &found)?;
        Ok(found)
    }
}

/// One procedure.
#[async_trait]
pub trait Procedure: Debug + Send + Sync {
    /// Its name, in lower case.
    fn name(&self) -> &'static str;

    /// What it takes, in the order of arguments by position.
    fn parameters(&self) -> &'static [Parameter];

    /// Does the work; `arguments` fit the parameters.
    ///
    /// # Errors
    /// What the work meets.
    async fn call(&self, context: &CallContext<'_>, arguments: Arguments) -> Result<RecordBatch>;
}

/// Arguments that fit a procedure's parameters.
#[derive(Debug)]
pub struct Arguments {
    parameters: &'static [Parameter],
    values: Vec<Option<ScalarValue>>,
}

impl Arguments {
    /// Fits a call's arguments, all by name or all by position, to a procedure's parameters. Times
    /// must have been turned into `Int64` milliseconds.
    ///
    /// # Errors
    /// Unknown, repeated, missing or surplus arguments, and values of another kind.
    pub fn try_new(
        procedure: &dyn Procedure,
        given: Vec<(Option<String>, ScalarValue)>,
    ) -> Result<Self> {
        let parameters = procedure.parameters();
        let mut values: Vec<Option<ScalarValue>> = vec![None; parameters.len()];
        if given.len() > parameters.len() {
            return Err(Error::invalid(format!(
                "procedure {} takes {} arguments at most, found {}",
                procedure.name(),
                parameters.len(),
                given.len()
            )));
        }
        for (position, (name, value)) in given.into_iter().enumerate() {
            let index = match &name {
                None => position,
                Some(name) => position_of(procedure, name)?,
            };
            if values[index].is_some() {
                return Err(Error::invalid(format!(
                    "argument {:?} is given twice",
                    parameters[index].name
                )));
            }
            if !value.is_null() {
                values[index] = Some(fit(value, &parameters[index])?);
            }
        }
        for (parameter, value) in parameters.iter().zip(&values) {
            if parameter.is_required && value.is_none() {
                return Err(Error::invalid(format!(
                    "procedure {} needs the argument {:?}",
                    procedure.name(),
                    parameter.name
                )));
            }
        }
        Ok(Self { parameters, values })
    }

    fn get(&self, name: &str) -> Option<&ScalarValue> {
        let index = self
            .parameters
            .iter()
            .position(|parameter| parameter.name == name)?;
        self.values.get(index)?.as_ref()
    }

    /// A text argument, when it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.try_as_str().flatten()
    }

    /// A number or a time in milliseconds, when it was given.
    pub fn long(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            ScalarValue::Int64(value) => *value,
            _ => None,
        }
    }

    /// A text argument that a call must give.
    ///
    /// # Errors
    /// When it was not; [`Self::try_new`] refuses such calls before.
    pub fn required_text(&self, name: &str) -> Result<&str> {
        self.text(name)
            .ok_or_else(|| Error::invalid(format!("argument {name:?} is missing")))
    }

    /// A number that a call must give.
    ///
    /// # Errors
    /// As [`Self::required_text`].
    pub fn required_long(&self, name: &str) -> Result<i64> {
        self.long(name)
            .ok_or_else(|| Error::invalid(format!("argument {name:?} is missing")))
    }
}

fn position_of(procedure: &dyn Procedure, name: &str) -> Result<usize> {
    let parameters = procedure.parameters();
    parameters
        .iter()
        .position(|parameter| parameter.name == name)
        .ok_or_else(|| {
            let names = parameters.iter().map(|parameter| parameter.name);
            Error::invalid(format!(
                "procedure {} has no argument {name:?}{}",
                procedure.name(),
                hint(name, names)
            ))
        })
}

fn fit(value: ScalarValue, parameter: &Parameter) -> Result<ScalarValue> {
    use arrow::datatypes::DataType;
    let fits = match parameter.kind {
        ParameterKind::Text => value.try_as_str().is_some(),
        ParameterKind::Long | ParameterKind::Timestamp => value.data_type().is_integer(),
    };
    if !fits {
        let expected = match parameter.kind {
            ParameterKind::Text => "a text",
            ParameterKind::Long => "a whole number",
            ParameterKind::Timestamp => "a time",
        };
        return Err(Error::invalid(format!(
            "argument {:?} takes {expected}, found {value}",
            parameter.name
        )));
    }
    Ok(match parameter.kind {
        ParameterKind::Text => value,
        ParameterKind::Long | ParameterKind::Timestamp => value.cast_to(&DataType::Int64)?,
    })
}

/// The procedures of a lake by name.
#[derive(Debug, Clone)]
pub struct Procedures {
    procedures: Vec<Arc<dyn Procedure>>,
}

impl Procedures {
    /// The procedures that tables and commits offer themselves.
    pub fn of_core() -> Self {
        Self {
            procedures: vec![
                Arc::new(rollback::RollbackToSnapshotProcedure),
                Arc::new(rollback::RollbackToTimestampProcedure),
                Arc::new(rollback::SetCurrentSnapshotProcedure),
                Arc::new(publish::FastForwardProcedure),
                Arc::new(publish::CherryPickProcedure),
                Arc::new(publish::PublishChangesProcedure),
                Arc::new(register::RegisterTableProcedure),
            ],
        }
    }

    /// A procedure by its name in lower case.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] with the nearest names.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn Procedure>> {
        self.procedures
            .iter()
            .find(|procedure| procedure.name() == name)
            .ok_or_else(|| {
                let names = self.procedures.iter().map(|procedure| procedure.name());
                Error::not_found(format!(
                    "there is no procedure {name:?}{}",
                    hint(name, names)
                ))
            })
    }
}
