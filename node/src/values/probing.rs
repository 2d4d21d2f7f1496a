//! Hash tables whose places hold words with 16 bits of the hash: linear probing with Robin Hood
//! displacement.
//!
//! Nothing but a look-up's last step touches what a word stands for: probing, growing and removing
//! compare the bits in the words. The bits also say where a word would best be, so that words are
//! put into another table without their keys.
//!
//! Source: Celis, Robin Hood Hashing (1986); removal by shifting back.

/// What a place holds.
pub trait Word {
    /// The 16 bits of the hash.
    fn tag(&self) -> u16;
}

/// Where a word with this tag would best be, of so many places.
pub fn home(places: usize, tag: u16) -> usize {
    (usize::from(tag) * places) >> u16::BITS
}

/// How far a word at `place` is from where it would best be.
fn distance(places: usize, place: usize, tag: u16) -> usize {
    let home = home(places, tag);
    if place >= home {
        place - home
    } else {
        place + places - home
    }
}

fn next(places: usize, place: usize) -> usize {
    if place + 1 == places { 0 } else { place + 1 }
}

/// The place of the word with this tag for which `is_it` holds.
#[inline]
pub fn position<W: Word>(
    places: &[Option<W>],
    tag: u16,
    mut is_it: impl FnMut(&W) -> bool,
) -> Option<usize> {
    if places.is_empty() {
        return None;
    }
    let mut place = home(places.len(), tag);
    let mut passed = 0;
    while let Some(word) = &places[place] {
        if word.tag() == tag {
            if is_it(word) {
                return Some(place);
            }
        } else if distance(places.len(), place, word.tag()) < passed {
            return None;
        }
        place = next(places.len(), place);
        passed += 1;
    }
    None
}

/// Puts a word into a table that has a free place.
pub fn place<W: Word>(places: &mut [Option<W>], mut word: W) {
    let count = places.len();
    let mut place = home(count, word.tag());
    let mut passed = 0;
    loop {
        let Some(there) = &mut places[place] else {
            places[place] = Some(word);
            return;
        };
        // The richer one, which is nearer to its home, makes room.
        let theirs = distance(count, place, there.tag());
        if theirs < passed {
            std::mem::swap(there, &mut word);
            passed = theirs;
        }
        place = next(count, place);
        passed += 1;
    }
}

/// Takes the word at a place out.
pub fn take<W: Word>(places: &mut [Option<W>], place: usize) -> Option<W> {
    let removed = places[place].take()?;
    let count = places.len();
    let mut free = place;
    loop {
        let follower = next(count, free);
        let moves = places[follower]
            .as_ref()
            .is_some_and(|word| distance(count, follower, word.tag()) > 0);
        if !moves {
            return Some(removed);
        }
        places.swap(free, follower);
        free = follower;
    }
}

/// Most words in a table of so many places: fifteen sixteenths of them, and one place is free, so
/// that a search ends.
pub fn most_words(places: usize) -> usize {
    (places * 15 / 16).min(places.saturating_sub(1))
}

/// The next larger number of places: four steps from one power of two to the next, as allocators
/// have them.
pub fn larger(places: usize) -> usize {
    match places {
        0 => 4,
        _ => places + (1 << places.ilog2() >> 2).max(4),
    }
}

/// Places enough for so many words.
pub fn places_for(words: usize) -> usize {
    let mut places = 0;
    while words > most_words(places) {
        places = larger(places);
    }
    places
}
