//! The pictures of the two sample films, drawn by ffmpeg's expression filters.
//!
//! A scene is a handful of still layers and a filter graph that moves them. It does not know how
//! films are cut, encoded or packaged.

use super::drawing::{
    Forest, HEIGHT, LAYER_WIDTH, OPAQUE, Ridge, Still, WIDTH, X, Y, clouds, flat, forest, layer,
    ridge, sky, stars, with_coverage,
};
use super::expression::{Color, gradient};
use super::tools::{FONT_ITALIC, FONT_SERIF};

pub(super) const FRAMES_PER_SECOND: u32 = 24;

pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) seconds: u32,
    /// Inputs 0, 1, … of the graph, each repeated for as long as the scene lasts.
    pub(super) layers: Vec<Still>,
    /// From `[0]`, `[1]`, … to `[out]`.
    pub(super) graph: String,
}

/// Moves a layer by fractions of a pixel; the overlay filter would jump from pixel to pixel.
/// `dx` and `dy` are pixels as expressions of the frame number `on`.
fn drift(input: &str, dx: &str, dy: &str, output: &str) -> String {
    format!(
        "[{input}]scale={LAYER_WIDTH}:{HEIGHT}:flags=area,format=yuva444p,\
         perspective=eval=frame:interpolation=linear:\
         x0='{dx}':y0='{dy}':x1='W+({dx})':y1='{dy}':x2='{dx}':y2='H+({dy})':x3='W+({dx})':y3='H+\
         ({dy})',\
         crop={WIDTH}:{HEIGHT}:0:0[{output}];"
    )
}

fn lay(bottom: &str, top: &str, output: &str) -> String {
    format!("[{bottom}][{top}]overlay=format=yuv444[{output}];")
}

/// The first film opens: a lake in the blue hour, with one lantern on it.
pub(super) fn lake() -> Scene {
    let mut graph = String::new();
    graph += &drift("0", "on*0.05", "0", "sky");
    graph += &drift("1", "on*0.03", "0", "still-stars");
    graph += "[still-stars]gblur=sigma=0.6,fade=in:st=1:d=6:alpha=1[stars];";
    graph += &lay("sky", "stars", "a");
    graph += &drift("2", "on*0.22", "0", "clouds");
    graph += &lay("a", "clouds", "b");
    graph += &drift("3", "on*0.16", "0", "far");
    graph += &lay("b", "far", "c");
    graph += &drift("4", "on*0.32", "0", "middle");
    graph += &lay("c", "middle", "c2");
    graph += &drift("5", "on*0.62", "0", "near");
    graph += &lay("c2", "near", "d");
    graph += &mirror("d", 446, "e");
    graph += &drift("6", "on*0.20", "0.8*sin(on/19)", "boat");
    graph += &lay("e", "boat", "f");
    graph += "[f]format=yuv444p[out]";
    Scene { name: "lake", seconds: 11, layers: lake_layers(), graph }
}

/// From the sky down to the boat.
fn lake_layers() -> Vec<Still> {
    let glow = format!("exp(-pow(({X}-1.15)/0.75,2)-pow(({Y}-0.64)/0.17,2))");
    let dusk: [(f64, Color); 5] = [
        (0.0, [9, 20, 52]),
        (0.25, [25, 52, 104]),
        (0.45, [70, 92, 150]),
        (0.56, [150, 132, 168]),
        (0.64, [238, 178, 158]),
    ];
    let sky = [0, 1, 2].map(|channel| {
        let warm = [95, 42, 8].get(channel).copied().unwrap_or(0);
        let base = gradient(Y, &dusk, channel);
        format!("clip({base}+{warm}*{glow}+random(1)-0.5,0,255)")
    });
    vec![
        layer("lake-sky", with_coverage(sky, OPAQUE.into())),
        stars("lake-stars", 0.0011),
        clouds("lake-clouds", [214, 160, 176], 11, &format!("clip({Y}*2.4-0.45,0,0.6)")),
        ridge(&Ridge {
            name: "lake-far",
            top: 0.53,
            height: 0.15,
            frequency: 1.7,
            octaves: 6,
            seed: 3,
            crest: [88, 96, 146],
            foot: [176, 148, 168],
        }),
        ridge(&Ridge {
            name: "lake-middle",
            top: 0.56,
            height: 0.13,
            frequency: 2.3,
            octaves: 6,
            seed: 21,
            crest: [44, 58, 104],
            foot: [112, 110, 148],
        }),
        forest(&Forest {
            name: "lake-near",
            top: 0.615,
            tree_height: 0.05,
            trees_per_unit: 34.0,
            seed: 8,
            crest: [14, 26, 52],
            foot: [40, 54, 88],
        }),
        boat(),
    ]
}

