use roadstead_store::Tx;

/// A unique id in IAM's form: a prefix that says the kind (`AIDA` user, `AROA` role, `AKIA` access key), then 17
/// characters of A–P (IAM user guide, "Unique identifiers"). Ids are not secrets.
pub fn unique_id(tx: &mut Tx, prefix: &str) -> String {
    let letter = |digit: char| char::from(b'A' + u8::try_from(digit.to_digit(16).unwrap_or(0)).unwrap_or(0));
    let fresh = tx.fresh_id("");
    format!("{prefix}{}", fresh.chars().map(letter).collect::<String>())
}
