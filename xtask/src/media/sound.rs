//! The soundtracks: chords of soft sines, a few struck notes over them, a heartbeat and wind.
//!
//! It does not know the pictures, only how long they last.

use std::fmt::Write as _;

pub(super) struct Score {
    pub(super) seconds: u32,
    /// How long each chord stands before the next one.
    pub(super) chord_seconds: f64,
    /// Semitones from the A below middle C, lowest note first.
    pub(super) chords: &'static [&'static [i32]],
    /// When a note is struck, and which.
    pub(super) melody: &'static [(f64, i32)],
    /// How quickly a struck note fades: a bell, or wood.
    pub(super) decay: f64,
    pub(super) beat_seconds: f64,
}

pub(super) const LANTERN_KEEPER: Score = Score {
    seconds: 30,
    chord_seconds: 5.0,
    chords: &[
        &[-19, -12, -4, 3, 7, 12],
        &[-23, -16, -4, 0, 3, 8],
        &[-16, -9, 3, 7, 10, 12],
        &[-21, -14, -2, 3, 7, 10],
        &[-23, -16, 0, 3, 5, 8],
        &[-16, -9, 0, 7, 10, 15],
    ],
    melody: &[
        (2.0, 19),
        (2.75, 24),
        (3.5, 27),
        (4.25, 24),
        (6.0, 20),
        (7.5, 19),
        (8.25, 15),
        (10.0, 22),
        (10.75, 27),
        (11.5, 31),
        (13.0, 29),
        (13.75, 27),
        (15.0, 22),
        (16.0, 27),
        (17.0, 26),
        (18.5, 24),
        (20.0, 20),
        (20.75, 24),
        (21.5, 27),
        (22.25, 31),
        (23.5, 32),
        (24.25, 31),
        (25.0, 27),
        (26.0, 24),
        (27.0, 22),
        (28.0, 15),
    ],
    decay: 1.5,
    beat_seconds: 1.25,
};

pub(super) const EMBER_TIDE: Score = Score {
    seconds: 20,
    chord_seconds: 4.0,
    chords: &[
        &[-17, -5, 2, 7, 10, 14],
        &[-21, -9, 3, 7, 10, 14],
        &[-14, -2, 2, 5, 10, 14],
        &[-24, -12, 0, 4, 7, 14],
        &[-17, -5, 2, 7, 11, 14],
    ],
    melody: &[
        (0.5, 14),
        (1.0, 19),
        (1.5, 22),
        (2.0, 26),
        (3.0, 22),
        (4.5, 15),
        (5.0, 19),
        (5.5, 22),
        (6.0, 27),
        (7.0, 26),
        (8.5, 17),
        (9.0, 22),
        (9.5, 26),
        (10.0, 29),
        (11.0, 26),
        (12.5, 12),
        (13.0, 16),
        (13.5, 19),
        (14.0, 28),
        (15.0, 24),
        (16.0, 14),
        (16.5, 19),
        (17.0, 23),
        (17.5, 26),
        (18.0, 31),
    ],
    decay: 2.6,
    beat_seconds: 1.0,
};

fn hertz(semitone: i32) -> f64 {
    220.0 * 2.0_f64.powf(f64::from(semitone) / 12.0)
}

/// A filter graph from nothing to `[sound]`.
pub(super) fn graph(score: &Score) -> String {
    let (left, right) = (channel(score, -1.0), channel(score, 1.0));
    let seconds = score.seconds;
    format!(
        "aevalsrc=exprs='{left}|{right}':s=48000:d={seconds},lowpass=f=5200,\
         aecho=0.8:0.62:67|131|239|397|613:0.34|0.28|0.22|0.16|0.11[music];\
         anoisesrc=c=brown:r=48000:d={seconds}:a=0.5:seed=7,highpass=f=180,lowpass=f=900,\
         tremolo=f=0.13:d=0.7,volume=0.16,aformat=channel_layouts=stereo[wind];\
         [music][wind]amix=inputs=2:normalize=0,afade=t=in:d=0.8,\
         afade=t=out:st={}:d=2,volume=1.8,alimiter=limit=0.85,\
         aformat=sample_rates=48000:channel_layouts=stereo,atrim=end={seconds}[sound]",
        seconds - 2,
    )
}

/// What one ear hears at `t`; `side` is -1 for the left and 1 for the right.
fn channel(score: &Score, side: f64) -> String {
    let mut sum = String::from("0");
    for (index, chord) in (0_u32..).zip(score.chords) {
        let from = f64::from(index) * score.chord_seconds;
        let until = from + score.chord_seconds;
        let mut notes = String::from("0");
        for (voice, semitone) in (0_u32..).zip(*chord) {
            // Two strings per note, out of tune with each other and between the ears.
            let pitch = hertz(*semitone);
            let detuned = pitch * (1.0 + side * 0.0011 + 0.0006 * f64::from(voice));
            let weight = 0.050 / (1.0 + 0.12 * f64::from(voice));
            let _ = write!(
                notes,
                "+{weight:.4}*(1+0.25*sin(t*{:.3}+{voice}))*(sin({:.4}*t)+0.6*sin({:.4}*t)+\
                 0.22*sin({:.4}*t))",
                0.7 + 0.31 * f64::from(voice),
                pitch * std::f64::consts::TAU,
                detuned * std::f64::consts::TAU,
                pitch * 2.0 * std::f64::consts::TAU,
            );
        }
        let _ = write!(
            sum,
            "+if(between(t,{from},{}),clip((t-{from})/1.4,0,1)*clip(({}-t)/1.8,0,1)*({notes}),0)",
            until + 1.8,
            until + 1.8,
        );
    }
    for (index, (at, semitone)) in (0_u32..).zip(score.melody) {
        let omega = hertz(*semitone) * std::f64::consts::TAU;
        // Each note comes from its own place between the ears.
        let place = 0.6 * (f64::from(index) * 2.4).sin();
        let weight = 0.115 * (1.0 + side * place);
        let _ = write!(
            sum,
            "+if(between(t,{at},{}),{weight:.4}*clip((t-{at})/0.004,0,1)*exp(-(t-{at})*{})\
             *(sin({omega:.3}*(t-{at}))+0.35*exp(-(t-{at})*6)*sin({:.3}*(t-{at}))),0)",
            at + 3.5,
            score.decay,
            omega * 3.93,
        );
    }
    // A heart, far away: it beats twice and rests.
    let beat = score.beat_seconds * 2.0;
    for (shift, weight) in [(0.0, 0.20), (score.beat_seconds * 0.5, 0.12)] {
        let _ = write!(
            sum,
            "+{weight}*exp(-mod(t+{shift},{beat})*11)*sin(300*mod(t+{shift},{beat})*exp(-mod(t+\
             {shift},{beat})*2.2))*clip(t/6,0,1)",
        );
    }
    sum
}
