//! Patterns (IAM user guide, "IAM JSON policy elements: Resource" and "IAM policy elements: Variables and tags").

use super::Keys;
use crate::iam::grammar::Version;
use std::borrow::Cow;

/// A text with wildcards, and with variables that a request fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

/// The same of an ARN: each of its parts is a pattern, which takes nothing of the next part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ArnPattern {
    /// `*`, and what has not the parts of an ARN.
    Whole(Pattern),
    /// `arn`, partition, service, region, account, resource.
    Parts(Vec<Pattern>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    Char(char),
    /// `?`: one character.
    One,
    /// `*`: any number of characters.
    Any,
    /// `${aws:username}`, `${aws:username, 'nobody'}`: the value of a key.
    Variable { key: String, default: Option<String> },
}

/// Parts of an ARN.
const PARTS: usize = 6;

/// Whether the text is of the pattern: `*` is any characters, `?` is one.
pub fn wild(pattern: &str, text: &str) -> bool {
    glob(&Pattern::plain(pattern).0, text)
}

impl Pattern {
    /// Of a policy in that version of the language: the older one has no variables.
    pub fn read(text: &str, version: Version) -> Pattern {
        match version {
            Version::V2008 => Pattern::plain(text),
            Version::V2012 => Pattern(with_variables(text)),
        }
    }

    /// Without variables.
    pub fn plain(text: &str) -> Pattern {
        Pattern(text.chars().map(Token::of).collect())
    }

    /// Whether the text is of it. None: it has a variable, and the request nothing to put there.
    pub fn matches(&self, text: &str, keys: &dyn Keys) -> Option<bool> {
        Some(glob(&self.filled(keys)?, text))
    }

    /// Itself where wildcards are characters like others. None, as [`Pattern::matches`] says.
    pub fn text(&self, keys: &dyn Keys) -> Option<String> {
        let filled = self.filled(keys)?;
        Some(filled.iter().map(Token::written).collect())
    }

    fn filled(&self, keys: &dyn Keys) -> Option<Cow<'_, [Token]>> {
        if !self.0.iter().any(|token| matches!(token, Token::Variable { .. })) {
            return Some(Cow::Borrowed(&self.0));
        }
        let mut filled = vec![];
        for token in &self.0 {
            match token {
                // What a request says is no wildcard, whatever it says.
                Token::Variable { key, default } => {
                    filled.extend(value(key, default.as_ref(), keys)?.chars().map(Token::Char));
                }
                Token::Char(_) | Token::One | Token::Any => filled.push(token.clone()),
            }
        }
        Some(Cow::Owned(filled))
    }

    fn is_everything(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|token| *token == Token::Any)
    }
}

impl ArnPattern {
    /// As [`Pattern::read`].
    pub fn read(text: &str, version: Version) -> ArnPattern {
        let Pattern(tokens) = Pattern::read(text, version);
        let parts: Vec<Pattern> =
            tokens.splitn(PARTS, |token| *token == Token::Char(':')).map(|part| Pattern(part.to_vec())).collect();
        if parts.len() == PARTS { ArnPattern::Parts(parts) } else { ArnPattern::Whole(Pattern(tokens)) }
    }

    /// Whether the ARN is of it. A resource that is no ARN, as `*`, is one only of the pattern `*`. None, as
    /// [`Pattern::matches`] says.
    pub fn matches(&self, arn: &str, keys: &dyn Keys) -> Option<bool> {
        let own: Vec<&str> = arn.splitn(PARTS, ':').collect();
        let is_arn = own.len() == PARTS;
        let parts = match self {
            ArnPattern::Whole(pattern) if pattern.is_everything() => return Some(true),
            ArnPattern::Whole(pattern) if !is_arn => return pattern.matches(arn, keys),
            ArnPattern::Parts(parts) if is_arn => parts,
            ArnPattern::Whole(_) | ArnPattern::Parts(_) => return Some(false),
        };
        let mut all = true;
        for (part, own) in parts.iter().zip(own) {
            all = all && part.matches(own, keys)?;
        }
        Some(all)
    }
}

impl Token {
    fn of(c: char) -> Token {
        match c {
            '*' => Token::Any,
            '?' => Token::One,
            c => Token::Char(c),
        }
    }

    /// A variable's text is put in before.
    fn written(&self) -> char {
        match self {
            Token::Char(c) => *c,
            Token::One => '?',
            Token::Any => '*',
            Token::Variable { .. } => '$',
        }
    }
}

/// `${*}`, `${?}` and `${$}` are the characters themselves.
fn with_variables(text: &str) -> Vec<Token> {
    let (mut tokens, mut rest) = (vec![], text);
    while let Some((before, (inside, after))) = rest.split_once("${").and_then(|(b, r)| Some((b, r.split_once('}')?))) {
        tokens.extend(before.chars().map(Token::of));
        tokens.push(match inside {
            "*" => Token::Char('*'),
            "?" => Token::Char('?'),
            "$" => Token::Char('$'),
            variable => named(variable),
        });
        rest = after;
    }
    tokens.extend(rest.chars().map(Token::of));
    tokens
}

/// `aws:PrincipalTag/team, 'company-wide'`: a key, and what stands for it where a request has none.
fn named(variable: &str) -> Token {
    let (key, default) = match variable.split_once(',') {
        Some((key, default)) => (key, Some(default.trim().trim_matches('\'').to_owned())),
        None => (variable, None),
    };
    Token::Variable { key: key.trim().to_lowercase(), default }
}

/// A key with many values is none of a variable's.
fn value(key: &str, default: Option<&String>, keys: &dyn Keys) -> Option<String> {
    match keys.values(key) {
        Some(mut values) if values.len() == 1 => values.pop(),
        Some(_) => None,
        None => default.cloned(),
    }
}

fn glob(pattern: &[Token], text: &str) -> bool {
    // The place behind the last `*`, and where the text goes on that it has not taken.
    let (mut p, mut rest, mut star) = (0, text, None::<(usize, &str)>);
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        match pattern.get(p) {
            Some(Token::Any) => {
                p += 1;
                star = Some((p, rest));
            }
            Some(Token::One) => (p, rest) = (p + 1, behind),
            Some(Token::Char(own)) if *own == c => (p, rest) = (p + 1, behind),
            _ => {
                let Some((after, taken)) = star else { return false };
                let mut more = taken.chars();
                more.next();
                star = Some((after, more.as_str()));
                (p, rest) = (after, more.as_str());
            }
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Any)
}
