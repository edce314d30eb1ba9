//! Posters and backdrops of the demo catalogue: frames of the films, and pictures of their own.
//!
//! A poster is cut from its backdrop and bears the title. It does not know the catalogue file.

use super::drawing::{
    HEIGHT, OPAQUE, Ridge, Still, WIDTH, X, Y, clouds, flat, layer, ridge, sky, stars,
};
use super::expression::{Color, fractal2, noise1, noise2};
use super::tools::{FONT_BLACK, FONT_ITALIC, FONT_POSTER, FONT_SANS, FONT_SERIF};

const POSTER_WIDTH: u32 = 480;
/// From the middle of the picture, in the unit of [`X`] and [`Y`].
const U: &str = "(X/H-0.889)";

pub(super) struct Artwork {
    pub(super) name: &'static str,
    pub(super) source: Source,
    /// Where the poster is cut out of the backdrop, in pixels from its left.
    poster_left: u32,
    font: &'static str,
    size: u32,
    /// As ffmpeg names colors.
    color: &'static str,
    lines: &'static [&'static str],
    /// The first line: 0 is the top of the poster, 1 its bottom.
    top: f64,
}

pub(super) enum Source {
    /// From a scene of a film, at this second.
    Frame { scene: &'static str, second: &'static str },
    /// On top of each other.
    Layers(Vec<Still>),
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn artworks() -> Vec<Artwork> {
    let frame = |scene, second| Source::Frame { scene, second };
    vec![
        Artwork {
            name: "the-lantern-keeper",
            source: frame("lake", "5"),
            poster_left: 520,
            font: FONT_SERIF,
            size: 58,
            color: "white",
            lines: &["The", "Lantern", "Keeper"],
            top: 0.10,
        },
        Artwork {
            name: "ember-tide",
            source: frame("ember", "6"),
            poster_left: 380,
            font: FONT_POSTER,
            size: 150,
            color: "white",
            lines: &["EMBER", "TIDE"],
            top: 0.56,
        },
        Artwork {
            name: "northern-lines-1",
            source: frame("dawn", "6"),
            poster_left: 560,
            font: FONT_SANS,
            size: 54,
            color: "0x2b1c44",
            lines: &["NORTHERN", "LINES"],
            top: 0.10,
        },
        Artwork {
            name: "northern-lines-2",
            source: frame("aurora", "7"),
            poster_left: 300,
            font: FONT_SANS,
            size: 54,
            color: "white",
            lines: &["NORTHERN", "LINES"],
            top: 0.10,
        },
        Artwork {
            name: "salt-and-copper",
            source: frame("sea", "3"),
            poster_left: 240,
            font: FONT_ITALIC,
            size: 84,
            color: "0xffe9c4",
            lines: &["Salt and", "Copper"],
            top: 0.10,
        },
        Artwork {
            name: "paper-moons",
            source: Source::Layers(paper_moons()),
            poster_left: 400,
            font: FONT_BLACK,
            size: 68,
            color: "0xfff4df",
            lines: &["Paper", "Moons"],
            top: 0.76,
        },
        Artwork {
            name: "the-cartographers-daughter",
            source: Source::Layers(map()),
            poster_left: 400,
            font: FONT_SERIF,
            size: 56,
            color: "0x3a2a1c",
            lines: &["The", "Cartographer’s", "Daughter"],
            top: 0.27,
        },
        Artwork {
            name: "glasshouse",
            source: Source::Layers(glasshouse()),
            poster_left: 400,
            font: FONT_POSTER,
            size: 104,
            color: "0xe8fff0",
            lines: &["GLASSHOUSE"],
            top: 0.82,
        },
        Artwork {
            name: "meridian",
            source: Source::Layers(eclipse()),
            poster_left: 400,
            font: FONT_SANS,
            size: 60,
            color: "white",
            lines: &["MERIDIAN"],
            top: 0.10,
        },
        Artwork {
            name: "undertow",
            source: Source::Layers(deep()),
            poster_left: 400,
            font: FONT_SANS,
            size: 66,
            color: "white",
            lines: &["Undertow"],
            top: 0.80,
        },
    ]
}

impl Artwork {
    /// From the inputs 0, 1, … to `[out]`.
    pub(super) fn backdrop(&self) -> String {
        self.composed("null")
    }

