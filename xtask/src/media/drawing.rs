//! Still layers, of which every picture is made: expressions for each pixel.
//!
//! It does not know which pictures there are.

use super::expression::{Color, fractal1, fractal2, gradient};

pub(super) const WIDTH: u32 = 1280;
pub(super) const HEIGHT: u32 = 720;
/// Layers are wider than the picture, so that the camera has somewhere to go.
pub(super) const LAYER_WIDTH: u32 = 1600;

/// One drawn layer: expressions for red, green, blue and coverage, each 0 to 255.
pub(super) struct Still {
    pub(super) name: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: [String; 4],
}

/// The place of a pixel, whatever the size of the layer is.
pub(super) const X: &str = "(X/H)";
pub(super) const Y: &str = "(Y/H)";
pub(super) const OPAQUE: &str = "255";

pub(super) fn layer(name: &'static str, channels: [String; 4]) -> Still {
    Still { name, width: LAYER_WIDTH, height: HEIGHT, channels }
}

/// From crest to foot, or from zenith to horizon.
fn colored(stops: &[(f64, Color)]) -> [String; 3] {
    [0, 1, 2].map(|channel| gradient(Y, stops, channel))
}

pub(super) fn with_coverage([red, green, blue]: [String; 3], coverage: String) -> [String; 4] {
    [red, green, blue, coverage]
}

/// Points of light, few of them bright. The generator of ffmpeg starts alike on every run.
pub(super) fn stars(name: &'static str, share: f64) -> Still {
    let coverage =
        format!("if(lt(random(1),{share}),55+200*pow(random(2),3),0)*clip(1.15-{Y}*1.2,0,1)");
    flat(name, [255, 246, 232], coverage)
}

/// Streaks of cloud of one color, as strong as `presence` says.
pub(super) fn clouds(name: &'static str, color: Color, seed: u32, presence: &str) -> Still {
    let streaks = fractal2(&format!("({X}*1.2)"), &format!("({Y}*8)"), 4, seed);
    flat(name, color, format!("255*{presence}*pow(clip({streaks}*2.1-0.75,0,1),1.4)"))
}

pub(super) struct Ridge {
    pub(super) name: &'static str,
    /// Where the outline runs, 0 being the top of the picture.
    pub(super) top: f64,
    pub(super) height: f64,
    pub(super) frequency: f64,
    pub(super) octaves: u32,
    pub(super) seed: u32,
    pub(super) crest: Color,
    pub(super) foot: Color,
}

/// A mountain range: an outline of noise, lit at the crest and lost in haze at the foot.
pub(super) fn ridge(ridge: &Ridge) -> Still {
    let Ridge { name, top, height, frequency, octaves, seed, crest, foot } = ridge;
    let outline = fractal1(&format!("({X}*{frequency}+{seed})"), *octaves, *seed);
    let stops = [(*top - height * 0.3, *crest), (top + height * 1.6, *foot)];
    let coverage = format!("255*clip(({Y}-({top}+{height}*(0.5-{outline})*1.6))*H+0.5,0,1)");
    layer(name, with_coverage(colored(&stops), coverage))
}

/// From the top of the picture down, without steps between the colors.
pub(super) fn sky(name: &'static str, stops: &[(f64, Color)]) -> Still {
    let dithered = colored(stops).map(|base| format!("{base}+random(1)-0.5"));
    layer(name, with_coverage(dithered, OPAQUE.into()))
}

/// One color, where `coverage` says.
pub(super) fn flat(name: &'static str, color: Color, coverage: String) -> Still {
    layer(name, with_coverage(color.map(|channel| channel.to_string()), coverage))
}

pub(super) struct Forest {
    pub(super) name: &'static str,
    pub(super) top: f64,
    pub(super) tree_height: f64,
    pub(super) trees_per_unit: f64,
    pub(super) seed: u32,
    pub(super) crest: Color,
    pub(super) foot: Color,
}

/// Firs on a hillside, no two alike: how far below its top a pixel is says how wide the tree is
/// there, and a saw makes the boughs.
pub(super) fn forest(forest: &Forest) -> Still {
    let Forest { name, top, tree_height, trees_per_unit, seed, crest, foot } = forest;
    let hill = fractal1(&format!("({X}*1.3+{seed})"), 3, *seed);
    let row = |frequency: f64, shift: f64, height: f64| {
        format!(
            "(st(0,{X}*{frequency}+{shift});st(1,floor(ld(0)));\
             st(2,mod(sin(ld(1)*78.233+{seed})*43758.5453,1));\
             st(3,mod(sin(ld(1)*39.425+{seed})*24634.6345,1));\
             st(2,{height}*(0.40+0.60*ld(2)));\
             st(4,({Y}-ld(5)+ld(2))/ld(2));\
             st(3,abs(ld(0)-ld(1)-0.5-0.22*(ld(3)-0.5)));\
             st(6,mod(ld(4)*(7+{height}*22)+ld(1)*0.37+0.10*sin(ld(0)*40),1));\
             st(7,ld(2)*{frequency}*0.26*pow(max(ld(4),0),0.82)*(0.62+0.38*ld(6)));\
             gt(ld(4),0)*clip((ld(7)-ld(3))*H/{frequency}+0.5,0,1))"
        )
    };
    let coverage = format!(
        "(st(5,{top}+0.10*(0.5-{hill}));\
         255*max(clip(({Y}-ld(5)+0.004)*H+0.5,0,1),max({},{})))",
        row(*trees_per_unit, 0.0, *tree_height),
        row(trees_per_unit * 1.61, 0.37, tree_height * 0.78),
    );
    let stops = [(top - tree_height, *crest), (top + 0.16, *foot)];
    layer(name, with_coverage(colored(&stops), coverage))
}
