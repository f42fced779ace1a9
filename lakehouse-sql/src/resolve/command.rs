//! Commands of our own with their names looked up.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use iceberg::{NamespaceIdent, TableIdent};
use lakehouse_core::catalog::{Catalog, NameCase};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::governance::Privilege;
use lakehouse_core::lake::{FoundTable, Selector};
use lakehouse_core::name::Name;

use super::relation::{at_place, resolve_source};
use super::{
    Intent, Resolved, Scope, SessionTable, audit, names, refuse_writes_in_the_past, session_table,
};
use crate::constant::Constants;
use crate::statement::{
    AlterAction, AlterTable, Call, CreateMode, CreateNamespace, CreateTable, Describe,
    DropNamespace, DropTable, SetValue, ShowTarget, Statement, Use,
};

/// A command whose names are resolved.
#[derive(Debug)]
pub(crate) enum Command {
    /// There is nothing to do: `IF EXISTS` of what is not there, `IF NOT EXISTS` of what is.
    Nothing,
    CreateNamespace {
        catalog: Arc<dyn Catalog>,
        namespace: NamespaceIdent,
        definition: CreateNamespace,
    },
    DropNamespaces {
        namespaces: Vec<NamespaceTarget>,
        if_exists: bool,
    },
    CreateTable {
        target: TableTarget,
        definition: Box<CreateTable>,
    },
    /// Puts another definition and other rows in the place of a table's.
    ReplaceTable {
        table: FoundTable,
        definition: Box<CreateTable>,
    },
    DropTables {
        tables: Vec<TableTarget>,
        /// Those of the session alone.
        own: Vec<SessionTable>,
        purge: bool,
        if_exists: bool,
    },
    AlterTable {
        table: FoundTable,
        action: AlterAction,
        if_exists: bool,
    },
    RenameTable {
        table: FoundTable,
        to: TableTarget,
        if_exists: bool,
    },
    Call {
        /// The catalog of names in its arguments that do not name one; the session's without one.
        catalog_name: Option<String>,
        procedure: String,
        arguments: Vec<(Option<String>, ScalarValue)>,
    },
    Show(Show),
    Set {
        name: String,
        value: Option<SettingValue>,
    },
    Use {
        catalog_name: String,
        namespace: NamespaceIdent,
    },
}

/// A lookup of names and definitions.
#[derive(Debug)]
pub(crate) enum Show {
    Catalogs {
        pattern: Option<String>,
    },
    Namespaces {
        catalog: Arc<dyn Catalog>,
        parent: Option<NamespaceIdent>,
        pattern: Option<String>,
    },
    Tables {
        catalog_name: String,
        catalog: Arc<dyn Catalog>,
        namespace: NamespaceIdent,
        /// The session's own tables there.
        own: Vec<String>,
        pattern: Option<String>,
    },
    /// The columns of a table of the session alone.
    OwnColumns {
        schema: SchemaRef,
        /// Whether they are described or listed.
        described: bool,
    },
    Columns(FoundTable),
    Describe {
        table: FoundTable,
        extended: bool,
    },
    CreateTable(FoundTable),
    Tags(FoundTable),
    Branches(FoundTable),
    Properties {
        table: FoundTable,
        key: Option<String>,
    },
    CurrentNamespace,
}

/// The right side of a `SET`, evaluated.
#[derive(Debug)]
pub(crate) enum SettingValue {
    /// A constant.
    Constant(ScalarValue),
    /// A time in milliseconds since 1970.
    TimeMs(i64),
}

/// A table that a command is about, which need not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct TableTarget {
    pub(crate) catalog_name: String,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) ident: TableIdent,
}

/// A namespace that exists.
#[derive(Debug, Clone)]
pub(crate) struct NamespaceTarget {
    pub(crate) catalog_name: String,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) namespace: NamespaceIdent,
}

impl TableTarget {
    /// A table that was found.
    pub(crate) fn of(found: &FoundTable) -> Self {
        Self {
            catalog_name: found.catalog_name.clone(),
            catalog: Arc::clone(&found.catalog),
            ident: found.table.ident().clone(),
        }
    }

