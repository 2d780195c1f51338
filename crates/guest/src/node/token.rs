//! `guest token`: what kubelet shows the cluster, from the role's credentials: the token of `aws eks get-token`.

use super::now;
use crate::ask::imds::{Credentials, Imds};
use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roadstead_types::Millis;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How long a token is used: a minute less than it counts, as `aws eks get-token` does.
const LIFETIME: Millis = Millis::mins(14);

/// Prints an ExecCredential for a cluster.
pub fn run(args: &[String]) -> Result<()> {
    let [cluster_flag, cluster, region_flag, region] = args else { return usage() };
    if (cluster_flag.as_str(), region_flag.as_str()) != ("--cluster-name", "--region") {
        return usage();
    }
    let credentials = Imds::new(None)?.credentials()?;
    println!("{}", credential(&credentials, cluster, region, now()?)?);
    Ok(())
}

fn usage() -> Result<()> {
    bail!("usage: roadstead guest token --cluster-name NAME --region REGION")
}

/// <https://kubernetes.io/docs/reference/config-api/client-authentication.v1/>
fn credential(credentials: &Credentials, cluster: &str, region: &str, now: Millis) -> Result<Value> {
    // Whole seconds: kubelet takes nothing finer.
    let expires = i64::try_from((now + LIFETIME).0 / 1000)?;
    let expires = OffsetDateTime::from_unix_timestamp(expires)?.format(&Rfc3339)?;
    Ok(json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {},
        "status": {
            "expirationTimestamp": expires,
            "token": bearer(credentials, cluster, region, now),
        },
    }))
}

/// What is shown to a cluster: a presigned request.
pub(super) fn bearer(credentials: &Credentials, cluster: &str, region: &str, now: Millis) -> String {
    let url = credentials.signer(region, "sts").presign_get_caller_identity(&[("x-k8s-aws-id", cluster)], now);
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_wire::sigv4::{self, Expectation, Request};

    const NOW: Millis = Millis::secs(1_795_000_000);

    #[test]
    fn a_token_is_signed_with_the_roles_session_for_one_cluster() {
        let text = r#"{"AccessKeyId":"ASIA1","SecretAccessKey":"secret","Token":"session/+=","Expiration":""}"#;
        let credentials: Credentials = serde_json::from_str(text).unwrap();
        let credential = credential(&credentials, "dev", "us-west-2", NOW).unwrap();
        assert_eq!(credential["status"]["expirationTimestamp"], "2026-11-18T11:20:40Z");
        let token = credential["status"]["token"].as_str().unwrap().strip_prefix("k8s-aws-v1.").unwrap();
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
        let query = url.strip_prefix("https://sts.us-west-2.amazonaws.com/?").unwrap();
        let host: &[u8] = b"sts.us-west-2.amazonaws.com";
        let verify = |cluster: &str| {
            let headers = vec![("host", host), ("x-k8s-aws-id", cluster.as_bytes())];
            let request = Request { method: "GET", path: "/", query, headers, body: b"" };
            sigv4::verify(&request, NOW, &Expectation::new("us-west-2", &["sts"]), |_| Some("secret"))
        };
        let verified = verify("dev").unwrap();
        assert_eq!(verified.access_key_id, "ASIA1");
        assert_eq!(verified.security_token.as_deref(), Some("session/+="));
        assert!(verify("other").is_err());
    }
}
