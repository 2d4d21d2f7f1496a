//! One allocation for a key, its value and what is kept beside them.
//!
//! A key of 16 bytes with a value of 64 takes 88 bytes here, and one cache miss to read; as a
//! struct with a `Vec` for either it took 160 bytes and three misses. That is what the `unsafe` in
//! this file pays for: a block whose size depends on what is in it, behind a pointer of one word
//! whose upper 16 bits are free for a piece of the key's hash.
//!
//! The layout of a block, which is aligned to 8 bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | [`Header`] |
//! | 8 | the expiry, if `EXPIRES` |
//! | 8 or 24 | an integer, or a [`Value`], if the kind says so |
//! | 4 | the length of the key, if `LONG_KEY` |
//! | | the key |
//! | | the bytes of a short string, if the kind says so |
//!
//! Why it is sound: a block is reached through exactly one [`Entry`] or [`Tagged`], which own it
//! and lend it by Rust's rules; header and lengths are written together, by `build` and the setters
//! below, and every access is computed from them by `Shape`; a `Value` is aligned, because
//! everything before it is a multiple of 8 bytes, and is moved out only together with the end of
//! its block. Addresses have 48 bits on the platforms Rust serves without asking for more, which
//! `Tagged::new` checks.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // Blocks are aligned to 8 bytes; see above.

use super::Value;
use crate::prefetch::prefetch;
use crate::slabs;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, size_of};
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Header {
    access: u32,
    flags: u8,
    /// Of a key without `LONG_KEY`.
    key_bytes: u8,
    /// Of a short string.
    inline_bytes: u16,
}

const EXPIRES: u8 = 1;
const LONG_KEY: u8 = 1 << 1;
const INTEGER: u8 = 1 << 2;
const VALUE: u8 = 1 << 3;

const HEADER_BYTES: usize = size_of::<Header>();
const VALUE_BYTES: usize = size_of::<Value>();

const _: () = assert!(align_of::<Value>() == 8 && VALUE_BYTES.is_multiple_of(8));

/// Longest string that lies in the block of its key; longer ones have their own allocation, which
/// can grow.
pub const INLINE_BYTES_MAX: usize = 1024;

/// So much of a block is asked for ahead: with a short key and string that is all.
const PREFETCH_BYTES: usize = 88;

/// Bytes that an address may use.
const ADDRESS_BITS: u32 = 48;

/// What a block holds beside the key.
pub enum Content<'a> {
    Inline(&'a [u8]),
    Integer(i64),
    Value(Value),
}

/// What a block holds, for readers.
pub enum Held<'a> {
    Inline(&'a [u8]),
    Integer(i64),
    Value(&'a Value),
}

/// Where things are in a block; follows from the header and the length of a long key.
#[derive(Clone, Copy)]
struct Shape {
    flags: u8,
    key_bytes: usize,
    inline_bytes: usize,
}

impl Shape {
    fn value_at(self) -> usize {
        HEADER_BYTES + if self.flags & EXPIRES != 0 { 8 } else { 0 }
    }

    fn long_at(self) -> usize {
        let value = match self.flags & (INTEGER | VALUE) {
            0 => 0,
            INTEGER => 8,
            _ => VALUE_BYTES,
        };
        self.value_at() + value
    }

    fn key_at(self) -> usize {
        self.long_at() + if self.flags & LONG_KEY != 0 { 4 } else { 0 }
    }

    fn inline_at(self) -> usize {
        self.key_at() + self.key_bytes
    }

    /// Bytes to be allocated: rounded up, so that a value can often be replaced in place by one
    /// that is a little longer or shorter.
    fn allocated(self) -> usize {
        slabs::rounded(self.inline_at() + self.inline_bytes)
    }
}

/// An owned block.
pub struct Entry {
    block: NonNull<Header>,
}

/// A block that somebody else owns.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    block: NonNull<Header>,
    lender: PhantomData<&'a Entry>,
}

impl<'a> EntryRef<'a> {
    fn header(self) -> Header {
        // SAFETY: a block begins with its header.
        unsafe { self.block.read() }
    }

