//! Seeded runs of many writers and readers on a store and a catalog that fail: no row is lost.
//!
//! A run has one thread, a time of its own that passes only when everybody waits, and several
//! processes (`process`) with a lake each (`lake`) over the same files (`store`) and pointers
//! (`pointers`). Calls are slow, fail, are done in vain or late, or end the process (`faults`).
//! Writers and readers (`actor`) note what they were told and saw (`ledger`). Afterwards the
//! statements are replayed on a model (`model`) in the order of the table's own history
//! (`history`), and everything is held against it (`checker`). The same seed is the same run. The
//! test tests itself with losses on purpose (`planted`).
//!
//! | Variable | What it says | Default |
//! |---|---|---|
//! | `LAKE_SIMULATION_SECONDS` | how long seeds are begun | 60 with `CI` set, else 15 |
//! | `LAKE_SIMULATION_FIRST` | the first seed | 1 |
//! | `LAKE_SIMULATION_SEEDS` | how many seeds at most | no bound |
//! | `LAKE_SIMULATION_TWICE` | 1: each seed is run twice, and must be the same run | 0 |
//! | `LAKE_SIMULATION_SEED` | the one seed to run, with its log | |

#[cfg(test)]
mod actor;
#[cfg(test)]
mod checker;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod direct;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod lake;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod model;
#[cfg(test)]
mod planted;
#[cfg(test)]
mod pointers;
#[cfg(test)]
mod process;
#[cfg(test)]
mod run;
#[cfg(test)]
mod scan;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod seed;
#[cfg(test)]
mod statement;
#[cfg(test)]
mod store;
#[cfg(test)]
mod time;
#[cfg(test)]
mod world;

#[cfg(test)]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(not(test))]
fn main() {}
