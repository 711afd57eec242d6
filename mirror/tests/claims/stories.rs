//! Each rule as a story.

mod joining;
mod leading;
mod losing;
mod relearning;
mod slow;
mod zones;