    fn shape(self) -> Shape {
        let header = self.header();
        let mut shape = Shape {
            flags: header.flags,
            key_bytes: usize::from(header.key_bytes),
            inline_bytes: usize::from(header.inline_bytes),
        };
        if header.flags & LONG_KEY != 0 {
            // SAFETY: with this flag four bytes for the length lie there.
            let bytes = unsafe { self.at(shape.long_at()).cast::<u32>().read_unaligned() };
            shape.key_bytes = bytes as usize;
        }
        shape
    }

    fn at(self, offset: usize) -> NonNull<u8> {
        // SAFETY: offsets come from the block's shape, which lies within its allocation.
        unsafe { self.block.cast::<u8>().add(offset) }
    }

    fn bytes(self, offset: usize, length: usize) -> &'a [u8] {
        // SAFETY: as above; the bytes were written when the block was built, and cannot change
        // while it is lent.
        unsafe { std::slice::from_raw_parts(self.at(offset).as_ptr(), length) }
    }

    pub fn key(self) -> &'a [u8] {
        let shape = self.shape();
        self.bytes(shape.key_at(), shape.key_bytes)
    }

    pub fn held(self) -> Held<'a> {
        let shape = self.shape();
        match shape.flags & (INTEGER | VALUE) {
            0 => Held::Inline(self.bytes(shape.inline_at(), shape.inline_bytes)),
            // SAFETY: the flag says that an integer lies there.
            INTEGER => Held::Integer(unsafe { self.at(shape.value_at()).cast::<i64>().read() }),
            // SAFETY: the flag says that a value lies there, lent as long as the block.
            _ => Held::Value(unsafe { self.at(shape.value_at()).cast::<Value>().as_ref() }),
        }
    }

    pub fn access(self) -> u32 {
        self.header().access
    }

    pub fn expires_at_ms(self) -> Option<u64> {
        let expires = self.header().flags & EXPIRES != 0;
        // SAFETY: with this flag the expiry follows the header.
        expires.then(|| unsafe { self.at(HEADER_BYTES).cast::<u64>().read() })
    }

    /// Bytes of the allocation.
    pub fn block_bytes(self) -> usize {
        self.shape().allocated()
    }
}

