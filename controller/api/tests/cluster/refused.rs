//! One test for each rule: the object is refused, and what kubectl prints says what to do.

use serde_json::{Value, json};

use crate::support::{cluster, image_cache};

async fn is_refused(test: &str, spec: Value, says: &[&str]) {
    let Some(cluster) = cluster(test).await else { return };
    let object = image_cache("cache", &spec).to_string();
    let said = cluster.try_create(&object).await.unwrap_err();
    for words in says {
        assert!(said.contains(words), "{said}\nlacks: {words}");
    }
}

macro_rules! refused {
    ($($test:ident: $spec:tt says $says:expr;)*) => { $(
        #[tokio::test]
        async fn $test() {
            is_refused(stringify!($test), json!($spec), &$says).await;
        }
    )* };
}

/// A good spec with this rollout.
fn rolled_out(rollout: Value) -> Value {
    json!({ "cacheSpec": [{ "images": ["nginx:1.27"] }], "rollout": rollout })
}

/// A good spec with this field of the window.
fn opened(field: &str, value: &str) -> Value {
    let mut window = json!({ "start": "0 22 * * *", "duration": "8h" });
    window[field] = value.into();
    rolled_out(json!({ "window": window }))
}

fn named(count: usize, prefix: &str) -> Vec<String> {
    (0..count).map(|number| format!("registry.example.com/{prefix}:v{number}")).collect()
}

