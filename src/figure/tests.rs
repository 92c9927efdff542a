//! Pictures stay well-formed whatever they are given.

use super::*;

/// Fails unless tags nest and no text breaks out of its element.
fn assert_well_formed(svg: &str) {
    let tag = regex::Regex::new(r#"<(/?)([a-z]+)((?: [a-zA-Z0-9:-]+="[^"<>]*")*)(/?)>"#).unwrap();
    let mut open = Vec::new();
    for found in tag.captures_iter(svg) {
        match (&found[1], &found[4]) {
            ("/", _) => assert_eq!(open.pop(), Some(found[2].to_owned())),
            (_, "/") => {}
            _ => open.push(found[2].to_owned()),
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    let rest = tag.replace_all(svg, "");
    assert!(!rest.contains(['<', '>']), "{rest}");
    assert!(!rest.contains('\0') && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

const HOSTILE: &str = "</text><script>alert(\"1\")</script>&amp;\u{0}]]>'x";

#[test]
fn hostile_names_stay_text() {
    let pictures = [
        bar_chart(&[Bars { title: HOSTILE, bars: &[(HOSTILE, 0.5), ("x", f64::NAN)] }], 3),
        over_time(&[HOSTILE], &[Series { name: HOSTILE, counts: &[f64::NAN, 2.0] }]),
        map(&[Cloud { name: HOSTILE, points: &[[0.0, f32::NAN], [1.0, 1.0]] }]),
        heat_map(&[HOSTILE, "b"], |i, j| if i == j { 1.0 } else { 0.25 }),
    ];
    for picture in pictures {
        assert_well_formed(&picture);
        assert!(!picture.contains("<script"), "{picture}");
    }
}

#[test]
fn nothing_to_show_is_an_empty_picture() {
    let nothing = [Bars { title: "a", bars: &[] }];
    let empty =
        [bar_chart(&[], 4), bar_chart(&nothing, 0), over_time(&[], &[]), map(&[]), heat_map(&[], |_, _| 0.0)];
    for picture in empty {
        assert_well_formed(&picture);
    }
}

#[test]
fn names_on_a_map_do_not_cover_each_other() {
    let points: Vec<[f32; 2]> = (0..50).map(|i| [(i % 7) as f32, (i % 5) as f32]).collect();
    let clouds: Vec<Cloud<'_>> = (0..9).map(|_| Cloud { name: "one place", points: &points }).collect();
    let picture = map(&clouds);
    assert_eq!(picture.matches("class=\"mid halo title\"").count(), 5);
    assert_eq!(picture.matches("<title>one place: 50").count(), 9);
}

#[test]
fn stacked_areas_reach_the_sum() {
    let picture = over_time(
        &["2023", "2024"],
        &[Series { name: "a", counts: &[10.0, 30.0] }, Series { name: "b", counts: &[10.0, 10.0] }],
    );
    // 40 documents are the whole height: the upper edge of the second area ends at the top of the frame.
    assert!(picture.contains("824.0,24.0"), "{picture}");
}
