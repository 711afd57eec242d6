//! Each rule as a story.

mod joining;
mod leading;
mod losing;
mod relearning;
mod sharing;
mod slow;
mod zones;
