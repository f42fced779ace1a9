//! What becomes of single rows and their values.

use std::ops::Range;

use bytes::Bytes;

use super::values::{Stored, plain_values};

/// A row that goes or gets a new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowEdit {
    /// Its place in the row group.
    pub(crate) row: u32,
    /// The place of its new value among the new ones; `None` when the row goes.
    pub(crate) new: Option<u32>,
}

/// The new values of a column, one for each of some rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewValues {
    /// How deep each row's value is there, and which of the values it is.
    rows: Vec<(u32, Option<u32>)>,
    /// Those that are not NULL, in plain form.
    values: Vec<Bytes>,
}

impl NewValues {
    /// The values of a page in plain form; `None` when it does not hold so many.
    pub(super) fn read(
        stored: Stored,
        levels: Option<&[u32]>,
        rows: u32,
        deepest: u32,
        bytes: &Bytes,
    ) -> Option<Self> {
        let level = |row: u32| levels.map_or(Some(deepest), |all| all.get(row as usize).copied());
        let mut count = 0;
        let mut of_rows = Vec::with_capacity(rows as usize);
        for row in 0..rows {
            let level = level(row)?;
            let value = (level == deepest).then_some(count);
            count += u32::from(value.is_some());
            of_rows.push((level, value));
        }
        Some(Self {
            rows: of_rows,
            values: plain_values(stored, bytes, count as usize)?,
        })
    }

    /// Those that are not NULL, in plain form.
    pub(super) fn values(&self) -> &[Bytes] {
        &self.values
    }
}

/// What becomes of the values between the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueEdit {
    /// Before which of the values.
    at: usize,
    /// Whether that one goes.
    removes: bool,
    /// The place of a new one among the new values.
    new: Option<u32>,
}

/// The levels and values of a page after its rows were edited.
#[derive(Debug)]
pub(super) struct Edited {
    /// `None` when all rows have values.
    pub(super) levels: Option<Vec<u32>>,
    pub(super) rows: usize,
    pub(super) edits: Vec<ValueEdit>,
    /// How many values the page had, and has.
    pub(super) values: (usize, usize),
}

/// Edits the levels of a page of `rows`; `edits` are by rows of the page. `None` when a new value is
/// missing.
pub(super) fn edited(
    levels: Option<&[u32]>,
    rows: usize,
    deepest: u32,
    edits: &[RowEdit],
    new: &NewValues,
) -> Option<Edited> {
    let new_of = |edit: &RowEdit| match edit.new {
        None => Some(None),
        Some(place) => new.rows.get(place as usize).map(|new| Some(*new)),
    };
    let mut out = Edited {
        levels: None,
        rows: 0,
        edits: Vec::with_capacity(edits.len()),
        values: (0, 0),
    };
    let has_nulls = levels.is_some() || new.values.len() < new.rows.len();
    let mut new_levels = Vec::with_capacity(if has_nulls { rows } else { 0 });
    let mut next = 0;
    // Runs of rows between the edits, each with the edit behind it.
    for edit in edits.iter().map(Some).chain([None]) {
        let end = edit.map_or(rows, |edit| edit.row as usize);
        let run = levels
            .map(|all| all.get(next..end))
            .map_or(Some(None), |run| run.map(Some))?;
        let values = run.map_or(end - next, |run| {
            run.iter().filter(|level| **level == deepest).count()
        });
        out.values.0 += values;
        out.values.1 += values;
        out.rows += end - next;
        if has_nulls {
            match run {
                Some(run) => new_levels.extend_from_slice(run),
                None => new_levels.resize(new_levels.len() + end - next, deepest),
            }
        }
        next = end;
        let Some(edit) = edit else { break };
        let removes = levels.map_or(Some(deepest), |all| all.get(end).copied())? == deepest;
        let new = new_of(edit)?;
        if let Some((level, _)) = new {
            out.rows += 1;
            if has_nulls {
                new_levels.push(level);
            }
        }
        let value = new.and_then(|(_, value)| value);
        if removes || value.is_some() {
            out.edits.push(ValueEdit {
                at: out.values.0,
                removes,
                new: value,
            });
        }
        out.values.0 += usize::from(removes);
        out.values.1 += usize::from(value.is_some());
        next += 1;
    }
    out.levels = has_nulls.then_some(new_levels);
    Some(out)
}

/// Values in the order in which they then stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Old values that stay.
    Old(Range<usize>),
    /// A new one.
    New(usize),
}

/// The parts of `count` values after their edits.
pub(super) fn parts(edits: &[ValueEdit], count: usize) -> impl Iterator<Item = Part> {
    let mut from = 0;
    let of_edits = edits.iter().flat_map(move |edit| {
        let run = from..edit.at;
        from = edit.at + usize::from(edit.removes);
        let new = edit.new.map(|place| Part::New(place as usize));
        [Some(Part::Old(run)), new].into_iter().flatten()
    });
    let last = edits.last();
    let rest = last.map_or(0, |edit| edit.at + usize::from(edit.removes))..count;
    of_edits
        .chain([Part::Old(rest)])
        .filter(|part| !matches!(part, Part::Old(run) if run.is_empty()))
}
