//! Modules import only downward, and the engine is named only where it is adapted.

use super::Finding;
use super::source::Source;

/// The floors of one crate's top modules, lowest first. Modules of one floor see each other
/// only where `PEERS` says so.
struct Floors {
    package: &'static str,
    floors: &'static [&'static [&'static str]],
}

const FLOORS: [Floors; 3] = [
    Floors {
        package: "lakehouse-core",
        floors: &[
            &["error"],
            &["name", "settings", "clock", "cache"],
            &["runtime", "storage", "governance"],
            &["catalog"],
            &["table"],
            &["scan", "write"],
            &["commit"],
            &["lake"],
            &["provider"],
            &["procedure"],
        ],
    },
    Floors {
        package: "lakehouse-aws",
        floors: &[
            &["credentials"],
            &["answer"],
            &["chain"],
            &["s3"],
            &["glue"],
            &["doctor"],
        ],
    },
    Floors {
        package: "lakehouse-sql",
        floors: &[
            &["parse", "statement", "of_columns"],
            &["local_time", "text_decimal"],
            &["length", "time_text", "field_match", "zoned_sum"],
            &["assignment"],
            &["inner_values"],
            &[
                "session_zone",
                "substr",
                "written_decimal",
                "unique_keys",
                "uuid_text",
                "hex_text",
                "hive_text",
                "json_number",
                "default_text",
                "aggregate_call",
                "mergeable_key",
                "length_product",
                "broadcast_map",
                "decimal_frame",
                "wide_arithmetic",
                "one_nan",
            ],
            &[
                "query_type",
                "sql_type",
                "type_planner",
                "exact_cast",
                "lossy_cast",
                "compared",
                "decimal_arithmetic",
                "checked_sum",
                "extreme",
                "aggregate_filter",
                "aggregate_order",
                "grouping_set",
                "set_operation",
                "correlation",
                "subquery_value",
                "joined_subqueries",
                "dated_time",
                "typed_call",
                "bytes_planner",
                "cast_name",
                "lead_lag",
                "ntile",
                "join_choice",
                "first_rows",
                "null_counts",
                "ordered_offset",
                "aggregate_choice",
                "bounded_batch",
                "bounded_call",
                "cancellable_join",
                "lateral_unnest",
                "recursive_type",
                "guarded_condition",
                "guarded_rule",
                "guarded_logical_rule",
                "semi_join",
                "scalar_subquery",
                "shared_subplan",
                "column_alias",
                "truth_test",
                "date_trunc",
                "date_bin",
                "date_format",
                "session_time",
            ],
            &["functions", "physical_rules", "frame_aggregate"],
            &["constant"],
            &["register"],
            &["environment"],
            &["resolve"],
            &["govern"],
            &["plan"],
            &["execute"],
            &["session"],
        ],
    },
];

/// Modules of one floor that see each other all the same: (module, what it sees, why).
const PEERS: [(&str, &str, &str); 4] = [
    (
        "runtime",
        "storage",
        "the engine's environment is given the stores",
    ),
    (
        "storage",
        "runtime",
        "work that blocks goes through the one place that spawns",
    ),
    (
        "parse",
        "statement",
        "the text is cut into statements, each read by its own builder",
    ),
    (
        "statement",
        "parse",
        "builders read the tokens that the cursor gives",
    ),
];

/// A crate that may be named only in some modules, and why there.
struct Fence {
    package: &'static str,
    named: &'static str,
    only_in: &'static [(&'static str, &'static str)],
}

const FENCES: [Fence; 3] = [
    Fence {
        package: "lakehouse-core",
        named: "datafusion",
        only_in: &[
            ("provider", "adapts our tables to the engine"),
            (
                "storage",
                "the engine gets the routing store by its URL type, and has readers that unpack",
            ),
            ("runtime", "memory and spill budgets are the engine's pools"),
            ("error", "takes the engine's errors in, keeping their kind"),
            (
                "procedure",
                "arguments of a call are the engine's scalar values",
            ),
        ],
    },
    Fence {
        package: "lakehouse-core",
        named: "sqlparser",
        only_in: &[],
    },
    Fence {
        package: "lakehouse-sql",
        named: "sqlparser",
        only_in: &[
            ("parse", "makes the syntax tree"),
            ("statement", "reads it, one family of statements a file"),
            ("resolve", "finds the names in it"),
            ("plan", "hands it to the engine's planner"),
            ("constant", "evaluates the expressions in it"),
            (
                "execute",
                "a new table's definition has types and names of it",
            ),
            (
                "register",
                "the engine hands table references over as syntax",
            ),
            (
                "column_alias",
                "the engine hands table factors over as syntax",
            ),
            ("sql_type", "reads the types in it"),
            ("type_planner", "reads the types in it"),
            (
                "length_product",
                "the engine hands operators over as syntax",
            ),
            ("bytes_planner", "the engine hands operators over as syntax"),
            (
                "wide_arithmetic",
                "the engine hands operators over as syntax",
            ),
        ],
    },
];

/// Checks every production line that names a module of its own crate, or a fenced crate.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for floors in &FLOORS {
        let of_crate = sources
            .iter()
            .filter(|source| source.package() == floors.package);
        for source in of_crate.filter(|source| source.is_production()) {
            findings.extend(check_floors(floors, source));
        }
    }
    for fence in &FENCES {
        for source in sources
            .iter()
            .filter(|source| source.package() == fence.package)
        {
            findings.extend(check_fence(fence, source));
        }
    }
    findings
}

