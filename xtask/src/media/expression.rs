//! Small pieces of ffmpeg's expression language, as the pictures use them.
//!
//! Inside `geq`, `X` and `Y` are pixels; pictures are drawn in `x` and `y`, where `y` goes from 0
//! at the top to 1 at the bottom and `x` has the same unit. It does not know ffmpeg's filters.

/// Smooth noise along one line, 0 to 1, about one hill per unit. Uses the registers 8 and 9.
pub(super) fn noise1(x: &str, seed: u32) -> String {
    let hash = |at: &str| format!("mod(sin(({at})*12.9898+{seed}*7.31)*43758.5453,1)");
    format!(
        "(st(9,{x});st(8,ld(9)-floor(ld(9)));st(9,floor(ld(9)));\
         lerp({},{},ld(8)*ld(8)*(3-2*ld(8))))",
        hash("ld(9)"),
        hash("ld(9)+1"),
    )
}

/// Smooth noise over a plane, 0 to 1. Uses the registers 6 to 9.
pub(super) fn noise2(x: &str, y: &str, seed: u32) -> String {
    let hash =
        |x: &str, y: &str| format!("mod(sin(({x})*127.1+({y})*311.7+{seed}*5.71)*43758.5453,1)");
    format!(
        "(st(9,{x});st(7,{y});st(8,ld(9)-floor(ld(9)));st(6,ld(7)-floor(ld(7)));\
         st(9,floor(ld(9)));st(7,floor(ld(7)));st(8,ld(8)*ld(8)*(3-2*ld(8)));\
         st(6,ld(6)*ld(6)*(3-2*ld(6)));lerp(lerp({},{},ld(8)),lerp({},{},ld(8)),ld(6)))",
        hash("ld(9)", "ld(7)"),
        hash("ld(9)+1", "ld(7)"),
        hash("ld(9)", "ld(7)+1"),
        hash("ld(9)+1", "ld(7)+1"),
    )
}

/// Octaves of [`noise1`], each half as high and about twice as fine: the outline of a mountain.
pub(super) fn fractal1(x: &str, octaves: u32, seed: u32) -> String {
    let octave = |n: u32| {
        let (frequency, weight) =
            (2.03_f64.powi(n.cast_signed()), 0.5_f64.powi(n.cast_signed() + 1));
        format!("{weight}*{}", noise1(&format!("({x})*{frequency:.3}"), seed + n))
    };
    format!("({})", (0..octaves).map(octave).collect::<Vec<_>>().join("+"))
}

/// Octaves of [`noise2`]: clouds.
pub(super) fn fractal2(x: &str, y: &str, octaves: u32, seed: u32) -> String {
    let octave = |n: u32| {
        let (frequency, weight) =
            (2.03_f64.powi(n.cast_signed()), 0.5_f64.powi(n.cast_signed() + 1));
        let scaled = |axis: &str| format!("({axis})*{frequency:.3}");
        format!("{weight}*{}", noise2(&scaled(x), &scaled(y), seed + n))
    };
    format!("({})", (0..octaves).map(octave).collect::<Vec<_>>().join("+"))
}

pub(super) type Color = [u8; 3];

/// A channel (0 red, 1 green, 2 blue) of a gradient through colors at positions of `along`.
pub(super) fn gradient(along: &str, stops: &[(f64, Color)], channel: usize) -> String {
    let value = |color: &Color| color.get(channel).copied().unwrap_or_default();
    let Some((_, last)) = stops.last() else { return "0".to_owned() };
    stops.windows(2).rev().fold(value(last).to_string(), |rest, pair| {
        let [(from, a), (to, b)] = pair else { return rest };
        let (a, b) = (value(a), value(b));
        format!(
            "if(lt({along},{to}),lerp({a},{b},clip((({along})-{from})/{:.5},0,1)),{rest})",
            to - from
        )
    })
}
