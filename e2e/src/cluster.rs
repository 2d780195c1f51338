//! A cluster, made with `aws` and used with `kubectl`.

use crate::client::Client;
use crate::process::{Said, run};
use crate::region::Region;
use crate::story::{say, within};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How long one `kubectl` may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster that somebody has a kubeconfig for.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    client: Client,
    kubeconfig: PathBuf,
}

impl Region {
    /// The ids of the default VPC's subnets, by zone, joined by commas as the `aws` CLI takes them.
    #[track_caller]
    pub fn default_subnets(&self) -> String {
        let filter = "Name=default-for-az,Values=true";
        let query = "sort_by(Subnets, &AvailabilityZone)[].SubnetId";
        let ids = self.aws(&["ec2", "describe-subnets", "--filters", filter, "--query", query]);
        let ids: Vec<&str> = ids.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        ids.join(",")
    }

    /// The ARN of the role that every account is given for its clusters.
    #[track_caller]
    pub fn cluster_role(&self) -> String {
        let arn = self.aws(&["iam", "get-role", "--role-name", "eks-cluster-role", "--query", "Role.Arn"]);
        arn.as_str().expect("a role has an ARN").to_owned()
    }

    /// Asks for a cluster and returns what CreateCluster answers. `network` is the value of `--resources-vpc-config`;
    /// the default VPC's subnets if it names none.
    #[track_caller]
    pub fn ask_for_cluster(&self, name: &str, network: &str, more: &[&str]) -> Value {
        let network = match network.contains("subnetIds=") {
            true => network.to_owned(),
            false => format!("subnetIds={}{network}", self.default_subnets()),
        };
        let role = self.cluster_role();
        let arguments =
            ["eks", "create-cluster", "--name", name, "--role-arn", &role, "--resources-vpc-config", &network];
        self.aws(&[&arguments, more].concat())["cluster"].clone()
    }

    /// Makes a cluster in the default VPC and waits until it is active.
    #[track_caller]
    pub fn create_cluster(&self, name: &str) -> Cluster {
        let began = Instant::now();
        self.ask_for_cluster(name, "", &[]);
        self.await_active(name);
        say(&format!("{:6.1} s  CreateCluster to ACTIVE, {name}", began.elapsed().as_secs_f64()));
        self.cluster(name)
    }

    /// Waits as users do.
    #[track_caller]
    pub fn await_active(&self, name: &str) {
        let said = self.client().run("aws", &["eks", "wait", "cluster-active", "--name", name]);
        let found = if said.ok() { Value::Null } else { self.describe(name) };
        assert!(said.ok(), "{said}\n{found:#}");
    }

    /// DescribeCluster.
    #[track_caller]
    pub fn describe(&self, name: &str) -> Value {
        self.aws(&["eks", "describe-cluster", "--name", name])["cluster"].clone()
    }

    /// A cluster that is there, with a kubeconfig of its own.
    #[track_caller]
    pub fn cluster(&self, name: &str) -> Cluster {
        let kubeconfig = self.folder().join(format!("{name}.kubeconfig"));
        let path = kubeconfig.to_string_lossy().into_owned();
        let client = self.client();
        client.run("aws", &["eks", "update-kubeconfig", "--name", name, "--kubeconfig", &path]).text();
        Cluster { name: name.to_owned(), client, kubeconfig }
    }
}

impl Cluster {
    /// The same cluster and kubeconfig for somebody else.
    #[must_use]
    pub fn used_by(&self, client: &Client) -> Cluster {
        Cluster { client: client.clone(), ..self.clone() }
    }

    /// The same cluster with a token of now in a kubeconfig, good for 14 minutes: its `kubectl` starts no other program,
    /// which stories of many steps are quicker by.
    #[must_use]
    #[track_caller]
    pub fn with_token(&self) -> Cluster {
        let kubeconfig = self.kubeconfig.with_extension("token");
        let (server, authority) = (self.server(), STANDARD.encode(self.authority()));
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": "it", "user": {"token": self.token()}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]});
        fs::write(&kubeconfig, config.to_string()).expect("a kubeconfig can be written");
        Cluster { kubeconfig, ..self.clone() }
    }

