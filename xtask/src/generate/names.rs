//! Names of the model in Rust's spelling.

/// `createdAt`, `EnableDnsAAAARecord` → `created_at`, `enable_dns_aaaa_record`.
pub fn snake(name: &str) -> String {
    words(name).join("_").to_lowercase()
}

/// `CreateCluster`, `InvalidVpcID.NotFound` → `CREATE_CLUSTER`, `INVALID_VPC_ID_NOT_FOUND`.
pub fn constant(name: &str) -> String {
    words(name).join("_").to_uppercase()
}

/// A field's name: snake case, keywords escaped.
pub fn field(name: &str) -> String {
    const KEYWORDS: &[&str] = &[
        "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "fn", "for", "if",
        "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "static", "struct",
        "trait", "type", "unsafe", "use", "where", "while", "yield", "abstract", "box", "do", "final", "gen", "macro",
        "override", "priv", "try", "typeof", "unsized", "virtual",
    ];
    let name = snake(name);
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

/// A type's name: the model's, with a capital first letter.
pub fn type_name(name: &str) -> String {
    capital(name)
}

/// The name of an enumeration's value: `tier-2xl`, `API_AND_CONFIG_MAP`, `ipv4` → `Tier2xl`, `ApiAndConfigMap`, `Ipv4`.
pub fn variant(value: &str) -> String {
    let name: String = words(value).iter().map(|word| capital(&word.to_lowercase())).collect();
    match name.as_str() {
        // The one capitalized keyword.
        "Self" => "Self_".into(),
        _ if name.starts_with(|c: char| c.is_ascii_digit()) => format!("V{name}"),
        _ => name,
    }
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_ascii_uppercase(), chars.as_str()))
}

/// A name's words: cut at what is neither letter nor digit, before a capital that follows a small letter or a digit,
/// and before the last capital of a run if a small letter follows (`DNSName` → `DNS`, `Name`).
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(i + 1);
        let rises = c.is_ascii_uppercase() && before.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let ends_run = c.is_ascii_uppercase()
            && before.is_some_and(|b| b.is_ascii_uppercase())
            && after.is_some_and(char::is_ascii_lowercase);
        if !c.is_ascii_alphanumeric() || rises || ends_run {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric() {
            words.last_mut().expect("it begins with one").push(*c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
