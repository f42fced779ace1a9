//! Seeded runs of many writers and readers on a store and a catalog that fail: no row is lost.

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