/// Water from the row `horizon` on, in which the picture above it is seen upside down.
fn mirror(input: &str, horizon: u32, output: &str) -> String {
    let depth = HEIGHT - horizon;
    // Ripples grow towards the viewer; each sums three trains of waves.
    let waves = |speed: f64, seed: f64| {
        format!(
            "sin(26/(Y/68+0.16)+T*{speed}+{seed}+2.2*sin(X/23+T*0.4))\
             +0.7*sin(11/(Y/68+0.16)-T*{:.2}+X/19+{seed})+0.5*sin(X/7-T*1.1+Y/5)",
            speed * 0.7
        )
    };
    let ripples = |strength: &str, waves: String, output: &str| {
        format!(
            "nullsrc=s=320x68:r={FRAMES_PER_SECOND},format=gray,geq=lum='128+\
             ({strength})*({waves})',\
             scale={WIDTH}:{depth}:flags=bicubic,format=gbrp[{output}];"
        )
    };
    format!(
        "[{input}]split[land][mirror];\
         [mirror]crop={WIDTH}:{depth}:0:{},vflip,format=gbrp,\
         colorchannelmixer=rr=0.66:gg=0.74:bb=0.88[flipped];{}{}\
         [flipped][across][along]displace=edge=mirror,gblur=sigma=1.4:sigmaV=0.7[water];\
         [land][water]overlay=0:{horizon}:format=yuv444[{output}];",
        horizon - depth,
        ripples("1+Y/9", waves(1.7, 0.0), "across"),
        ripples("2+Y/4", waves(1.3, 1.9), "along"),
    )
}

/// A hull, a figure, a lantern, and the light of it on the water.
fn boat() -> Still {
    let (x, y) = (format!("({X}-1.06)"), format!("({Y}-0.755)"));
    let hull =
        format!("lt(abs({x}),0.062-max({y},0)*0.9)*gt({y},-0.006-0.5*{x}*{x}*8)*lt({y},0.018)");
    let figure = format!(
        "max(lt(hypot({x}+0.012,({y}+0.050)),0.0085),lt(abs({x}+0.012),0.011+0.10*({y}+0.04))\
         *gt({y},-0.043)*lt({y},0.002))"
    );
    let pole = format!("lt(abs({x}-0.046),0.0011)*gt({y},-0.058)*lt({y},0)");
    let lamp = format!("hypot({x}-0.046,{y}+0.060)");
    let halo = format!("(exp(-{lamp}/0.006)*1.0+exp(-{lamp}/0.030)*0.55)");
    let path = format!(
        "(gt({y},0.015)*0.62*exp(-abs({x}-0.046)/(0.007+0.05*{y}))*exp(-{y}/0.10)\
         *(0.55+0.45*sin({y}*430+3*sin({y}*97))))"
    );
    let solid = format!("max({hull},max({figure},{pole}))");
    let light = format!("clip({halo}+{path},0,1)");
    let channel =
        |dark: u8, bright: u8| format!("if({solid}*lt({halo},0.55),{dark}+{halo}*70,{bright})");
    let channels =
        [channel(12, 255), channel(15, 206), channel(28, 138), format!("255*max({solid},{light})")];
    // Drawn large, for its edges are hard.
    Still { name: "lake-boat", width: LAYER_WIDTH * 2, height: HEIGHT * 2, channels }
}