impl Entry {
    pub fn new(key: &[u8], content: Content, expires_at_ms: Option<u64>, access: u32) -> Self {
        let long = key.len() > usize::from(u8::MAX);
        let (kind, inline): (u8, &[u8]) = match &content {
            Content::Inline(bytes) => (0, &bytes[..bytes.len().min(INLINE_BYTES_MAX)]),
            Content::Integer(_) => (INTEGER, &[]),
            Content::Value(_) => (VALUE, &[]),
        };
        let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
        let shape = Shape {
            flags: kind | flag(long, LONG_KEY) | flag(expires_at_ms.is_some(), EXPIRES),
            key_bytes: key.len(),
            inline_bytes: inline.len(),
        };
        let header = Header {
            access,
            flags: shape.flags,
            key_bytes: if long { 0 } else { key.len() as u8 },
            inline_bytes: inline.len() as u16,
        };
        let block = slabs::allocate(shape.allocated()).cast::<Header>();
        let entry = Self { block };
        let place = |offset: usize| entry.as_ref().at(offset).as_ptr();
        // SAFETY: everything is written where the shape says, within the allocation; 8-byte values
        // at multiples of 8; source and destination do not overlap, the block is new.
        unsafe {
            block.write(header);
            if let Some(at) = expires_at_ms {
                place(HEADER_BYTES).cast::<u64>().write(at);
            }
            match content {
                Content::Inline(_) => {}
                Content::Integer(number) => place(shape.value_at()).cast::<i64>().write(number),
                Content::Value(value) => place(shape.value_at()).cast::<Value>().write(value),
            }
            if long {
                let length = place(shape.long_at()).cast::<u32>();
                length.write_unaligned(key.len() as u32);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), place(shape.key_at()), key.len());
            ptr::copy_nonoverlapping(inline.as_ptr(), place(shape.inline_at()), inline.len());
        }
        entry
    }

    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef {
            block: self.block,
            lender: PhantomData,
        }
    }

    pub fn set_access(&mut self, access: u32) {
        // SAFETY: the block begins with its header, and is borrowed mutably.
        unsafe { self.block.as_mut().access = access }
    }

    /// The value, to be changed in place, if that is what the block holds.
    pub fn value_mut(&mut self) -> Option<&mut Value> {
        let shape = self.as_ref().shape();
        // SAFETY: the flag says that a value lies there; the block is borrowed mutably.
        (shape.flags & VALUE != 0)
            .then(|| unsafe { self.as_ref().at(shape.value_at()).cast::<Value>().as_mut() })
    }

    /// Replaces what is held by a short string, in place where it fits.
    pub fn set_inline(&mut self, bytes: &[u8]) {
        let shape = self.as_ref().shape();
        let wanted = Shape {
            inline_bytes: bytes.len(),
            ..shape
        };
        let in_place = shape.flags & (INTEGER | VALUE) == 0
            && bytes.len() <= INLINE_BYTES_MAX
            && wanted.allocated() == shape.allocated();
        if !in_place {
            return self.replace(Content::Inline(bytes), self.as_ref().expires_at_ms());
        }
        let place = self.as_ref().at(shape.inline_at()).as_ptr();
        // SAFETY: the string ends within the allocation, whose size is that of the wanted shape;
        // `bytes` is borrowed from elsewhere, for this block is borrowed mutably.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            self.block.as_mut().inline_bytes = bytes.len() as u16;
        }
    }

    pub fn set_integer(&mut self, number: i64) {
        let shape = self.as_ref().shape();
        if shape.flags & (INTEGER | VALUE) != INTEGER {
            return self.replace(Content::Integer(number), self.as_ref().expires_at_ms());
        }
        // SAFETY: the flag says that an integer lies there.
        unsafe {
            let place = self.as_ref().at(shape.value_at()).cast::<i64>();
            place.write(number);
        }
    }

    pub fn set_value(&mut self, value: Value) {
        if let Some(place) = self.value_mut() {
            *place = value;
        } else {
            self.replace(Content::Value(value), self.as_ref().expires_at_ms());
        }
    }

    pub fn set_expires_at_ms(&mut self, expires_at_ms: Option<u64>) {
        let expires = self.as_ref().header().flags & EXPIRES != 0;
        match (expires, expires_at_ms) {
            (false, None) => {}
            // SAFETY: with the flag the expiry follows the header.
            (true, Some(at)) => unsafe {
                let place = self.as_ref().at(HEADER_BYTES).cast::<u64>();
                place.write(at);
            },
            (true, None) | (false, Some(_)) => self.rebuild(expires_at_ms),
        }
    }

    /// Another block for other content; the old content is dropped.
    fn replace(&mut self, content: Content, expires_at_ms: Option<u64>) {
        let view = self.as_ref();
        let new = Self::new(view.key(), content, expires_at_ms, view.access());
        *self = new;
    }

    /// Another block for the same content.
    fn rebuild(&mut self, expires_at_ms: Option<u64>) {
        let view = self.as_ref();
        let shape = view.shape();
        let content = match view.held() {
            Held::Inline(bytes) => Content::Inline(bytes),
            Held::Integer(number) => Content::Integer(number),
            // SAFETY: the value is moved out; the old block ends below without dropping it.
            Held::Value(value) => Content::Value(unsafe { ptr::read(value) }),
        };
        let new = Self::new(view.key(), content, expires_at_ms, view.access());
        let old = ManuallyDrop::new(std::mem::replace(self, new));
        // SAFETY: the block was allocated for this shape, and nobody has it any more.
        unsafe { slabs::free(old.block.cast(), shape.allocated()) }
    }

    /// Moves the block, and the bytes of a small value, when their memory is mostly unused; whether
    /// that was so.
    fn compact(&mut self) -> bool {
        let bytes = self.as_ref().block_bytes();
        // SAFETY: the block is this one's, and as large.
        let sparse = unsafe { slabs::is_sparse(self.block.cast(), bytes) };
        if sparse {
            self.rebuild(self.as_ref().expires_at_ms());
        }
        sparse | self.value_mut().is_some_and(Value::compact)
    }

    /// Takes the value out; `Err` gives the entry back when it holds none.
    pub(super) fn take(self) -> Result<Value, Self> {
        let view = self.as_ref();
        let Held::Value(value) = view.held() else {
            return Err(self);
        };
        let bytes = view.block_bytes();
        // SAFETY: the value is moved out, and the block ends without dropping it.
        let value = unsafe { ptr::read(value) };
        let old = ManuallyDrop::new(self);
        // SAFETY: allocated for so many bytes, and nobody has it any more.
        unsafe { slabs::free(old.block.cast(), bytes) };
        Ok(value)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let bytes = self.as_ref().block_bytes();
        if let Some(value) = self.value_mut() {
            // SAFETY: the block ends, so nobody sees the value again.
            unsafe { ptr::drop_in_place(value) }
        }
        // SAFETY: allocated for so many bytes by `new`.
        unsafe { slabs::free(self.block.cast(), bytes) }
    }
}

