//! The scripts that are known, by their text and by its SHA-1.

use super::number;
use sha1::{Digest, Sha1};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// Scripts that came by `EVAL` and are kept at most; those of `SCRIPT LOAD` are not counted.
/// Clients that make a script of every request would fill the memory otherwise.
const EVALUATED_MAX: usize = 500;

/// The SHA-1 of a script in hexadecimal digits.
pub type Sha = [u8; 40];

#[derive(Debug)]
pub struct Script {
    /// By which the machine knows it.
    pub id: u64,
    pub sha: Sha,
    pub flags: Option<u32>,
    pub text: Rc<[u8]>,
    /// Came by `SCRIPT LOAD`.
    stays: Cell<bool>,
    used: Cell<u64>,
}

impl Script {
    pub fn sha_text(&self) -> &str {
        std::str::from_utf8(&self.sha).unwrap_or_default()
    }
}

#[derive(Debug)]
pub struct Cache {
    by_text: HashMap<Rc<[u8]>, Rc<Script>, ahash::RandomState>,
    by_sha: HashMap<Sha, Rc<Script>, ahash::RandomState>,
    evaluated: usize,
    ids: u64,
    uses: u64,
}

impl Default for Cache {
    fn default() -> Self {
        let hasher = ahash::RandomState::with_seed(0);
        Self {
            by_text: HashMap::with_hasher(hasher.clone()),
            by_sha: HashMap::with_hasher(hasher),
            evaluated: 0,
            ids: 0,
            uses: 0,
        }
    }
}

impl Cache {
    pub fn len(&self) -> usize {
        self.by_sha.len()
    }

    /// Bytes of the texts of all scripts.
    pub fn text_bytes(&self) -> u64 {
        self.by_sha
            .values()
            .map(|script| script.text.len() as u64)
            .sum()
    }

    pub fn is_empty(&self) -> bool {
        self.by_sha.is_empty()
    }

    pub fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub fn of_text(&mut self, text: &[u8]) -> Option<Rc<Script>> {
        let script = Rc::clone(self.by_text.get(text)?);
        self.note_use(&script);
        Some(script)
    }

    /// The script of a hash in any case.
    pub fn of_sha(&mut self, sha: &[u8]) -> Option<Rc<Script>> {
        let mut lower: Sha = sha.try_into().ok()?;
        lower.make_ascii_lowercase();
        let script = Rc::clone(self.by_sha.get(&lower)?);
        self.note_use(&script);
        Some(script)
    }

    /// The flags that the script of a hash declares.
    pub fn flags_of_sha(&self, sha: &[u8]) -> Option<u32> {
        let mut lower: Sha = sha.try_into().ok()?;
        lower.make_ascii_lowercase();
        self.by_sha.get(&lower)?.flags
    }

    fn note_use(&mut self, script: &Script) {
        self.uses += 1;
        script.used.set(self.uses);
    }

    /// The script is not evicted from now on.
    pub fn keep(&mut self, script: &Script) {
        if !script.stays.replace(true) {
            self.evaluated -= 1;
        }
    }

    /// Adds a script; also gives the id of the one that had to go for it.
    pub fn insert(
        &mut self,
        id: u64,
        text: &[u8],
        flags: Option<u32>,
        stays: bool,
    ) -> (Rc<Script>, Option<u64>) {
        let evicted = (!stays && self.evaluated >= EVALUATED_MAX)
            .then(|| self.evict())
            .flatten();
        let script = Rc::new(Script {
            id,
            sha: sha1_hex(text),
            flags,
            text: text.into(),
            stays: Cell::new(stays),
            used: Cell::new(0),
        });
        self.note_use(&script);
        self.evaluated += usize::from(!stays);
        self.by_text
            .insert(Rc::clone(&script.text), Rc::clone(&script));
        self.by_sha.insert(script.sha, Rc::clone(&script));
        (script, evicted)
    }

    fn evict(&mut self) -> Option<u64> {
        let evaluated = self.by_sha.values().filter(|script| !script.stays.get());
        let oldest = Rc::clone(evaluated.min_by_key(|script| script.used.get())?);
        self.by_sha.remove(&oldest.sha);
        self.by_text.remove(&oldest.text);
        self.evaluated -= 1;
        Some(oldest.id)
    }
}

/// The SHA-1 in lower case hexadecimal digits.
pub fn sha1_hex(bytes: &[u8]) -> Sha {
    let mut hex = [0; 40];
    for (index, byte) in Sha1::digest(bytes).iter().enumerate() {
        hex[2 * index] = number::HEX[usize::from(byte >> 4)];
        hex[2 * index + 1] = number::HEX[usize::from(byte & 15)];
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_sha_1() {
        assert_eq!(
            &sha1_hex(b"return 1"),
            b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
        );
    }

    #[test]
    fn evaluated_scripts_are_bounded_and_loaded_ones_stay() {
        let mut cache = Cache::default();
        let id = cache.next_id();
        let (loaded, _) = cache.insert(id, b"loaded", None, true);
        for number in 0..2 * EVALUATED_MAX {
            let id = cache.next_id();
            let text = format!("return {number}");
            cache.insert(id, text.as_bytes(), None, false);
            // The first one is used again and again.
            assert!(cache.of_text(b"return 0").is_some(), "after {number}");
        }
        assert_eq!(cache.len(), EVALUATED_MAX + 1);
        assert!(cache.of_sha(&loaded.sha).is_some());
        assert!(cache.of_text(b"return 1").is_none());
    }
}
