//! Somebody with an access key and the real clients.

use crate::boto::{self, Answer, Call, call};
use crate::process::{Said, run};
use crate::wire::{self, Reply, Request};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

/// The longest that a client may take: the longest waiter of a story, and more.
const PATIENCE: Duration = Duration::from_secs(240);

/// How an API refused, as the `aws` CLI tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// E.g. `ResourceNotFoundException`.
    pub code: String,
    /// Its text.
    pub message: String,
}

/// One to compare with.
pub fn refusal(code: &str, message: &str) -> Refusal {
    Refusal { code: code.into(), message: message.into() }
}

/// The real clients, with one user's access key.
#[derive(Clone, Debug)]
pub struct Client {
    environment: Vec<(String, String)>,
    home: PathBuf,
}

impl Client {
    /// One that has what `roadstead env` printed, and a home directory of its own.
    pub(crate) fn from_exports(exports: &str, home: &Path) -> Client {
        static CHECKED: Once = Once::new();
        CHECKED.call_once(check_versions);
        let exported = exports.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        let mut environment: Vec<_> = exported.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        // A machine of EC2's would otherwise be asked for credentials that a test takes away.
        environment.push(("AWS_EC2_METADATA_DISABLED".into(), "true".into()));
        Client { environment, home: home.to_owned() }
    }

    /// The same, with another access key.
    #[must_use]
    pub fn with_key(&self, id: &str, secret: &str) -> Client {
        self.with("AWS_ACCESS_KEY_ID", id).with("AWS_SECRET_ACCESS_KEY", secret)
    }

    /// The same, with a variable of the environment.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Client {
        let mut client = self.clone();
        client.environment.retain(|(known, _)| known != name);
        client.environment.push((name.to_owned(), value.to_owned()));
        client
    }

    /// The value of a variable of its environment.
    #[track_caller]
    pub fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no {name} in the client's environment"), |(_, value)| value)
    }

    /// Its home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A program in its environment, and nothing of the test's own AWS and Kubernetes settings.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if ["AWS_", "KUBE"].iter().any(|p| name.to_string_lossy().starts_with(p)) {
                command.env_remove(name);
            }
        }
        command.args(arguments).env("HOME", &self.home).envs(self.environment.iter().cloned());
        command
    }

    /// Runs a program to its end.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Said {
        run(self.command(program, arguments), None, PATIENCE)
    }

    /// What the `aws` CLI prints: JSON, or nothing.
    #[track_caller]
    pub fn aws(&self, arguments: &[&str]) -> Value {
        self.run("aws", arguments).json()
    }

    /// How the API refuses what the `aws` CLI asks.
    #[track_caller]
    pub fn aws_refuses(&self, arguments: &[&str]) -> Refusal {
        let said = self.run("aws", arguments).complaint();
        let refusal = said.split_once("An error occurred (").and_then(|(_, rest)| {
            let (code, rest) = rest.split_once(')')?;
            let (_, message) = rest.split_once(" operation: ").or_else(|| rest.split_once(": "))?;
            Some(refusal(code, message.trim()))
        });
        refusal.unwrap_or_else(|| panic!("not an answer of the API: {said}"))
    }

    /// What boto3 gets, call by call.
    #[track_caller]
    pub fn boto(&self, calls: Vec<Call>) -> Vec<Answer> {
        let input = Value::Array(calls.into_iter().map(Call::into_json).collect());
        boto::answers(self.script("calls.py", &input))
    }

    /// What boto3 gets for calls that each must get what stands before it: `OK`, or the code of a refusal.
    #[track_caller]
    pub fn gets(&self, cases: Vec<(&str, Call)>) -> Vec<Answer> {
        let (codes, calls): (Vec<&str>, Vec<Call>) = cases.into_iter().unzip();
        let names: Vec<String> = calls.iter().map(Call::name).collect();
        let answers = self.boto(calls);
        let got = answers.iter().map(Answer::code).zip(codes).zip(&names);
        let wrong = got.zip(&answers).filter(|(((code, expected), _), _)| code != expected);
        let wrong: Vec<String> =
            wrong.map(|(((_, expected), name), answer)| format!("{name}: {expected}, not {answer:?}")).collect();
        assert!(wrong.is_empty(), "should have got\n{}", wrong.join("\n"));
        answers
    }

    /// The same client of somebody whom nobody knows.
    #[must_use]
    pub fn stranger(&self) -> Client {
        self.with_key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    }

    /// What HTTP requests get, signed by botocore and changed afterwards as they say.
    #[track_caller]
    pub fn send(&self, requests: Vec<Request>) -> Vec<Reply> {
        let input = Value::Array(requests.into_iter().map(Request::into_json).collect());
        wire::replies(self.script("wire.py", &input))
    }

    /// Everything that a user sees of the account.
    #[track_caller]
    pub fn account(&self) -> Value {
        let reads = [
            ("eks", "list_clusters"),
            ("iam", "list_roles"),
            ("ec2", "describe_vpcs"),
            ("ec2", "describe_subnets"),
            ("ec2", "describe_route_tables"),
            ("ec2", "describe_network_acls"),
            ("ec2", "describe_internet_gateways"),
            ("ec2", "describe_security_groups"),
            ("ec2", "describe_network_interfaces"),
            ("ec2", "describe_instances"),
            ("ec2", "describe_launch_templates"),
        ];
        let answers = self.boto(reads.iter().map(|(service, name)| call(service, name, json!({}))).collect());
        answers.into_iter().map(Answer::value).collect()
    }

    /// Runs one of `e2e/clients` with JSON in and out.
    #[track_caller]
    pub fn script(&self, name: &str, input: &Value) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name);
        let command = self.command("python3", &[&path.to_string_lossy()]);
        run(command, Some(input.to_string()), PATIENCE).json()
    }
}

/// The pinned clients must be the ones that are found.
fn check_versions() {
    let pins = include_str!("../requirements.txt");
    let pinned = |name: &str| {
        let pin = pins.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("=="));
        pin.and_then(|rest| rest.split(' ').next()).expect("requirements.txt pins it").to_owned()
    };
    let first_words = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        run(command, None, PATIENCE).text()
    };
    let aws = first_words("aws", &["--version"]);
    let boto = first_words("python3", &["-c", "import boto3; print(boto3.__version__)"]);
    let hint = "put the pinned clients first on PATH, as scripts/test does";
    assert!(aws.starts_with(&format!("aws-cli/{} ", pinned("awscli"))), "aws is {aws}: {hint}");
    assert_eq!(boto.trim(), pinned("boto3"), "boto3: {hint}");
    first_words("kubectl", &["version", "--client"]);
}