/// The first film's middle: northern lights over a winter forest.
pub(super) fn aurora() -> Scene {
    let night: [(f64, Color); 4] =
        [(0.0, [5, 9, 34]), (0.4, [9, 24, 58]), (0.7, [17, 56, 82]), (1.0, [30, 84, 98])];
    let layers = vec![
        sky("aurora-sky", &night),
        stars("aurora-stars", 0.0022),
        ridge(&Ridge {
            name: "aurora-far",
            top: 0.70,
            height: 0.20,
            frequency: 1.5,
            octaves: 7,
            seed: 47,
            crest: [58, 104, 126],
            foot: [26, 66, 84],
        }),
        forest(&Forest {
            name: "aurora-wood",
            top: 0.83,
            tree_height: 0.15,
            trees_per_unit: 17.0,
            seed: 5,
            crest: [12, 38, 50],
            foot: [22, 60, 70],
        }),
        forest(&Forest {
            name: "aurora-near",
            top: 0.93,
            tree_height: 0.40,
            trees_per_unit: 5.6,
            seed: 31,
            crest: [3, 13, 22],
            foot: [5, 20, 30],
        }),
    ];
    let mut graph = String::new();
    graph += &drift("0", "40", "0", "sky");
    graph += &drift("1", "20+on*0.06", "0", "points");
    graph += "[points]gblur=sigma=0.55[stars];";
    graph += &lay("sky", "stars", "a");
    graph += &northern_lights("a", "b");
    graph += &drift("2", "20+on*0.10", "-on*0.03", "far");
    graph += &lay("b", "far", "c");
    graph += &drift("3", "20+on*0.28", "-on*0.07", "wood");
    graph += &lay("c", "wood", "d");
    graph += &drift("4", "10+on*0.75", "-on*0.16", "near");
    graph += &lay("d", "near", "e");
    graph += "[e]format=yuv444p[out]";
    Scene { name: "aurora", seconds: 12, layers, graph }
}

/// Curtains with a sharp lower hem, and rays that fade upwards, over the picture.
fn northern_lights(input: &str, output: &str) -> String {
    let curtain = |base: f64, lean: f64, seed: f64, reach: f64, rays: f64| {
        format!(
            "(st(0,{X});st(1,{base}+0.10*sin(ld(0)*2.1+T*0.21+{seed})\
             +0.05*sin(ld(0)*4.7-T*0.33+{seed}*2)+0.018*sin(ld(0)*11+T*0.6)-{lean}*ld(0)-{Y});\
             st(2,0.5+0.3*sin(ld(0)*{rays}+{seed}*9+3*sin(ld(0)*3.1+T*0.35)+T*0.5)\
             +0.2*sin(ld(0)*71-T*0.8+{seed}+2*sin(ld(0)*5)));\
             st(3,0.45+0.55*sin(ld(0)*1.4-T*0.28+{seed}));\
             exp(-ld(1)/({reach}*(0.6+0.6*ld(2))))/(1+exp(-(ld(1)-0.012)/0.013))\
             *(0.35+0.65*ld(2))*clip(0.25+ld(3),0,1))"
        )
    };
    let (first, second) =
        (curtain(0.64, 0.12, 0.4, 0.21, 31.0), curtain(0.34, -0.06, 2.7, 0.13, 23.0));
    // Oxygen is green low down and red high up; the second curtain is bluer.
    let channel = |low: u32, high: u32, other: u32| {
        format!("clip({first}*lerp({low},{high},clip(ld(1)/0.38,0,1))+{second}*{other},0,255)")
    };
    // Drawn small, for they are soft.
    format!(
        "nullsrc=s=256x144:r={FRAMES_PER_SECOND},format=gbrp,geq=r='{}':g='{}':b='{}',\
         scale={WIDTH}:{HEIGHT}:flags=bicubic,format=gbrp[lights];\
         [{input}]format=gbrp[night];[night][lights]blend=all_mode=screen[{output}];",
        channel(50, 200, 60),
        channel(255, 70, 190),
        channel(150, 210, 230),
    )
}

