//! The cellar: dense arithmetic on rows of `f32`.

pub mod dot;
pub mod fixed;
pub mod gram;
pub mod top_k;
pub mod unit;
pub mod wide;

mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86_64;
