use roadstead_store::Tx;

/// A UUID of version 4's form, as ARNs of what belongs to a cluster end with. No secret: it follows from the store's ids.
pub fn uuid(tx: &mut Tx) -> String {
    let digits = tx.fresh_id("")[1..].to_owned() + &tx.fresh_id("")[1..];
    let part = |from: usize, to: usize| &digits[from..to];
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