/// The first film ends: the sun comes up behind range after range.
pub(super) fn dawn() -> Scene {
    let morning: [(f64, Color); 4] = [
        (0.0, [86, 122, 176]),
        (0.3, [172, 160, 196]),
        (0.5, [244, 184, 152]),
        (0.68, [252, 204, 148]),
    ];
    let sun = "hypot(X/720-1.06,Y/720-0.62)";
    let light = format!("clip(exp(-pow({sun}/0.36,1.1))*0.75+clip((0.072-{sun})*110,0,1),0,1)");
    let range = |name, top, height, frequency, octaves, seed, crest, foot| {
        ridge(&Ridge { name, top, height, frequency, octaves, seed, crest, foot })
    };
    let layers = vec![
        sky("dawn-sky", &morning),
        flat("dawn-sun", [255, 246, 214], format!("255*{light}")),
        clouds("dawn-clouds", [255, 226, 206], 71, &format!("clip(0.9-{Y}*1.1,0,0.5)")),
        range("dawn-1", 0.56, 0.13, 1.9, 6, 12, [226, 158, 152], [255, 214, 178]),
        range("dawn-2", 0.64, 0.14, 1.6, 6, 29, [188, 118, 136], [246, 188, 168]),
        range("dawn-3", 0.73, 0.15, 1.7, 6, 44, [138, 80, 118], [222, 150, 152]),
        range("dawn-4", 0.83, 0.15, 1.4, 6, 57, [84, 50, 94], [168, 100, 128]),
        forest(&Forest {
            name: "dawn-5",
            top: 0.95,
            tree_height: 0.13,
            trees_per_unit: 11.0,
            seed: 14,
            crest: [38, 24, 58],
            foot: [70, 40, 78],
        }),
    ];
    let mut graph = drift("0", "on*0.03", "0", "sky");
    graph += &drift("1", "on*0.05", "on*0.42-50", "sun");
    graph += &lay("sky", "sun", "p1");
    for (index, speed) in [0.16, 0.10, 0.18, 0.30, 0.48, 0.80].iter().enumerate() {
        let (input, from, to) = (index + 2, index + 1, index + 2);
        graph += &drift(
            &input.to_string(),
            &format!("on*{speed}"),
            &format!("on*{}", -speed * 0.12),
            &format!("r{input}"),
        );
        graph += &lay(&format!("p{from}"), &format!("r{input}"), &format!("p{to}"));
    }
    graph += "[p7]format=yuv444p[out]";
    Scene { name: "dawn", seconds: 10, layers, graph }
}

