use crate::caller::{Caller, Mint};
use roadstead_store::{Tx, View};
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::{AnyOperation, Operation, Shape, Value};

/// A handler that changes something. There is no other way to data.
pub type Write<I, O> = fn(&mut Tx, &Caller, I) -> Result<O, Fault>;
/// A handler that changes something and hands out fresh secrets.
pub type WriteSecret<I, O> = fn(&mut Tx, &Caller, I, Mint<'_>) -> Result<O, Fault>;
/// A handler that only reads.
pub type Read<I, O> = fn(&View, &Caller, I) -> Result<O, Fault>;

type ErasedRead = Box<dyn Fn(&View, &Caller, Value) -> Result<Held, Fault> + Send + Sync>;
type ErasedWrite = Box<dyn Fn(&mut Tx, &Caller, Value) -> Result<Value, Fault> + Send + Sync>;
type ErasedWriteSecret = Box<dyn Fn(&mut Tx, &Caller, Value, Mint<'_>) -> Result<Value, Fault> + Send + Sync>;

/// A handler without its types.
pub(crate) enum Handler {
    Read(ErasedRead),
    Write(ErasedWrite),
    WriteSecret(ErasedWriteSecret),
}

/// A read's output, and whether a waiter should be held up for another one.
pub(crate) struct Held {
    pub value: Value,
    pub hold: bool,
}

/// The operations of one service and what answers them.
pub struct Service {
    pub(crate) operations: Vec<(&'static AnyOperation, Handler)>,
}

impl Service {
    /// A service without operations.
    #[expect(clippy::new_without_default, reason = "an empty service is the beginning of one, never a default")]
    pub fn new() -> Service {
        Service { operations: vec![] }
    }

    /// With an operation that changes something.
    pub fn write<I: Shape, O: Shape>(self, operation: &'static Operation<I, O>, handler: Write<I, O>) -> Service {
        let erased =
            move |tx: &mut Tx, caller: &Caller, input: Value| Ok(handler(tx, caller, typed::<I>(input)?)?.into_value());
        self.with(operation, Handler::Write(Box::new(erased)))
    }

    /// With an operation that changes something and hands out fresh secrets.
    pub fn write_secret<I: Shape, O: Shape>(
        self,
        operation: &'static Operation<I, O>,
        handler: WriteSecret<I, O>,
    ) -> Service {
        let erased = move |tx: &mut Tx, caller: &Caller, input: Value, mint: Mint<'_>| {
            Ok(handler(tx, caller, typed::<I>(input)?, mint)?.into_value())
        };
        self.with(operation, Handler::WriteSecret(Box::new(erased)))
    }

    /// With an operation that only reads.
    pub fn read<I: Shape, O: Shape>(self, operation: &'static Operation<I, O>, handler: Read<I, O>) -> Service {
        self.read_held(operation, handler, |_| false)
    }

    /// With an operation that only reads, and that holds up a waiter while `passing` says that its answer will change
    /// by itself.
    pub fn read_held<I: Shape, O: Shape>(
        self,
        operation: &'static Operation<I, O>,
        handler: Read<I, O>,
        passing: fn(&O) -> bool,
    ) -> Service {
        let erased = move |view: &View, caller: &Caller, input: Value| {
            let output = handler(view, caller, typed::<I>(input)?)?;
            Ok(Held { hold: passing(&output), value: output.into_value() })
        };
        self.with(operation, Handler::Read(Box::new(erased)))
    }

    fn with(mut self, operation: &'static AnyOperation, handler: Handler) -> Service {
        self.operations.push((operation, handler));
        self
    }
}

/// The input was checked against its schema, so what does not fit its type is our own mistake.
fn typed<I: Shape>(input: Value) -> Result<I, Fault> {
    I::from_value(input).map_err(Fault::internal)
}
