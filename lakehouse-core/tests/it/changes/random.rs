//! Changes at random, by writers whose view is old, against a map of rows.

use std::collections::BTreeMap;

use iceberg::spec::FormatVersion;
use lakehouse_core::commit::{FileChange, Isolation, RewriteManifests, RowStatement};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::scan::{Predicate, ScanFile};
use lakehouse_core::table::Table;
use proptest::prelude::*;

use super::world::{World, part_is, part_of};

const PARTS: [&str; 3] = ["a", "b", "c"];
const WRITERS: usize = 3;

/// One step of one writer; numbers choose among what is there.
#[derive(Debug, Clone, Copy)]
enum Step {
    Refresh,
    Append(usize),
    Replace(usize),
    Overwrite(usize),
    DeletePart(usize),
    Truncate,
    /// Rewrites a file without its first live row, or with one more.
    Copy(usize, bool),
    /// Deletes the first live row of a file by deletes, or updates it.
    Mark(usize, bool),
    Compact(usize),
    Gather,
}

fn step() -> impl Strategy<Value = (usize, Isolation, Step)> {
    let part = 0..PARTS.len();
    let step = prop_oneof![
        4 => Just(Step::Refresh),
        5 => part.clone().prop_map(Step::Append),
        1 => part.clone().prop_map(Step::Replace),
        1 => part.clone().prop_map(Step::Overwrite),
        1 => part.clone().prop_map(Step::DeletePart),
        1 => Just(Step::Truncate),
        4 => (0..8_usize, any::<bool>()).prop_map(|(file, more)| Step::Copy(file, more)),
        6 => (0..8_usize, any::<bool>()).prop_map(|(file, more)| Step::Mark(file, more)),
        2 => part.prop_map(Step::Compact),
        1 => Just(Step::Gather),
    ];
    let level = prop_oneof![Just(Isolation::Serializable), Just(Isolation::Snapshot)];
    (0..WRITERS, level, step)
}

/// What a writer sees: the table, and its rows by file and position.
struct View {
    table: Table,
    files: Vec<(ScanFile, Vec<(u64, i64)>)>,
}

/// What becomes of the rows when a change was committed.
#[derive(Default)]
struct Effect {
    gone: Vec<i64>,
    gone_parts: Vec<&'static str>,
    new: Vec<(i64, &'static str)>,
    /// Rows that were written anew: their row ids are not kept by this test.
    moved: Vec<i64>,
}

struct Game {
    world: World,
    rows: BTreeMap<i64, &'static str>,
    row_ids: BTreeMap<i64, Option<i64>>,
    views: Vec<View>,
    next: i64,
}

impl Game {
    async fn new(version: FormatVersion) -> Self {
        let world = World::new(version).await;
        world
            .set_property("commit.manifest.min-count-to-merge", "4")
            .await;
        world.append(&[(1, "a"), (2, "a"), (3, "b")]).await;
        let mut game = Self {
            rows: BTreeMap::from([(1, "a"), (2, "a"), (3, "b")]),
            row_ids: BTreeMap::new(),
            views: Vec::new(),
            next: 10,
            world,
        };
        for _ in 0..WRITERS {
            let view = game.view().await;
            game.views.push(view);
        }
        game
    }

    async fn view(&self) -> View {
        let table = self.world.table().await;
        let mut files = Vec::new();
        for file in self.world.files(&table).await {
            let rows = self.world.positions(&table, &file).await;
            files.push((file, rows));
        }
        View { table, files }
    }

    async fn fresh(&mut self, count: i64, part: &'static str) -> Vec<(i64, &'static str)> {
        let first = self.next;
        self.next += count;
        (first..first + count).map(|id| (id, part)).collect()
    }

    async fn play(&mut self, writer: usize, level: Isolation, step: Step) {
        if let Step::Refresh = step {
            self.views[writer] = self.view().await;
            return;
        }
        if let Step::Gather = step {
            self.world
                .commit(RewriteManifests::default())
                .await
                .unwrap();
            return self.check(Effect::default()).await;
        }
        let Some((change, effect)) = self.change(writer, step).await else {
            return;
        };
        match self.world.commit(change.with_isolation(level)).await {
            Ok(_) => self.check(effect).await,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{step:?}: {error}");
                self.check(Effect::default()).await;
            }
        }
    }

    async fn change(&mut self, writer: usize, step: Step) -> Option<(FileChange, Effect)> {
        let mut effect = Effect::default();
        let table = self.views[writer].table.clone();
        let part = |number: usize| PARTS[number];
        let change = match step {
            Step::Append(number) => {
                effect.new = self.fresh(2, part(number)).await;
                FileChange::append(&table, self.world.write(&effect.new).await)
            }
            Step::Replace(number) => {
                effect.new = self.fresh(1, part(number)).await;
                effect.gone_parts.push(part(number));
                FileChange::replace_partitions(&table, self.world.write(&effect.new).await)
            }
            Step::Overwrite(number) => {
                effect.new = self.fresh(1, part(number)).await;
                effect.gone_parts.push(part(number));
                let rows = self.world.write(&effect.new).await;
                FileChange::overwrite_rows(&table, part_is(part(number)), rows)
            }
            Step::DeletePart(number) => {
                effect.gone_parts.push(part(number));
                FileChange::delete_rows(&table, part_is(part(number)))
            }
            Step::Truncate => {
                effect.gone_parts.extend(PARTS);
                FileChange::delete_rows(&table, Predicate::AlwaysTrue)
            }
            Step::Copy(number, more) => self.copy(writer, number, more, &mut effect).await?,
            Step::Mark(number, more) => self.mark(writer, number, more, &mut effect).await?,
            Step::Compact(number) => self.compact(writer, part(number), &mut effect).await?,
            Step::Refresh | Step::Gather => return None,
        };
        Some((change, effect))
    }

