//! The canvas: elements, escaped text, colours.

use std::fmt::Write as _;

/// Height of a line of text, and about twice the mean width of a letter, in pixels.
pub(super) const LINE: f64 = 14.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:var(--ink)}.soft{fill:var(--soft)}\
    .title{font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}\
    .halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}\
    .paper{fill:var(--paper)}.line{stroke:var(--line)}\
    svg{--paper:#fff;--ink:#1d2329;--soft:#5b6570;--line:#e2e4e3}\
    @media(prefers-color-scheme:dark){svg{--paper:#14181c;--ink:#e6e9ec;--soft:#9aa5b0;--line:#2c343c}}";

/// A picture being drawn, `width × height` pixels with the origin in the upper left corner.
#[derive(Debug)]
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// An empty picture that says `title` to who cannot see it.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self { text: String::new() };
        svg.raw(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\"><title>"
        ));
        svg.escaped(title);
        svg.raw(format_args!("</title><style>{STYLE}</style>"));
        svg.raw(format_args!("<rect class=\"paper\" width=\"{width:.0}\" height=\"{height:.0}\"/>"));
        svg
    }

    /// The finished text.
    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    /// Text at its baseline; `class` may be `soft`, `title`, `end`, `mid`, `halo`, or several of them.
    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.raw(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">"));
        self.escaped(text);
        self.raw(format_args!("</text>"));
    }

    /// A filled rectangle that tells `tip` when pointed at.
    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str, tip: &str) {
        self.raw(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"><title>"
        ));
        self.escaped(tip);
        self.raw(format_args!("</title></rect>"));
    }

    /// A thin line of the frame.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.raw(format_args!(
            "<line class=\"line\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A filled polygon that tells `tip` when pointed at.
    pub(super) fn area(&mut self, points: impl Iterator<Item = (f64, f64)>, colour: &str, tip: &str) {
        self.raw(format_args!("<polygon fill=\"{colour}\" points=\""));
        for (x, y) in points {
            self.raw(format_args!("{x:.1},{y:.1} "));
        }
        self.raw(format_args!("\"><title>"));
        self.escaped(tip);
        self.raw(format_args!("</title></polygon>"));
    }

    /// Round dots of one colour, all in one element: ten bytes a dot.
    pub(super) fn dots(
        &mut self,
        points: impl Iterator<Item = (f64, f64)>,
        size: f64,
        colour: &str,
        tip: &str,
    ) {
        self.raw(format_args!(
            "<path fill=\"none\" stroke=\"{colour}\" stroke-width=\"{size:.1}\" stroke-linecap=\"round\" d=\""
        ));
        for (x, y) in points {
            self.raw(format_args!("M{x:.1} {y:.1}h0"));
        }
        self.raw(format_args!("\"><title>"));
        self.escaped(tip);
        self.raw(format_args!("</title></path>"));
    }

    fn raw(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _written = self.text.write_fmt(text);
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // XML has no way to write these, not even escaped.
                '\u{0}'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}' => self.text.push(' '),
                c => self.text.push(c),
            }
        }
    }
}

/// The colour of the n-th of many: neighbours differ, and the same n has the same colour in every picture.
pub(super) fn colour(n: usize) -> String {
    // The golden angle spreads any number of hues; lightness in three steps tells near hues apart.
    let hue = (n as f64 * 137.508 + 205.0) % 360.0;
    let lightness = [46, 58, 38][n % 3];
    format!("hsl({hue:.0} 55% {lightness}%)")
}

/// `text`, or as much of its beginning as is about `width` pixels wide, with an ellipsis.
pub(super) fn fit(text: &str, width: f64) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut left = width - LINE / 2.0;
    let mut fitting: String = text
        .chars()
        .take_while(|&c| {
            left -= width_of_char(c);
            left >= 0.0
        })
        .collect();
    fitting.push('…');
    fitting
}

/// About how many pixels `text` is wide: letters are about half as wide as high, those of East Asia as wide.
pub(super) fn width_of(text: &str) -> f64 {
    text.chars().map(width_of_char).sum()
}

fn width_of_char(c: char) -> f64 {
    if c >= '\u{1100}' { LINE * 0.86 } else { LINE * 0.48 }
}

/// A number for people: `1,234`, `0.052`.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value.abs() < 1.0 && value != 0.0 {
        return format!("{value:.3}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 { format!("−{grouped}") } else { grouped }
}
