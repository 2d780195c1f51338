//! Ids as UUIDs, where AWS has them.

use roadstead_store::Tx;

/// A UUID that no other has. It can be guessed: see [`Tx::fresh_id`].
pub fn fresh(tx: &mut Tx) -> String {
    let (a, b) = (tx.fresh_id(""), tx.fresh_id(""));
    let (a, b) = (&a[a.len() - 16..], &b[b.len() - 16..]);
    format!("{}-{}-{}-{}-{}", &a[..8], &a[8..12], &a[12..], &b[..4], &b[4..])
}