    /// Whether nothing has the name by now, or not even its namespace is there.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub(crate) async fn is_free(&self) -> Result<bool> {
        match self.catalog.is_taken(&self.ident).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            taken => Ok(!taken?),
        }
    }
}

impl Command {
    /// What the policies are asked.
    pub(crate) fn accesses(&self) -> Vec<(Privilege, TableTarget)> {
        match self {
            Self::CreateTable { target, .. } => vec![(Privilege::Create, target.clone())],
            Self::ReplaceTable { table, .. } => vec![
                (Privilege::Drop, TableTarget::of(table)),
                (Privilege::Create, TableTarget::of(table)),
            ],
            Self::DropTables { tables, .. } => tables
                .iter()
                .map(|target| (Privilege::Drop, target.clone()))
                .collect(),
            Self::AlterTable { table, .. } => vec![(Privilege::Alter, TableTarget::of(table))],
            Self::RenameTable { table, to, .. } => vec![
                (Privilege::Alter, TableTarget::of(table)),
                (Privilege::Create, to.clone()),
            ],
            Self::Show(show) => show
                .table()
                .map(|found| (Privilege::Describe, TableTarget::of(found)))
                .into_iter()
                .collect(),
            // Namespaces have no policies yet; procedures ask for their tables themselves.
            Self::Nothing
            | Self::CreateNamespace { .. }
            | Self::DropNamespaces { .. }
            | Self::Call { .. }
            | Self::Set { .. }
            | Self::Use { .. } => Vec::new(),
        }
    }
}

impl Show {
    fn table(&self) -> Option<&FoundTable> {
        match self {
            Self::Columns(table)
            | Self::Describe { table, .. }
            | Self::CreateTable(table)
            | Self::Tags(table)
            | Self::Branches(table)
            | Self::Properties { table, .. } => Some(table),
            Self::Catalogs { .. }
            | Self::Namespaces { .. }
            | Self::Tables { .. }
            | Self::OwnColumns { .. }
            | Self::CurrentNamespace => None,
        }
    }
}

/// Looks up the names of a command.
pub(super) async fn resolve_command(statement: Statement, scope: &Scope<'_>) -> Result<Resolved> {
    if writes(&statement) {
        refuse_writes_in_the_past(scope)?;
    }
    let command = match statement {
        Statement::CreateTable(create) => return create_table(create, scope).await,
        Statement::CreateNamespace(create) => create_namespace(create, scope).await?,
        Statement::DropNamespace(drop) => drop_namespaces(drop, scope).await?,
        Statement::DropTable(drop) => drop_tables(drop, scope).await?,
        Statement::AlterTable(alter) => alter_table(alter, scope).await?,
        Statement::Call(call) => resolve_call(call, scope)?,
        Statement::Show(target) => Command::Show(show(target, scope).await?),
        Statement::Describe(target) => Command::Show(describe(target, scope).await?),
        Statement::Set(set) => {
            let value = match set.value {
                SetValue::Expression(value) => Some(setting_value(&set.name, &value, scope)?),
                SetValue::Default => None,
            };
            Command::Set {
                name: set.name,
                value,
            }
        }
        Statement::Reset(reset) => Command::Set {
            name: reset.name,
            value: None,
        },
        Statement::Use(used) => use_namespace(&used, scope).await?,
        Statement::Query(_)
        | Statement::Explain(_)
        | Statement::Insert(_)
        | Statement::Delete(_)
        | Statement::Update(_)
        | Statement::Merge(_)
        | Statement::DataFusion(_) => {
            return Err(Error::internal(
                "a statement with rows was taken for a command",
            ));
        }
    };
    Ok(Resolved {
        intent: Intent::Command {
            command: Box::new(command),
            source: None,
        },
        tables: Vec::new(),
    })
}

