//! `onepull-testbed prepare`: installs and builds what the tests need, and says what is missing.

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("prepare") => {
            let complete = onepull_testbed::prepare::prepare(std::io::stdout())?;
            println!("{}", if complete { "all ready" } else { "the tests skip what is missing" });
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("usage: onepull-testbed prepare"),
    }
}
