//! What users ask of a region, and what anybody can see of it.

use super::World;
use crate::host::Host;
use crate::setup::{self, Ground};
use roadstead_cloud::autoscaling::Group;
use roadstead_cloud::eks::cluster::{Cluster, State};
use roadstead_cloud::settings::{SERVICE_ACCOUNT, Settings};
use roadstead_kernel::planner::Explanation;
use roadstead_kernel::region::WriteError;
use roadstead_shapes::eks;
use roadstead_store::{AnyKey, Index, Read, Tx, View};
use roadstead_types::Millis;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::{Operation, Shape};
use std::sync::mpsc;

impl World {
    /// Asks for a cluster in the default VPC.
    ///
    /// # Panics
    /// If the region refuses it.
    pub fn create_cluster(&mut self, name: &str) {
        self.try_create_cluster(name, Ground::Wide).unwrap_or_else(|why| panic!("{name} can't be created: {why}"));
    }

    /// Asks for a cluster there.
    ///
    /// # Errors
    /// The API's.
    pub fn try_create_cluster(&mut self, name: &str, ground: Ground) -> Result<(), Fault> {
        self.call(&eks::CREATE_CLUSTER, setup::request(&*self.seen.published, name, ground)).map(drop)
    }

    /// A request for a cluster in the default VPC, with all its defaults.
    pub fn request(&self, name: &str) -> eks::CreateClusterRequest {
        setup::request(&*self.seen.published, name, Ground::Wide)
    }

    /// Somebody asks for a cluster at the moment when the one of this name is gone.
    pub fn create_when_gone(&mut self, name: &'static str, ground: Ground) {
        self.user.awaited.push((name, ground));
    }

    /// Asks for a cluster's deletion.
    ///
    /// # Panics
    /// If the region refuses it.
    pub fn delete_cluster(&mut self, name: &str) {
        self.try_delete_cluster(name).unwrap_or_else(|why| panic!("{name} can't be deleted: {why}"));
    }

    /// Asks for a cluster's deletion.
    ///
    /// # Errors
    /// The API's.
    pub fn try_delete_cluster(&mut self, name: &str) -> Result<(), Fault> {
        self.call(&eks::DELETE_CLUSTER, eks::DeleteClusterRequest { name: name.to_owned() }).map(drop)
    }

    /// Calls the API as the account's user.
    ///
    /// # Errors
    /// The API's; `ServiceUnavailable` while the region is down, when the call may have been done all the same.
    pub fn call<I: Shape, O: Shape>(&mut self, operation: &'static Operation<I, O>, input: I) -> Result<O, Fault> {
        if self.user.api.is_read(operation) {
            return self.user.api.read(&self.seen.published, operation, &input);
        }
        self.submit(self.user.api.write(operation, input))
    }

    /// Changes the region's settings, as a start with another configuration does.
    ///
    /// # Panics
    /// If the region is down.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Settings) + Send + 'static) {
        let changed = self.try_reconfigure(change);
        changed.unwrap_or_else(|why| panic!("can't reconfigure: {why}"));
    }

    /// The same, unless the region is down.
    ///
    /// # Errors
    /// `ServiceUnavailable`.
    pub fn try_reconfigure(&mut self, change: impl FnOnce(&mut Settings) + Send + 'static) -> Result<(), Fault> {
        self.submit(move |tx| {
            let mut record = tx.get(&Settings::key()).expect("settings are the first record");
            change(&mut record.body);
            tx.put(record);
            Ok(())
        })
    }

    /// Changes who may reach a cluster from outside, as UpdateClusterConfig will.
    ///
    /// # Errors
    /// There is no such cluster, or the region is down.
    pub fn set_public_cidrs(&mut self, name: &str, open: bool) -> Result<(), Fault> {
        let key = setup::cluster_key(name);
        let blocks = if open { setup::everybody() } else { setup::few() };
        self.submit(move |tx| {
            let record = tx.get(&key).filter(|record| record.deleting.is_none());
            let mut record = record.ok_or_else(|| Common::InvalidParameterValue.fault("there is no such cluster"))?;
            record.body.spec.vpc.public_cidrs = blocks;
            tx.put(record);
            Ok(())
        })
    }

    /// The host, to be asked and disturbed.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// The newest published state.
    pub fn view(&self) -> &View {
        &self.seen.published
    }

    /// A cluster, if there is one.
    pub fn cluster(&self, name: &str) -> Option<Cluster> {
        self.seen.published.get(&setup::cluster_key(name)).map(|record| record.body)
    }

    /// All clusters.
    pub fn clusters(&self) -> Vec<Cluster> {
        self.seen.published.list(Index::<Cluster>::all()).into_iter().map(|record| record.body).collect()
    }

    /// The state of a cluster, if there is one.
    pub fn state(&self, name: &str) -> Option<State> {
        self.cluster(name).map(|cluster| cluster.status.state)
    }

    /// What is wrong with a cluster, for people.
    pub fn issues(&self, name: &str) -> Vec<String> {
        self.cluster(name).into_iter().flat_map(|cluster| cluster.status.issues).map(|issue| issue.message).collect()
    }

    /// The instance in a slot (`etcd-1`, `api-2`) of a cluster.
    ///
    /// # Panics
    /// If there is none.
    pub fn machine(&self, cluster: &str, slot: &str) -> String {
        self.find_machine(cluster, slot).unwrap_or_else(|| panic!("{cluster} has no machine {slot}"))
    }

    /// The same, if there is one.
    pub fn find_machine(&self, cluster: &str, slot: &str) -> Option<String> {
        let id = self.cluster(cluster)?.spec.id;
        let role = slot.split('-').next()?;
        let group = self.seen.published.get(&Group::key(SERVICE_ACCOUNT, &format!("eks-{id}-{role}")))?;
        group.body.instances.get(slot).cloned()
    }

    /// Why the plans of an object ended as they did.
    pub fn explain(&self, key: &AnyKey) -> Vec<Explanation> {
        self.process.server.as_ref().map(|server| server.region.explain(key)).unwrap_or_default()
    }

    /// The records that a region without clusters would not have, those of what happened apart.
    pub fn leftovers(&self) -> Vec<AnyKey> {
        let is_memory = |key: &AnyKey| key.kind().starts_with("audit/") || key.kind().starts_with("kernel/");
        self.seen.ledger.keys().filter(|key| !self.seen.empty.contains(*key) && !is_memory(key)).cloned().collect()
    }

    /// The time.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Runs work in a batch of its own and waits for its result.
    pub(super) fn submit<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Tx) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, Fault> {
        let down = || Common::ServiceUnavailable.fault("the region is down");
        let (send, answer) = mpsc::channel();
        let server = self.process.server.as_mut().ok_or_else(down)?;
        server.region.submit(work, move |result| drop(send.send(result)));
        // It may wait behind other work.
        while self.process.server.is_some() && self.user.broken.is_none() {
            self.user.broken = self.turn().err();
            match answer.try_recv() {
                Ok(Err(WriteError::Refused(fault))) => return Err(fault),
                Ok(Err(WriteError::Panicked(text))) => self.user.broken = Some(self.violation("nothing-panics", text)),
                Ok(Err(error)) => return Err(Common::ServiceUnavailable.fault(error.to_string())),
                Ok(Ok(result)) => return Ok(result),
                Err(_) => {}
            }
        }
        Err(down())
    }
}
