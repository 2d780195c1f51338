//! `guest ecr-credentials`: what kubelet shows ECR when it pulls: a token that the role's credentials get, as EKS's
//! `ecr-credential-provider` does. <https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/>

use super::{now, write};
use crate::ask::client::{Answer, Endpoint};
use crate::ask::imds::{Credentials, Imds};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_hostspec::link_local;
use roadstead_types::Millis;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

/// Where kubelet finds its plugins, and what it is told of them: as on EKS's own images.
pub const PROGRAMS: &str = "/etc/eks/image-credential-provider";
/// See [`PROGRAMS`].
pub const CONFIG: &str = "/etc/eks/image-credential-provider/config.json";
const NAME: &str = "ecr-credential-provider";
const API: &str = "credentialprovider.kubelet.k8s.io/v1";

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
const TYPE: &str = "application/x-amz-json-1.1";
/// How long ECR may take: kubelet gives a plugin a minute.
const PATIENCE: Duration = Duration::from_secs(30);

/// Puts the plugin where kubelet looks for it. Only this region's registries are its: another one's would learn a token
/// that is none of theirs.
pub fn install(program: &str, region: &str) -> Result<()> {
    write(Path::new(CONFIG), 0o644, &serde_json::to_vec_pretty(&config(region))?)?;
    let plugin = Path::new(PROGRAMS).join(NAME);
    match fs::remove_file(&plugin) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    symlink(program, &plugin).with_context(|| format!("making {}", plugin.display()))
}

fn config(region: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [{
            "name": NAME,
            "apiVersion": API,
            "args": ["guest", "ecr-credentials"],
            "matchImages": [format!("*.dkr.ecr.{region}.amazonaws.com")],
            "defaultCacheDuration": "12h0m0s",
        }],
    })
}

/// Answers kubelet: a CredentialProviderRequest comes on standard input, its response goes to standard output.
pub fn run() -> Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("reading kubelet's request")?;
    let request: Asked = serde_json::from_str(&text).context("kubelet's request")?;
    let registry = request.image.split('/').next().unwrap_or_default();
    let region = registry.split('.').nth(3).with_context(|| format!("{} is no image of ECR's", request.image))?;
    let imds = Imds::new(None)?;
    let now = now()?;
    let answer = ask(&imds.credentials()?, region, now)?;
    println!("{}", response(registry, &answer, now)?);
    Ok(())
}

#[derive(Deserialize)]
struct Asked {
    image: String,
}

/// GetAuthorizationToken, with the role's credentials.
fn ask(credentials: &Credentials, region: &str, now: Millis) -> Result<Answer> {
    let endpoint = Endpoint::parse(&format!("http://{}", link_local::API))?;
    let own = [("content-type", TYPE), ("x-amz-target", TARGET)];
    let request = endpoint.sign(&credentials.signer(region, "ecr"), &own, b"{}", now)?;
    endpoint.post(&request, PATIENCE).context("asking ECR for an authorization token")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Got {
    authorization_data: Vec<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    authorization_token: String,
    /// Seconds since 1970, with a fraction.
    expires_at: f64,
}

/// A CredentialProviderResponse. Kubelet uses it for half of the time that is left, as upstream's provider says.
fn response(registry: &str, answer: &Answer, now: Millis) -> Result<Value> {
    ensure!(answer.status == 200, "ECR answers {}: {}", answer.status, answer.text());
    let got: Got = serde_json::from_slice(&answer.body).context("ECR's answer")?;
    let data = got.authorization_data.first().context("ECR's answer has no token")?;
    let plain = String::from_utf8(STANDARD.decode(&data.authorization_token)?)?;
    let (username, password) = plain.split_once(':').context("ECR's token has no user")?;
    let left = Duration::try_from_secs_f64(data.expires_at - now.as_secs_f64()).unwrap_or_default();
    Ok(json!({
        "apiVersion": API,
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "cacheDuration": format!("{}s", left.as_secs() / 2),
        "auth": { registry: {"username": username, "password": password} },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRY: &str = "111122223333.dkr.ecr.us-west-2.amazonaws.com";

    #[test]
    fn kubelet_is_given_the_token_for_half_of_its_time() {
        let token = STANDARD.encode("AWS:a.b");
        let body = json!({"authorizationData": [{"authorizationToken": token, "expiresAt": 43210.5}]});
        let answer = Answer { status: 200, body: body.to_string().into_bytes() };
        let response = response(REGISTRY, &answer, Millis::secs(10)).unwrap();
        assert_eq!(response["auth"][REGISTRY], json!({"username": "AWS", "password": "a.b"}));
        assert_eq!((&response["cacheDuration"], &response["cacheKeyType"]), (&json!("21600s"), &json!("Registry")));
    }

    #[test]
    fn a_refusal_is_said() {
        let answer = Answer { status: 400, body: b"AccessDeniedException".to_vec() };
        let why = response(REGISTRY, &answer, Millis(0)).unwrap_err().to_string();
        assert!(why.contains("400") && why.contains("AccessDenied"), "{why}");
    }

    #[test]
    fn only_this_regions_registries_are_shown_a_token() {
        let provider = &config("us-west-2")["providers"][0];
        assert_eq!(provider["matchImages"], json!(["*.dkr.ecr.us-west-2.amazonaws.com"]));
        assert_eq!(provider["name"], "ecr-credential-provider");
    }
}
