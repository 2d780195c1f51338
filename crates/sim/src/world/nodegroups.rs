//! What users ask of node groups, and what anybody can see of them.

use super::World;
use crate::setup::{self, nodegroup_key};
use roadstead_cloud::autoscaling::auto_scaling_group::{AutoScalingGroup, Lifecycle, Member};
use roadstead_cloud::ec2::instance::Instance;
use roadstead_cloud::eks::node::{Node, NodeState, seen};
use roadstead_cloud::eks::nodegroup::Nodegroup;
use roadstead_cloud::eks::update::Update;
use roadstead_shapes::{autoscaling, eks};
use roadstead_store::{Index, Read};
use roadstead_wire::fault::Fault;
use std::collections::BTreeMap;

impl World {
    /// Asks for a node group of so many nodes.
    ///
    /// # Panics
    /// If the region refuses it.
    pub fn create_nodegroup(&mut self, cluster: &str, name: &str, size: i32) {
        self.try_create_nodegroup(cluster, name, size).unwrap_or_else(|why| panic!("{name} can't be created: {why}"));
    }

    /// The same.
    ///
    /// # Errors
    /// The API's.
    pub fn try_create_nodegroup(&mut self, cluster: &str, name: &str, size: i32) -> Result<(), Fault> {
        let request = self.nodegroup_request(cluster, name, size);
        self.call(&eks::CREATE_NODEGROUP, request).map(drop)
    }

    /// A request for a node group, with all its defaults; the role of its nodes is there from then on.
    pub fn nodegroup_request(&mut self, cluster: &str, name: &str, size: i32) -> eks::CreateNodegroupRequest {
        // While the region is down nothing is asked of it anyway.
        if self.submit(setup::node_role).is_ok() {
            self.seen.empty.insert(setup::node_role_key().any());
        }
        setup::nodegroup_request(&*self.seen.published, cluster, name, size)
    }

    /// Asks for a node group whose nodes are repaired.
    ///
    /// # Errors
    /// The API's.
    pub fn try_create_repaired_nodegroup(&mut self, cluster: &str, name: &str, size: i32) -> Result<(), Fault> {
        let repair = eks::NodeRepairConfig { enabled: Some(true), ..Default::default() };
        let request = self.nodegroup_request(cluster, name, size);
        let request = eks::CreateNodegroupRequest { node_repair_config: Some(repair), ..request };
        self.call(&eks::CREATE_NODEGROUP, request).map(drop)
    }

    /// Asks for another label on its nodes.
    ///
    /// # Errors
    /// The API's.
    pub fn try_label(&mut self, cluster: &str, name: &str, value: &str) -> Result<(), Fault> {
        let labels = BTreeMap::from([("number".to_owned(), value.to_owned())]);
        let request = eks::UpdateNodegroupConfigRequest {
            cluster_name: cluster.to_owned(),
            nodegroup_name: name.to_owned(),
            labels: Some(eks::UpdateLabelsPayload { add_or_update_labels: Some(labels), ..Default::default() }),
            ..Default::default()
        };
        self.call(&eks::UPDATE_NODEGROUP_CONFIG, request).map(drop)
    }

    /// Deletes the Auto Scaling group under a node group.
    ///
    /// # Errors
    /// The API's.
    pub fn try_delete_auto_scaling_group(&mut self, cluster: &str, name: &str) -> Result<(), Fault> {
        let group = self.nodegroup(cluster, name).map(|group| group.spec.group_name()).unwrap_or_default();
        let request =
            autoscaling::DeleteAutoScalingGroupType { auto_scaling_group_name: group, force_delete: Some(true) };
        self.call(&autoscaling::DELETE_AUTO_SCALING_GROUP, request)
    }

    /// Asks for a node group's deletion.
    ///
    /// # Errors
    /// The API's.
    pub fn try_delete_nodegroup(&mut self, cluster: &str, name: &str) -> Result<(), Fault> {
        let request = eks::DeleteNodegroupRequest { cluster_name: cluster.to_owned(), nodegroup_name: name.to_owned() };
        self.call(&eks::DELETE_NODEGROUP, request).map(drop)
    }

