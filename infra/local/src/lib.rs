pub mod bus;
pub mod demo;
pub mod s3;
pub mod template;
pub mod progress;
pub mod stack;
pub mod up;
