//! What users ask of a region, and what anybody can see of it.

use super::World;
use crate::api::Api;
use crate::checks::Violation;
use crate::host::Host;
use crate::setup::{self, Ground};
use roadstead_cloud::autoscaling::Group;
use roadstead_cloud::eks::cluster::{Cluster, State};
use roadstead_cloud::settings::{SERVICE_ACCOUNT, Settings};
use roadstead_kernel::Identity;
use roadstead_kernel::planner::Explanation;
use roadstead_kernel::region::WriteError;
use roadstead_shapes::{ec2, eks};
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

    /// Asks for clusters at the same moment: all are checked before any takes its place.
    ///
    /// # Errors
    /// The API's, for each.
    pub fn create_at_once(&mut self, names: &[&str], ground: Ground) -> Vec<Result<(), Fault>> {
        let request = |name: &&str| setup::request(&*self.seen.published, name, ground);
        let works = names.iter().map(|name| self.user.api.write(&eks::CREATE_CLUSTER, request(name))).collect();
        self.submit_all(works).into_iter().map(|result| result.map(drop)).collect()
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

    /// The same as another principal.
    ///
    /// # Errors
    /// As [`World::call`].
    pub fn call_as<I: Shape, O: Shape>(
        &mut self,
        identity: &Identity,
        operation: &'static Operation<I, O>,
        input: I,
    ) -> Result<O, Fault> {
        self.call_by(&self.user.api.as_principal(identity.clone()), operation, input)
    }

    /// The same in a session of a role, with the session's key.
    ///
    /// # Errors
    /// As [`World::call`].
    pub fn call_in_session<I: Shape, O: Shape>(
        &mut self,
        (identity, access_key_id): (&Identity, &str),
        operation: &'static Operation<I, O>,
        input: I,
    ) -> Result<O, Fault> {
        self.call_by(&self.user.api.as_principal(identity.clone()).with_key(access_key_id), operation, input)
    }

    fn call_by<I: Shape, O: Shape>(
        &mut self,
        api: &Api,
        operation: &'static Operation<I, O>,
        input: I,
    ) -> Result<O, Fault> {
        if api.is_read(operation) {
            return api.read(&self.seen.published, operation, &input);
        }
        self.submit(api.write(operation, input))
    }

    /// Does what one service does for another, in a batch of its own.
    ///
    /// # Errors
    /// As [`World::call`].
    pub fn within<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Tx) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, Fault> {
        self.submit(work)
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

    /// Asks that everybody, or one block of addresses, may reach a cluster from outside.
    ///
    /// # Errors
    /// The API's.
    pub fn try_open_endpoint(&mut self, name: &str, open: bool) -> Result<(), Fault> {
        let blocks = if open { setup::everybody() } else { setup::few() };
        let network = eks::VpcConfigRequest {
            public_access_cidrs: Some(blocks.iter().map(ToString::to_string).collect()),
            ..Default::default()
        };
        let request = eks::UpdateClusterConfigRequest {
            name: name.to_owned(),
            resources_vpc_config: Some(network),
            ..Default::default()
        };
        self.call(&eks::UPDATE_CLUSTER_CONFIG, request).map(drop)
    }

    /// Asks that a cluster go to two other subnets of its VPC, or back.
    ///
    /// # Errors
    /// The API's.
    pub fn try_move(&mut self, name: &str) -> Result<(), Fault> {
        let missing = || Common::InvalidParameterValue.fault("there is no such cluster");
        let cluster = self.cluster(name).ok_or_else(missing)?;
        let (mut ids, requests) = setup::other_subnets(self.view(), &cluster);
        for request in requests {
            ids.extend(self.call(&ec2::CREATE_SUBNET, request)?.subnet.and_then(|subnet| subnet.subnet_id));
        }
        let network = eks::VpcConfigRequest { subnet_ids: Some(ids), ..Default::default() };
        let request = eks::UpdateClusterConfigRequest {
            name: name.to_owned(),
            resources_vpc_config: Some(network),
            ..Default::default()
        };
        self.call(&eks::UPDATE_CLUSTER_CONFIG, request).map(drop)
    }

    /// Deletes the subnets that [`World::try_move`] has made: no cluster may have left anything there.
    ///
    /// # Errors
    /// One has.
    pub fn delete_other_subnets(&mut self) -> Result<(), Violation> {
        for request in setup::delete_others(self.view()) {
            let deleted = self.call(&ec2::DELETE_SUBNET, request);
            deleted.map_err(|fault| self.violation("deleted-leaves-nothing", fault.to_string()))?;
        }
        Ok(())
    }

    /// Changes the same in the record of a cluster that nobody may update: it is not ACTIVE.
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

    /// The volume of an etcd member (`etcd-1`) of a cluster, if it has one.
    pub fn volume(&self, cluster: &str, member: &str) -> Option<String> {
        let members = self.cluster(cluster)?.placement?.members;
        members.into_iter().find(|m| m.name == member).map(|m| m.volume)
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
    pub(super) fn submit<R: Send + 'static>(&mut self, work: impl Work<R>) -> Result<R, Fault> {
        self.submit_all(vec![work]).pop().expect("one work has one result")
    }

    /// Runs works in one batch, before any plan, and waits for their results.
    fn submit_all<R: Send + 'static>(&mut self, works: Vec<impl Work<R>>) -> Vec<Result<R, Fault>> {
        let mut results: Vec<Option<Result<R, Fault>>> = works.iter().map(|_| None).collect();
        let (send, answers) = mpsc::channel();
        if let Some(server) = &mut self.process.server {
            for (n, work) in works.into_iter().enumerate() {
                let send = send.clone();
                server.region.submit(work, move |result| drop(send.send((n, result))));
            }
        }
        // They may wait behind other work.
        while self.process.server.is_some() && self.user.broken.is_none() && results.iter().any(Option::is_none) {
            self.user.broken = self.turn().err();
            for (n, result) in answers.try_iter() {
                results[n] = Some(result.map_err(|error| self.fault(error)));
            }
        }
        let down = || Err(Common::ServiceUnavailable.fault("the region is down"));
        results.into_iter().map(|result| result.unwrap_or_else(down)).collect()
    }

    fn fault(&mut self, error: WriteError<Fault>) -> Fault {
        match error {
            WriteError::Refused(fault) => fault,
            WriteError::Stopped(why) => Common::ServiceUnavailable.fault(why),
            WriteError::Panicked(text) => {
                self.user.broken = Some(self.violation("nothing-panics", text.clone()));
                Common::InternalFailure.fault(text)
            }
        }
    }
}

/// Something for the region's writer to do.
pub(super) trait Work<R>: FnOnce(&mut Tx) -> Result<R, Fault> + Send + 'static {}

impl<R, W: FnOnce(&mut Tx) -> Result<R, Fault> + Send + 'static> Work<R> for W {}
