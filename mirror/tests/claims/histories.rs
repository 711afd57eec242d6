//! Random histories: what must hold whatever nodes say, and whatever happens to them.

mod noise;
mod storms;
