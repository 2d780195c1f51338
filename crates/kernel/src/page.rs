//! Pages of a list, and the tokens between them.
//!
//! A token names the last item of its page, so pages stay right while items come and go. It is bound to the list it
//! came from (operation and filters) by a checksum: a token of another list, or a made-up one, is refused.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Where the next page begins; None on the last.
    pub next: Option<String>,
}

/// The token is not one of this list's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadToken;

/// The page of `sorted` after `token`, of at most `limit` items (at least one). `scope` names the list: the operation,
/// its account, its filters. `sorted` is in ascending order of its keys, which are unique.
pub fn page<T>(scope: &str, sorted: Vec<(String, T)>, limit: usize, token: Option<&str>) -> Result<Page<T>, BadToken> {
    let rest = |after: Option<String>| {
        sorted.into_iter().filter(move |(key, _)| after.as_ref().is_none_or(|after| key > after))
    };
    page_of(scope, rest, limit, token)
}

/// The same of a list that can be read from any of its keys on: costs what it returns, however long the list is. `rest`
/// gives the items whose keys come after the given one, in ascending order.
pub fn page_of<T, I: Iterator<Item = (String, T)>>(
    scope: &str,
    rest: impl FnOnce(Option<String>) -> I,
    limit: usize,
    token: Option<&str>,
) -> Result<Page<T>, BadToken> {
    let after = token.map(|t| open(scope, t)).transpose()?;
    let mut rest = rest(after).peekable();
    let (mut items, mut last) = (vec![], None);
    while items.len() < limit.max(1)
        && let Some((key, item)) = rest.next()
    {
        items.push(item);
        last = Some(key);
    }
    let next = rest.peek().and(last).map(|key| seal(scope, &key));
    Ok(Page { items, next })
}

const CHECK: usize = 12;

fn check(scope: &str, key: &str) -> Vec<u8> {
    let text = format!("{}:{scope}{key}", scope.len());
    digest(&SHA256, text.as_bytes()).as_ref()[..CHECK].to_vec()
}

fn seal(scope: &str, key: &str) -> String {
    let mut bytes = check(scope, key);
    bytes.extend(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(scope: &str, token: &str) -> Result<String, BadToken> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    let (sum, key) = bytes.split_at_checked(CHECK).ok_or(BadToken)?;
    let key = std::str::from_utf8(key).map_err(|_| BadToken)?;
    if sum != check(scope, key) {
        return Err(BadToken);
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters() -> Vec<(String, char)> {
        ('a'..='e').map(|c| (c.to_string(), c)).collect()
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let (mut seen, mut token) = (String::new(), None);
        loop {
            let page = page("list", letters(), 2, token.as_deref()).unwrap();
            seen.extend(page.items);
            match page.next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, "abcde");
    }

    #[test]
    fn a_page_that_ends_the_list_has_no_token() {
        assert_eq!(page("list", letters(), 5, None).unwrap().next, None);
        assert_eq!(page("list", Vec::<(String, ())>::new(), 5, None).unwrap().next, None);
    }

    #[test]
    fn a_token_outlives_its_item() {
        let token = page("list", letters(), 2, None).unwrap().next.unwrap();
        let without_b = letters().into_iter().filter(|(k, _)| k != "b").collect();
        assert_eq!(page("list", without_b, 2, Some(&token)).unwrap().items, ['c', 'd']);
    }

    #[test]
    fn a_foreign_or_invented_token_is_refused() {
        let token = page("list", letters(), 2, None).unwrap().next.unwrap();
        assert_eq!(page("other", letters(), 2, Some(&token)), Err(BadToken));
        for invented in ["", "b", "!!", "AAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(page("list", letters(), 2, Some(invented)), Err(BadToken), "{invented}");
        }
    }
}
