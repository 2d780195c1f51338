//! Operations behind the kernel, on an account with a little furniture: whatever is asked is done or refused, and a refusal
//! is the caller's fault. Nothing is kept from one input to the next.

use crate::request::{ID, assert_readable, assert_refusal, read};
use roadstead_cloud::authorize::Authorizer;
use roadstead_cloud::ec2::vpc;
use roadstead_cloud::iam;
use roadstead_cloud::settings::{KubernetesVersion, Settings, Zone};
use roadstead_kernel::{Caller, Identity, Kernel, Minted, Secrets};
use roadstead_store::journal::Memory;
use roadstead_store::{Core, Options, Tx};
use roadstead_types::{Arn, Cidr, Millis, Sealed};
use roadstead_wire::Router;
use roadstead_wire::fault::{Code, Common, Fault};
use roadstead_wire::schema::{AnyOperation, Value};
use std::net::Ipv4Addr;
use std::sync::{LazyLock, Mutex, PoisonError};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "us-east-1";
const NOW: Millis = Millis::secs(1_767_225_600);
/// The policy that a cluster's role must carry.
const POLICY: &str = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy";
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;

struct Account {
    kernel: Kernel<Authorizer>,
    router: Router,
    core: Mutex<Core>,
    caller: Caller,
}

static HERE: LazyLock<Account> = LazyLock::new(|| {
    let kernel = Kernel::new(Authorizer::default(), Box::new(NoSecrets), roadstead_cloud::services());
    let mut core =
        Core::open(Memory::new(), roadstead_cloud::registry(), Options::seeded(7)).expect("an empty journal opens");
    let (admin, _) = core.transact(NOW, furnish).expect("nothing refuses");
    Account { router: Router::new(kernel.operations()), kernel, core: Mutex::new(core), caller: caller(admin) }
});

/// Asks for what the bytes say.
pub fn run(bytes: &[u8]) {
    let Some(request) = read(bytes) else { return };
    let call = match HERE.router.route(&request) {
        Ok(call) => call,
        Err(unrouted) => return assert_refusal(&unrouted.respond(ID)),
    };
    let answered = call.decode(&request).and_then(|input| HERE.perform(call.operation(), input));
    match answered {
        Ok(output) => assert_readable(&call.respond(&output, ID)),
        Err(fault) => {
            let ours = matches!(fault.code, Code::Common(Common::InternalFailure));
            assert!(!ours, "{:?}: {fault}: {:?}", call.operation(), fault.cause);
            assert_readable(&call.refuse(&fault, ID));
        }
    }
}

impl Account {
    fn perform(&self, operation: &'static AnyOperation, input: Value) -> Result<Value, Fault> {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        if self.kernel.is_read(operation) {
            return Ok(self.kernel.read(&core.head().at(NOW), operation, &self.caller, input)?.value);
        }
        self.kernel.write(&mut core.begin(NOW), operation, &self.caller, input)
    }
}

/// Its admin's id.
fn furnish(tx: &mut Tx) -> Result<String, Fault> {
    let zone = |letter: char, n: u8| Zone { name: format!("{REGION}{letter}"), id: format!("use1-az{n}") };
    let kubernetes = KubernetesVersion {
        minor: "1.36".into(),
        patch: "1.36.3".into(),
        components: "kubernetes-1.36.3".into(),
        default: true,
        released: NOW,
        image_date: "20260101".into(),
    };
    let settings = Settings {
        region: REGION.into(),
        account: ACCOUNT.into(),
        zones: vec![zone('a', 1), zone('b', 2), zone('c', 3)],
        public_pool: Cidr::containing(Ipv4Addr::new(127, 43, 0, 0), 24),
        outside: None,
        sts_hosts: vec![],
        kubernetes: vec![kubernetes],
        etcd: "etcd-3.6.16".into(),
        containerd: "containerd-2.3.7".into(),
        runc: "runc-1.5.2".into(),
        coredns: "coredns-1.14.7".into(),
        metrics_server: "metrics-server-0.9.0".into(),
        vcpus: 8,
        policies_decide: true,
    };
    tx.create(Settings::key(), None, settings.clone());
    let admin = iam::user::create(tx, ACCOUNT, "admin", "/");
    iam::user::make_administrator(tx, ACCOUNT, "admin");
    iam::role::create(tx, ACCOUNT, "eks", "/", TRUST, &[POLICY]);
    vpc::create_default(tx, &settings);
    Ok(admin.id)
}

fn caller(unique_id: String) -> Caller {
    Caller {
        identity: Identity {
            arn: Arn::new("iam", "", ACCOUNT, "user/admin"),
            role: None,
            unique_id,
            account: ACCOUNT.into(),
        },
        access_key_id: "AKIAADMIN".into(),
        region: REGION.into(),
        source_ip: "127.0.0.1".into(),
        user_agent: "fuzz".into(),
        request_id: ID.into(),
    }
}

/// What is made here opens nothing.
struct NoSecrets;

impl Secrets for NoSecrets {
    fn mint(&self, context: &str) -> Result<Minted, String> {
        Ok(Minted {
            plain: context.to_owned(),
            sealed: Sealed { context: context.to_owned(), ciphertext: String::new() },
        })
    }

    fn sign(&self, _: &str, text: &str) -> Result<String, String> {
        Ok(text.len().to_string())
    }
}
