//! Ed25519 by the rule of ZIP 215, for many signatures at once.
//!
//! A signature (R, s) of key A over M holds when s is below the group order, R and A are points
//! in any encoding, and 8 (s B - R - k A) = 0 with k = SHA-512(R, A, M).  The equation has the
//! cofactor, so a random linear combination of many equations holds exactly when each does
//! (but for one chance in 2^128), and batch and single verification cannot disagree.
//!
//! The coefficients come from a hash over the whole batch: nobody can choose a signature after
//! its coefficient is known, and the same batch gives the same run.

use std::collections::HashMap;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha256, Sha512};

const TAG: &[u8] = b"chartseal/batch/v1\0";

pub struct Item<'a> {
    pub key: &'a [u8],
    pub message: &'a [u8],
    pub signature: &'a [u8],
}

/// A signature whose bytes are well formed; its equation decides.
struct Claim {
    place: usize,  // in the batch, for the verdict
    signer: usize, // in the list of distinct keys
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
    z: Scalar, // its coefficient, never zero
}

/// Return for each item whether ZIP 215 accepts it.  No bytes make it fail.
pub fn verify_batch(items: &[Item]) -> Vec<bool> {
    let mut verdicts = vec![false; items.len()];
    let (keys, mut claims) = read(items);
    if claims.len() > 1 {
        hold(&keys, &mut claims, false, &mut verdicts);
    } else if let Some(claim) = claims.first() {
        verdicts[claim.place] = holds_alone(&keys, claim);
    }
    verdicts
}

/// Read points and scalars, merge equal keys, and draw the coefficients.
fn read(items: &[Item]) -> (Vec<EdwardsPoint>, Vec<Claim>) {
    let mut keys = Vec::new();
    let mut known: HashMap<[u8; 32], Option<usize>> = HashMap::new();
    let mut claims = Vec::with_capacity(items.len());
    let mut transcript = Sha256::new_with_prefix(TAG);
    for (place, item) in items.iter().enumerate() {
        let Ok(key) = <[u8; 32]>::try_from(item.key) else { continue };
        let Ok(signature) = <[u8; 64]>::try_from(item.signature) else { continue };
        let signer = *known.entry(key).or_insert_with(|| {
            let point = CompressedEdwardsY(key).decompress()?;
            keys.push(point);
            Some(keys.len() - 1)
        });
        let Some(signer) = signer else { continue };
        let (r_bytes, s_bytes) = halves(&signature);
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s_bytes)) else {
            continue;
        };
        let Some(r) = CompressedEdwardsY(r_bytes).decompress() else { continue };
        let challenge: [u8; 64] = Sha512::new_with_prefix(r_bytes)
            .chain_update(key)
            .chain_update(item.message)
            .finalize()
            .into();
        // The challenge stands for the message: it is a hash over it, the key and R.
        transcript.update(key);
        transcript.update(signature);
        transcript.update(challenge);
        let k = Scalar::from_bytes_mod_order_wide(&challenge);
        claims.push(Claim { place, signer, r, s, k, z: Scalar::ONE });
    }
    draw(&mut claims, transcript.finalize().into());
    (keys, claims)
}

fn halves(signature: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let mut r = [0; 32];
    let mut s = [0; 32];
    r.copy_from_slice(&signature[..32]);
    s.copy_from_slice(&signature[32..]);
    (r, s)
}

/// Give each claim 128 bits of SHA-256(seed, number of the pair): two claims share a hash.
fn draw(claims: &mut [Claim], seed: [u8; 32]) {
    for (number, pair) in claims.chunks_mut(2).enumerate() {
        let block: [u8; 32] = Sha256::new_with_prefix(seed)
            .chain_update((number as u64).to_be_bytes())
            .finalize()
            .into();
        for (claim, half) in pair.iter_mut().zip(block.chunks_exact(16)) {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(half);
            claim.z = Scalar::from(u128::from_le_bytes(bytes).max(1));
        }
    }
}

/// Set the verdicts of `claims`; `refuted` says that they are known not to hold all.
///
/// Halving finds a bad one among n in log2(n) further sums and spares the points and hashes,
/// which are two thirds of the work.  The coefficients serve again: they were drawn after
/// every claim was fixed, so no subset is known to whoever made the signatures.
fn hold(keys: &[EdwardsPoint], claims: &mut [Claim], refuted: bool, verdicts: &mut [bool]) {
    if claims.len() == 1 {
        verdicts[claims[0].place] = !refuted && holds_alone(keys, &claims[0]);
        return;
    }
    if !refuted && sum_vanishes(keys, claims) {
        claims.iter().for_each(|claim| verdicts[claim.place] = true);
        return;
    }
    let (left, right) = claims.split_at_mut(claims.len() / 2);
    let left_holds = match left {
        [only] => holds_alone(keys, only),
        _ => sum_vanishes(keys, left),
    };
    if left_holds {
        left.iter().for_each(|claim| verdicts[claim.place] = true);
        hold(keys, right, true, verdicts);
    } else {
        hold(keys, left, true, verdicts);
        hold(keys, right, false, verdicts);
    }
}

/// 8 (s B - R - k A) = 0.
fn holds_alone(keys: &[EdwardsPoint], claim: &Claim) -> bool {
    let minus_key = -keys[claim.signer];
    let point =
        EdwardsPoint::vartime_double_scalar_mul_basepoint(&claim.k, &minus_key, &claim.s) - claim.r;
    point.mul_by_cofactor().is_identity()
}

/// 8 sum z (s B - R - k A) = 0, with one term for B and one for each key.
fn sum_vanishes(keys: &[EdwardsPoint], claims: &[Claim]) -> bool {
    let mut base = Scalar::ZERO;
    let mut by_key = vec![Scalar::ZERO; keys.len()];
    for claim in claims {
        base -= claim.z * claim.s;
        by_key[claim.signer] += claim.z * claim.k;
    }
    // Keys that sign nothing here have a zero for a factor; a halved batch may leave many.
    let signing = by_key.iter().zip(keys).filter(|(factor, _)| **factor != Scalar::ZERO);
    let (mut factors, mut points) = (vec![base], vec![ED25519_BASEPOINT_POINT]);
    for (factor, key) in signing {
        factors.push(*factor);
        points.push(*key);
    }
    factors.extend(claims.iter().map(|claim| claim.z));
    points.extend(claims.iter().map(|claim| claim.r));
    EdwardsPoint::vartime_multiscalar_mul(&factors, &points).mul_by_cofactor().is_identity()
}
