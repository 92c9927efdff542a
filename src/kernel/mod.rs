//! The cellar: dense arithmetic on rows of `f32`.
