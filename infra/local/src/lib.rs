pub mod bus;
pub mod demo;
pub mod progress;
pub mod s3;
pub mod stack;
pub mod template;
pub mod up;
