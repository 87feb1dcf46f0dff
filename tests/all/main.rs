//! The promises of the design, each tested through the whole thread: a real source, the real protocols, the functions'
//! own handlers.

mod access;
mod cesaw;
mod changes;
mod drift;
mod golden;
mod http;
mod live;
mod mariadb;
mod oracle;
mod postgres;
mod products;
mod promises;
mod pseudonyms;
mod requests;
mod rewind;
mod thread;
mod traceability;
mod traps;
mod watch;
