//! A retried call that names its idempotency token gets the first call's result and changes nothing.

use crate::caller::Caller;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use roadstead_store::{AnyKey, Index, Key, Object, Read, Tx};
use roadstead_types::Millis;
use roadstead_wire::fault::{Code, Common, Fault};
use roadstead_wire::schema::canonical::{self, Sensitive};
use roadstead_wire::schema::{AnyOperation, Value};
use serde::{Deserialize, Serialize};

/// How long a token is remembered, if what its call made stands so long: longer than any client retries.
const REMEMBERED: Millis = Millis::mins(60);
/// Old tokens that one call forgets; more than it adds, so the number stays bounded by the rate of calls.
const FORGOTTEN_AT_ONCE: usize = 8;

/// The result of a call that named a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Hash of the input.
    input: String,
    /// Canonical JSON of the output.
    output: String,
    /// What the call made. Once any of it is gone the call may be made again: a Terraform that creates, destroys and
    /// creates with one token wants a second cluster, not the description of the first.
    #[serde(default)]
    made: Vec<AnyKey>,
    at: Millis,
}

impl Done {
    fn stands(&self, tx: &Tx) -> bool {
        tx.now().since(self.at) < REMEMBERED && self.made.iter().all(|key| tx.born(key) == Some(self.at))
    }
}

impl Object for Done {
    const KIND: &'static str = "kernel/idempotency";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("minute", minute(self.at))]
    }
}

fn minute(at: Millis) -> String {
    format!("{:010}", at.0 / 60_000)
}

/// The token of a call, if its operation has one and its input names it.
pub(crate) struct Token {
    key: Key<Done>,
    input: String,
}

impl Token {
    pub(crate) fn of(operation: &AnyOperation, caller: &Caller, input: &Value) -> Option<Token> {
        let member = operation.idempotency_token?;
        let Value::Struct(members) = input else { return None };
        let Some(Value::String(token)) = members.get(member) else { return None };
        let text = canonical::write(operation.input, input, Sensitive::Shown);
        let input = STANDARD_NO_PAD.encode(digest(&SHA256, text.as_bytes()));
        let key = format!("{}/{}/{token}", caller.identity.account, operation.action);
        Some(Token { key: Key::new(key), input })
    }

    /// The first call's result, or its refusal to stand for another call.
    pub(crate) fn replay(&self, tx: &Tx, operation: &AnyOperation) -> Option<Result<Value, Fault>> {
        let done = tx.get(&self.key).map(|record| record.body).filter(|done| done.stands(tx))?;
        if done.input != self.input {
            return Some(Err(mismatch(operation)));
        }
        Some(canonical::read(operation.output, &done.output).map_err(Fault::internal))
    }

    pub(crate) fn remember(self, tx: &mut Tx, operation: &AnyOperation, output: &Value) {
        let output = canonical::write(operation.output, output, Sensitive::Shown);
        let at = tx.now();
        let made = tx.writes().iter().filter(|effect| effect.created()).map(|effect| effect.key.clone()).collect();
        tx.set(&self.key, None, Done { input: self.input, output, made, at });
        forget_old(tx, at);
    }
}

/// A service that has an error of its own for bad input says it with that; the others have one for this.
fn mismatch(operation: &AnyOperation) -> Fault {
    match operation.invalid {
        invalid @ Code::Modelled(_) => {
            invalid.fault("The client request token was already used by a request with other parameters.")
        }
        Code::Common(_) => Common::IdempotentParameterMismatch
            .fault("Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."),
    }
}

/// Forgets the tokens of the minute that has just become too old, and of the ones before it that were missed.
fn forget_old(tx: &mut Tx, now: Millis) {
    let old = tx.list(Index::<Done>::by("minute", minute(now - REMEMBERED - Millis::mins(1))));
    for record in old.into_iter().take(FORGOTTEN_AT_ONCE) {
        tx.remove(&record.key);
    }
}
