//! What the schema says of a cron expression: one rule for each field, which names it.

use kube::core::Rule;

use crate::schema::rule;

/// One of the five fields.
struct Field {
    place: usize,
    name: &'static str,
    /// What a single value looks like.
    value: &'static str,
    says: &'static str,
}

const FIELDS: [Field; 5] = [
    Field { place: 0, name: "minute", value: "[0-5]?[0-9]", says: "0 to 59" },
    Field { place: 1, name: "hour", value: "([01]?[0-9]|2[0-3])", says: "0 to 23" },
    Field { place: 2, name: "day of month", value: "(0?[1-9]|[12][0-9]|3[01])", says: "1 to 31" },
    Field {
        place: 3,
        name: "month",
        value: "(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)",
        says: "1 to 12 or JAN to DEC",
    },
    Field {
        place: 4,
        name: "day of week",
        value: "([0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)",
        says: "0 to 7 or SUN to SAT",
    },
];

/// A day that its month does not have, and no day of the week beside it.
const NEVER: &str = "^[^ ]+ [^ ]+ (30 (0?2|FEB)|31 (0?[2469]|11|FEB|APR|JUN|SEP|NOV)) [*]$";

const FIVE: &str = "self.split(' ').size() == 5";

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = vec![
        rule(
            FIVE,
            "the start has five fields with one space between them: minute, hour, day of month, \
             month, day of week; 0 22 * * MON-FRI is ten in the evening on workdays",
        ),
        rule(format!("!self.matches('{NEVER}')"), "this day never comes: its month is shorter"),
    ];
    rules.extend(FIELDS.iter().map(Field::rule));
    rules
}

// === impl Field ===

impl Field {
    /// Lists of values, ranges and steps.
    fn rule(&self) -> Rule {
        let Self { place, name, value, says } = self;
        let item = format!("([*]|{value}(-{value})?)(/[1-9][0-9]?)?");
        let valid = format!("!({FIVE}) || self.split(' ')[{place}].matches('^{item}(,{item})*$')");
        let message = format!(
            "the {name} of the start is {says}, or *, a range (a-b), a list (a,b) or a step (*/n)",
        );
        rule(valid, &message)
    }
}
