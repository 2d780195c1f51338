//! Pages of a list, and the tokens between them.
//!
//! A token names the last item of its page, so pages stay right while items come and go. It is bound to the list it
//! came from by a checksum: a token of another list, or a made-up one, is refused. What the list is, its noun says; for
//! everybody the kernel adds the account, the operation and all that was asked but the page's size ([`Listing`]), and that
//! a token is good for a day.

use crate::caller::Caller;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roadstead_types::Millis;
use roadstead_wire::schema::canonical::{self, Sensitive};
use roadstead_wire::schema::{AnyOperation, Pagination, Value};

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

/// The page of `items` after `token`, of at most `limit` items (at least one), in the order of their keys, which are
/// unique. `scope` names the list.
pub fn page<T>(
    scope: &str,
    mut items: Vec<(String, T)>,
    limit: usize,
    token: Option<&str>,
) -> Result<Page<T>, BadToken> {
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    let rest = |after: Option<String>| {
        items.into_iter().filter(move |(key, _)| after.as_ref().is_none_or(|after| key > after))
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

/// One request for pages of a list, whatever their size: what its tokens are good for, beside the list itself.
pub(crate) struct Listing {
    pages: Pagination,
    request: String,
}

/// How long a token is good for ("The token expires after 24 hours", CloudWatch Logs' API reference; others say nothing).
const GOOD: Millis = Millis::mins(24 * 60);

impl Listing {
    /// The request that an input is, if its operation gives pages.
    pub(crate) fn of(operation: &AnyOperation, caller: &Caller, input: &Value) -> Option<Listing> {
        let (pages, Value::Struct(asked)) = (operation.pagination?, input) else { return None };
        let mut asked = asked.clone();
        asked.take(pages.input_token);
        pages.limit_key.map(|size| asked.take(size));
        let asked = canonical::write(operation.input, &Value::Struct(asked), Sensitive::Shown);
        let request = format!("{}/{}/{asked}", caller.identity.account, operation.action);
        Some(Listing { pages, request })
    }

    /// The input with the noun's own token in the place of the one that it came with. One that is no token of this request
    /// stays as it is: the noun knows it for none of its own, and the words in which its service refuses one.
    pub(crate) fn open(&self, input: Value, now: impl FnOnce() -> Millis) -> Value {
        self.exchange(input, self.pages.input_token, |token| self.inner(token, now()))
    }

    /// The output with a token of this request in the place of the noun's own.
    pub(crate) fn seal(&self, output: Value, now: impl FnOnce() -> Millis) -> Value {
        self.exchange(output, self.pages.output_token, |token| {
            let own = URL_SAFE_NO_PAD.decode(token).ok()?;
            Some(wrap(&self.request, &[&minute(now()).to_be_bytes(), &*own].concat()))
        })
    }

    fn exchange(&self, value: Value, name: &'static str, new: impl FnOnce(&str) -> Option<String>) -> Value {
        let Value::Struct(mut members) = value else { return value };
        if let Some(token) = members.get(name).and_then(Value::as_str).and_then(new) {
            members.put(name, token);
        }
        Value::Struct(members)
    }

    fn inner(&self, token: &str, now: Millis) -> Option<String> {
        let all = unwrap(&self.request, token).ok()?;
        let (made, own) = all.split_first_chunk()?;
        let age = minute(now).saturating_sub(u32::from_be_bytes(*made));
        (Millis::mins(age.into()) <= GOOD).then(|| URL_SAFE_NO_PAD.encode(own))
    }
}

/// Since 1970.
fn minute(at: Millis) -> u32 {
    u32::try_from(at.0 / 60_000).unwrap_or(u32::MAX)
}

const CHECK: usize = 12;

fn check(scope: &str, what: &[u8]) -> Vec<u8> {
    let text = [format!("{}:{scope}", scope.len()).as_bytes(), what].concat();
    digest(&SHA256, &text).as_ref()[..CHECK].to_vec()
}

fn wrap(scope: &str, what: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([&check(scope, what), what].concat())
}

fn unwrap(scope: &str, token: &str) -> Result<Vec<u8>, BadToken> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    let (sum, what) = bytes.split_at_checked(CHECK).ok_or(BadToken)?;
    if sum == check(scope, what) { Ok(what.to_vec()) } else { Err(BadToken) }
}

fn seal(scope: &str, key: &str) -> String {
    wrap(scope, key.as_bytes())
}

fn open(scope: &str, token: &str) -> Result<String, BadToken> {
    String::from_utf8(unwrap(scope, token)?).map_err(|_| BadToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Identity;
    use roadstead_types::Arn;
    use roadstead_wire::fault::{Code, Common};
    use roadstead_wire::schema::{Kind, Member, Protocol, Schema, Scope, Service, Struct, Structure};

    static TEXT: Schema = Schema::string("Text");
    static NUMBER: Schema = Schema::new("Number", Kind::Integer);
    static ASKED: Schema = Schema::structure(
        "Asked",
        &Structure::new(&[Member::new("Of", &TEXT), Member::new("Size", &NUMBER), Member::new("Token", &TEXT)]),
    );
    static GOT: Schema = Schema::structure("Got", &Structure::new(&[Member::new("Next", &TEXT)]));
    static SERVICE: Service = Service {
        name: "test",
        id: "Test",
        signing_name: "test",
        endpoint_prefix: "test",
        api_version: "2026-11-30",
        protocols: &[Protocol::RestJson1],
        target_prefix: None,
        namespace: None,
        scope: Scope::Regional,
        null_error_members: false,
        query_compatible: false,
    };
    static LIST: AnyOperation = AnyOperation {
        service: &SERVICE,
        name: "ListThings",
        method: "GET",
        uri: "/",
        status: 200,
        input: &ASKED,
        output: &GOT,
        action: "test:ListThings",
        open: false,
        resources: &[],
        pass_role: &[],
        errors: &[],
        invalid: Code::Common(Common::Validation),
        readonly: true,
        idempotency_token: None,
        pagination: Some(Pagination {
            input_token: "Token",
            output_token: "Next",
            limit_key: Some("Size"),
            result_keys: &[],
            more_results: None,
        }),
        waiter: false,
        unsigned: false,
    };
    static LIST_OTHERS: AnyOperation = AnyOperation { name: "ListOthers", action: "test:ListOthers", ..LIST };

    fn somebody(account: &str) -> Caller {
        let arn = Arn::new("iam", "", account, "user/ada");
        let identity = Identity { arn, role: None, unique_id: "AIDA".into(), account: account.into() };
        let none = String::new;
        Caller {
            identity,
            access_key_id: none(),
            region: none(),
            source_ip: none(),
            user_agent: none(),
            request_id: none(),
        }
    }

    /// A token as a caller gets it whose noun gave `own`.
    fn given(own: &str, at: Millis) -> String {
        let listing = Listing::of(&LIST, &somebody("1"), &asked("a", 5, None)).unwrap();
        let output = listing.seal(Value::Struct(Struct::new().with("Next", own)), || at);
        output.at("Next").and_then(Value::as_str).unwrap().to_owned()
    }

    fn asked(of: &str, size: i64, token: Option<&str>) -> Value {
        let asked = Struct::new().with("Of", of).with("Size", Value::Integer(size));
        Value::Struct(token.into_iter().fold(asked, |asked, token| asked.with("Token", token)))
    }

    /// The token that the noun sees.
    fn seen(operation: &AnyOperation, account: &str, input: Value, now: Millis) -> String {
        let listing = Listing::of(operation, &somebody(account), &input).unwrap();
        listing.open(input, || now).at("Token").and_then(Value::as_str).unwrap().to_owned()
    }

    #[test]
    fn a_noun_sees_its_own_token_whatever_the_page_s_size() {
        let own = seal("things", "k");
        let token = given(&own, Millis::mins(5));
        assert_ne!(token, own);
        for size in [1, 5, 1000] {
            assert_eq!(seen(&LIST, "1", asked("a", size, Some(&token)), Millis::mins(6)), own);
        }
    }

    #[test]
    fn a_token_of_another_request_is_handed_on_to_be_refused() {
        let (own, now) = (seal("things", "k"), Millis::mins(5));
        let token = given(&own, now);
        let cases = [(&LIST, "1", "b"), (&LIST, "2", "a"), (&LIST_OTHERS, "1", "a")];
        for (operation, account, of) in cases {
            let seen = seen(operation, account, asked(of, 5, Some(&token)), now);
            assert_eq!(seen, token, "{operation:?} {account} {of}");
            assert_eq!(open("things", &seen), Err(BadToken));
        }
        assert_eq!(seen(&LIST, "1", asked("a", 5, Some("invented")), now), "invented");
    }

    #[test]
    fn a_token_is_good_for_a_day() {
        let own = seal("things", "k");
        let token = given(&own, Millis::mins(5));
        let at = |minutes| seen(&LIST, "1", asked("a", 5, Some(&token)), Millis::mins(minutes));
        assert_eq!(at(5 + 24 * 60), own);
        assert_eq!(at(5 + 24 * 60 + 1), token, "the noun refuses it");
    }

    #[test]
    fn a_marker_of_the_longest_name_is_one_that_iam_takes() {
        // Marker has at most 320 characters, a name 128.
        assert!(given(&seal("things", &format!("{}/111122223333", "n".repeat(128))), Millis::mins(5)).len() <= 320);
    }

    #[test]
    fn a_page_is_in_the_order_of_its_keys_whoever_made_the_list() {
        let mixed = ["b", "c", "a"].map(|key| (key.to_owned(), key)).to_vec();
        assert_eq!(page("list", mixed, 2, None).unwrap().items, ["a", "b"]);
    }

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
