use proptest::prelude::*;

use super::*;

fn window(start: &str, hours: i64, zone: &str) -> Window {
    Window::new(start, SignedDuration::from_hours(hours), zone).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_window_over_midnight_is_open_on_both_sides_of_it() {
    let nights = window("0 22 * * MON-FRI", 8, "Europe/Berlin");
    let closed = Gate::Closed { opens: Some(at("2026-11-24T21:00:00Z")) };
    assert_eq!(nights.at(at("2026-11-24T20:59:59Z")), closed);
    let open = Gate::Open { until: Some(at("2026-11-25T05:00:00Z")) };
    for inside in ["2026-11-24T21:00:00Z", "2026-11-24T23:30:00Z", "2026-11-25T04:59:59Z"] {
        assert_eq!(nights.at(at(inside)), open, "{inside}");
    }
    assert!(!nights.at(at("2026-11-25T05:00:00Z")).is_open());
}

#[test]
fn after_the_last_workday_it_opens_on_monday() {
    let nights = window("0 22 * * MON-FRI", 8, "UTC");
    let closed = Gate::Closed { opens: Some(at("2026-11-30T22:00:00Z")) };
    assert_eq!(nights.at(at("2026-11-28T06:00:00Z")), closed);
}

#[test]
fn the_wall_clock_of_the_zone_counts_in_summer_and_in_winter() {
    let nights = window("0 22 * * *", 1, "America/New_York");
    assert!(nights.at(at("2026-07-02T02:30:00Z")).is_open());
    assert!(nights.at(at("2026-12-02T03:30:00Z")).is_open());
    assert!(!nights.at(at("2026-12-02T02:30:00Z")).is_open());
}

#[test]
fn a_start_in_the_hour_that_is_left_out_comes_after_the_gap() {
    // On 29 March 2026 Berlin goes from 02:00 to 03:00, at 01:00 UTC.
    let early = window("30 2 * * *", 1, "Europe/Berlin");
    assert!(!early.at(at("2026-03-29T00:59:00Z")).is_open());
    assert!(early.at(at("2026-03-29T01:15:00Z")).is_open());
}

#[test]
fn a_start_in_the_hour_that_comes_twice_comes_once() {
    // On 25 October 2026 Berlin goes from 03:00 back to 02:00, at 01:00 UTC.
    let early = Window::new("30 2 * * *", SignedDuration::from_mins(10), "Europe/Berlin").unwrap();
    let opened = ["2026-10-25T00:35:00Z", "2026-10-25T01:35:00Z"].map(|time| early.at(at(time)));
    assert_eq!(opened.map(Gate::is_open), [true, false]);
}

#[test]
fn starts_that_overlap_keep_it_open() {
    let always = window("0 * * * *", 2, "UTC");
    let open = Gate::Open { until: Some(at("2026-11-24T14:00:00Z")) };
    assert_eq!(always.at(at("2026-11-24T12:10:00Z")), open);
}

#[test]
fn a_window_that_never_opens_says_so() {
    let never = window("0 0 30 2 *", 1, "UTC");
    assert_eq!(never.at(at("2026-11-24T12:00:00Z")), Gate::Closed { opens: None });
}

#[test]
fn nonsense_is_refused_in_words_that_help() {
    let hour = SignedDuration::from_hours(1);
    let words = |start, length, zone| Window::new(start, length, zone).unwrap_err().to_string();
    assert!(words("at night", hour, "UTC").contains("0 22 * * MON-FRI"));
    assert!(words("0 0 22 * * *", hour, "UTC").contains("minute, hour"));
    assert!(words("0 22 * * *", SignedDuration::ZERO, "UTC").contains("one minute"));
    assert!(words("0 22 * * *", hour, "Berlin").contains("Europe/Berlin"));
}

proptest! {
    #[test]
    fn the_times_that_a_gate_names_are_those_at_which_it_changes(
        seconds in 1_600_000_000i64..1_900_000_000,
        (hour, day) in (0u8..24, 0u8..7),
        length in 1i64..=168,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia"]),
    ) {
        let weekly = window(&format!("15 {hour} * * {day}"), length, zone);
        let now = Timestamp::from_second(seconds).unwrap();
        let moment = SignedDuration::from_secs(1);
        match weekly.at(now) {
            Gate::Open { until } => {
                let until = until.unwrap();
                prop_assert!(until > now && weekly.at(until - moment).is_open());
            }
            Gate::Closed { opens } => {
                let opens = opens.unwrap();
                prop_assert!(opens > now && weekly.at(opens).is_open());
                prop_assert!(!weekly.at(opens - moment).is_open());
            }
        }
    }
}