    fn chosen(&self, writer: usize, number: usize) -> Option<(ScanFile, Vec<(u64, i64)>)> {
        let files = &self.views[writer].files;
        files.get(number % files.len().max(1)).cloned()
    }

    async fn copy(
        &mut self,
        writer: usize,
        number: usize,
        more: bool,
        effect: &mut Effect,
    ) -> Option<FileChange> {
        let (file, rows) = self.chosen(writer, number)?;
        let part = static_part(&file);
        let (first, rest) = rows.split_first()?;
        effect.gone.push(first.1);
        effect.moved = rest.iter().map(|row| row.1).collect();
        if more {
            effect.new = self.fresh(1, part).await;
        }
        let moved = effect.moved.iter().map(|id| (*id, part));
        let rows: Vec<_> = moved.chain(effect.new.iter().copied()).collect();
        let statement = if more {
            RowStatement::Update
        } else {
            RowStatement::Delete
        };
        let change = FileChange::row_level(&self.views[writer].table, statement).remove(&file);
        let change = change.with_conflict_filter(part_is(part));
        Some(match rows.is_empty() {
            true => change,
            false => change.add(self.world.write(&rows).await),
        })
    }

    async fn mark(
        &mut self,
        writer: usize,
        number: usize,
        more: bool,
        effect: &mut Effect,
    ) -> Option<FileChange> {
        let (file, rows) = self.chosen(writer, number)?;
        let part = static_part(&file);
        let table = self.views[writer].table.clone();
        let first = rows.first()?;
        effect.gone.push(first.1);
        let statement = if more {
            RowStatement::Merge
        } else {
            RowStatement::Delete
        };
        // All that is deleted: what is not live, and one more.
        let live: Vec<u64> = rows[1..].iter().map(|row| row.0).collect();
        let all = 0..file.data_file().record_count();
        let deleted: Vec<u64> = all.filter(|row| !live.contains(row)).collect();
        let mut change = FileChange::row_level(&table, statement)
            .add(vec![self.world.deletes(&table, &file, &deleted)])
            .referencing(&file)
            .with_conflict_filter(part_is(part));
        for old in &file.deletes.positions {
            change = change.supersede(old);
        }
        if more {
            effect.new = self.fresh(1, part).await;
            change = change.add(self.world.write(&effect.new).await);
        }
        Some(change)
    }

    async fn compact(
        &mut self,
        writer: usize,
        part: &'static str,
        effect: &mut Effect,
    ) -> Option<FileChange> {
        let view = &self.views[writer];
        let of_part = view.files.iter().filter(|(file, _)| part_of(file) == part);
        let (files, rows): (Vec<_>, Vec<_>) = of_part.cloned().unzip();
        effect.moved = rows.into_iter().flatten().map(|row| row.1).collect();
        let rows: Vec<_> = effect.moved.iter().map(|id| (*id, part)).collect();
        if files.is_empty() || rows.is_empty() {
            return None;
        }
        let new = self.world.write(&rows).await;
        Some(FileChange::rewrite(&self.views[writer].table, &files, new))
    }

    async fn check(&mut self, effect: Effect) {
        for id in &effect.gone {
            self.rows.remove(id);
        }
        self.rows
            .retain(|_, part| !effect.gone_parts.contains(part));
        self.rows.extend(effect.new);
        for id in effect.moved {
            self.row_ids.remove(&id);
        }
        let table = self.world.table().await;
        self.world.check_totals(&table).await;
        let found = self.world.rows_with_ids(&table).await;
        let rows: BTreeMap<i64, &str> = found
            .iter()
            .map(|(id, row)| (*id, row.0.as_str()))
            .collect();
        assert_eq!(rows, self.rows);
        for (id, (_, row_id)) in &found {
            let known = self.row_ids.entry(*id).or_insert(*row_id);
            assert_eq!(known, row_id, "the row id of row {id}");
        }
        let mut row_ids: Vec<i64> = found.values().filter_map(|row| row.1).collect();
        row_ids.sort_unstable();
        assert!(
            row_ids.windows(2).all(|pair| pair[0] < pair[1]),
            "{row_ids:?}"
        );
    }
}

fn static_part(file: &ScanFile) -> &'static str {
    let part = part_of(file);
    PARTS.into_iter().find(|known| **known == part).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_changes_of_several_writers_agree_with_a_map(
        steps in proptest::collection::vec(step(), 1..24),
        is_v3 in any::<bool>(),
    ) {
        let version = if is_v3 { FormatVersion::V3 } else { FormatVersion::V2 };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut game = Game::new(version).await;
            for (writer, level, step) in steps {
                game.play(writer, level, step).await;
            }
        });
    }
}
