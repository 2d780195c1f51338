use super::condition::Clause;
use super::pattern::{ArnPattern, Pattern};
use super::{Question, Verdict};
use crate::iam::grammar::{Document, Effect, Match, Statement, Version};

/// A principal's policy, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    effect: Effect,
    /// In lower case: an action is the same in any.
    actions: Match<Vec<Pattern>>,
    resources: Match<Vec<ArnPattern>>,
    /// All must be met.
    conditions: Vec<Clause>,
}

impl Rules {
    /// Those of a policy.
    pub fn of(document: &Document) -> Rules {
        Rules(document.statements.iter().map(|statement| Rule::of(statement, document.version)).collect())
    }

    /// Those of a policy's text. What is none denies everything: nobody knows what it was to deny.
    pub fn read(text: &str) -> Rules {
        match Document::of_principal(text) {
            Ok(document) => Rules::of(&document),
            Err(_) => Rules(vec![Rule {
                effect: Effect::Deny,
                actions: Match::Only(vec![Pattern::plain("*")]),
                resources: Match::Only(vec![ArnPattern::read("*", Version::V2008)]),
                conditions: vec![],
            }]),
        }
    }

    /// What they say, of a question whose action is in lower case, to what others said before.
    pub(super) fn say(&self, question: &Question<'_>, before: Verdict) -> Verdict {
        let mut verdict = before;
        for rule in &self.0 {
            match rule.effect {
                Effect::Deny if rule.applies(question) => return Verdict::Denied,
                Effect::Allow if verdict == Verdict::Silent && rule.applies(question) => verdict = Verdict::Allowed,
                Effect::Deny | Effect::Allow => {}
            }
        }
        verdict
    }
}

impl Rule {
    fn of(statement: &Statement, version: Version) -> Rule {
        let action = |text: &String| Pattern::plain(&text.to_lowercase());
        let resource = |text: &String| ArnPattern::read(text, version);
        Rule {
            effect: statement.effect,
            actions: each(&statement.actions, action),
            resources: each(&statement.resources, resource),
            conditions: statement.conditions.iter().map(|condition| Clause::of(condition, version)).collect(),
        }
    }

    fn applies(&self, question: &Question<'_>) -> bool {
        let keys = question.keys;
        among(&self.actions, |pattern| pattern.matches(question.action, keys))
            && among(&self.resources, |pattern| pattern.matches(question.resource, keys))
            && self.conditions.iter().all(|condition| condition.met(keys))
    }
}

fn each<T, P>(patterns: &Match<Vec<T>>, read: impl Fn(&T) -> P) -> Match<Vec<P>> {
    match patterns {
        Match::Only(patterns) => Match::Only(patterns.iter().map(read).collect()),
        Match::Except(patterns) => Match::Except(patterns.iter().map(read).collect()),
    }
}

/// Whether it is one of those, or none of them. A pattern with a variable that the request does not fill has nobody.
fn among<P>(patterns: &Match<Vec<P>>, is: impl Fn(&P) -> Option<bool>) -> bool {
    match patterns {
        Match::Only(patterns) => patterns.iter().any(|pattern| is(pattern) == Some(true)),
        Match::Except(patterns) => !patterns.iter().any(|pattern| is(pattern) == Some(true)),
    }
}
