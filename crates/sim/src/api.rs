use crate::server::PRIVATE;
use crate::setup::{ACCOUNT, ADMIN_ID, REGION};
use roadstead_cloud::authorize::Authorizer;
use roadstead_kernel::{Caller, Identity, Kernel, Memo, Minted, Question, Secrets};
use roadstead_store::{Tx, View};
use roadstead_types::{Arn, Sealed};
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::{AnyOperation, Operation, Shape, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The region's API as somebody calls it, its admin user if nobody else is named: the real operations, behind the real
/// kernel.
#[derive(Clone)]
pub struct Api {
    kernel: Arc<Kernel<Authorizer>>,
    /// What was answered so far, which must be what is answered now wherever it claims so.
    memo: Arc<Memo<Value>>,
    caller: Caller,
}

/// In bytes, by an answer's size of 1 KiB: enough for all that one story asks.
const MEMO: usize = 4 << 20;

/// Each text is another, and every one is found in the journal should it ever stand there.
#[derive(Default)]
struct Counted(AtomicU64);

impl Secrets for Counted {
    fn mint(&self, context: &str) -> Result<Minted, String> {
        let plain = format!("{PRIVATE}{context}-no-{}", self.0.fetch_add(1, Ordering::Relaxed));
        let sealed = Sealed { context: context.to_owned(), ciphertext: plain.clone() };
        Ok(Minted { plain, sealed })
    }

    fn sign(&self, context: &str, text: &str) -> Result<String, String> {
        Ok(format!("{PRIVATE}{context}-of-{}-bytes", text.len()))
    }
}

impl Api {
    /// All services.
    pub fn new() -> Api {
        let secrets = Box::new(Counted::default());
        let kernel = Kernel::new(Authorizer::default(), secrets, roadstead_cloud::services());
        Api { kernel: Arc::new(kernel), memo: Arc::new(Memo::new(MEMO)), caller: admin() }
    }

    /// The same as another principal calls it.
    #[must_use]
    pub fn as_principal(&self, identity: Identity) -> Api {
        Api { caller: Caller { identity, ..self.caller.clone() }, ..self.clone() }
    }

    /// The same with another key.
    #[must_use]
    pub fn with_key(&self, access_key_id: &str) -> Api {
        let caller = Caller { access_key_id: access_key_id.to_owned(), ..self.caller.clone() };
        Api { caller, ..self.clone() }
    }

    /// Whether a call changes nothing.
    pub fn is_read(&self, operation: &AnyOperation) -> bool {
        self.kernel.is_read(operation)
    }

    /// Work for the region's writer: a call that changes something.
    pub fn write<I: Shape, O: Shape>(
        &self,
        operation: &'static Operation<I, O>,
        input: I,
    ) -> impl FnOnce(&mut Tx) -> Result<O, Fault> + Send + 'static {
        let Api { kernel, caller, .. } = self.clone();
        move |tx| {
            let output = kernel.write(tx, operation, &caller, input.into_value())?;
            O::from_value(output).map_err(Fault::internal)
        }
    }

    /// A call that only reads.
    ///
    /// # Panics
    /// If it was asked before and would be answered otherwise from memory.
    pub fn read<I: Shape, O: Shape>(
        &self,
        view: &View,
        operation: &'static Operation<I, O>,
        input: &I,
    ) -> Result<O, Fault> {
        let question = Question::new(&self.caller, [operation.action.as_bytes(), format!("{input:?}").as_bytes()]);
        let recalled = self.memo.recall(&question, view);
        let view = view.noting();
        let answer = self.kernel.read(&view, operation, &self.caller, input.clone().into_value());
        if let Some(recalled) = recalled {
            assert_eq!(answer.as_ref().ok().map(|answer| &answer.value), Some(&recalled), "{}", operation.action);
        }
        let answer = answer?;
        self.memo.keep(question, &view, answer.value.clone(), 1024);
        O::from_value(answer.value).map_err(Fault::internal)
    }
}

fn admin() -> Caller {
    Caller {
        identity: Identity {
            arn: Arn::new("iam", "", ACCOUNT, "user/admin"),
            role: None,
            unique_id: ADMIN_ID.to_owned(),
            account: ACCOUNT.to_owned(),
        },
        access_key_id: "AKIAADMIN".to_owned(),
        region: REGION.to_owned(),
        source_ip: "127.0.0.1".to_owned(),
        user_agent: "sim".to_owned(),
        request_id: "00000000-0000-0000-0000-000000000000".to_owned(),
    }
}
