//! Random histories: what must hold whatever nodes say, and whatever happens to them.

mod calm;
mod noise;
mod storms;
