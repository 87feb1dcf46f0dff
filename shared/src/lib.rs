//! What every function of wastewalk shares, in the order in which data flows: the canonical [`activity`], the [`lake`]
//! it is kept in, the [`event`]s that announce it, the [`annotator`] contract, and the [`contribution`]s that figures
//! are made of.

pub mod activity;
pub mod annotator;
pub mod column;
pub mod contribution;
pub mod deployment;
pub mod dimension;
pub mod event;
pub mod lake;
pub mod pseudonym;
#[cfg(feature = "secrets")]
pub mod secret;
pub mod settings;
pub mod spelling;
pub mod telemetry;
pub mod time;
