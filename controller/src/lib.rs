//! The controller of onepull: which node brings in which image, from where, and when.
//!
//! [`planner`] decides, and does nothing else: values in, a plan out, with the time as an argument.
//! [`window`] says when nodes may begin to pull. Neither knows Kubernetes; [`convert`] turns objects into
//! these values and plans into objects. [`world`] has the objects, [`resolving`] what their images stand
//! for; [`rollouts`] carries plans out; [`mod@serve`] does so in the one controller that leads; [`metrics`]
//! are what it counts. [`logins`] hands out the logins of a pull to the node that is told to make it. [`plugin`] is `kubectl onepull`,
//! which shows people what controller and agents write.

pub mod cli;
pub mod convert;
mod finalizer;
pub mod logins;
pub mod metrics;
pub mod planner;
pub mod plugin;
mod pull_secrets;
pub mod resolving;
pub mod rollouts;
pub mod serve;
pub mod uninstall;
pub mod window;
pub mod world;
