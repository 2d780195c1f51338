use crate::audit;
use crate::authorize::{self, Ask, Policies};
use crate::caller::{Caller, Mint, Secrets};
use crate::idempotency::Token;
use crate::page::Listing;
use crate::service::{Handler, Service};
use roadstead_store::{Read, Tx, View};
use roadstead_wire::fault::{Code, Fault};
use roadstead_wire::schema::{AnyOperation, Value};
use std::collections::HashMap;

/// All services, and who may call them.
pub struct Kernel<P: Policies> {
    handlers: HashMap<(&'static str, &'static str), (&'static AnyOperation, Handler)>,
    policies: P,
    secrets: Box<dyn Secrets>,
}

/// What a read says.
pub struct Answer {
    /// The output.
    pub value: Value,
    /// It will change by itself: a waiter may be held up for that.
    pub hold: bool,
}

impl<P: Policies> Kernel<P> {
    /// Puts services together.
    ///
    /// # Panics
    /// If an operation is registered twice, or answers with a secret and has a token: its answer would be remembered.
    pub fn new(policies: P, secrets: Box<dyn Secrets>, services: Vec<Service>) -> Kernel<P> {
        let mut handlers = HashMap::new();
        for (operation, handler) in services.into_iter().flat_map(|s| s.operations) {
            let tells = matches!(handler, Handler::WriteSecret(_)) && operation.idempotency_token.is_some();
            assert!(!tells, "{} would have its secret remembered", operation.action);
            let before = handlers.insert(id(operation), (operation, handler));
            assert!(before.is_none(), "{} is registered twice", operation.action);
        }
        Kernel { handlers, policies, secrets }
    }

    /// The operations that are served.
    pub fn operations(&self) -> impl Iterator<Item = &'static AnyOperation> {
        self.handlers.values().map(|(operation, _)| *operation)
    }

    /// Whether the operation changes nothing: [`Kernel::read`] answers it, else [`Kernel::write`] does.
    pub fn is_read(&self, operation: &AnyOperation) -> bool {
        matches!(self.handlers.get(&id(operation)), Some((_, Handler::Read(_))))
    }

    /// Whether the caller may; a write is asked again inside its transaction.
    pub fn admit(&self, view: &View, operation: &AnyOperation, caller: &Caller, input: &Value) -> Result<(), Fault> {
        operation.validate(input)?;
        authorize::check(&self.policies, view, operation, caller, input)
    }

    /// Whether the caller may do that to a resource, where no operation stands for it: what came in parts by a protocol
    /// of its own.
    ///
    /// # Errors
    /// It may not.
    pub fn permit(&self, read: &impl Read, caller: &Caller, action: &str, resource: &str) -> Result<(), Fault> {
        authorize::permit(&self.policies, read, Ask { caller, action, resource, call: None })
    }

    /// Answers a read.
    pub fn read(&self, view: &View, operation: &AnyOperation, caller: &Caller, input: Value) -> Result<Answer, Fault> {
        self.admit(view, operation, caller, &input)?;
        match self.handlers.get(&id(operation)) {
            Some((_, Handler::Read(handler))) => {
                let listing = Listing::of(operation, caller, &input);
                let input = match &listing {
                    Some(listing) => listing.open(input, || view.now()),
                    None => input,
                };
                let held = declared(operation, handler(view, caller, input))?;
                let value = match &listing {
                    Some(listing) => listing.seal(held.value, || view.now()),
                    None => held.value,
                };
                Ok(Answer { value, hold: held.hold })
            }
            _ => Err(not_served(operation)),
        }
    }

    /// Runs an operation that changes something, in its transaction. On a fault the transaction must be dropped.
    pub fn write(&self, tx: &mut Tx, operation: &AnyOperation, caller: &Caller, input: Value) -> Result<Value, Fault> {
        operation.validate(&input)?;
        authorize::check(&self.policies, tx, operation, caller, &input)?;
        let token = Token::of(operation, caller, &input);
        if let Some(result) = token.as_ref().and_then(|t| t.replay(tx, operation)) {
            return result;
        }
        let output = declared(operation, self.handle(tx, operation, caller, input.clone()))?;
        if let Some(token) = token {
            token.remember(tx, operation, &output);
        }
        audit::succeeded(tx, operation, caller, &input, &output);
        Ok(output)
    }

    fn handle(&self, tx: &mut Tx, operation: &AnyOperation, caller: &Caller, input: Value) -> Result<Value, Fault> {
        match self.handlers.get(&id(operation)) {
            Some((_, Handler::Write(handler))) => handler(tx, caller, input),
            Some((_, Handler::WriteSecret(handler))) => {
                handler(tx, caller, input, Mint { secrets: &*self.secrets, context: operation.action })
            }
            _ => Err(not_served(operation)),
        }
    }
}

fn id(operation: &AnyOperation) -> (&'static str, &'static str) {
    (operation.service.name, operation.name)
}

/// SDKs know an operation's errors from its model: one that is not among them is a mistake of ours, which tests must not
/// pass over. A region that serves people answers with it all the same.
fn declared<T>(operation: &AnyOperation, result: Result<T, Fault>) -> Result<T, Fault> {
    if let Err(Fault { code: Code::Modelled(error), .. }) = &result {
        let known = operation.errors.iter().any(|own| std::ptr::eq(*own, *error));
        debug_assert!(known, "{operation:?} does not declare {}: see models/ops.toml", error.code);
    }
    result
}

fn not_served(operation: &AnyOperation) -> Fault {
    Fault::internal(format!("{} was routed here and is not served so", operation.action))
}
