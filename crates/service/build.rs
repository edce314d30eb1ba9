//! Makes sure that the folder of the web assets is there to be watched: when the web part fills it,
//! this crate is built again, and a build without it is not repeated for ever.

use std::path::Path;

fn main() {
    let folder = Path::new("../../web/player/dist");
    println!("cargo::rerun-if-changed={}", folder.display());
    if let Err(error) = std::fs::create_dir_all(folder) {
        println!("cargo::warning=no web assets: cannot make {}: {error}", folder.display());
    }
}
