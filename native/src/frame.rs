//! The form of a transaction, as `node/ledger/frame.py` and `node/ledger/payload.py` define it.

use crate::canon::{self, Head, head, take};
use crate::sha::{Hash, leaf_hash};

const TAG: &[u8] = b"chartseal/tx/v1\0";
const BYTES_MAX: usize = 65_535;
const SIGNERS_MAX: usize = 8;
const HEAD_BYTES: usize = 4;
const PAYLOAD_FIELDS: usize = 6;
const OPS_MAX: usize = 512;
const HEIGHT_MAX: u64 = (1 << 63) - 1;

/// A sound frame with a well-formed payload.
pub struct Frame<'a> {
    pub txid: Hash,
    pub fields: Fields<'a>, // of the payload
    pub keys: &'a [[u8; 32]],
    pub signatures: &'a [[u8; 64]],
    pub message: Vec<u8>, // what every signer signed
}

/// Slice `raw`; None unless every byte has its place and the payload is well formed.
pub fn slice(raw: &[u8]) -> Option<Frame<'_>> {
    if raw.len() <= HEAD_BYTES || raw.len() > BYTES_MAX || raw[0] != 1 {
        return None;
    }
    let signers = usize::from(raw[1]);
    if !(1..=SIGNERS_MAX).contains(&signers) {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([raw[2], raw[3]]));
    let (payload, rest) = raw[HEAD_BYTES..].split_at_checked(length)?;
    let (key_bytes, signature_bytes) = rest.split_at_checked(32 * signers)?;
    if signature_bytes.len() != 64 * signers {
        return None;
    }
    let (keys, signatures) = (key_bytes.as_chunks().0, signature_bytes.as_chunks().0);
    if repeats(keys) || !canon::is_canonical(payload) {
        return None;
    }
    let fields = fields(payload)?;
    let message = [TAG, &[raw[1]], key_bytes, payload].concat();
    Some(Frame { txid: leaf_hash(raw), fields, keys, signatures, message })
}

fn repeats(keys: &[[u8; 32]]) -> bool {
    keys.iter().enumerate().any(|(at, key)| keys[..at].contains(key))
}

pub struct Fields<'a> {
    pub network: &'a [u8],
    pub org: &'a str,
    pub expires_height: u64,
    pub nonce: &'a [u8],
    pub ops: Vec<Op<'a>>,
}

pub struct Op<'a> {
    pub kind: &'a str,
    pub body: &'a [u8], // an array in canonical MessagePack
}

/// Read a canonical payload; None when a field is not what version 1 promises.
fn fields(payload: &[u8]) -> Option<Fields<'_>> {
    let rest = &mut &*payload;
    let (Head::Array(PAYLOAD_FIELDS), Head::Unsigned(1)) = (head(rest)?, head(rest)?) else {
        return None;
    };
    let Head::Bytes(32) = head(rest)? else { return None };
    let network = take(rest, 32)?;
    let org = text(rest)?;
    let Head::Unsigned(expires_height @ ..=HEIGHT_MAX) = head(rest)? else { return None };
    let Head::Bytes(8) = head(rest)? else { return None };
    let nonce = take(rest, 8)?;
    let Head::Array(count @ 1..=OPS_MAX) = head(rest)? else { return None };
    let ops = (0..count).map(|_| op(rest)).collect::<Option<Vec<_>>>()?;
    is_org(org).then_some(Fields { network, org, expires_height, nonce, ops })
}

fn op<'a>(rest: &mut &'a [u8]) -> Option<Op<'a>> {
    let Head::Array(2) = head(rest)? else { return None };
    let kind = text(rest)?;
    let from = *rest;
    let body = &mut &*from;
    let Head::Array(_) = head(body)? else { return None };
    canon::skip(rest)?;
    let body = &from[..from.len() - rest.len()];
    is_kind(kind).then_some(Op { kind, body })
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let Head::Text(count) = head(rest)? else { return None };
    std::str::from_utf8(take(rest, count)?).ok()
}

/// `[a-z0-9][a-z0-9-]{0,62}`
fn is_org(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && plain(text.as_bytes()[0])
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
}

/// `[a-z]+(?:\.[a-z]+)+`, at most 64 letters
fn is_kind(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    text.len() <= 64 && text.contains('.') && text.split('.').all(word)
}
