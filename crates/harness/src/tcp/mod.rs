//! Servers that misbehave, and a proxy that plays the network: all on loopback, all gone when
//! they are dropped.
//!
//! They live on the tokio runtime that starts them.

mod misbehaving;
mod proxy;

pub use misbehaving::Misbehaving;
pub use proxy::Proxy;