/// The second film opens: the sun goes down into the sea, and a sail passes.
pub(super) fn sea() -> Scene {
    let evening: [(f64, Color); 5] = [
        (0.0, [58, 30, 84]),
        (0.2, [128, 48, 100]),
        (0.38, [218, 86, 82]),
        (0.5, [250, 148, 74]),
        (0.56, [255, 206, 112]),
    ];
    let sun = "hypot(X/H-0.98,Y/H-0.40)";
    let disc = format!("clip((0.125-{sun})*H/2+0.5,0,1)");
    let halo = format!("exp(-pow(max({sun}-0.1,0)/0.26,0.9))*0.62");
    let layers = vec![
        sky("sea-sky", &evening),
        layer(
            "sea-sun",
            [
                "255".into(),
                format!("lerp(186,250-150*({Y}-0.27),{disc})"),
                format!("lerp(96,206-420*({Y}-0.27),{disc})"),
                format!("255*max({disc},{halo})"),
            ],
        ),
        clouds("sea-clouds", [96, 34, 84], 83, &format!("clip(0.95-{Y}*0.9,0,0.85)")),
        sail(),
    ];
    let horizon = 400;
    let depth = HEIGHT - horizon;
    // Perspective: a wave near the horizon is a line, at the viewer's feet a slope.
    let wave = "(st(0,1/(Y/160+0.07));st(1,(X-176)/160);\
        st(2,0.5+0.26*sin(ld(0)*4.2+T*1.3+ld(1)*ld(0)*0.9)+\
        0.20*sin(ld(0)*7.9-T*1.7-ld(1)*ld(0)*2.3)\
        +0.16*sin(ld(0)*13.7+T*2.3+ld(1)*ld(0)*5.1)+0.10*sin(ld(1)*ld(0)*11.3-T*1.9+ld(0)*21)))";
    let glitter =
        "pow(clip(ld(2)*1.15,0,1),2.6)*exp(-pow(ld(1)/(0.16+0.34*Y/160),2))*(1.35-0.5*Y/160)";
    let channel = |near: u8, far: u8, gold: u8| {
        format!(
            "({wave};clip(lerp({far},{near},pow(Y/160,0.55))*(0.72+0.5*ld(2))+{gold}*{glitter},0,\
             255))"
        )
    };
    let mut graph = drift("0", "20", "-on*0.05", "sky");
    graph += &drift("1", "40", "-on*0.30", "sun");
    graph += &lay("sky", "sun", "a");
    graph += &drift("2", "20+on*0.45", "0", "clouds");
    graph += &lay("a", "clouds", "b");
    graph += &format!(
        "nullsrc=s=356x160:r={FRAMES_PER_SECOND},format=gbrp,geq=r='{}':g='{}':b='{}',\
         scale={WIDTH}:{depth}:flags=bicubic,format=yuv444p[water];\
         [b][water]overlay=0:{horizon}:format=yuv444[c];",
        channel(52, 214, 255),
        channel(22, 96, 190),
        channel(66, 92, 96),
    );
    graph += &drift("3", "60-on*0.55", "1.2*sin(on/23)", "sail");
    graph += &lay("c", "sail", "d");
    graph += "[d]format=yuv444p[out]";
    Scene { name: "sea", seconds: 11, layers, graph }
}

fn sail() -> Still {
    let (x, y) = (format!("({X}-0.52)"), format!("({Y}-0.585)"));
    let hull =
        format!("lt(abs({x}),0.060-1.4*max({y},0))*gt({y},-0.004-0.9*{x}*{x}*2)*lt({y},0.017)");
    let main =
        format!("gt({x},0.004)*lt({x},0.056*(1+({y}+0.010)/0.150))*lt({y},-0.012)*gt({y},-0.165)");
    let jib = format!(
        "lt({x},-0.002)*gt({x},-0.050*(1+({y}+0.012)/0.128))*lt({y},-0.014)*gt({y},-0.145)"
    );
    let mast = format!("lt(abs({x}-0.001),0.0014)*gt({y},-0.172)*lt({y},0)");
    let mirror = format!(
        "0.5*gt({y},0.017)*lt({y},0.12)*lt(abs({x}+0.006*sin({y}*260)),0.050*(1-{y}/0.12))*(0.5+\
         0.5*sin({y}*520))"
    );
    let solid = format!("max(max({hull},{mast}),max({main},{jib}))");
    let channels = [
        format!("if(max({main},{jib}),70+60*({y}+0.17)/0.17,30)"),
        format!("if(max({main},{jib}),26+34*({y}+0.17)/0.17,12)"),
        format!("if(max({main},{jib}),60-10*({y}+0.17)/0.17,34)"),
        format!("255*max({solid},{mirror})"),
    ];
    Still { name: "sea-sail", width: LAYER_WIDTH * 2, height: HEIGHT * 2, channels }
}

