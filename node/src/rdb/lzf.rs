//! LZF, the compression of long strings in RDB files: only unpacking, as nothing here is packed.
//!
//! Source: the format of Marc Lehmann's `liblzf`. A byte below 32 says that one more than so many
//! plain bytes follow; any other is a length (3 bits) and the high bits of a distance back.

/// Unpacks to exactly `length` bytes; `None` when that is not what the bytes say.
pub fn unpack(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = packed.iter().copied();
    while let Some(control) = bytes.next() {
        if control < 32 {
            for _ in 0..=control {
                out.push(bytes.next()?);
            }
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if count == 9 {
                count += usize::from(bytes.next()?);
            }
            let back = (usize::from(control & 0x1f) << 8 | usize::from(bytes.next()?)) + 1;
            let start = out.len().checked_sub(back)?;
            for at in start..start + count {
                out.push(out[at]);
            }
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::unpack;

    #[test]
    fn repetitions_are_copied_from_what_was_unpacked() {
        assert_eq!(unpack(b"\x02abc\x20\x02", 6).unwrap(), b"abcabc");
        assert_eq!(
            unpack(b"\x00a\xe0\x05\x00", 15).unwrap(),
            b"aaaaaaaaaaaaaaa"
        );
        assert_eq!(unpack(b"", 0).unwrap(), b"");
    }

    #[test]
    fn what_is_cut_off_or_refers_before_the_beginning_is_refused() {
        let cases: [(&[u8], usize); 5] = [
            (b"\x02ab", 3),
            (b"\x00a\x20\x01", 4),
            (b"\x00a\xe0\x05", 15),
            (b"\x02abc", 4),
            (b"\x02abc\x20\x02", 5),
        ];
        for (packed, length) in cases {
            assert_eq!(unpack(packed, length), None, "{packed:?}");
        }
    }
}
