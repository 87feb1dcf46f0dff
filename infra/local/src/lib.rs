//! wastewalk on one machine: an embedded stack that runs the functions' own handlers, and the operator's command.
//!
//! [`s3`], [`dynamodb`] and [`bus`] stand for S3, DynamoDB, EventBridge and SQS; the bus follows [`template`], which reads `template.yaml`; [`stack`]
//! puts the functions behind them; [`up`] runs it over a source, such as the [`demo`] organisation.

pub mod bus;
pub mod demo;
pub mod dynamodb;
pub mod invoke;
pub mod progress;
pub mod s3;
pub mod stack;
pub mod template;
pub mod up;
