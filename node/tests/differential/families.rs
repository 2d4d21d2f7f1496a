//! Families of commands, each with its templates and words. A sequence of requests has one as its
//! theme, so that its commands meet on the same keys.

pub mod hashes;
pub mod lists;
pub mod scripts;
pub mod sets;
pub mod sort;
pub mod sorted;
pub mod streams;

/// Templates as in `generate`, and what their placeholders beside the common ones stand for.
pub struct Family {
    pub templates: &'static [&'static str],
    pub words: &'static [(&'static str, &'static [&'static str])],
}

pub const FAMILIES: &[&Family] = &[
    &lists::FAMILY,
    &sort::FAMILY,
    &sorted::FAMILY,
    &hashes::FAMILY,
    &sets::FAMILY,
    &streams::FAMILY,
    &scripts::FAMILY,
];

/// Placeholders whose words are one argument each, even with a space or with any byte in them.
pub const WHOLE: &[&str] = &["e", "zm", "zs", "zr", "zl", "lon", "lat", "dollar"];

/// The words of a family's placeholder.
pub fn words_of(placeholder: &str) -> Option<&'static [&'static str]> {
    let mut all = FAMILIES.iter().flat_map(|family| family.words);
    all.find(|(name, _)| *name == placeholder)
        .map(|(_, words)| *words)
}
