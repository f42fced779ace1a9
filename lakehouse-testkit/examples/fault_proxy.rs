//! The fault proxy as a program, for tests that are not written in Rust.
//!
//! `fault_proxy http://127.0.0.1:4566 [SEED [PORT]]` prints its endpoint, and stops when its standard
//! input ends, so that it never outlives whoever started it. Faults and journal are asked for under
//! `/_fault_proxy/` of that endpoint: `interop/aws/README.md` shows how.

use std::io::{self, Write};

use lakehouse_core::error::{Error, Result};
use lakehouse_testkit::FaultProxy;

const USAGE: &str = "fault_proxy http://127.0.0.1:PORT [SEED [PORT]]";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (upstream, numbers) = arguments
        .split_first()
        .ok_or_else(|| Error::invalid(USAGE))?;
    let number = |at: usize| match numbers.get(at) {
        Some(text) => text.parse::<u64>().map_err(|_| Error::invalid(USAGE)),
        None => Ok(0),
    };
    let port = u16::try_from(number(1)?).map_err(|_| Error::invalid(USAGE))?;
    let proxy = FaultProxy::start_at(upstream, number(0)?, port)?;
    let failed = |error| Error::invalid("standard input or output is closed").with_source(error);
    let mut output = io::stdout();
    writeln!(output, "{}", proxy.endpoint()).map_err(failed)?;
    output.flush().map_err(failed)?;
    io::copy(&mut io::stdin(), &mut io::sink()).map_err(failed)?;
    Ok(())
}