/// The second film ends inside the fire: noise bent by noise, and sparks.
pub(super) fn ember() -> Scene {
    let fire: [(f64, Color); 6] = [
        (0.0, [44, 10, 40]),
        (0.25, [112, 18, 58]),
        (0.48, [204, 50, 52]),
        (0.66, [248, 128, 48]),
        (0.84, [255, 208, 104]),
        (1.0, [255, 244, 206]),
    ];
    let value = "(st(0,X/180*2.6);st(1,Y/180*2.6);\
        st(2,sin(ld(0)*0.9+1.6*sin(ld(1)*1.1+T*0.33)+T*0.21));\
        st(3,sin(ld(1)*1.2+1.8*sin(ld(0)*0.8-T*0.27)-T*0.45+1.3));\
        st(4,sin(ld(0)*1.6+2.2*ld(3)+T*0.17)+0.6*sin(ld(1)*2.4+2.0*ld(2)+T*0.38));\
        st(5,clip(0.47+0.20*sin(2.4*ld(2)+2.1*ld(4)+T*0.3)+0.17*sin(ld(1)*1.4+3.0*ld(3)+\
        1.7*ld(4)-T*0.5)\
        +0.10*sin(5.1*ld(4)+3.3*ld(2)),0,1)))";
    let channel = |channel: usize| format!("({value};{})", gradient("ld(5)", &fire, channel));
    let sparks = |name, seed: u32| {
        // The random numbers differ from layer to layer by how many were drawn before.
        let coverage = format!("if(lt(mod(sin(X*{seed}.173+Y*7.913)*43758.5453,1),0.00004),255,0)");
        flat(name, [255, 232, 170], coverage)
    };
    let layers = vec![sparks("ember-sparks-1", 12), sparks("ember-sparks-2", 17)];
    let graph = format!(
        "nullsrc=s=320x180:r={FRAMES_PER_SECOND},format=gbrp,geq=r='{}':g='{}':b='{}',\
         scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv444p[fire];\
         [0]format=yuva444p,scroll=vertical=0.0042:horizontal=0.0007,dilation,dilation,\
         gblur=sigma=1.7,\
         crop={WIDTH}:{HEIGHT}:0:0[one];\
         [1]format=yuva444p,scroll=vertical=0.0084:horizontal=-0.0007,dilation,dilation,dilation,\
         gblur=sigma=2.6,\
         crop={WIDTH}:{HEIGHT}:0:0[two];\
         [fire][one]overlay=format=yuv444[a];[a][two]overlay=format=yuv444[b];\
         [b]format=yuv444p[out]",
        channel(0),
        channel(1),
        channel(2),
    );
    Scene { name: "ember", seconds: 10, layers, graph }
}

/// A title and a line below it near the beginning, and the maker at the end.
pub(super) fn titles(title: &str, line: &str, seconds: f64) -> String {
    let shown = |from: f64, until: f64| {
        format!("alpha='clip((t-{from})/1.4,0,1)*clip(({until}-t)/1.2,0,1)'")
    };
    let text = |font: &str, text: &str, size: u32, y: f64, when: String| {
        format!(
            "drawtext=fontfile={font}:text='{text}':fontsize={size}:fontcolor=white:\
             shadowcolor=black@0.35:shadowx=0:shadowy=2:x=(w-text_w)/2:y=h*{y}:{when}"
        )
    };
    [
        text(FONT_SERIF, &spaced(title), 60, 0.12, shown(1.6, 7.2)),
        text(FONT_ITALIC, line, 27, 0.235, shown(2.6, 7.2)),
        text(FONT_ITALIC, "carnet", 40, 0.22, shown(seconds - 5.0, seconds - 0.6)),
    ]
    .join(",")
}

/// Letters set apart, as titles are.
pub(super) fn spaced(text: &str) -> String {
    const HAIR_SPACES: &str = "\u{2009}\u{2009}";
    text.chars().map(String::from).collect::<Vec<_>>().join(HAIR_SPACES)
}
