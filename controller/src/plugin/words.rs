//! How times, shares and lists are put to people.

use jiff::Timestamp;

use crate::planner::Bytes;

/// Cells of a bar.
const BAR: u64 = 14;

/// For how long it has been so: `12s`, `5m3s`, `2h10m`, `3d4h`.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    // A clock that is ahead is no reason for a negative age.
    let seconds = (now.as_second() - since.as_second()).max(0);
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes}m"),
        (days, hours, _, _) => format!("{days}d{hours}h"),
    }
}

/// The same, or a dash.
pub(crate) fn some_age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(|| "-".to_owned(), |since| age(since, now))
}

/// Rounded down, so that only what is complete has 100.
pub(crate) fn percent(done: u64, total: u64) -> u64 {
    (u128::from(done.min(total)) * 100)
        .checked_div(u128::from(total))
        .map_or(100, |percent| u64::try_from(percent).unwrap_or(100))
}

/// A bar and its per cent: `███████░░░░░░░  50 %`.
pub(crate) fn bar(done: u64, total: u64) -> String {
    let percent = percent(done, total);
    let full = percent * BAR / 100;
    let cells = (0..BAR).map(|cell| if cell < full { '█' } else { '░' });
    format!("{} {percent:>3} %", cells.collect::<String>())
}

/// Bytes, as the planner puts them.
pub(crate) fn size(bytes: u64) -> String {
    Bytes(bytes).to_string()
}

/// Names in a sentence, at most `most` of them: `a, b and 3 more`.
pub(crate) fn names(names: &[impl AsRef<str>], most: usize) -> String {
    let (first, rest) = names.split_at(names.len().min(most));
    let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
    match rest.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn an_age_has_two_units_at_most_and_is_never_negative() {
        let now = Timestamp::UNIX_EPOCH;
        let words =
            [-5, 59, 63, 7_800, 93_600].map(|s| age(now - SignedDuration::from_secs(s), now));
        assert_eq!(words, ["0s", "59s", "1m3s", "2h10m", "1d2h"]);
    }

    #[test]
    fn only_what_is_complete_has_a_full_bar() {
        assert_eq!(bar(0, 3), "░░░░░░░░░░░░░░   0 %");
        assert_eq!(bar(999_999, 1_000_000), "█████████████░  99 %");
        assert_eq!(bar(5, 5), "██████████████ 100 %");
        assert_eq!(percent(0, 0), 100);
    }

    #[test]
    fn of_many_names_the_first_are_told() {
        assert_eq!(names(&["a", "b"], 2), "a, b");
        assert_eq!(names(&["a", "b", "c"], 1), "a and 2 more");
        assert_eq!((count(1, "node"), count(0, "node")), ("1 node".into(), "0 nodes".into()));
    }
}
