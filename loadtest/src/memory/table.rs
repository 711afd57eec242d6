//! The agent's memory as a text table.

use super::{Memory, Pace};
use crate::units::ByteSize;

/// The table and what one needs to read it.
pub fn render(memory: &Memory) -> String {
    let of = |pace| {
        let streams = memory.streams.iter().filter(move |stream| stream.pace == pace);
        streams.map(|stream| mib(stream.bytes)).collect::<Vec<_>>().join(" and ")
    };
    let warning = if memory.machine.optimised {
        ""
    } else {
        "\nThis is an unoptimised build; an agent beside it most likely is one too.\n"
    };
    format!(
        "resident memory of an agent\n\nidle                    {}\nserving {} streams, most {}\n\
         afterwards              {}\n\nfast readers got {}, slow ones {}; {} looks\n{warning}",
        mib(memory.idle),
        memory.streams.len(),
        mib(memory.serving_peak),
        mib(memory.afterwards),
        of(Pace::Fast),
        of(Pace::Slow),
        memory.looks,
    )
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(bytes: ByteSize) -> String {
    format!("{:.1} MiB", bytes.bytes() as f64 / f64::from(1 << 20))
}
