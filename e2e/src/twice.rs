//! What is asked for twice, one after the other and at the same moment, with an idempotency token and without.

use crate::boto::{Answer, Call, call, merged};
use crate::region::Region;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// So many ask at once.
const CROWD: u32 = 8;

/// What becomes of the second of two requests that are the same but for their tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// It is refused so: there can be only one.
    Refused(&'static str),
    /// It makes another one.
    Another,
    /// It says what the first one said, and changes nothing.
    Same,
}

/// An operation that makes something.
pub struct Create {
    service: &'static str,
    operation: &'static str,
    /// What is asked for, by a name that nothing has yet.
    input: Box<dyn Fn(&str) -> Value>,
    /// What makes it another request, if it can be one.
    change: Value,
    second: Second,
}

/// `create("logs", "create_log_group", Second::Refused("…"), |name| json!({"logGroupName": name}))`.
pub fn create(
    service: &'static str,
    operation: &'static str,
    second: Second,
    input: impl Fn(&str) -> Value + 'static,
) -> Create {
    Create { service, operation, input: Box::new(input), change: Value::Null, second }
}

impl Create {
    /// With these members instead, it is another request.
    #[must_use]
    pub fn unlike(mut self, change: Value) -> Create {
        self.change = change;
        self
    }

    /// `eks create_cluster`.
    pub fn name(&self) -> String {
        format!("{} {}", self.service, self.operation)
    }

    fn ask(&self, name: &str, more: &Value) -> Call {
        call(self.service, self.operation, merged((self.input)(name), more))
    }
}

/// By the names of all operations that are served and make something: the member that is their token, if they take one.
#[track_caller]
pub fn all_creates(region: &Region) -> BTreeMap<String, Option<String>> {
    let found = region.client().script("creates.py", &json!(include_str!("../../models/ops.toml")));
    let part = |one: &Value, name: &str| one[name].as_str().map(str::to_owned);
    let of = |one: &Value| {
        let name = format!("{} {}", one["service"].as_str()?, one["operation"].as_str()?);
        Some((name, part(one, "token")))
    };
    found.as_array().into_iter().flatten().filter_map(of).collect()
}

/// How a service refuses a token that another request had.
fn mismatch(service: &str) -> &'static str {
    match service {
        "eks" => "InvalidParameterException",
        "ec2" => "IdempotentParameterMismatch",
        other => panic!("how does {other} refuse a token that another request had?"),
    }
}

/// Asks for everything twice and by a crowd, with a token and without.
///
/// # Panics
/// If anything is made more often than it should be, or refused otherwise; says all that is wrong.
#[track_caller]
pub fn ask_twice(region: &Region, creates: &[Create]) {
    let tokens = all_creates(region);
    let mut calls = vec![];
    for (n, create) in creates.iter().enumerate() {
        let token = tokens.get(&create.name()).unwrap_or_else(|| panic!("{} is not served", create.name()));
        calls.extend(create.calls(4 * n, token.as_deref()));
    }
    let (checks, calls): (Vec<Check>, Vec<Call>) = calls.into_iter().unzip();
    let mut answers = region.boto_in_turns(&calls).into_iter();
    let mut wrong = vec![];
    let mut first = None;
    for check in checks {
        let answer = answers.next().unwrap_or_else(|| panic!("a call was not answered: {}", check.what));
        let got = match check.owes {
            Owes::First => answer.code() == "OK",
            Owes::Equal => outputs(&[first.clone(), Some(answer.clone())]).is_some_and(|all| all.len() == 1),
            Owes::Code(code) => answer.code() == code,
            Owes::Second(second) => pair(second, first.as_ref(), &answer),
            Owes::Crowd(second) => crowd(second, &answer.clone().each()),
        };
        if !got {
            wrong.push(format!("{}: {answer:?}", check.what));
        }
        if matches!(check.owes, Owes::First) {
            first = Some(answer);
        }
    }
    assert!(wrong.is_empty(), "{} faults of what is asked for twice:\n{}", wrong.len(), wrong.join("\n"));
}

/// What an answer must be.
#[derive(Clone, Copy)]
enum Owes {
    /// A success, with which those after it are compared.
    First,
    /// The first's.
    Equal,
    /// This refusal.
    Code(&'static str),
    /// The second's.
    Second(Second),
    /// A crowd's.
    Crowd(Second),
}

struct Check {
    what: String,
    owes: Owes,
}

impl Create {
    /// Its calls, with four names from that number on.
    fn calls(&self, n: usize, token: Option<&str>) -> Vec<(Check, Call)> {
        let name = |more: usize| format!("twice-{}", n + more);
        let check = |what: &str, owes: Owes| Check { what: format!("{}: {what}", self.name()), owes };
        let plain = |n: usize| self.ask(&name(n), &Value::Null);
        let mut calls = vec![
            (check("the first", Owes::First), plain(0)),
            (check("the second", Owes::Second(self.second)), plain(0)),
            (check("a crowd", Owes::Crowd(self.second)), plain(1).at_once(CROWD)),
        ];
        let Some(member) = token else { return calls };
        let with = |n: usize, more: &Value| self.ask(&name(n), &merged(json!({ member: name(n) }), more));
        calls.extend([
            (check("the first with a token", Owes::First), with(2, &Value::Null)),
            (check("the second with its token", Owes::Equal), with(2, &Value::Null)),
            (check("another with its token", Owes::Code(mismatch(self.service))), with(2, &self.change)),
            (check("a crowd with one token", Owes::Crowd(Second::Same)), with(3, &Value::Null).at_once(CROWD)),
        ]);
        calls
    }
}

/// The different outputs, if all are successes.
fn outputs(answers: &[Option<Answer>]) -> Option<BTreeSet<String>> {
    let output = |answer: &Option<Answer>| {
        let answer = answer.clone().filter(|answer| !answer.is_refusal())?;
        Some(answer.value().to_string())
    };
    answers.iter().map(output).collect()
}

fn pair(second: Second, one: Option<&Answer>, other: &Answer) -> bool {
    let different = || outputs(&[one.cloned(), Some(other.clone())]).map(|all| all.len());
    match second {
        Second::Refused(code) => other.code() == code,
        Second::Another => different() == Some(2),
        Second::Same => different() == Some(1),
    }
}

fn crowd(second: Second, answers: &[Answer]) -> bool {
    let all: Vec<Option<Answer>> = answers.iter().cloned().map(Some).collect();
    let made = answers.iter().filter(|answer| !answer.is_refusal()).count();
    match second {
        Second::Refused(code) => made == 1 && answers.iter().all(|one| one.code() == code || one.code() == "OK"),
        Second::Another => outputs(&all).is_some_and(|different| different.len() == answers.len()),
        Second::Same => outputs(&all).is_some_and(|different| different.len() == 1),
    }
}