    /// A `kubectl` that is to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.client.command("kubectl", arguments);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// `kubectl` with the kubeconfig that `aws eks update-kubeconfig` wrote.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        self.kubectl_within(PATIENCE, arguments)
    }

    /// The same, for what may take longer.
    #[track_caller]
    pub fn kubectl_within(&self, limit: Duration, arguments: &[&str]) -> Said {
        run(self.command(arguments), None, limit)
    }

    /// `helm`, with the same kubeconfig.
    #[track_caller]
    pub fn helm(&self, arguments: &[&str]) -> Said {
        let mut command = self.client.command("helm", arguments);
        command.env("KUBECONFIG", &self.kubeconfig);
        run(command, None, 2 * PATIENCE)
    }

    /// `kubectl apply` of an object, or of a List of them.
    #[track_caller]
    pub fn apply(&self, object: &Value) {
        self.kubectl_fed(&object.to_string(), &["apply", "--filename", "-"]).text();
    }

    /// `kubectl` that is given something on its standard input.
    #[track_caller]
    pub fn kubectl_fed(&self, input: &str, arguments: &[&str]) -> Said {
        run(self.command(arguments), Some(input.to_owned()), PATIENCE)
    }

    /// What `kubectl ... --output json` prints.
    #[track_caller]
    pub fn kubectl_json(&self, arguments: &[&str]) -> Value {
        self.kubectl(&[arguments, &["--output", "json"]].concat()).json()
    }

    /// A token of `aws eks get-token`, good for 14 minutes.
    #[track_caller]
    pub fn token(&self) -> String {
        self.token_for(&self.name)
    }

    /// A token for the cluster of that name.
    #[track_caller]
    pub fn token_for(&self, name: &str) -> String {
        let credential = self.client.aws(&["eks", "get-token", "--cluster-name", name]);
        credential["status"]["token"].as_str().expect("a credential has a token").to_owned()
    }

    /// `kubectl` with a bearer token and without the kubeconfig's way to get one: quick, and needs no region.
    #[track_caller]
    pub fn kubectl_with(&self, token: &str, arguments: &[&str]) -> Said {
        let authority = self.kubeconfig.with_extension("crt");
        if !authority.exists() {
            fs::write(&authority, self.authority()).expect("a certificate can be written");
        }
        let server = format!("--server={}", self.server());
        let authority = format!("--certificate-authority={}", authority.display());
        let own = [&*server, &authority, "--token", token];
        let mut command = self.client.command("kubectl", &[&own, arguments].concat());
        command.env("KUBECONFIG", "/dev/null");
        run(command, None, PATIENCE)
    }

    /// Fails unless `kubectl` gets there with the token when it tries three times, as a user would who types it again:
    /// 0.7 s apart, each for a second at most.
    #[track_caller]
    pub fn must_serve(&self, token: &str) {
        let (began, mut tried) = (Instant::now(), Vec::new());
        for n in 0..3 {
            thread::sleep((Duration::from_millis(700) * n).saturating_sub(began.elapsed()));
            match self.ask(token, "1s") {
                said if said.ok() => return,
                said => tried.push(said.err),
            }
        }
        panic!("the cluster does not serve, {:?} long: {tried:#?}", began.elapsed());
    }

    /// Whether one request with the token is answered within a second.
    #[track_caller]
    pub fn answers(&self, token: &str) -> bool {
        self.ask(token, "1s").ok()
    }

    fn ask(&self, token: &str, limit: &str) -> Said {
        let timeout = format!("--request-timeout={limit}");
        self.kubectl_with(token, &[&timeout, "get", "--raw=/api/v1/namespaces/default"])
    }

    /// Whether `kubectl` is refused as somebody unknown.
    #[track_caller]
    pub fn refuses(&self, token: &str) -> bool {
        let said = self.kubectl_with(token, &["get", "--raw=/api"]);
        assert!(!said.ok(), "a token was accepted that should not have been: {said}");
        said.err.contains("Unauthorized")
    }

    /// Waits until `kubectl` gets there with the token.
    #[track_caller]
    pub fn await_serving(&self, token: &str, limit: Duration) {
        let served = within(limit, || self.ask(token, "5s").ok().then_some(()));
        assert!(served.is_some(), "not within {limit:?}: {}", self.ask(token, "5s"));
    }

    /// The address of its API, without `https://`.
    #[track_caller]
    pub fn host(&self) -> String {
        self.server().trim_start_matches("https://").to_owned()
    }

    /// What dialling it gets, see `clients/dial.py`.
    #[track_caller]
    pub fn dial(&self, order: &Value) -> Value {
        let mut full = json!({ "host": self.host(), "authority": self.authority() });
        for (name, value) in order.as_object().into_iter().flatten() {
            full[name] = value.clone();
        }
        self.client.script("dial.py", &full)
    }

    /// What a patient client sees while a process is sent a signal, see `clients/insist.py`.
    #[track_caller]
    pub fn insist(&self, token: &str, pid: i32, signal: Signal, seconds: u32) -> Value {
        let order = json!({
            "host": self.host(), "authority": self.authority(), "token": token,
            "pid": pid, "signal": signal as i32, "seconds": seconds,
        });
        self.client.script("insist.py", &order)
    }

    /// What writing every 50 ms for so long gets, see `clients/write.py`.
    #[track_caller]
    pub fn write(&self, token: &str, span: Duration) -> Value {
        let order = json!({
            "host": self.host(), "authority": self.authority(), "token": token, "seconds": span.as_secs(),
        });
        self.client.script("write.py", &order)
    }

    fn server(&self) -> String {
        self.of_kubeconfig("{.clusters[0].cluster.server}")
    }

    fn authority(&self) -> String {
        let text = self.of_kubeconfig("{.clusters[0].cluster.certificate-authority-data}");
        let bytes = STANDARD.decode(text).expect("a certificate authority is base64");
        String::from_utf8(bytes).expect("a certificate authority is PEM")
    }

    #[track_caller]
    fn of_kubeconfig(&self, path: &str) -> String {
        let path = format!("jsonpath={path}");
        self.kubectl(&["config", "view", "--raw", "--minify", "--output", &path]).text()
    }
}
