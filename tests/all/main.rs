//! The promises of the design, each tested through the whole thread: a real source, the real protocols, the functions'
//! own handlers.

mod access;
mod cesaw;
mod drift;
mod golden;
mod http;
mod live;
mod oracle;
mod postgres;
mod promises;
mod rewind;
mod thread;
mod traceability;
mod watch;
