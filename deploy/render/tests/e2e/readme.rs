//! README's own commands.

use std::fs;

use onepull_deploy::deploy;

/// The `sh` blocks of one of README's sections, in their order.
pub(crate) fn commands(heading: &str) -> Vec<String> {
    let text = fs::read_to_string(deploy().join("../README.md")).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}
