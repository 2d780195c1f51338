//! What an operator types for a kind or a record, as kubectl has it: `cluster`, `clusters`, `eks/cluster`,
//! `cluster/prod`, `eks/cluster/111122223333/prod`, and for a record just `prod` where that is one.

use roadstead_store::{AnyKey, View};

/// How many names or kinds an answer lists.
const LISTED: usize = 12;
/// A kind that differs from what was typed in at most one letter of so many is what was meant.
const LETTERS_PER_TYPO: usize = 3;

/// What a text means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All records of a kind.
    Kind(&'static str),
    /// One record, which exists.
    Record(AnyKey),
}

impl Target {
    /// What `text` means in this view.
    ///
    /// # Errors
    /// What is wrong with it, and what there is instead.
    pub fn of(view: &View, text: &str) -> Result<Target, String> {
        let kinds: Vec<&'static str> = view.kinds().map(|(kind, _)| kind).collect();
        let (first, rest) = text.split_once('/').unwrap_or((text, ""));
        let (second, third) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(kind) = kinds.iter().find(|kind| kind.split_once('/') == Some((first, second))) {
            return if third.is_empty() { Ok(Target::Kind(kind)) } else { named(view, kind, third) };
        }
        let kind = kind(&kinds, first)?;
        if rest.is_empty() { Ok(Target::Kind(kind)) } else { named(view, kind, rest) }
    }
}

/// The record that `text` names, with its kind or without.
///
/// # Errors
/// What is wrong with it, and what there is instead.
pub fn record(view: &View, text: &str) -> Result<AnyKey, String> {
    let why = match Target::of(view, text) {
        Ok(Target::Record(key)) => return Ok(key),
        Ok(Target::Kind(kind)) => {
            return Err(format!("{kind} is a kind; name one of its records: `roadstead admin get {kind}` lists them"));
        }
        Err(why) => why,
    };
    let all = view.kinds().flat_map(|(kind, _)| candidates(view, kind, text)).collect::<Vec<_>>();
    // What a host has stands under the name of what it was made for.
    let own = all.iter().filter(|key| !key.kind().starts_with("host/")).cloned().collect::<Vec<_>>();
    match &(if own.is_empty() { all } else { own })[..] {
        [] if text.contains('/') => Err(why),
        [] => Err(format!(
            "no record is called '{text}': `roadstead admin list` shows the kinds, `get KIND` their records"
        )),
        [one] => Ok(one.clone()),
        several => Err(format!("'{text}' may be {}: say which", list(several.iter()))),
    }
}

/// The kind that `text` means: its whole name, its noun, a plural, or an end of it that only one kind has.
fn kind(kinds: &[&'static str], text: &str) -> Result<&'static str, String> {
    let noun = |kind: &&'static str| kind.split_once('/').map_or(*kind, |(_, noun)| noun);
    let singular = text.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let singular = singular.or_else(|| text.strip_suffix('s').map(str::to_owned)).unwrap_or_default();
    for word in [text, &singular].into_iter().filter(|word| !word.is_empty()) {
        let exact: Vec<_> = kinds.iter().filter(|kind| **kind == word || noun(kind) == word).collect();
        let ends = |kind: &&&'static str| noun(kind).strip_suffix(word).is_some_and(|before| before.ends_with('-'));
        let ending = || kinds.iter().filter(ends).collect();
        match &(if exact.is_empty() { ending() } else { exact })[..] {
            [] => {}
            [one] => return Ok(one),
            several => return Err(format!("'{text}' may be {}: say which", list(several.iter()))),
        }
    }
    let distance = |kind: &&'static str| strsim::damerau_levenshtein(noun(kind), text);
    let near =
        kinds.iter().min_by_key(|kind| distance(kind)).filter(|kind| distance(kind) <= text.len() / LETTERS_PER_TYPO);
    let hint = near.map_or(".".to_owned(), |kind| format!("; do you mean {kind}?"));
    Err(format!("there is no kind '{text}'{hint} The kinds are {}", kinds.join(", ")))
}

fn named(view: &View, kind: &'static str, name: &str) -> Result<Target, String> {
    match &candidates(view, kind, name)[..] {
        [one] => Ok(Target::Record(one.clone())),
        [] => Err(format!("there is no {kind} '{name}': `roadstead admin get {kind}` lists what there is")),
        several => Err(format!("'{name}' may be {}: say which", list(several.iter()))),
    }
}

/// The record of exactly this name, or else those whose names end with it.
fn candidates(view: &View, kind: &'static str, name: &str) -> Vec<AnyKey> {
    let exact = AnyKey::new(kind, name);
    if view.contains(&exact) {
        return vec![exact];
    }
    let ends = |key: &AnyKey| key.name().strip_suffix(name).is_some_and(|before| before.ends_with('/'));
    view.keys(kind, "").into_iter().filter(ends).collect()
}

fn list(items: impl ExactSizeIterator<Item = impl ToString>) -> String {
    let more = items.len().saturating_sub(LISTED);
    let mut words: Vec<String> = items.take(LISTED).map(|item| item.to_string()).collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world;

    fn refused(text: &str) -> String {
        Target::of(&world::small(), text).unwrap_err()
    }

    #[test]
    fn a_kind_is_known_by_any_of_its_short_names() {
        let view = world::small();
        let short = [
            ("eks/cluster", "eks/cluster"),
            ("cluster", "eks/cluster"),
            ("clusters", "eks/cluster"),
            ("instance", "ec2/instance"),
            ("machine", "host/machine"),
            ("interface", "ec2/network-interface"),
            ("group", "autoscaling/group"),
        ];
        for (text, kind) in short {
            assert_eq!(Target::of(&view, text), Ok(Target::Kind(kind)), "{text}");
        }
    }

    #[test]
    fn what_may_be_several_kinds_lists_them_and_what_is_none_names_the_nearest() {
        let several = refused("status");
        assert!(several.contains("host/machine-status") && several.contains("host/port-status"), "{several}");
        let typo = refused("clustr");
        assert!(typo.starts_with("there is no kind 'clustr'; do you mean eks/cluster? The kinds are "), "{typo}");
        let nothing = refused("zeppelins/x");
        assert!(nothing.starts_with("there is no kind 'zeppelins'. The kinds are ") && nothing.contains("iam/user"));
    }

    #[test]
    fn a_record_is_known_by_its_key_and_by_an_end_of_its_name() {
        let view = world::small();
        let prod = AnyKey::new("eks/cluster", "111122223333/prod");
        for text in ["prod", "cluster/prod", "clusters/111122223333/prod", "eks/cluster/prod", "111122223333/prod"] {
            assert_eq!(record(&view, text).as_ref(), Ok(&prod), "{text}");
        }
        let instance = record(&view, "i-1").unwrap();
        assert_eq!(instance.kind(), "ec2/instance", "not what a host has of it");
    }

    #[test]
    fn a_record_that_is_not_there_says_how_to_find_those_that_are() {
        let view = world::small();
        let absent = record(&view, "cluster/prd").unwrap_err();
        assert_eq!(absent, "there is no eks/cluster 'prd': `roadstead admin get eks/cluster` lists what there is");
        assert!(record(&view, "prd").unwrap_err().contains("roadstead admin list"));
        assert!(record(&view, "cluster").unwrap_err().contains("is a kind"));
    }
}
