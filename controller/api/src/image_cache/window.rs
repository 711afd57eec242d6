//! Times at which nodes may begin to pull.

use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::rule;

mod cron;

/// A cron expression of five fields with every value listed is longer than any that people write.
const MAX_START: usize = 128;

/// `167h59m59s` and a little: what has more characters is longer than a week anyway.
const MAX_DURATION: usize = 16;

/// The longest name of the time zone database has 32 characters.
const MAX_ZONE: usize = 64;

/// A window that opens again and again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When it opens, as in cron: minute, hour, day of month, month, day of week. `0 22 * * MON-FRI`
    /// is ten in the evening on workdays.
    #[schemars(length(max = MAX_START), extend("x-kubernetes-validations" = cron::rules()))]
    pub start: String,

    /// For how long it stays open, in hours and minutes: `8h`, `90m`, `1h30m`. From a minute to a
    /// week.
    #[schemars(length(max = MAX_DURATION), extend("x-kubernetes-validations" = durations()))]
    pub duration: String,

    /// The time zone of `start`, by its name in the time zone database, such as Europe/Berlin.
    /// Default: UTC.
    #[serde(default = "utc")]
    #[schemars(length(max = MAX_ZONE), extend("x-kubernetes-validations" = zones()))]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn durations() -> [Rule; 2] {
    let shape = "self.matches('^([0-9]+h)?([0-9]+m)?([0-9]+s)?$') && self != ''";
    [
        rule(shape, "write the duration in hours and minutes, such as 8h, 90m or 1h30m"),
        rule(
            format!(
                "!({shape}) || duration(self) >= duration('1m') && duration(self) <= duration('168h')",
            ),
            "a window is open for at least one minute (1m) and at most a week (168h)",
        ),
    ]
}

/// Asking for an hour in a zone that does not exist is an error, which refuses the object too; the
/// API server then puts its own words before ours.
fn zones() -> [Rule; 1] {
    [rule(
        "self.matches('^[A-Z][A-Za-z0-9_+/-]*$') && self != 'Local' \
         && timestamp('2000-01-01T00:00:00Z').getHours(self) >= 0",
        "write the name of a time zone, such as Europe/Berlin, America/New_York or UTC",
    )]
}
