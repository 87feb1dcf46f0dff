//! Names the program, so that an answer that another version gave is not taken for this one's.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::Path,
};

/// Everything of ours that an answer depends on, besides data and settings.
const SOURCES: [&str; 4] = ["src", "../../shared/src", "../../Cargo.lock", ".."];

fn main() -> io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        // Of the other functions only what they declare: the words and numbers of their insights.
        let declared = source == "..";
        hash(Path::new(source), declared, &mut hasher)?;
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rustc-env=CODE_VERSION={:016x}", hasher.finish());
    Ok(())
}

fn hash(path: &Path, only_declarations: bool, hasher: &mut DefaultHasher) -> io::Result<()> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| hash(entry, only_declarations, hasher));
    }
    if !only_declarations || path.extension().is_some_and(|extension| extension == "toml") {
        path.hash(hasher);
        fs::read(path)?.hash(hasher);
    }
    Ok(())
}