async fn describe(target: Describe, scope: &Scope<'_>) -> Result<Show> {
    let Describe { table, extended } = target;
    Ok(match session_table::find(&table, scope)? {
        Some(own) => Show::OwnColumns {
            schema: own.provider.schema(),
            described: true,
        },
        None => Show::Describe {
            table: table_with_columns(&table, scope).await?,
            extended,
        },
    })
}

async fn use_namespace(used: &Use, scope: &Scope<'_>) -> Result<Command> {
    let path = names(&used.namespace);
    let found = scope.lake.find_namespace(&path, &scope.catalog).await;
    let (catalog_name, _, namespace) = found.map_err(|error| match path.as_slice() {
        [only] if scope.lake.catalog(only).is_ok() => Error::not_found(format!(
            "{only} is a catalog; USE takes a namespace, such as {only}.default"
        )),
        _ => error,
    })?;
    Ok(Command::Use {
        catalog_name,
        namespace,
    })
}

fn writes(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::CreateNamespace(_)
            | Statement::DropNamespace(_)
            | Statement::DropTable(_)
            | Statement::AlterTable(_)
            | Statement::Call(_)
    )
}

/// A table itself, not one of its metadata tables or versions.
async fn whole_table(
    path: &[datafusion::sql::sqlparser::ast::Ident],
    scope: &Scope<'_>,
) -> Result<FoundTable> {
    if let Some(own) = session_table::find(path, scope)? {
        return Err(own.refusal("it has no definition, versions or properties"));
    }
    let found = scope
        .lake
        .find_table(&names(path), &scope.catalog, &scope.namespace)
        .await?;
    if found.selector.is_some() {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        return Err(Error::invalid(format!(
            "{} selects a part or version of a table; this statement is about the table itself",
            path.join(".")
        )));
    }
    Ok(found)
}

/// A table or one of its metadata tables, whose columns are asked for.
async fn table_with_columns(
    path: &[datafusion::sql::sqlparser::ast::Ident],
    scope: &Scope<'_>,
) -> Result<FoundTable> {
    let found = scope
        .lake
        .find_table(&names(path), &scope.catalog, &scope.namespace)
        .await?;
    match found.selector {
        Some(Selector::Metadata(_)) => Ok(found),
        _ => whole_table(path, scope).await,
    }
}

async fn alter_table(alter: AlterTable, scope: &Scope<'_>) -> Result<Command> {
    let table = match whole_table(&alter.name, scope).await {
        Err(error) if error.kind() == ErrorKind::NotFound && alter.if_exists => {
            return Ok(Command::Nothing);
        }
        found => found?,
    };
    let AlterAction::Rename(to) = alter.action else {
        return Ok(Command::AlterTable {
            table,
            action: alter.action,
            if_exists: alter.if_exists,
        });
    };
    // A name without a namespace stays in the table's.
    let namespace = table.table.ident().namespace();
    let (catalog_name, catalog, ident) = scope
        .lake
        .new_table_ident(&names(&to), &table.catalog_name, namespace)
        .await?;
    if catalog_name != table.catalog_name {
        return Err(Error::unsupported(format!(
            "a table stays in its catalog, {}: it cannot be renamed into {catalog_name}",
            table.catalog_name
        )));
    }
    let to = TableTarget {
        catalog_name,
        catalog,
        ident,
    };
    Ok(Command::RenameTable {
        table,
        to,
        if_exists: alter.if_exists,
    })
}

