//! Thousands of damaged tables: each is read to an error or to the right rows, in bounded time and
//! memory.
//!
//! Tables are built, and one file of one of them is changed at a time, as a seed says. Workers,
//! which are processes of this same program, read the damaged tables; a worker that ends or hangs
//! is a finding and not the end of the run.
//!
//! | Variable | What it says | Default |
//! |---|---|---|
//! | `LAKE_MUTATION_SEED` | what the changes follow from | 1 |
//! | `LAKE_MUTATION_CASES` | how many changes | 10000 with `CI` set, else 1000 |
//! | `LAKE_MUTATION_CASE` | the one change to try, in this process | |
//! | `LAKE_MUTATION_TABLES` | a folder of tables that a failed run has kept | |

#[cfg(test)]
mod cases;
#[cfg(test)]
mod change;
#[cfg(test)]
mod json;
#[cfg(test)]
mod read;
#[cfg(test)]
mod run;
#[cfg(test)]
mod tables;

#[global_allocator]
static ALLOCATOR: lakehouse_test_allocator::Counting = lakehouse_test_allocator::Counting;

#[cfg(test)]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(not(test))]
fn main() {}
