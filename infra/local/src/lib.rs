//! wastewalk on one machine: an embedded stack that runs the functions' own handlers, and the operator's command.
//!
//! [`s3`], [`dynamodb`] and [`bus`] stand for S3, DynamoDB, EventBridge and SQS; the bus follows [`template`], which reads `template.yaml`; [`stack`]
//! puts the functions behind them; [`up`] runs it over a source, such as the [`demo`] organisation;
//! [`rewind`] applies a new logic to history, [`diff`] says what it changes, and
//! [`retain`] forgets what nobody will ask for: in a folder, or in an [`account`].
//! [`check`] says beforehand how a source would be read, [`rehearse`] what a run would do, and [`replay`] takes in what was
//! refused.

pub mod account;
pub mod bus;
pub mod check;
pub mod demo;
pub mod diff;
pub mod dynamodb;
pub mod invoke;
pub mod progress;
pub mod rehearse;
pub mod replay;
pub mod retain;
pub mod rewind;
pub mod s3;
mod said;
pub mod stack;
pub mod template;
pub mod up;