async fn create_table(mut create: CreateTable, scope: &Scope<'_>) -> Result<Resolved> {
    if let Some(own) = session_table::find(&create.name, scope)? {
        return match create.mode {
            CreateMode::NewOrNothing => Ok(Resolved::nothing()),
            _ => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "this session has a table {} already",
                    lakehouse_core::name::quote(&own.name)
                ),
            )),
        };
    }
    let name = create.name.clone();
    let query = create.query.take();
    let definition = Box::new(create);
    // Before the query, so that no commit comes between what it reads and what is replaced.
    let mut replaced = replaced_table(&definition, scope).await?;
    let mut target = None;
    if replaced.is_none() {
        match new_table(&definition, scope).await {
            // Somebody else made it since it was looked for.
            Err(error)
                if error.kind() == ErrorKind::AlreadyExists
                    && definition.mode == CreateMode::NewOrReplace =>
            {
                replaced = replaced_table(&definition, scope).await?;
                if replaced.is_none() {
                    return Err(error);
                }
            }
            made => target = made?,
        }
    }
    let command = match (replaced.clone(), target) {
        (Some(table), _) => Command::ReplaceTable { table, definition },
        (None, Some(target)) => Command::CreateTable { target, definition },
        (None, None) => return Ok(Resolved::nothing()),
    };
    let (source, tables) = match query {
        Some(query) => {
            let loaded = replaced.map(|table| (name.as_slice(), table));
            let (query, tables) = resolve_source(query, loaded, scope).await?;
            (Some(query), tables)
        }
        None => (None, Vec::new()),
    };
    Ok(Resolved {
        intent: Intent::Command {
            command: Box::new(command),
            source,
        },
        tables,
    })
}

/// The table that a definition takes the place of, if it does.
async fn replaced_table(definition: &CreateTable, scope: &Scope<'_>) -> Result<Option<FoundTable>> {
    let table = match definition.mode {
        CreateMode::New | CreateMode::NewOrNothing => return Ok(None),
        CreateMode::NewOrReplace => match whole_table(&definition.name, scope).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found?,
        },
        CreateMode::Replace => whole_table(&definition.name, scope)
            .await
            .map_err(|error| at_place(error, &definition.name))?,
    };
    audit::refuse(&table.table, &scope.wap, "a new definition")?;
    Ok(Some(table))
}

/// A table under a name that is free; `None` when it is not and that is no error.
async fn new_table(definition: &CreateTable, scope: &Scope<'_>) -> Result<Option<TableTarget>> {
    let new = scope
        .lake
        .new_table_ident(&names(&definition.name), &scope.catalog, &scope.namespace)
        .await;
    match new {
        Ok((catalog_name, catalog, ident)) => Ok(Some(TableTarget {
            catalog_name,
            catalog,
            ident,
        })),
        Err(error)
            if error.kind() == ErrorKind::AlreadyExists
                && definition.mode == CreateMode::NewOrNothing =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn create_namespace(create: CreateNamespace, scope: &Scope<'_>) -> Result<Command> {
    let parts = names(&create.name);
    let (catalog, parts) = match parts.as_slice() {
        [first, rest @ ..] if !rest.is_empty() => match scope.lake.catalog(first) {
            Ok((_, catalog)) => (catalog, rest),
            Err(_) => (default_catalog(scope)?, parts.as_slice()),
        },
        _ => (default_catalog(scope)?, parts.as_slice()),
    };
    let levels = parts
        .iter()
        .flat_map(|part| part.as_str().split('.'))
        .map(str::to_owned);
    let namespace = NamespaceIdent::from_vec(levels.collect())?;
    let existing = same_namespaces(catalog, &namespace).await?;
    let text = lakehouse_core::lake::dotted(&namespace);
    let named: Vec<String> = existing.iter().map(lakehouse_core::lake::dotted).collect();
    if let Some(found) = Name::new(text.as_str()).find(&named, String::as_str)? {
        if create.if_not_exists {
            return Ok(Command::Nothing);
        }
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "namespace {} exists already",
                lakehouse_core::name::quote(found)
            ),
        ));
    }
    Ok(Command::CreateNamespace {
        catalog: Arc::clone(catalog),
        namespace,
        definition: create,
    })
}

