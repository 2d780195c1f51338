//! Token review: who a client of a cluster is, told to the cluster's API servers, also while the region is away.
//!
//! ```text
//! kubectl ── k8s-aws-v1.BASE64(presigned GetCallerIdentity) ──▶ kube-apiserver
//!                                                                  │ TokenReview, TLS, from its subnet only
//!   router namespace: Reviewer.address:port  ◀────────────────────┘
//!       token: is it such a URL? ─▶ signature: whose key, for this cluster, in time? ─▶ mapping: who is that here?
//! ```
//!
//! The signature is verified here, with the secret of the key that signed. The URL is never dialled: it serves as a
//! proof, and its host only says which region it was signed for.
//!
//! # What a refused client gets
//!
//! A refusal is HTTP 200 with `authenticated: false` and `status.error`, and the client gets 401 Unauthorized with
//! nothing of the reason. kube-apiserver (`plugin/pkg/authenticator/token/webhook`) logs the error beside the request,
//! and does not keep the verdict, so that a key or a mapping that arrives a moment later works at once. (What
//! aws-iam-authenticator does, 403, reads in that log as a webhook that is out of order: "Failed to make webhook
//! authenticator request".)

mod actor;
mod door;
mod keys;
mod review;
mod signed_url;
#[cfg(test)]
mod tests;
mod username;

use crate::backoff::Backoff;
use crate::net::{Nets, Part};
use crate::tended::{Tended, Told};
use crate::{Config, Saw};
use actor::Actor;
use keys::Keys;
use roadstead_hostspec::{Credential, Reviewer};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The area of token reviewers and the credentials that they verify with. A handle: copies share everything.
#[derive(Clone)]
pub struct Reviewers(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    saw: Saw,
    nets: Nets,
    keys: Arc<Keys>,
    tended: Tended<Reviewer>,
}

impl Reviewers {
    /// Starts without touching anything. The root key is read when a secret is first needed.
    pub fn new(config: Arc<Config>, saw: Saw, nets: Nets) -> Reviewers {
        let keys = Arc::new(Keys::new(&config.root_key));
        Reviewers(Arc::new(Inner { config, saw, nets, keys, tended: Tended::new() }))
    }

    /// Hands the reviewer to a task of its own, which listens and reports. New mappings hold from the next request on.
    pub async fn put_reviewer(&self, generation: u64, spec: Reviewer) {
        if self.0.tended.moves(&spec) {
            self.remove_reviewer(&spec.id).await;
        }
        self.0.tended.tell(generation, spec, |told| self.start(told));
    }

    /// Ends the reviewer and its connections and gives its address back; tries until that is so.
    pub async fn remove_reviewer(&self, id: &str) {
        let Some(network) = self.0.tended.end(id).await else { return };
        let mut backoff = Backoff::new();
        while let Err(error) = self.0.nets.unlisten(&network, id).await {
            tracing::warn!(reviewer = id, "cannot give its address back: {error:#}");
            backoff.pause().await;
        }
    }

    /// Has the router keep the address that an earlier agent listened on, until the reviewer is put.
    pub async fn adopt(&self, spec: &Reviewer) {
        self.0.nets.adopt(&spec.network, Part::Service(door::service(spec))).await;
    }

    /// Signatures of this key verify from now on, if it is enabled.
    pub fn put_credential(&self, credential: Credential) {
        self.0.keys.put(credential);
    }

    /// Nothing verifies with this key any more. Its secret is wiped from memory.
    pub fn remove_credential(&self, access_key_id: &str) {
        self.0.keys.remove(access_key_id);
    }

    fn start(&self, told: Told<Reviewer>) -> JoinHandle<()> {
        let Inner { config, saw, nets, keys, .. } = &*self.0;
        tokio::spawn(Actor::new(config.clone(), saw.clone(), nets.clone(), keys.clone(), told).run())
    }
}
