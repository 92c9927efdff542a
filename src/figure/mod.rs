//! Pictures of topics as SVG text: values in, text out.
//!
//! A picture stands alone: no script, no font and no style from elsewhere, colours for light and dark. Names and
//! keywords come from strangers; `svg::Svg` escapes all text, and there is no other way to put text into one.

mod bar_chart;
mod heat_map;
mod map;
mod over_time;
mod svg;

pub use bar_chart::{Bars, bar_chart};
pub use heat_map::heat_map;
pub use map::{Cloud, map};
pub use over_time::{Series, over_time};

#[cfg(test)]
mod tests;
