//! The clusters driver: keeps what must be in every cluster's own API, and probes it the way a client goes: through the
//! balancer, inside the VPC, by certificate and by token.

use crate::Dial;
use crate::api::Api;
use crate::https::{self, Client};
use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use roadstead_cloud::eks::kube::{KubeSpec, KubeState};
use roadstead_kernel::driver::Driver;
use roadstead_store::Record;
use roadstead_types::Millis;
use roadstead_vault::Vault;
use roadstead_wire::sigv4;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Between probes of an API that is not there yet.
const EAGER: Duration = Duration::from_millis(150);
/// Between probes of one that is.
const CALM: Duration = Duration::from_secs(5);
/// One probe, all its requests together.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Probes the clusters' own APIs.
pub struct Clusters<D> {
    /// The way into VPCs.
    pub dialer: D,
    /// Opens the service's client keys.
    pub vault: Arc<Vault>,
    /// The clock.
    pub now: fn() -> Millis,
}

impl<D: Dial> Driver for Clusters<D> {
    type Desired = KubeSpec;
    type Observed = KubeState;

    async fn converge(&self, desired: &Record<KubeSpec>, saw: &(dyn Fn(KubeState) + Send + Sync)) {
        let spec = &desired.body;
        let mut last: Option<KubeState> = None;
        loop {
            let silence = |_| Err(anyhow!("the API gave no answer within {PROBE_LIMIT:?}"));
            let outcome = timeout(PROBE_LIMIT, self.probe(spec)).await.unwrap_or_else(silence);
            let (ready, why) = match outcome {
                Ok(version) => (true, version),
                Err(error) => (false, format!("{error:#}")),
            };
            if last.as_ref().is_none_or(|l| (l.ready, &l.why) != (ready, &why)) {
                let since = last.as_ref().filter(|l| l.ready == ready).map_or_else(self.now, |l| l.since);
                let state = KubeState { ready, why, since };
                saw(state.clone());
                last = Some(state);
            }
            sleep(if ready { CALM } else { EAGER }).await;
        }
    }
}

impl<D: Dial> Clusters<D> {
    /// The API server's version once all is well.
    async fn probe(&self, spec: &KubeSpec) -> Result<String> {
        let mut service = Api::new(self.dialer.clone(), self.vault.clone(), spec.access());
        let version = service.get("/version").await?;
        publish(&mut service, spec).await?;
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        service.get(account).await.context("the default service account is not there yet")?;
        self.probe_token(spec).await.context("a token of the probe")?;
        let version = version["gitVersion"].as_str().unwrap_or("unknown");
        Ok(format!("Kubernetes {version}"))
    }

    /// A client with a token is who it should be.
    async fn probe_token(&self, spec: &KubeSpec) -> Result<()> {
        let mut client = self.stranger(spec).await?;
        client.bearer = Some(self.token(spec)?);
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer = client.call(Method::POST, path, "application/json", &review).await?;
        let user = answer["status"]["userInfo"]["username"].as_str().unwrap_or_default();
        ensure!(user == spec.probe_user, "is known as '{user}', not as '{}'", spec.probe_user);
        Ok(())
    }

    /// A token as `aws eks get-token` makes it.
    fn token(&self, spec: &KubeSpec) -> Result<String> {
        let secret = self.vault.unseal(&spec.probe_secret)?;
        let secret = std::str::from_utf8(&secret)?;
        let url = sigv4::presign_get_caller_identity(
            &spec.probe_key_id,
            secret,
            &spec.region,
            &[("x-k8s-aws-id", &spec.cluster)],
            (self.now)(),
        );
        Ok(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url)))
    }

    /// A client that shows no certificate.
    async fn stranger(&self, spec: &KubeSpec) -> Result<Client> {
        let address = *spec.addresses.first().context("the cluster's balancer has no address")?;
        let tls = https::tls(&spec.authority, None)?;
        Client::connect(&self.dialer, &spec.network, address, spec.port, tls).await
    }
}

/// Keeps the balancer as the endpoints of the `kubernetes` Service, the older form beside the newer as kube-apiserver
/// itself does (`pkg/controlplane/reconcilers`). The service accounts' controller needs none of it: pods do.
async fn publish<D: Dial>(service: &mut Api<D>, spec: &KubeSpec) -> Result<()> {
    let addresses: Vec<String> = spec.addresses.iter().map(ToString::to_string).collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": addresses.iter().map(|a| json!({"addresses": [a], "conditions": {"ready": true}})).collect::<Vec<_>>(),
        "ports": [{"name": "https", "port": spec.port, "protocol": "TCP"}],
    });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{
            "addresses": addresses.iter().map(|a| json!({"ip": a})).collect::<Vec<_>>(),
            "ports": [{"name": "https", "port": spec.port, "protocol": "TCP"}],
        }],
    });
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    service.apply(&format!("{slices}/kubernetes"), &slice, true).await?;
    service.apply("/api/v1/namespaces/default/endpoints/kubernetes", &endpoints, true).await.map(drop)
}
