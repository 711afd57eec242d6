//! `kubectl onepull`: what people ask a cluster about its images, answered from the objects that controller and
//! agents write.
//!
//! It reads, and changes nothing. Each command reads objects (`cluster`), makes values of them and text of the
//! values; only the first of these is not pure. The words for why a node lacks an image are those of the
//! planner, so people read the same sentence here, in `kubectl describe` and in events
//! ([ADR 25](../../docs/adr/0025-agents-report-their-preflight.md) says where findings on nodes come from).

mod advice;
mod check;
mod cli;
mod cluster;
mod error;
mod explain;
mod near;
mod output;
mod pool;
mod preflight;
mod progress;
mod standing;
mod status;
mod table;
#[cfg(test)]
mod testing;
mod wanted;
mod words;

pub use cli::Cli;
