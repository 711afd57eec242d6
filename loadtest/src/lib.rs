//! The load test that proves what onepull saves.