    /// The same, cut and lettered.
    pub(super) fn poster(&self) -> String {
        let left = self.poster_left;
        let lettered = self.lines.iter().zip(0_u32..).map(|(line, index)| {
            let (font, size, color) = (self.font, self.size, self.color);
            let y = f64::from(HEIGHT) * self.top + 1.08 * f64::from(size * index);
            format!(
                ",drawtext=fontfile={font}:text='{line}':fontsize={size}:fontcolor={color}:\
                 shadowcolor=black@0.25:shadowx=0:shadowy=2:x=(w-text_w)/2:y={y:.0}"
            )
        });
        let lettered: String = lettered.collect();
        self.composed(&format!("crop={POSTER_WIDTH}:{HEIGHT}:{left}:0{lettered}"))
    }

    fn composed(&self, finish: &str) -> String {
        let layers = match &self.source {
            Source::Frame { .. } => 1,
            Source::Layers(layers) => layers.len(),
        };
        let mut graph = format!("[0]crop={WIDTH}:{HEIGHT}:0:0,format=yuv444p[p0];");
        for index in 1..layers {
            graph += &format!("[p{}][{index}]overlay=format=yuv444[p{index}];", index - 1);
        }
        format!("{graph}[p{}]{finish},format=yuv420p[out]", layers - 1)
    }
}

/// Moons of paper on strings above hills of paper.
fn paper_moons() -> Vec<Still> {
    let moons: [(f64, f64, f64, f64); 7] = [
        (-0.66, 0.34, 0.060, 0.5),
        (-0.40, 0.52, 0.045, -0.6),
        (-0.20, 0.24, 0.085, 0.9),
        (0.06, 0.44, 0.125, 0.0),
        (0.255, 0.20, 0.050, -0.8),
        (0.46, 0.40, 0.075, 0.7),
        (0.72, 0.26, 0.060, -0.4),
    ];
    let each = |part: &dyn Fn(f64, f64, f64, f64) -> String| {
        moons.iter().fold("0".to_owned(), |sum, (x, y, r, phase)| {
            format!("max({sum},{})", part(*x, *y, *r, *phase))
        })
    };
    let disc = |x: f64, y: f64, r: f64| format!("clip(({r}-hypot({U}-{x},{Y}-{y}))*H+0.5,0,1)");
    let discs = each(&|x, y, r, _| disc(x, y, r));
    // The other side of each moon: what a second disc, pushed aside, does not cover.
    let lit =
        each(&|x, y, r, phase| format!("{}*{}", disc(x, y, r), disc(x + phase * r, y, r * 1.05)));
    let strings = each(&|x, y, r, _| format!("lt(abs({U}-{x}),0.0012)*lt({Y},{})", y - r));
    let shadows = each(&|x, y, r, _| {
        format!("exp(-pow(max(hypot({U}-{x}-0.012,{Y}-{y}-0.020)-{r},0)/0.016,1))*0.5")
    });
    let hill = |name, top, height, seed, crest: Color, foot: Color| {
        ridge(&Ridge { name, top, height, frequency: 1.5, octaves: 2, seed, crest, foot })
    };
    vec![
        sky(
            "moons-sky",
            &[
                (0.0, [22, 58, 84]),
                (0.45, [74, 128, 140]),
                (0.75, [236, 196, 164]),
                (1.0, [246, 214, 180]),
            ],
        ),
        stars("moons-stars", 0.0008),
        flat("moons-shadows", [10, 30, 50], format!("255*{shadows}")),
        flat("moons-strings", [250, 236, 210], format!("150*{strings}")),
        flat("moons-dark", [196, 160, 140], format!("255*{discs}")),
        flat("moons-lit", [255, 240, 208], format!("255*{lit}")),
        hill("moons-1", 0.66, 0.10, 5, [226, 150, 128], [236, 170, 144]),
        hill("moons-2", 0.77, 0.10, 18, [186, 100, 108], [206, 124, 122]),
        hill("moons-3", 0.89, 0.09, 33, [92, 62, 98], [108, 74, 108]),
    ]
}

/// A map: land, water, contour lines, a route, a compass.
fn map() -> Vec<Still> {
    let height =
        format!("st(4,{})", fractal2(&format!("({X}*2.3+4.2)"), &format!("({Y}*2.3)"), 4, 6));
    let line = "clip(1.15-abs(mod(ld(4)*22+0.5,1)-0.5)*H/30,0,1)";
    let coast = "clip(1.4-abs(ld(4)-0.46)*H/2.2,0,1)";
    let route = format!(
        "(st(0,0.60+0.11*sin({U}*5.2+0.8)+0.035*sin({U}*13));lt(abs({Y}-ld(0)),0.0036)\
         *lt(mod({U}*34+50,1),0.58)*between({U},-0.64,0.205))"
    );
    let cross = format!(
        "lt(min(abs(({U}-0.24)-({Y}-0.699)),abs(({U}-0.24)+({Y}-0.699))),\
         0.006)*lt(hypot({U}-0.24,{Y}-0.699),0.026)"
    );
    let (cx, cy) = (format!("({U}+0.19)"), format!("({Y}-0.82)"));
    let star = format!(
        "max(lt(sqrt(abs({cx}))+sqrt(abs({cy})),0.30),lt(abs(hypot({cx},{cy})-0.056),0.0016))"
    );
    vec![
        flat("map-paper", [240, 222, 184], OPAQUE.into()),
        flat("map-high", [206, 160, 104], format!("({height};170*clip((ld(4)-0.46)*2.6,0,1))")),
        flat(
            "map-water",
            [120, 172, 176],
            format!("({height};255*clip((0.46-ld(4))*H/3,0,1)*(0.55+1.6*(0.46-ld(4))))"),
        ),
        flat(
            "map-lines",
            [96, 62, 36],
            format!("({height};255*max({coast}*0.85,{line}*0.42*gt(ld(4),0.46)))"),
        ),
        flat(
            "map-stain",
            [120, 76, 30],
            format!(
                "70*clip(pow(hypot({U}*0.75,{Y}-0.5)*1.25,3),0,1)+16*{}",
                noise2(&format!("({X}*5)"), &format!("({Y}*5)"), 3)
            ),
        ),
        flat("map-route", [178, 40, 34], format!("235*max({route},{cross})")),
        flat("map-compass", [64, 42, 28], format!("230*{star}")),
    ]
}

/// A corridor of glass, and somebody at its end.
fn glasshouse() -> Vec<Still> {
    let v = format!("({Y}-0.56)");
    // On which wall a pixel lies, how deep in the corridor, and where across that wall.
    let wall = format!(
        "(st(0,abs({U})*1.25);st(1,if(lt({v},0),abs({v})*1.05,abs({v})*1.9));st(2,gt(ld(0),ld(1)));\
         st(3,1/max(max(ld(0),ld(1)),0.02));st(4,if(ld(2),{v}*ld(3)*1.9,{U}*ld(3)*2.3)))"
    );
    let pane = "mod(sin(floor(ld(3)*1.9)*12.99+floor(ld(4)*1.5)*78.23+ld(2)*3.1)*43758.5453,1)";
    let bars =
        "max(lt(abs(mod(ld(3)*1.9,1)-0.5),0.035+0.004*ld(3)),lt(abs(mod(ld(4)*1.5,1)-0.5),0.045))";
    let (x, y) = (format!("({U})"), format!("({Y}-0.60)"));
    let head = format!("lt(hypot({x},({y}+0.078)*0.9),0.0150)");
    let coat = format!(
        "between({y},-0.068,0.055)*lt(abs({x}),if(lt({y},-0.055),0.006,\
         min(0.027,0.008+0.20*sqrt(max({y}+0.055,0)))+0.06*max({y}+0.01,0)))"
    );
    let legs = format!("between({y},0.05,0.105)*lt(abs(abs({x})-0.0105),0.0080)");
    let figure = format!("max({head},max({coat},{legs}))");
    let leaf = |x0: f64, y0: f64, turn: f64, size: f64| {
        format!(
            "(st(5,({U}-{x0})*cos({turn})+({Y}-{y0})*sin({turn}));st(6,-({U}-{x0})*sin({turn})+\
             ({Y}-{y0})*cos({turn}));\
             st(7,ld(5)/{size});between(ld(7),0,1)*lt(abs(ld(6)),\
             {size}*0.16*sin(PI*pow(clip(ld(7),0,1),0.8))))"
        )
    };
    let leaves: [(f64, f64, f64, f64); 12] = [
        (-0.40, 1.02, -1.1, 0.42),
        (-0.36, 1.02, -1.5, 0.36),
        (-0.44, 1.02, -0.7, 0.34),
        (-0.30, 1.05, -1.9, 0.30),
        (0.38, 1.02, -2.0, 0.44),
        (0.34, 1.02, -1.6, 0.34),
        (0.44, 1.02, -2.5, 0.36),
        (0.28, 1.05, -1.2, 0.28),
        (-0.85, 1.02, -0.9, 0.50),
        (-0.80, 1.02, -1.4, 0.46),
        (0.84, 1.02, -2.2, 0.50),
        (0.78, 1.02, -1.6, 0.44),
    ];
    let leaves = leaves.iter().fold("0".to_owned(), |sum, (x, y, turn, size)| {
        format!("max({sum},{})", leaf(*x, *y, *turn, *size))
    });
    let glow = format!("exp(-hypot({U},{v}*0.9)/0.20)");
    let light = |low: u32, high: u32, pale: u32| {
        format!(
            "({wall};clip((lerp({low},{high},0.25+0.75*{pane})*clip(1.4/(0.55+ld(3)*0.28),0.35,\
             1.25))+{pale}*{glow},0,255))"
        )
    };
    vec![
        layer(
            "glass-panes",
            [light(8, 44, 190), light(44, 132, 170), light(40, 104, 130), OPAQUE.into()],
        ),
        flat("glass-bars", [4, 26, 24], format!("({wall};225*{bars}*clip(1.25-{glow},0.2,1))")),
        flat("glass-figure", [4, 22, 22], format!("255*{figure}")),
        flat("glass-leaves", [2, 20, 18], format!("255*{leaves}")),
        flat(
            "glass-edge",
            [0, 10, 10],
            format!("215*clip(pow(hypot({U}*0.72,{Y}-0.5)*1.35,3),0,1)"),
        ),
    ]
}

/// The moment of an eclipse above the rim of a planet.
fn eclipse() -> Vec<Still> {
    let r = format!("hypot({U},{Y}-0.46)");
    // Noise on a circle closes where an angle would leave a seam.
    let rays = noise2(&format!("({U}/{r}*4.1+9)"), &format!("(({Y}-0.46)/{r}*4.1+5)"), 9);
    let corona = format!(
        "gt({r},0.158)*(exp(-({r}-0.158)/(0.030+0.10*{rays}))*0.95+exp(-({r}-0.158)/0.24)*0.36)"
    );
    let flare = format!(
        "(st(0,hypot({U}-0.113,{Y}-0.348));exp(-ld(0)/0.020)+0.5*exp(-ld(0)/0.075)+\
         0.5*exp(-abs({Y}-0.348)/0.0022)*exp(-abs({U}-0.113)/0.16))"
    );
    let rim = format!("(hypot({U},{Y}-2.42)-1.56)");
    vec![
        sky("eclipse-sky", &[(0.0, [8, 10, 34]), (0.5, [22, 20, 58]), (1.0, [44, 26, 74])]),
        stars("eclipse-stars", 0.0016),
        clouds("eclipse-dust", [128, 74, 150], 101, "0.5"),
        flat("eclipse-corona", [255, 226, 196], format!("255*clip({corona},0,1)")),
        flat("eclipse-moon", [10, 9, 22], format!("255*clip((0.160-{r})*H+0.5,0,1)")),
        flat("eclipse-flare", [255, 248, 232], format!("255*clip({flare},0,1)")),
        flat(
            "eclipse-air",
            [96, 156, 255],
            format!("255*exp(-max({rim},0)/0.035)*0.9*clip(1.1-abs({U})*0.7,0,1)"),
        ),
        flat("eclipse-planet", [7, 10, 30], format!("255*clip(-{rim}*H/2+0.5,0,1)")),
        flat(
            "eclipse-line",
            [214, 236, 255],
            format!("255*exp(-abs({rim})/0.0026)*clip(1.15-abs({U})*0.8,0,1)"),
        ),
    ]
}

/// Under water, light from above, and a whale.
fn deep() -> Vec<Still> {
    let depth =
        [(0.0, [150, 226, 214]), (0.22, [54, 164, 176]), (0.6, [14, 84, 118]), (1.0, [5, 34, 66])];
    let angle = format!("atan2({U}+0.08,{Y}+0.42)");
    let shafts = format!("pow({},2.2)", noise1(&format!("(({angle}+2)*19)"), 61));
    let sun = format!("exp(-hypot({U}+0.05,{Y}*1.3)/0.30)");
    // Its length runs from -1 at the head to 1 at the flukes.
    let s = format!("(({U}+0.02)/0.25)");
    let h = format!("({Y}-0.52-0.035*sin({s}*1.7+0.4))");
    let body = format!(
        "lt(abs({h}),0.064*sqrt(max(1-pow(({s}+0.01)/0.99,2),0))*(1-0.62*clip({s}+0.25,0,\
         1)))*lt(abs({s}),1)"
    );
    let stem = format!("between({s},0.5,1.0)*lt(abs({h}),0.012)");
    let flukes = format!(
        "between({s},0.90,1.20)*lt(abs({h}+0.10*({s}-0.9)),0.30*({s}-0.90)-0.36*max({s}-1.06,\
         0)*2.2)"
    );
    let fin = format!(
        "(st(0,{s}+0.25);between(ld(0),0,0.34)*gt({h},0.02)*lt({h},0.05+0.22*ld(0))*gt({h},\
         0.40*ld(0)-0.03))"
    );
    let whale = format!("max(max({body},{stem}),max({flukes},{fin}))");
    let mote = "if(lt(mod(sin(X*12.173+Y*7.913)*43758.5453,1),0.0007),90,0)";
    vec![
        sky("deep-water", &depth),
        flat("deep-sun", [236, 255, 240], format!("235*{sun}")),
        flat(
            "deep-shafts",
            [226, 255, 240],
            format!("200*{shafts}*clip(1.0-{Y}*1.05,0,1)*clip(1.1-abs({U})*0.6,0,1)"),
        ),
        flat("deep-motes", [220, 250, 240], mote.into()),
        flat("deep-whale", [6, 46, 74], format!("240*{whale}")),
        ridge(&Ridge {
            name: "deep-floor",
            top: 0.93,
            height: 0.12,
            frequency: 2.4,
            octaves: 5,
            seed: 77,
            crest: [4, 36, 58],
            foot: [2, 18, 38],
        }),
    ]
}
