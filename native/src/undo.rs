//! What a page of the state tree lost in a block, as `node/ledger/undo.py` defines it.

use crate::page::SLOTS;

/// Return the changed slots of `before`: be16 changed, be16 taken, be16 one key, the old slots.
///
/// Both are pages that the update has just read and checked; `after` None: it was dropped.
pub fn lost(before: &[u8], after: Option<&[u8]>) -> Vec<u8> {
    let Some(after) = after else {
        let kept = &before[..before.len().saturating_sub(4)];
        return [&[0xff, 0xff], kept].concat();
    };
    let (old, new) = (cut(before), cut(after));
    let (mut changed, mut taken, mut single) = (0u16, 0u16, 0u16);
    let mut raw = Vec::with_capacity(6 + 64);
    raw.extend_from_slice(&[0; 6]);
    for slot in (0..SLOTS).filter(|&slot| old[slot] != new[slot]) {
        changed |= 1 << slot;
        if !old[slot].is_empty() {
            taken |= 1 << slot;
            single |= u16::from(old[slot].len() != 32) << slot;
            raw.extend_from_slice(old[slot]);
        }
    }
    for (at, bits) in [(0, changed), (2, taken), (4, single)] {
        raw[at..at + 2].copy_from_slice(&bits.to_be_bytes());
    }
    raw
}

/// Return each slot in which two pages differ, None for no page, and what is in the second.
pub fn differing<'a>(
    before: Option<&'a [u8]>,
    after: Option<&'a [u8]>,
) -> impl Iterator<Item = (u8, &'a [u8])> {
    let (old, new) = (cut(before.unwrap_or(&[])), cut(after.unwrap_or(&[])));
    (0..SLOTS).filter(move |&slot| old[slot] != new[slot]).map(move |slot| (slot as u8, new[slot]))
}

/// Return the slots of a page; what is too short gives empty ones.
fn cut(raw: &[u8]) -> [&[u8]; SLOTS] {
    let mut slots: [&[u8]; SLOTS] = [&[]; SLOTS];
    let Some(head) = raw.get(..4) else { return slots };
    let taken = u16::from_be_bytes([head[0], head[1]]);
    let single = u16::from_be_bytes([head[2], head[3]]);
    let mut at = 4;
    for (slot, node) in slots.iter_mut().enumerate().filter(|(slot, _)| taken >> slot & 1 == 1) {
        let size = if single >> slot & 1 == 1 { 64 } else { 32 };
        *node = raw.get(at..at + size).unwrap_or(&[]);
        at += size;
    }
    slots
}
