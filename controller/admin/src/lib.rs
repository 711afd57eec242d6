//! The admin listener that every process of onepull has, and how their listeners are opened.
//!
//! [`Admin`] has the pages, [`serve`] shows them, [`bind`] opens a listener and names the flag that chose
//! it when it cannot. Nothing here changes anything.

mod admin;
mod listen;
mod serving;

pub use admin::Admin;
pub use listen::{ListenError, bind};
pub use serving::serve;