    /// Asks for the newest image on all nodes; gives the id of the update.
    ///
    /// # Errors
    /// The API's.
    pub fn try_update_nodegroup(&mut self, cluster: &str, name: &str, force: bool) -> Result<String, Fault> {
        let request = eks::UpdateNodegroupVersionRequest {
            cluster_name: cluster.to_owned(),
            nodegroup_name: name.to_owned(),
            force: Some(force),
            ..Default::default()
        };
        let answer = self.call(&eks::UPDATE_NODEGROUP_VERSION, request)?;
        Ok(answer.update.and_then(|update| update.id).unwrap_or_default())
    }

    /// Asks the node group's Auto Scaling group for another size.
    ///
    /// # Errors
    /// The API's.
    pub fn try_scale(&mut self, cluster: &str, name: &str, size: i32) -> Result<(), Fault> {
        let group = self.nodegroup(cluster, name).map(|group| group.spec.group_name()).unwrap_or_default();
        let request = autoscaling::SetDesiredCapacityType {
            auto_scaling_group_name: group,
            desired_capacity: size,
            honor_cooldown: None,
        };
        self.call(&autoscaling::SET_DESIRED_CAPACITY, request)
    }

    /// Asks for the end of one of the node group's instances.
    ///
    /// # Errors
    /// The API's.
    pub fn try_terminate_in_group(&mut self, instance: &str, shrink: bool) -> Result<(), Fault> {
        let request = autoscaling::TerminateInstanceInAutoScalingGroupType {
            instance_id: Some(instance.to_owned()),
            instance_ids: None,
            auto_scaling_group_name: None,
            should_decrement_desired_capacity: shrink,
        };
        self.call(&autoscaling::TERMINATE_INSTANCE_IN_AUTO_SCALING_GROUP, request).map(drop)
    }

    /// A node group, if there is one.
    pub fn nodegroup(&self, cluster: &str, name: &str) -> Option<Nodegroup> {
        self.seen.published.get(&nodegroup_key(cluster, name)).map(|record| record.body)
    }

    /// All node groups: the names of their clusters and their own.
    pub fn nodegroups(&self) -> Vec<(String, String)> {
        let all = self.seen.published.list(Index::<Nodegroup>::all());
        all.into_iter().map(|record| (record.body.spec.cluster, record.body.spec.name)).collect()
    }

    /// A node group's Auto Scaling group, if it has one.
    pub fn auto_scaling_group(&self, cluster: &str, name: &str) -> Option<AutoScalingGroup> {
        let spec = self.nodegroup(cluster, name)?.spec;
        let key = AutoScalingGroup::key(&spec.account, &spec.group_name());
        self.seen.published.get(&key).map(|record| record.body)
    }

    /// Its instances.
    pub fn members(&self, cluster: &str, name: &str) -> BTreeMap<String, Member> {
        self.auto_scaling_group(cluster, name).map(|group| group.instances).unwrap_or_default()
    }

    /// Those of its instances whose nodes are Ready and take pods.
    pub fn ready_nodes(&self, cluster: &str, name: &str) -> Vec<String> {
        let serves = |(id, member): &(&String, &Member)| {
            let node = self.seen.published.get(&Node::key(id));
            let open = node.is_some_and(|node| !node.body.cordon);
            member.state == Lifecycle::InService && open && self.node_state(id).is_some_and(|state| state.ready)
        };
        self.members(cluster, name).iter().filter(serves).map(|(id, _)| id.clone()).collect()
    }

    /// What an instance is to its cluster, if it is a node.
    pub fn node(&self, instance: &str) -> Option<Node> {
        self.seen.published.get(&Node::key(instance)).map(|record| record.body)
    }

    /// What the region knows of an instance's node.
    pub fn node_state(&self, instance: &str) -> Option<NodeState> {
        let node = self.seen.published.get(&Node::key(instance))?.body;
        seen(&*self.seen.published, &node.cluster, &node.name)
    }

    /// An update.
    pub fn update(&self, cluster: &str, id: &str) -> Option<Update> {
        self.seen.published.get(&Update::key_of(setup::ACCOUNT, cluster, id)).map(|record| record.body)
    }

    /// There are instances of users, or were within the hour.
    pub(super) fn has_had_instances(&self) -> bool {
        let all = self.seen.published.list(Index::<Instance>::all());
        all.iter().any(|record| record.body.spec.launch.is_some()) || self.seen.published.any(Index::<Nodegroup>::all())
    }

    /// PodDisruptionBudgets let no pod go, or do again.
    pub fn guard_pods(&mut self, guarded: bool) {
        self.nodes.guard(guarded);
    }
}
