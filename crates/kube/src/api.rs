use crate::Dial;
use crate::https::{self, Client, Lines, Refusal};
use anyhow::{Context as _, Result, anyhow};
use hyper::{Method, StatusCode};
use roadstead_cloud::eks::kube::Access;
use roadstead_vault::Vault;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// One request. An API server whose etcd elects a leader answers within a second or two.
const PATIENCE: Duration = Duration::from_secs(10);
/// Objects to a page of a list: of the largest (nodes with many images) a few megabytes.
const PAGE: usize = 100;
/// Our name as the manager of fields that we apply.
pub const FIELD_MANAGER: &str = "eks";

/// A cluster's own API. A clone has a connection of its own.
pub struct Api<D> {
    dialer: D,
    vault: Arc<Vault>,
    access: Arc<Access>,
    client: Option<Client>,
}

impl<D: Dial> Clone for Api<D> {
    fn clone(&self) -> Api<D> {
        Api { dialer: self.dialer.clone(), vault: self.vault.clone(), access: self.access.clone(), client: None }
    }
}

/// All objects of a list, and the version of it that a watch goes on from.
pub struct Listed {
    /// The objects.
    pub items: Vec<Value>,
    /// `metadata.resourceVersion` of the list.
    pub version: String,
}

impl<D: Dial> Api<D> {
    /// The way there, not gone yet.
    pub fn new(dialer: D, vault: Arc<Vault>, access: Access) -> Api<D> {
        Api { dialer, vault, access: Arc::new(access), client: None }
    }

    /// Reads an object.
    pub async fn get(&mut self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, "application/json", &Value::Null).await
    }

    /// Makes an object, or asks an object for something.
    pub async fn post(&mut self, path: &str, object: &Value) -> Result<Value> {
        self.call(Method::POST, path, "application/json", object).await
    }

    /// Replaces an object, which must not have changed since it was read.
    pub async fn put(&mut self, path: &str, object: &Value) -> Result<Value> {
        self.call(Method::PUT, path, "application/json", object).await
    }

    /// Changes some fields of an object (RFC 7386).
    pub async fn merge(&mut self, path: &str, fields: &Value) -> Result<Value> {
        self.call(Method::PATCH, path, "application/merge-patch+json", fields).await
    }

    /// Makes the object, or gives it these fields; those that we gave it before and are not among them go.
    ///
    /// # Errors
    /// Without `force`, a [`Refusal`] with status 409 and its causes if somebody else manages one of the fields and
    /// wants another value.
    pub async fn apply(&mut self, path: &str, object: &Value, force: bool) -> Result<Value> {
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&force={force}");
        self.call(Method::PATCH, &path, "application/apply-patch+yaml", object).await
    }

    /// What [`Api::apply`] without `force` would do, and nothing changes.
    pub async fn rehearse(&mut self, path: &str, object: &Value) -> Result<Value> {
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&force=false&dryRun=All");
        self.call(Method::PATCH, &path, "application/apply-patch+yaml", object).await
    }

    /// Deletes an object; one that is not there is fine.
    pub async fn delete(&mut self, path: &str) -> Result<()> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        match self.call(Method::DELETE, path, "application/json", &options).await {
            Err(error) if status(&error) != Some(StatusCode::NOT_FOUND) => Err(error),
            _ => Ok(()),
        }
    }

    /// Lists a collection; `query` restricts it: `fieldSelector=…`.
    pub async fn list(&mut self, collection: &str, query: &str) -> Result<Listed> {
        let (mut items, mut next) = (vec![], String::new());
        loop {
            let page = self.get(&format!("{collection}?{query}&limit={PAGE}&continue={next}")).await?;
            if let Value::Array(some) = &page["items"] {
                items.extend(some.iter().cloned());
            }
            let metadata = &page["metadata"];
            next = metadata["continue"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                let version = metadata["resourceVersion"].as_str().context("a list has no version")?.to_owned();
                return Ok(Listed { items, version });
            }
        }
    }

    /// What happens in a collection after a version, as it happens.
    pub async fn watch(&self, collection: &str, query: &str, version: &str) -> Result<Lines> {
        let path = format!("{collection}?{query}&watch=true&allowWatchBookmarks=true&resourceVersion={version}");
        let begun = async { self.connect().await?.stream(&path).await };
        timeout(PATIENCE, begun).await.unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")))
    }

    async fn call(&mut self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<Value> {
        let answer = async {
            let mut client = match self.client.take() {
                Some(client) => client,
                None => self.connect().await?,
            };
            let answer = client.call(method, path, content_type, body).await;
            // After anything but an answer the connection is in an unknown state.
            if answer.as_ref().map_or_else(|error| error.is::<Refusal>(), |_| true) {
                self.client = Some(client);
            }
            answer
        };
        timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")))
    }

    async fn connect(&self) -> Result<Client> {
        let access = &self.access;
        let address = *access.addresses.first().context("the cluster's balancer has no address")?;
        let key = self.vault.unseal(&access.key)?;
        let tls = https::tls(&access.authority, Some((&access.certificate, &key)))?;
        Client::connect(&self.dialer, &access.network, address, access.port, tls).await
    }
}

/// The status that the API answered with, if it answered.
pub fn status(error: &anyhow::Error) -> Option<StatusCode> {
    error.downcast_ref::<Refusal>().map(|refusal| refusal.status)
}
