//! Who asks, and what they may see.
//!
//! A request is answered for a [`Caller`], whom [`gate`] finds out before any handler runs: by a bearer token ([`token`]),
//! by the session of somebody who has signed in ([`sign_in`], [`session`]), or as the deployment says. What a caller may
//! see is their [`Sight`]; [`suppression`] hides groups that are too small, and as much beside them that nothing can be
//! computed from the rest; [`veil`] is what that comes to for a selection. `docs/access.md` says all of it in words.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod combinations;
pub mod environment;
pub mod gate;
pub mod provider;
pub mod quorum;
pub mod session;
pub mod settings;
pub mod sight;
pub mod sign_in;
pub mod suppression;
#[cfg(test)]
mod tests;
pub mod token;
pub mod veil;

pub use gate::{Access, OpenId};
pub use sight::{Caller, Sight};
pub use veil::Veil;
