//! `cargo xtask media`: draws, scores, encrypts and packages the sample films and their artwork.
//!
//! Everything comes from expressions; no footage, no samples. What is made lies in `media/` and is
//! committed, so only who changes a film needs ffmpeg. It does not know the catalogue.

mod art;
mod drawing;
mod expression;
mod film;
mod sound;
mod tools;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use drawing::Still;
use film::{FRAMES_PER_SECOND, Scene};
use tools::{Key, make};

use crate::shell::{Shell, root, say, target};

/// All of `media/` together: it is cloned by everybody who looks at the project.
const MEDIA_BYTES_MAX: u64 = 4_000_000;
const SEGMENT_SECONDS: u32 = 4;

struct Film {
    name: &'static str,
    scenes: Vec<Scene>,
    /// How long one scene dissolves into the next.
    dissolve_seconds: f64,
    /// Filters that write the titles over the picture.
    titles: String,
    score: sound::Score,
    video_bits_per_second: u32,
}

pub(crate) fn run() -> Result<()> {
    let (media, work) = (root().join("media"), target().join("media"));
    tools::ensure_ffmpeg()?;
    fs::create_dir_all(&work).with_context(|| format!("create `{}`", work.display()))?;
    say("media: the packager");
    let packager = tools::install_packager(&media.join("packager"), &work.join("packager"))?;
    let keys = tools::read_keys(&root().join("demo/content-keys.json"))?;
    for film in films() {
        say(&format!("media: {}", film.name));
        let clear = shoot(&film, &work)?;
        package(&film, &clear, &packager, &keys, &media.join(film.name))?;
    }
    say("media: artwork");
    paint(&work, &media.join("art"))?;
    let bytes = bytes_below(&media)?;
    eprintln!("media: {bytes} bytes in all");
    ensure!(
        bytes < MEDIA_BYTES_MAX,
        "`media/` has {bytes} bytes, {MEDIA_BYTES_MAX} are the limit: lower `video_bits_per_second`"
    );
    Ok(())
}

fn films() -> [Film; 2] {
    [
        Film {
            name: "the-lantern-keeper",
            scenes: vec![film::lake(), film::aurora(), film::dawn()],
            dissolve_seconds: 1.5,
            titles: film::titles("THE LANTERN KEEPER", "a film drawn with sines and noise", 30.0),
            score: sound::LANTERN_KEEPER,
            video_bits_per_second: 400_000,
        },
        Film {
            name: "ember-tide",
            scenes: vec![film::sea(), film::ember()],
            dissolve_seconds: 1.0,
            titles: film::titles("EMBER TIDE", "a film drawn with sines and noise", 20.0),
            score: sound::EMBER_TIDE,
            video_bits_per_second: 400_000,
        },
    ]
}

/// Draws, cuts and encodes a film; the answer is where its clear copy lies.
fn shoot(film: &Film, work: &Path) -> Result<PathBuf> {
    let mut scenes = Vec::new();
    for scene in &film.scenes {
        let layers = draw_all(&scene.layers, work)?;
        let shot = work.join(format!("{}.mkv", scene.name));
        let seconds = scene.seconds.to_string();
        let mut args: Vec<&OsStr> = Vec::new();
        let rate = FRAMES_PER_SECOND.to_string();
        for layer in &layers {
            args.extend(["-loop", "1", "-framerate", &rate, "-i"].map(OsStr::new));
            args.push(layer.as_os_str());
        }
        args.extend(
            ["-filter_complex", &scene.graph, "-map", "[out]", "-t", &seconds].map(OsStr::new),
        );
        // Nearly lossless, for it is encoded once more.
        args.extend(["-c:v", "libx264", "-preset", "ultrafast", "-qp", "6"].map(OsStr::new));
        make(&shot, &args, work)?;
        scenes.push(shot);
    }
    let cut = cut(film);
    let log = work.join(format!("{}-pass", film.name));
    let clear = work.join(format!("{}.mp4", film.name));
    let null = work.join(format!("{}-first-pass.mp4", film.name));
    for (pass, output) in [("1", &null), ("2", &clear)] {
        let rate = film.video_bits_per_second.to_string();
        let keyframes = SEGMENT_SECONDS * FRAMES_PER_SECOND;
        let options = format!("keyint={keyframes}:min-keyint={keyframes}:scenecut=0:aq-mode=3");
        let mut args: Vec<&OsStr> = Vec::new();
        for scene in &scenes {
            args.extend([OsStr::new("-i"), scene.as_os_str()]);
        }
        args.extend(
            ["-filter_complex", &cut, "-map", "[picture]", "-map", "[sound]"].map(OsStr::new),
        );
        args.extend(["-c:v", "libx264", "-preset", "slower", "-profile:v", "main"].map(OsStr::new));
        args.extend(["-b:v", &rate, "-x264-params", &options, "-pass", pass].map(OsStr::new));
        args.extend([OsStr::new("-passlogfile"), log.as_os_str()]);
        args.extend(["-c:a", "aac", "-b:a", "80k"].map(OsStr::new));
        make(output, &args, work)?;
    }
    Ok(clear)
}

