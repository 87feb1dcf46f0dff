//! The promises of the design, each tested through the whole thread: a real source, the real protocols, the functions'
//! own handlers.

mod cesaw;
mod drift;
mod golden;
mod http;
mod live;
mod oracle;
mod postgres;
mod promises;
mod requests;
mod rewind;
mod thread;
mod traceability;
mod watch;