/// An entry in one word with 16 bits of the hash of its key. As an entry, it stays on its thread.
pub struct Tagged(NonZeroU64, PhantomData<Entry>);

impl Tagged {
    pub fn new(entry: Entry, tag: u16) -> Self {
        let entry = ManuallyDrop::new(entry);
        let address = entry.block.as_ptr().expose_provenance() as u64;
        assert!(
            address >> ADDRESS_BITS == 0,
            "an address of more than 48 bits"
        );
        // An address is never zero, so neither is the word.
        let word = NonZeroU64::new(address | u64::from(tag) << ADDRESS_BITS);
        Self(word.unwrap_or(NonZeroU64::MAX), PhantomData)
    }

    pub fn tag(&self) -> u16 {
        (self.0.get() >> ADDRESS_BITS) as u16
    }

    fn block(&self) -> NonNull<Header> {
        let address = self.0.get() & ((1 << ADDRESS_BITS) - 1);
        let block = ptr::with_exposed_provenance_mut::<Header>(address as usize);
        // SAFETY: the word was made of the address of a block, which is not zero.
        unsafe { NonNull::new_unchecked(block) }
    }

    pub fn get(&self) -> EntryRef<'_> {
        EntryRef {
            block: self.block(),
            lender: PhantomData,
        }
    }

    /// Changes the entry, whose block may become another one.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut Entry) -> R) -> R {
        /// Keeps the word right even if `change` panics.
        struct Open<'a>(&'a mut Tagged, ManuallyDrop<Entry>);

        impl Drop for Open<'_> {
            fn drop(&mut self) {
                let tag = self.0.tag();
                // SAFETY: the entry is taken once, here, and `self` ends.
                let entry = unsafe { ManuallyDrop::take(&mut self.1) };
                let word = ManuallyDrop::new(Tagged::new(entry, tag));
                self.0.0 = word.0;
            }
        }

        let entry = ManuallyDrop::new(Entry {
            block: self.block(),
        });
        let mut open = Open(self, entry);
        change(&mut open.1)
    }

    /// Moves the entry when its memory is mostly unused; whether that was so.
    pub fn compact(&mut self) -> bool {
        self.update(Entry::compact)
    }

    pub fn into_entry(self) -> Entry {
        let word = ManuallyDrop::new(self);
        Entry {
            block: word.block(),
        }
    }

    pub fn set_access(&mut self, access: u32) {
        // SAFETY: the block begins with its header, and its owner is borrowed mutably.
        unsafe { self.block().as_mut().access = access }
    }

    /// Asks the processor to fetch the block, which will be read soon.
    pub fn prefetch(&self) {
        prefetch(self.block().as_ptr().cast(), PREFETCH_BYTES);
    }
}

impl Drop for Tagged {
    fn drop(&mut self) {
        drop(Entry {
            block: self.block(),
        });
    }
}
