//! The programs that make the films: ffmpeg from Debian, the packager from npm.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::debian;
use crate::shell::{Shell, npm, on_path};

/// Debian's names of what the films need: the program, and the faces of the titles.
const DEBIAN_PACKAGES: &[&str] = &["ffmpeg", "fonts-ebgaramond", "fonts-lato", "fonts-bebas-neue"];
pub(super) const FONT_SERIF: &str = "/usr/share/fonts/opentype/ebgaramond/EBGaramond12-Regular.otf";
pub(super) const FONT_ITALIC: &str = "/usr/share/fonts/opentype/ebgaramond/EBGaramond12-Italic.otf";
pub(super) const FONT_SANS: &str = "/usr/share/fonts/truetype/lato/Lato-Light.ttf";
pub(super) const FONT_BLACK: &str = "/usr/share/fonts/truetype/lato/Lato-Black.ttf";
pub(super) const FONT_POSTER: &str = "/usr/share/fonts/opentype/bebas-neue/BebasNeue-Bold.otf";

pub(super) struct Key {
    pub(super) label: String,
    pub(super) id: String,
    pub(super) key: String,
}

/// Installs ffmpeg and the fonts where that is allowed, and names the command where it is not.
pub(super) fn ensure_ffmpeg() -> Result<()> {
    let fonts = [FONT_SERIF, FONT_ITALIC, FONT_SANS, FONT_BLACK, FONT_POSTER];
    let ready = || on_path("ffmpeg").is_some() && fonts.iter().all(|font| Path::new(font).exists());
    if ready() {
        return Ok(());
    }
    if debian::install(DEBIAN_PACKAGES)? && ready() {
        return Ok(());
    }
    let command = debian::command(DEBIAN_PACKAGES);
    bail!("ffmpeg or one of the fonts is missing: run `{command}` (Debian)")
}

/// Installs the packager beside the build, not in `media/`, which is served to browsers.
pub(super) fn install_packager(manifest: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    for file in ["package.json", "package-lock.json"] {
        let from = manifest.join(file);
        fs::copy(&from, folder.join(file)).with_context(|| format!("copy `{}`", from.display()))?;
    }
    npm(["ci", "--no-audit", "--prefix"]).args([folder]).run()?;
    let program = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "packager-linux-x64",
        ("linux", "aarch64") => "packager-linux-arm64",
        ("macos", "x86_64") => "packager-osx-x64",
        ("macos", "aarch64") => "packager-osx-arm64",
        (os, arch) => {
            bail!("shaka-packager has no program for {os} on {arch}; use another machine")
        }
    };
    Ok(folder.join("node_modules/shaka-packager/bin").join(program))
}

pub(super) fn read_keys(path: &Path) -> Result<Vec<Key>> {
    let text = fs::read(path).with_context(|| format!("read `{}`", path.display()))?;
    let file: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("parse `{}`", path.display()))?;
    let keys = file.get("keys").and_then(serde_json::Value::as_array);
    let keys = keys.with_context(|| format!("`{}` has no list `keys`", path.display()))?;
    let read = |(index, entry): (usize, &serde_json::Value)| {
        let text = |field: &str| {
            let value = entry.get(field).and_then(serde_json::Value::as_str).map(str::to_owned);
            value.with_context(|| format!("`{}`: keys[{index}] has no `{field}`", path.display()))
        };
        Ok(Key { label: text("label")?, id: text("kid")?, key: text("key")? })
    };
    keys.iter().enumerate().map(read).collect()
}

/// Has ffmpeg make a file, unless it was made before in the very same way from the same files.
pub(super) fn make(output: &Path, args: &[&OsStr], work: &Path) -> Result<()> {
    let name = output.file_name().context("an output has a name")?;
    let mut recipe_path = work.join(name).into_os_string();
    recipe_path.push(".recipe");
    let recipe = args.join(OsStr::new("\n")).into_encoded_bytes();
    let changed_at = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    if let Ok(made_at) = changed_at(output) {
        let newer =
            |arg: &&OsStr| changed_at(Path::new(arg)).is_ok_and(|changed| changed > made_at);
        if fs::read(&recipe_path).is_ok_and(|old| old == recipe) && !args.iter().any(newer) {
            return Ok(());
        }
    }
    // Forgotten first: what a broken run leaves behind must not pass for made.
    fs::write(&recipe_path, [])?;
    let begun = std::time::Instant::now();
    Shell::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"])
        .args(args)
        .args([output])
        .run()?;
    eprintln!("media: {} in {:.1} s", name.to_string_lossy(), begun.elapsed().as_secs_f32());
    fs::write(&recipe_path, recipe)?;
    Ok(())
}
