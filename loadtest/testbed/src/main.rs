//! `onepull-testbed prepare`: installs and builds what the tests need, and says what is missing.
//! `onepull-testbed debian-image`: builds a real image and prints its folder.

use std::process::ExitCode;

use anyhow::{Result, bail};
use onepull_testbed::{layout::debian_layout, prepare::prepare};

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("prepare") => {
            let complete = prepare(std::io::stdout())?;
            println!("{}", if complete { "all ready" } else { "the tests skip what is missing" });
        }
        Some("debian-image") => println!("{}", debian_layout()?.path().display()),
        _ => bail!("usage: onepull-testbed prepare | debian-image"),
    }
    Ok(ExitCode::SUCCESS)
}