refused! {
    no_list: { "cacheSpec": [] }
        says ["spec.cacheSpec: ", "name at least one list of images"];
    a_spec_without_lists: {}
        says ["spec.cacheSpec: Required value"];
    a_list_without_images: { "cacheSpec": [{ "images": ["nginx"] }, { "images": [] }] }
        says ["spec.cacheSpec[1].images: ", "name at least one image, or remove this list"];
    an_image_that_is_named_twice: { "cacheSpec": [{ "images": ["nginx:1.27", "nginx:1.27"] }] }
        says ["spec.cacheSpec[0].images[1]: Duplicate value: \"nginx:1.27\""];
    too_many_images_in_a_list: { "cacheSpec": [{ "images": (named(257, "app")) }] }
        says ["spec.cacheSpec[0].images: Too many: 257: must have at most 256 items"];
    too_many_images_for_a_node_in_two_lists: { "cacheSpec": [
        { "images": (named(200, "a")) },
        { "images": (named(57, "b")), "nodeSelector": { "pool": "gpu" } },
    ] }
        says ["spec.cacheSpec: ", "at most 256 images for one node"];
    an_image_with_a_space: { "cacheSpec": [{ "images": ["nginx 1.27"] }] }
        says ["spec.cacheSpec[0].images[0]: ", "'nginx 1.27' is no image reference: write it as in a pod"];
    an_image_without_a_tag_after_its_colon: { "cacheSpec": [{ "images": ["team/app:"] }] }
        says ["spec.cacheSpec[0].images[0]: ", "'team/app:' lacks something"];
    an_image_with_two_tags: { "cacheSpec": [{ "images": ["app:v1:v2"] }] }
        says ["spec.cacheSpec[0].images[0]: ", "'app:v1:v2' has two tags or two digests"];
    a_port_that_is_no_number: { "cacheSpec": [{ "images": ["r.example.com:https/app"] }] }
        says ["spec.cacheSpec[0].images[0]: ", "has a port that is no number"];
    an_image_that_is_a_url: { "cacheSpec": [{ "images": ["https://r.example.com/app:v2"] }] }
        says ["spec.cacheSpec[0].images[0]: ", "is a URL: leave out the scheme"];
    an_image_in_capitals: { "cacheSpec": [{ "images": ["r.example.com/Team/App:v2"] }] }
        says ["spec.cacheSpec[0].images[0]: ", "has capitals in its name: only a tag may"];
    a_digest_that_is_cut_off: { "cacheSpec": [{ "images": ["nginx@sha256:0123abcd"] }] }
        says ["spec.cacheSpec[0].images[0]: ", "has no proper digest: that is '@sha256:' and 64"];
    an_image_that_is_an_object: { "cacheSpec": [{ "images": [{ "name": "nginx" }] }] }
        says ["unknown field \"spec.cacheSpec[0].images[0].name\""];
    a_label_that_no_node_can_have: {
        "cacheSpec": [{ "images": ["nginx"], "nodeSelector": { "pool": "a b" } }]
    }
        says ["spec.cacheSpec[0].nodeSelector: ", "no node can have such a label"];
    a_pull_secret_without_a_name: { "cacheSpec": [{ "images": ["a"] }], "imagePullSecrets": [{}] }
        says ["spec.imagePullSecrets[0].name: Required value"];
    a_pull_secret_that_cannot_exist: {
        "cacheSpec": [{ "images": ["nginx"] }], "imagePullSecrets": [{ "name": "My Secret" }]
    }
        says ["spec.imagePullSecrets[0].name: "];
    an_unknown_on_delete: { "cacheSpec": [{ "images": ["nginx"] }], "onDelete": "Purge" }
        says ["spec.onDelete: Unsupported value: \"Purge\"", "\"Keep\"", "\"Remove\""];
    what_is_not_there_yet: { "cacheSpec": [{ "images": ["nginx"] }], "pin": true }
        says ["unknown field \"spec.pin\""];
    an_unknown_strategy: (rolled_out(json!({ "strategy": "Fast" })))
        says ["spec.rollout.strategy: Unsupported value: \"Fast\"", "\"Stream\"", "\"Staged\""];
    no_node_at_once: (rolled_out(json!({ "maxParallel": 0 })))
        says ["spec.rollout.maxParallel: ", "write a number of nodes, 1 or more, or a share"];
    more_than_all_nodes_at_once: (rolled_out(json!({ "maxParallel": "150%" })))
        says ["spec.rollout.maxParallel: ", "a share of them from 1% to 100%"];
    a_share_without_its_sign: (rolled_out(json!({ "readyWhen": "90" })))
        says ["spec.rollout.readyWhen: ", "a share of them from 1% to 100%"];
    a_window_without_an_end: (rolled_out(json!({ "window": { "start": "0 22 * * *" } })))
        says ["spec.rollout.window.duration: Required value"];
    a_start_with_four_fields: (opened("start", "22 * * *"))
        says ["spec.rollout.window.start: ", "the start has five fields"];
    a_start_at_minute_60: (opened("start", "60 22 * * *"))
        says ["spec.rollout.window.start: ", "the minute of the start is 0 to 59"];
    a_start_at_hour_24: (opened("start", "0 24 * * *"))
        says ["spec.rollout.window.start: ", "the hour of the start is 0 to 23"];
    a_start_on_day_0: (opened("start", "0 22 0 * *"))
        says ["spec.rollout.window.start: ", "the day of month of the start is 1 to 31"];
    a_start_in_month_13: (opened("start", "0 22 * 13 *"))
        says ["spec.rollout.window.start: ", "the month of the start is 1 to 12"];
    a_start_on_an_unknown_weekday: (opened("start", "0 22 * * FUN"))
        says ["spec.rollout.window.start: ", "the day of week of the start is 0 to 7"];
    a_start_that_never_comes: (opened("start", "0 22 30 FEB *"))
        says ["spec.rollout.window.start: ", "this day never comes: its month is shorter"];
    a_duration_in_words: (opened("duration", "8 hours"))
        says ["spec.rollout.window.duration: ", "write the duration in hours and minutes"];
    a_window_that_never_opens: (opened("duration", "0m"))
        says ["spec.rollout.window.duration: ", "open for at least one minute"];
    a_window_of_more_than_a_week: (opened("duration", "169h"))
        says ["spec.rollout.window.duration: ", "at most a week (168h)"];
    an_unknown_time_zone: (opened("timeZone", "Europe/Atlantis"))
        says ["spec.rollout.window.timeZone: ", "write the name of a time zone"];
    a_time_zone_that_depends_on_who_reads_it: (opened("timeZone", "Local"))
        says ["spec.rollout.window.timeZone: ", "write the name of a time zone"];
    a_time_zone_as_an_offset: (opened("timeZone", "+02:00"))
        says ["spec.rollout.window.timeZone: ", "write the name of a time zone"];
}