/// The namespaces among which one of this name in any case would be.
async fn same_namespaces(
    catalog: &Arc<dyn Catalog>,
    namespace: &NamespaceIdent,
) -> Result<Vec<NamespaceIdent>> {
    if catalog.name_case() == NameCase::AsWritten {
        return catalog.list_namespaces().await;
    }
    let folded = namespace.iter().map(|part| part.to_lowercase());
    let folded = NamespaceIdent::from_vec(folded.collect())?;
    match catalog.namespace_properties(&folded).await {
        Ok(_) => Ok(vec![folded]),
        // Whoever may not look may be allowed to make it, and is told by that.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

fn default_catalog<'a>(scope: &'a Scope<'_>) -> Result<&'a Arc<dyn Catalog>> {
    Ok(scope.lake.catalog(&Name::quoted(&scope.catalog))?.1)
}

async fn drop_namespaces(drop: DropNamespace, scope: &Scope<'_>) -> Result<Command> {
    if drop.cascade {
        return Err(Error::unsupported(
            "DROP … CASCADE is not offered; drop the namespace's tables first",
        ));
    }
    let mut namespaces: Vec<NamespaceTarget> = Vec::new();
    for path in &drop.names {
        match scope
            .lake
            .find_namespace(&names(path), &scope.catalog)
            .await
        {
            Ok((catalog_name, catalog, namespace)) => {
                let is_known = namespaces.iter().any(|known| {
                    known.catalog_name == catalog_name && known.namespace == namespace
                });
                if !is_known {
                    namespaces.push(NamespaceTarget {
                        catalog_name,
                        catalog,
                        namespace,
                    });
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound && drop.if_exists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Command::DropNamespaces {
        namespaces,
        if_exists: drop.if_exists,
    })
}

async fn drop_tables(drop: DropTable, scope: &Scope<'_>) -> Result<Command> {
    let mut tables: Vec<TableTarget> = Vec::new();
    let mut own: Vec<SessionTable> = Vec::new();
    for path in &drop.names {
        if let Some(found) = session_table::find(path, scope)? {
            if drop.purge {
                return Err(found.refusal("DROP TABLE … PURGE would leave its files"));
            }
            let is_known = own.iter().any(|known| {
                Arc::ptr_eq(&known.catalog, &found.catalog)
                    && known.namespace == found.namespace
                    && known.name == found.name
            });
            if !is_known {
                own.push(found);
            }
            continue;
        }
        match dropped_table(path, drop.purge, scope).await {
            Ok(found) => {
                let is_known = tables.iter().any(|known| {
                    known.catalog_name == found.catalog_name && known.ident == found.ident
                });
                if !is_known {
                    tables.push(found);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound && drop.if_exists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Command::DropTables {
        tables,
        own,
        purge: drop.purge,
        if_exists: drop.if_exists,
    })
}

/// The table that a name means, readable or not: its name can be removed all the same, unless its
/// files are to go with it.
async fn dropped_table(
    path: &[datafusion::sql::sqlparser::ast::Ident],
    purge: bool,
    scope: &Scope<'_>,
) -> Result<TableTarget> {
    let unread = match whole_table(path, scope).await {
        Ok(found) => return Ok(TableTarget::of(&found)),
        Err(error) => error,
    };
    if purge || matches!(unread.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) {
        return Err(unread);
    }
    let named = scope
        .lake
        .find_droppable(&names(path), &scope.catalog, &scope.namespace)
        .await;
    match named {
        Ok(Some(found)) => Ok(TableTarget {
            catalog_name: found.catalog_name,
            catalog: found.catalog,
            ident: found.ident,
        }),
        Ok(None) | Err(_) => Err(unread),
    }
}

fn resolve_call(call: Call, scope: &Scope<'_>) -> Result<Command> {
    let constants = Constants::try_new(scope.state, scope.instant, scope.parameters)?;
    let mut arguments = Vec::with_capacity(call.arguments.len());
    for argument in call.arguments {
        let name = argument.name.map(|name| name.value.to_lowercase());
        arguments.push((name, constants.evaluate(&argument.value)?));
    }
    let (catalog_name, procedure) = procedure_name(&call.procedure, scope)?;
    Ok(Command::Call {
        catalog_name,
        procedure,
        arguments,
    })
}

/// `system.p` and `catalog.system.p` name the procedure `p`, the latter with the catalog that it
/// works in.
fn procedure_name(
    path: &[datafusion::sql::sqlparser::ast::Ident],
    scope: &Scope<'_>,
) -> Result<(Option<String>, String)> {
    let (catalog, system, procedure) = match path {
        [system, procedure] => (None, system, procedure),
        [catalog, system, procedure] => (Some(catalog), system, procedure),
        _ => return Err(Error::invalid("expected CALL system.<procedure>(…)")),
    };
    if !system.value.eq_ignore_ascii_case("system") {
        return Err(Error::invalid("expected CALL system.<procedure>(…)"));
    }
    let catalog = match catalog {
        Some(catalog) => Some(scope.lake.catalog(&super::name(catalog))?.0.to_owned()),
        None => None,
    };
    Ok((catalog, procedure.value.to_lowercase()))
}

fn setting_value(
    name: &str,
    value: &datafusion::sql::sqlparser::ast::Expr,
    scope: &Scope<'_>,
) -> Result<SettingValue> {
    use datafusion::sql::sqlparser::ast::Expr;
    let is_time = name == crate::environment::AS_OF;
    // A bare word is its own text: `SET x = fast`.
    if let Expr::Identifier(word) = value
        && !is_time
    {
        return Ok(SettingValue::Constant(ScalarValue::Utf8(Some(
            word.value.clone(),
        ))));
    }
    let constants = Constants::try_new(scope.state, scope.instant, scope.parameters)?;
    let constant = constants.evaluate(value)?;
    if is_time {
        return Ok(SettingValue::TimeMs(constants.timestamp_ms(&constant)?));
    }
    Ok(SettingValue::Constant(constant))
}

async fn show(target: ShowTarget, scope: &Scope<'_>) -> Result<Show> {
    Ok(match target {
        ShowTarget::Catalogs { pattern } => Show::Catalogs { pattern },
        ShowTarget::CurrentNamespace => Show::CurrentNamespace,
        ShowTarget::Namespaces { parent, pattern } => {
            let (catalog, parent) = match parent.as_deref().map(names) {
                None => (Arc::clone(default_catalog(scope)?), None),
                Some(path) => match (path.as_slice(), scope.lake.catalog(&path[0])) {
                    ([_], Ok((_, catalog))) => (Arc::clone(catalog), None),
                    _ => {
                        let (_, catalog, parent) =
                            scope.lake.find_namespace(&path, &scope.catalog).await?;
                        (catalog, Some(parent))
                    }
                },
            };
            Show::Namespaces {
                catalog,
                parent,
                pattern,
            }
        }
        ShowTarget::Tables { namespace, pattern } => {
            let (catalog_name, catalog, namespace) = match namespace {
                None => {
                    let catalog = Arc::clone(default_catalog(scope)?);
                    (scope.catalog.clone(), catalog, scope.namespace.clone())
                }
                Some(path) => {
                    let path = names(&path);
                    scope.lake.find_namespace(&path, &scope.catalog).await?
                }
            };
            let namespace_text = lakehouse_core::lake::dotted(&namespace);
            Show::Tables {
                own: session_table::list(&catalog_name, &namespace_text, scope),
                catalog_name,
                catalog,
                namespace,
                pattern,
            }
        }
        ShowTarget::Columns { table } => match session_table::find(&table, scope)? {
            Some(own) => Show::OwnColumns {
                schema: own.provider.schema(),
                described: false,
            },
            None => Show::Columns(table_with_columns(&table, scope).await?),
        },
        ShowTarget::CreateTable { table } => Show::CreateTable(whole_table(&table, scope).await?),
        ShowTarget::Tags { table } => Show::Tags(whole_table(&table, scope).await?),
        ShowTarget::Branches { table } => Show::Branches(whole_table(&table, scope).await?),
        ShowTarget::TableProperties { table, key } => Show::Properties {
            table: whole_table(&table, scope).await?,
            key,
        },
    })
}