fn check_floors(floors: &Floors, source: &Source) -> Vec<Finding> {
    let modules = source.modules();
    let Some(own) = modules.first() else {
        return Vec::new();
    };
    let floor_of = |module: &str| {
        floors
            .floors
            .iter()
            .position(|floor| floor.contains(&module))
    };
    let Some(own_floor) = floor_of(own) else {
        let message = "give the module its floor in xtask/src/tidy/modules.rs";
        return vec![format!("{}: {message}", source.path)];
    };
    let mut findings = Vec::new();
    for (line, used) in imports(source, modules.len()) {
        let upward = floor_of(&used).is_some_and(|floor| floor >= own_floor);
        let peer = PEERS
            .iter()
            .any(|(module, seen, _why)| module == own && *seen == used);
        if upward && used != *own && !peer {
            let place = format!("{}:{}", source.path, line + 1);
            findings.push(format!(
                "{place}: `{own}` may not see `{used}`: import only downward"
            ));
        }
    }
    findings
}

/// The top modules of the own crate that production code names, with the line's index.
fn imports(source: &Source, depth: usize) -> Vec<(usize, String)> {
    let from_root = format!("{}::", vec!["super"; depth].join("::"));
    let text = source.code.join("\n");
    let mut found = Vec::new();
    for prefix in ["crate::", from_root.as_str()] {
        for (at, _) in text.match_indices(prefix) {
            let line = text[..at].matches('\n').count();
            let whole_word = !text[..at]
                .ends_with(|char: char| char.is_alphanumeric() || char == '_')
                && !text[..at].ends_with("super::");
            if whole_word && !source.test[line] {
                let names = first_names(&text[at + prefix.len()..]);
                found.extend(names.into_iter().map(|name| (line, name)));
            }
        }
    }
    found
}

/// The first names of a path's end or of a group: `{a::b, c::{d, e}}` gives `a` and `c`.
fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![word(rest)];
    };
    let (mut depth, mut start, mut names) = (0_usize, 0, Vec::new());
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(word(group[start..at].trim_start()));
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|char| char.is_alphanumeric() || *char == '_')
        .collect()
}

fn check_fence(fence: &Fence, source: &Source) -> Vec<Finding> {
    let modules = source.modules();
    let own = modules.first().copied().unwrap_or_default();
    let inside = fence.only_in.iter().any(|(module, _why)| *module == own);
    if inside || !source.is_production() {
        return Vec::new();
    }
    let path = format!("{}::", fence.named);
    let names = |line: &str| {
        line.match_indices(&path).any(|(at, _)| {
            !line[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_')
        })
    };
    let lines = source.code.iter().zip(&source.test).enumerate();
    lines
        .filter(|(_, (line, test))| !**test && names(line))
        .map(|(at, _)| {
            let allowed: Vec<&str> = fence.only_in.iter().map(|(module, _)| *module).collect();
            let place = format!("{}:{}", source.path, at + 1);
            let only = if allowed.is_empty() {
                "nowhere here".to_owned()
            } else {
                allowed.join(", ")
            };
            format!("{place}: `{}` is named only in: {only}", fence.named)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&[Source::new(path, text)]).len()
    }

    #[test]
    fn upward_imports_are_found() {
        let scan = "lakehouse-core/src/scan/plan.rs";
        assert_eq!(findings(scan, "use crate::table::Table;"), 0);
        assert_eq!(
            findings(
                scan,
                "use crate::{\n    error::Error,\n    commit::{A, B},\n};"
            ),
            1
        );
        assert_eq!(findings(scan, "use super::super::write::Writer;"), 1);
        assert_eq!(findings(scan, "use super::super::super::write::Writer;"), 0);
        assert_eq!(findings(scan, "fn a() { crate::provider::b() }"), 1);
        assert_eq!(findings(scan, "// crate::provider::b()"), 0);
        assert_eq!(
            findings(
                scan,
                "#[cfg(test)]\nmod tests {\n    use crate::commit::A;\n}"
            ),
            0
        );
        assert_eq!(findings("lakehouse-core/src/odd.rs", "fn a() {}"), 1);
    }

    #[test]
    fn the_engine_is_fenced() {
        let text = "use datafusion::error::DataFusionError;";
        assert_eq!(findings("lakehouse-core/src/scan.rs", text), 1);
        assert_eq!(findings("lakehouse-core/src/provider/table.rs", text), 0);
        assert_eq!(
            findings(
                "lakehouse-core/src/scan.rs",
                "// as datafusion::x does\nfn a() {}"
            ),
            0
        );
    }
}
