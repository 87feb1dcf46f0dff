//! The promises of the design, each tested through the whole thread: a real source, the real protocols, the functions'
//! own handlers.

mod cesaw;
mod promises;
mod thread;
mod watch;
