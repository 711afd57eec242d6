//! The status for people.

use std::fmt::Write;

use super::{ImageStatus, NodeStatus, Phase};

const HEAD: [&str; 6] = ["IMAGE", "STATE", "SOURCE", "DONE", "SIZE", "FOR"];

/// One line for each image; below it, what is wrong.
pub fn table(status: &NodeStatus) -> String {
    let rows: Vec<_> = status.images.iter().map(row).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    if status.images.is_empty() {
        text.push_str("no images are declared on this node\n");
    } else {
        text.push_str(&line(&HEAD.map(str::to_owned), &widths));
        rows.iter().for_each(|row| text.push_str(&line(row, &widths)));
    }
    for image in &status.images {
        if let Some(error) = &image.error {
            let _ = writeln!(text, "{}: {error}", image.name);
        }
    }
    for image in status.removals.iter().filter(|image| !image.is_gone) {
        let why = image.error.as_deref().unwrap_or("its turn comes");
        let _ = writeln!(text, "{} is to be removed: {why}", image.name);
    }
    if let Some(problem) = &status.problem {
        let _ = writeln!(text, "{problem}");
    }
    text
}

fn row(image: &ImageStatus) -> [String; 6] {
    let state = match image.state {
        Phase::NeedsUpstream => "needs upstream".to_owned(),
        state => format!("{state:?}").to_lowercase(),
    };
    let source = format!("{:?}", image.source).to_lowercase();
    let done = match (image.bytes_done, image.bytes_total) {
        (Some(done), Some(total)) => format!("{} %", percent(done, total)),
        _ => "-".to_owned(),
    };
    let size = image.bytes_total.map_or_else(|| "-".to_owned(), size);
    [image.name.clone(), state, source, done, size, duration(image.seconds)]
}

fn line(cells: &[String; 6], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths).enumerate();
    let padded = cells.map(|(column, (cell, width))| match column {
        0..3 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    });
    format!("{}\n", padded.collect::<Vec<_>>().join("  "))
}

/// Rounded down, so that only what is complete has 100.
fn percent(done: u64, total: u64) -> u64 {
    (u128::from(done.min(total)) * 100)
        .checked_div(u128::from(total))
        .map_or(100, |percent| u64::try_from(percent).unwrap_or(100))
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut tenths, mut unit) = (u128::from(bytes) * 10, 0);
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1024, unit + 1);
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}

fn duration(seconds: u64) -> String {
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes}m"),
        (days, hours, _, _) => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onepull_api::NodeReason;

    use crate::{desired::Source, status::RemovalStatus};

    fn image(name: &str, state: Phase, done: Option<(u64, u64)>) -> ImageStatus {
        ImageStatus {
            name: name.into(),
            also: Vec::new(),
            digest: "sha256:1".into(),
            source: Source::Peers,
            state,
            seconds: 75,
            bytes_done: done.map(|(done, _)| done),
            bytes_total: done.map(|(_, total)| total),
            bytes_from_peers: 0,
            bytes_from_upstream: 0,
            blobs_complete: false,
            reason: None,
            error: (state == Phase::NeedsUpstream).then(|| "nobody has it".into()),
        }
    }

    #[test]
    fn people_see_how_far_each_image_is_and_what_is_wrong() {
        let images = vec![
            image("r.example/a:v1", Phase::Warming, Some(((3 << 30) - 1, 3 << 30))),
            image("r.example/long:v1", Phase::NeedsUpstream, None),
        ];
        let removal = |name: &str, is_gone| RemovalStatus {
            name: name.into(),
            digest: "sha256:1".into(),
            is_gone,
            reason: Some(NodeReason::ImageInUse),
            error: Some("a container uses it".into()),
        };
        let removals = vec![removal("r.example/old:v1", false), removal("gone", true)];
        let shown =
            table(&NodeStatus { problem: Some("the file is bad".into()), images, removals });
        let expected = "\
IMAGE              STATE           SOURCE  DONE     SIZE    FOR
r.example/a:v1     warming         peers   99 %  3.0 GiB  1m15s
r.example/long:v1  needs upstream  peers      -        -  1m15s
r.example/long:v1: nobody has it
r.example/old:v1 is to be removed: a container uses it
the file is bad
";
        assert_eq!(shown, expected);
        assert_eq!(table(&NodeStatus::default()), "no images are declared on this node\n");
    }

    #[test]
    fn an_image_without_bytes_is_done() {
        assert_eq!((percent(0, 0), percent(1, 3), percent(9, 3)), (100, 33, 100));
        assert_eq!((size(1023), size(1536)), ("1023 B".into(), "1.5 KiB".into()));
        assert_eq!((duration(59), duration(90_000)), ("59s".into(), "1d1h".into()));
    }
}
