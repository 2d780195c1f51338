//! Stories of routes to interfaces: what hosts are told of them, and when they lead nowhere.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::fabric::Want;
use roadstead_hostspec::{Network, Port};
use roadstead_shapes::ec2;
use roadstead_sim::World;
use roadstead_store::{Key, Read as _};
use roadstead_types::Cidr;

/// An instance in the default VPC, and another subnet of that with a table of its own.
struct Story {
    world: World,
    vpc: String,
    instance: String,
    /// The instance's interface.
    interface: String,
    block: Cidr,
    table: String,
}

impl Story {
    fn new() -> Story {
        let mut world = World::calm();
        let images = world.call(&ec2::DESCRIBE_IMAGES, ec2::DescribeImagesRequest::default()).unwrap().images.unwrap();
        let image = images.into_iter().find(|image| image.name.as_ref().unwrap().contains("-1.36-")).unwrap();
        let request = ec2::RunInstancesRequest {
            image_id: image.image_id,
            instance_type: Some("t3.medium".parse().unwrap()),
            min_count: 1,
            max_count: 1,
            ..Default::default()
        };
        let made = world.call(&ec2::RUN_INSTANCES, request).unwrap().instances.unwrap().remove(0);
        let (vpc, instance) = (made.vpc_id.unwrap(), made.instance_id.unwrap());
        world.settle();
        let all = world.call(&ec2::DESCRIBE_SUBNETS, ec2::DescribeSubnetsRequest::default()).unwrap().subnets.unwrap();
        let other = |subnet: &ec2::Subnet| subnet.vpc_id.as_ref() == Some(&vpc) && subnet.subnet_id != made.subnet_id;
        let other = all.into_iter().find(other).unwrap();
        let request = ec2::CreateRouteTableRequest { vpc_id: vpc.clone(), ..Default::default() };
        let table = world.call(&ec2::CREATE_ROUTE_TABLE, request).unwrap().route_table.unwrap().route_table_id.unwrap();
        let request = ec2::AssociateRouteTableRequest {
            route_table_id: table.clone(),
            subnet_id: other.subnet_id,
            ..Default::default()
        };
        world.call(&ec2::ASSOCIATE_ROUTE_TABLE, request).unwrap();
        let interface = made.network_interfaces.unwrap().remove(0).network_interface_id.unwrap();
        let block = other.cidr_block.unwrap().parse().unwrap();
        Story { world, vpc, instance, interface, block, table }
    }

    fn route(&mut self, to: &str) {
        let request = ec2::CreateRouteRequest {
            route_table_id: self.table.clone(),
            destination_cidr_block: Some(to.into()),
            instance_id: Some(self.instance.clone()),
            ..Default::default()
        };
        self.world.call(&ec2::CREATE_ROUTE, request).unwrap();
        self.world.settle();
    }

    fn check_source_and_destination(&mut self, check: bool) {
        let request = ec2::ModifyInstanceAttributeRequest {
            instance_id: self.instance.clone(),
            source_dest_check: Some(ec2::AttributeBooleanValue { value: Some(check) }),
            ..Default::default()
        };
        self.world.call(&ec2::MODIFY_INSTANCE_ATTRIBUTE, request).unwrap();
        self.world.settle();
    }

    /// What hosts are told: from where, to where, by whom.
    fn detours(&self) -> Vec<(Cidr, Cidr, Option<String>)> {
        let network = self.world.view().get(&Key::<Want<Network>>::new(self.vpc.as_str())).unwrap().body.0;
        network.detours.into_iter().map(|detour| (detour.from, detour.to, detour.by)).collect()
    }

    fn states(&mut self) -> Vec<String> {
        let request =
            ec2::DescribeRouteTablesRequest { route_table_ids: Some(vec![self.table.clone()]), ..Default::default() };
        let table = self.world.call(&ec2::DESCRIBE_ROUTE_TABLES, request).unwrap().route_tables.unwrap().remove(0);
        let led = table.routes.unwrap().into_iter().filter(|route| route.network_interface_id.is_some());
        led.map(|route| route.state.unwrap().as_str().to_owned()).collect()
    }
}

#[test]
fn a_route_leads_to_an_instance_that_runs_and_may_forward() {
    let mut story = Story::new();
    assert_eq!(story.detours(), []);
    story.route("198.51.100.0/24");
    let to: Cidr = "198.51.100.0/24".parse().unwrap();
    let (dropped, led) = (vec![(story.block, to, None)], vec![(story.block, to, Some(story.interface.clone()))]);
    assert_eq!((story.detours(), story.states()), (dropped.clone(), vec!["active".into()]), "the check is on");
    story.check_source_and_destination(false);
    assert_eq!(story.detours(), led);
    let port = story.world.view().get(&Key::<Want<Port>>::new(story.interface.as_str())).unwrap().body.0;
    assert!(port.forwards);
    let instance_ids = vec![story.instance.clone()];
    let request = ec2::StopInstancesRequest { instance_ids: instance_ids.clone(), ..Default::default() };
    story.world.call(&ec2::STOP_INSTANCES, request).unwrap();
    story.world.settle();
    assert_eq!((story.detours(), story.states()), (dropped.clone(), vec!["blackhole".into()]));
    let request = ec2::StartInstancesRequest { instance_ids: instance_ids.clone(), ..Default::default() };
    story.world.call(&ec2::START_INSTANCES, request).unwrap();
    story.world.settle();
    assert_eq!((story.detours(), story.states()), (led, vec!["active".into()]));
    story.check_source_and_destination(true);
    assert_eq!(story.detours(), dropped);
    let request = ec2::TerminateInstancesRequest { instance_ids, ..Default::default() };
    story.world.call(&ec2::TERMINATE_INSTANCES, request).unwrap();
    story.world.settle();
    assert_eq!(story.states(), ["blackhole"]);
}

#[test]
fn local_routes_lead_closer_than_a_route_to_everywhere() {
    let mut story = Story::new();
    story.check_source_and_destination(false);
    story.route("0.0.0.0/0");
    let own: Cidr = "172.31.0.0/16".parse().unwrap();
    let all: u64 = story.detours().iter().map(|(_, to, _)| to.size()).sum();
    assert_eq!(all, (1 << 32) - (1 << 16));
    assert!(story.detours().iter().all(|(_, to, _)| !to.overlaps(own)));
    // What is closer than the local route counts.
    let inside = "172.31.0.0/20";
    story.route(inside);
    assert!(story.detours().iter().any(|(_, to, _)| to.to_string() == inside));
}
