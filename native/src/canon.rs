//! Whether bytes are canonical MessagePack, as `consensus/codec.py` defines it.
//!
//! One pass that allocates nothing: shortest headers, no floats, no extension types, text in
//! UTF-8, map keys text and strictly ascending, depth bounded, no trailing bytes.

const DEPTH_MAX: usize = 16;

/// Return whether `raw` is the canonical encoding of one value.
pub fn is_canonical(raw: &[u8]) -> bool {
    let mut rest = raw;
    value(&mut rest, 0).is_some() && rest.is_empty()
}

/// Take one value; None when it is not canonical.
pub fn skip(rest: &mut &[u8]) -> Option<()> {
    value(rest, 0)
}

/// What stands at the head of a value.
pub enum Head {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Text(usize),
    Bytes(usize),
    Array(usize),
    Map(usize),
}

/// Take one head; None when it is none of ours or not the shortest.
pub fn head(rest: &mut &[u8]) -> Option<Head> {
    let first = *rest.split_off_first()?;
    Some(match first {
        0x00..=0x7f => Head::Unsigned(first.into()),
        0x80..=0x8f => Head::Map((first & 15).into()),
        0x90..=0x9f => Head::Array((first & 15).into()),
        0xa0..=0xbf => Head::Text((first & 31).into()),
        0xc0 => Head::Nil,
        0xc2 | 0xc3 => Head::Bool(first == 0xc3),
        0xc4 => Head::Bytes(length(rest, 1, 0)?),
        0xc5 => Head::Bytes(length(rest, 2, 0x100)?),
        0xc6 => Head::Bytes(length(rest, 4, 0x1_0000)?),
        0xcc => Head::Unsigned(number(rest, 1, 0x80)?),
        0xcd => Head::Unsigned(number(rest, 2, 0x100)?),
        0xce => Head::Unsigned(number(rest, 4, 0x1_0000)?),
        0xcf => Head::Unsigned(number(rest, 8, 0x1_0000_0000)?),
        0xd0 => Head::Negative(negative(rest, 1, -32)?),
        0xd1 => Head::Negative(negative(rest, 2, i8::MIN.into())?),
        0xd2 => Head::Negative(negative(rest, 4, i16::MIN.into())?),
        0xd3 => Head::Negative(negative(rest, 8, i32::MIN.into())?),
        0xd9 => Head::Text(length(rest, 1, 32)?),
        0xda => Head::Text(length(rest, 2, 0x100)?),
        0xdb => Head::Text(length(rest, 4, 0x1_0000)?),
        0xdc => Head::Array(length(rest, 2, 16)?),
        0xdd => Head::Array(length(rest, 4, 0x1_0000)?),
        0xde => Head::Map(length(rest, 2, 16)?),
        0xdf => Head::Map(length(rest, 4, 0x1_0000)?),
        0xe0..=0xff => Head::Negative((first as i8).into()),
        _ => return None, // floats, extension types, and 0xc1, which is nothing
    })
}

/// Take `count` bytes.
pub fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    rest.split_off(..count)
}

/// Take a big-endian number of `width` bytes; None below `least`, where a shorter form exists.
fn number(rest: &mut &[u8], width: usize, least: u64) -> Option<u64> {
    let bytes = take(rest, width)?;
    let found = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (found >= least).then_some(found)
}

fn length(rest: &mut &[u8], width: usize, least: u64) -> Option<usize> {
    number(rest, width, least).map(|found| found as usize)
}

/// Take a signed number of `width` bytes; None unless it is below `above`.
fn negative(rest: &mut &[u8], width: usize, above: i64) -> Option<i64> {
    let shift = 64 - 8 * width as u32;
    let found = ((number(rest, width, 0)? << shift) as i64) >> shift;
    (found < above).then_some(found)
}

fn value(rest: &mut &[u8], depth: usize) -> Option<()> {
    match head(rest)? {
        Head::Nil | Head::Bool(_) | Head::Unsigned(_) | Head::Negative(_) => {}
        Head::Bytes(count) => {
            take(rest, count)?;
        }
        Head::Text(count) => {
            text(rest, count)?;
        }
        Head::Array(count) => {
            deeper(depth)?;
            for _ in 0..count {
                value(rest, depth + 1)?;
            }
        }
        Head::Map(count) => {
            deeper(depth)?;
            map(rest, count, depth)?;
        }
    }
    Some(())
}

fn deeper(depth: usize) -> Option<()> {
    (depth < DEPTH_MAX).then_some(())
}

fn text<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let bytes = take(rest, count)?;
    std::str::from_utf8(bytes).ok()?;
    Some(bytes)
}

fn map(rest: &mut &[u8], count: usize, depth: usize) -> Option<()> {
    let mut previous: Option<&[u8]> = None;
    for _ in 0..count {
        let Head::Text(length) = head(rest)? else { return None };
        let key = text(rest, length)?;
        if previous.is_some_and(|before| key <= before) {
            return None;
        }
        previous = Some(key);
        value(rest, depth + 1)?;
    }
    Some(())
}
