//! Tables, snapshots, files and commits of the lakehouse; no SQL text.
//!
//! The floors, from the ground up; a module imports only from floors below its own:
//!
//! | Floor | Modules | What they are for |
//! |---|---|---|
//! | 0 | [`error`], [`name`], [`settings`], [`clock`] | words everything else speaks |
//! | 1 | [`runtime`], [`storage`], [`governance`], `cache` | tasks and budgets; files; who may see what; what was read before |
//! | 2 | [`catalog`] | names of tables; the only place that swaps a metadata pointer |
//! | 3 | [`table`] | an unchanging view of a table at one snapshot |
//! | 4 | [`scan`], [`mod@write`] | from snapshot to Arrow rows; from Arrow rows to files nobody sees yet |
//! | 5 | [`commit`] | conflict checks, retry and the outcome of a change |
//! | 6 | [`lake`] | catalogs, budgets and clock together; how a name finds its table |
//! | 7 | [`provider`] | tables as DataFusion sees them |
//! | 8 | [`procedure`] | how `CALL` reaches work on a table |

mod cache;
pub mod catalog;
pub mod clock;
pub mod commit;
pub mod error;
pub mod governance;
pub mod lake;
pub mod name;
pub mod procedure;
pub mod provider;
pub mod runtime;
pub mod scan;
pub mod settings;
pub mod storage;
pub mod table;
pub mod write;