/// The graph that dissolves scene into scene, lays the titles over them and plays the score.
fn cut(film: &Film) -> String {
    let mut graph = String::new();
    let mut last = "0:v".to_owned();
    let mut end = 0.0;
    for (index, scene) in film.scenes.iter().enumerate() {
        if index > 0 {
            let (dissolve, offset) = (film.dissolve_seconds, end - film.dissolve_seconds);
            graph += &format!(
                "[{last}][{index}:v]xfade=transition=fade:duration={dissolve}:\
                 offset={offset}[cut{index}];"
            );
            last = format!("cut{index}");
            end = offset;
        }
        end += f64::from(scene.seconds);
    }
    graph += &format!("[{last}]{},format=yuv420p[picture];", film.titles);
    graph + &sound::graph(&film.score)
}

/// DASH and HLS over the same encrypted segments, one key for the picture and one for the sound.
fn package(film: &Film, clear: &Path, packager: &Path, keys: &[Key], folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?; // a shorter film would leave old segments behind
    }
    fs::create_dir_all(folder)?;
    let file = |name: &str| folder.join(name).display().to_string();
    let mut streams = Vec::new();
    let mut raw_keys = Vec::new();
    for track in ["video", "audio"] {
        let label = format!("{}/{track}", film.name);
        let key = keys.iter().find(|key| key.label == label);
        let Some(Key { id, key, .. }) = key else {
            bail!("`demo/content-keys.json` has no key labelled `{label}`; add one");
        };
        raw_keys.push(format!("label={track}:key_id={id}:key={key}"));
        // Playlists are named relative to the master.
        streams.push(format!(
            "in={},stream={track},drm_label={track},playlist_name={track}.m3u8,\
             init_segment={},segment_template={}",
            clear.display(),
            file(&format!("{track}-init.mp4")),
            file(&format!("{track}-$Number$.m4s")),
        ));
    }
    Shell::new(packager)
        .args(["--quiet"])
        .args(streams)
        .args(["--enable_raw_key_encryption", "--keys", &raw_keys.join(",")])
        .args(["--protection_systems", "Common", "--protection_scheme", "cenc"])
        .args(["--clear_lead", "0", "--segment_duration", &SEGMENT_SECONDS.to_string()])
        // Without this, segments by number mean a live broadcast.
        .args(["--generate_static_live_mpd", "--mpd_output", &file("manifest.mpd")])
        .args(["--hls_master_playlist_output", &file("master.m3u8")])
        .run()
}

/// Posters and backdrops of the demo catalogue.
fn paint(work: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for artwork in art::artworks() {
        let (inputs, seek) = match &artwork.source {
            art::Source::Frame { scene, second } => {
                (vec![work.join(format!("{scene}.mkv"))], *second)
            }
            art::Source::Layers(layers) => (draw_all(layers, work)?, "0"),
        };
        for (role, graph) in [("poster", artwork.poster()), ("backdrop", artwork.backdrop())] {
            let mut args: Vec<&OsStr> = Vec::new();
            for input in &inputs {
                args.extend([
                    OsStr::new("-ss"),
                    OsStr::new(seek),
                    OsStr::new("-i"),
                    input.as_os_str(),
                ]);
            }
            args.extend(["-filter_complex", &graph, "-map", "[out]"].map(OsStr::new));
            args.extend(["-frames:v", "1", "-c:v", "libwebp", "-quality", "74"].map(OsStr::new));
            make(&folder.join(format!("{}-{role}.webp", artwork.name)), &args, work)?;
        }
    }
    Ok(())
}

fn draw_all(stills: &[Still], work: &Path) -> Result<Vec<PathBuf>> {
    let mut drawn = Vec::new();
    for still in stills {
        let Still { name, width, height, channels: [red, green, blue, coverage] } = still;
        let source = format!(
            "color=black:s={width}x{height}:r=1:d=1,format=gbrap,\
             geq=r='{red}':g='{green}':b='{blue}':a='{coverage}'"
        );
        let path = work.join(format!("{name}.png"));
        let args = ["-f", "lavfi", "-i", &source, "-frames:v", "1", "-pix_fmt", "rgba"];
        make(&path, &args.map(OsStr::new), work)?;
        drawn.push(path);
    }
    Ok(drawn)
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
