//! `onepull-agent check`.

use std::process::ExitCode;

use super::Output;
use crate::{
    check::{self, exit_status, json, table},
    config::Config,
};

pub(super) async fn run(config: &Config, output: Output) -> ExitCode {
    let findings = check::run(&config.check()).await;
    match output {
        Output::Table => print!("{}", table(&findings)),
        Output::Json => println!("{}", json(&findings)),
    }
    exit_status(&findings).into()
}
