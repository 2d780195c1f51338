//! Stands in for what other nouns offer, until they do.

pub mod instance {
    use crate::ec2::instance::{self, Image, Instance, Spec, Status};
    use crate::ec2::network_interface::{self as eni, NetworkInterface};
    use crate::ec2::subnet::Subnet;
    use roadstead_hostspec::Process;
    use roadstead_kernel::planner::{Next, Planner};
    use roadstead_shapes::ec2 as api;
    use roadstead_store::{AnyKey, Key, Read, Record, Tx};
    use roadstead_types::Tags;
    use roadstead_wire::fault::{Common, Fault};
    use std::net::Ipv4Addr;

    pub struct Run {
        pub account: String,
        pub image: String,
        pub instance_type: String,
        pub subnet: String,
        pub groups: Vec<String>,
        pub instance_profile: Option<String>,
        pub user_data: Option<String>,
        pub tags: Tags,
        pub launch_template: Option<(String, u64)>,
        pub root_bytes: Option<u64>,
        pub hop_limit: u8,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum State {
        Pending,
        Running,
        ShuttingDown,
        Terminated,
    }

    pub fn run(tx: &mut Tx, _owner: Option<&AnyKey>, run: Run) -> Result<String, Fault> {
        let subnet = tx.get(&Subnet::key(&run.account, &run.subnet)).map(|record| record.body).ok_or_else(|| {
            api::INVALID_SUBNET_ID_NOT_FOUND.fault(format!("The subnet ID '{}' does not exist", run.subnet))
        })?;
        if super::image::find(tx, &run.image).is_none() {
            return Err(Common::InvalidParameterValue.fault(format!("The image id '[{}]' does not exist", run.image)));
        }
        if !eni::has_free(tx, &subnet, 1) {
            let why = format!("The specified subnet '{}' does not have enough free addresses", subnet.id);
            return Err(Common::InvalidParameterCombination.fault(why));
        }
        let id = tx.fresh_id("i-");
        let key = Instance::key(&id);
        let owner = key.any();
        let request = eni::Request { groups: run.groups, description: format!("of {id}"), ..Default::default() };
        let interface = eni::create(tx, &owner, &subnet, request);
        let mut record = tx.get(&NetworkInterface::key(&interface.id)).expect("just made");
        record.owner = None;
        tx.put(record);
        let process = |name: &str| Process {
            name: name.into(),
            argv: vec![format!("/opt/{name}")],
            env: std::collections::BTreeMap::new(),
            after: vec![],
            ready: Some(roadstead_hostspec::Probe::Tcp { address: Ipv4Addr::LOCALHOST, port: 1338 }),
            live: None,
            grace: None,
        };
        let image = Image {
            hostname: private_dns_name("us-east-1", interface.address),
            profile: roadstead_hostspec::Profile::Node { vcpus: 2 },
            cpu_millis: 2000,
            memory_bytes: 4 << 30,
            components: vec![],
            files: vec![],
            processes: vec![process("containerd"), process("kubelet")],
        };
        let spec =
            Spec { id: id.clone(), account: run.account, interfaces: vec![interface.id], volumes: vec![], image };
        let status = Status { ready: false, began: false, why: "launching".into(), since: tx.now() };
        tx.create(key, None, Instance { spec, status });
        Ok(id)
    }

    pub fn terminate(tx: &mut Tx, id: &str) {
        tx.delete(&Instance::key(id));
    }

    pub fn state(read: &impl Read, id: &str) -> State {
        match read.shared(&Instance::key(id)) {
            None => State::Terminated,
            Some(record) if record.deleting.is_some() => State::ShuttingDown,
            Some(record) if record.body.status.began => State::Running,
            Some(_) => State::Pending,
        }
    }

    pub fn address(read: &impl Read, id: &str) -> Option<Ipv4Addr> {
        instance::address(read, &read.shared(&Instance::key(id))?.body.spec)
    }

    pub fn private_dns_name(region: &str, address: Ipv4Addr) -> String {
        let [a, b, c, d] = address.octets();
        let suffix = if region == "us-east-1" { "ec2.internal".into() } else { format!("{region}.compute.internal") };
        format!("ip-{a}-{b}-{c}-{d}.{suffix}")
    }

    /// Interfaces of instances that are gone go.
    pub struct InterfacePlanner;
    impl Planner for InterfacePlanner {
        type Object = NetworkInterface;
        const NAME: &'static str = "stub/interface";
        fn plan(&self, record: Record<NetworkInterface>, tx: &mut Tx) -> Next {
            if let Some(id) = record.body.description.strip_prefix("of ")
                && tx.shared(&Key::<Instance>::new(id)).is_none()
            {
                tx.delete(&record.key);
            }
            Next::settled("stub")
        }
    }
}

pub mod launch_template {
    use roadstead_store::{Index, Key, Object, Read, Tx};
    use roadstead_types::Tags;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Data {
        pub image: Option<String>,
        pub instance_type: Option<String>,
        pub user_data: Option<String>,
        pub instance_profile: Option<String>,
        pub groups: Vec<String>,
        pub groups_by_interface: bool,
        pub subnet: Option<String>,
        pub tags: Tags,
        pub volume_tags: Tags,
        pub interface_tags: Tags,
        pub hop_limit: Option<u8>,
        pub root_bytes: Option<u64>,
        pub key_name: Option<String>,
        pub monitoring: Option<bool>,
        pub ebs_optimized: Option<bool>,
        pub termination_protection: Option<bool>,
    }

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Version {
        pub data: Data,
    }

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct LaunchTemplate {
        pub id: String,
        pub account: String,
        pub name: String,
        pub versions: BTreeMap<u64, Version>,
        pub latest: u64,
        pub default: u64,
        pub tags: Tags,
    }

    impl Object for LaunchTemplate {
        const KIND: &'static str = "ec2/launch-template";
    }

    impl LaunchTemplate {
        pub fn key(account: &str, id: &str) -> Key<LaunchTemplate> {
            Key::new(format!("{account}/{id}"))
        }
    }

    pub fn create(tx: &mut Tx, account: &str, name: &str, data: Data, tags: Tags) -> LaunchTemplate {
        let template = LaunchTemplate {
            id: tx.fresh_id("lt-"),
            account: account.into(),
            name: name.into(),
            tags,
            default: 1,
            latest: 1,
            versions: BTreeMap::from([(1, Version { data })]),
        };
        tx.create(LaunchTemplate::key(account, &template.id), None, template.clone());
        template
    }

    pub fn add_version(tx: &mut Tx, account: &str, id: &str, data: Data) -> Option<u64> {
        let mut record = tx.get(&LaunchTemplate::key(account, id))?;
        record.body.latest += 1;
        let version = record.body.latest;
        record.body.versions.insert(version, Version { data });
        tx.put(record);
        Some(version)
    }

    pub fn named(read: &impl Read, account: &str, name: &str) -> Option<LaunchTemplate> {
        let all = read.list(Index::<LaunchTemplate>::prefix(format!("{account}/")));
        all.into_iter().map(|record| record.body).find(|template| template.name == name)
    }

    pub fn data(read: &impl Read, account: &str, id: &str, version: u64) -> Option<Data> {
        let template = read.shared(&LaunchTemplate::key(account, id))?;
        template.body.versions.get(&version).map(|version| version.data.clone())
    }

    pub fn remove(tx: &mut Tx, account: &str, id: &str) {
        tx.remove(&LaunchTemplate::key(account, id));
    }
}

pub mod instance_type {
    pub struct InstanceType {
        pub name: &'static str,
        pub vcpus: u32,
        pub memory_bytes: u64,
        pub enis: u32,
        pub addresses_per_eni: u32,
    }

    static ALL: [InstanceType; 2] = [
        InstanceType { name: "t3.medium", vcpus: 2, memory_bytes: 4 << 30, enis: 3, addresses_per_eni: 6 },
        InstanceType { name: "t3.large", vcpus: 2, memory_bytes: 8 << 30, enis: 3, addresses_per_eni: 12 },
    ];

    pub fn find(name: &str) -> Option<&'static InstanceType> {
        ALL.iter().find(|known| known.name == name)
    }

    impl InstanceType {
        pub fn max_pods(&self) -> u32 {
            self.enis * (self.addresses_per_eni - 1) + 2
        }
    }
}

pub mod image {
    use crate::settings::Settings;
    use roadstead_store::Read;

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Ami {
        pub id: String,
        pub name: String,
        pub kubernetes: String,
        pub release_version: String,
    }

    pub fn eks_optimized(settings: &Settings, minor: &str) -> Option<Ami> {
        let version = settings.kubernetes.iter().find(|version| version.minor == minor)?;
        Some(Ami {
            id: format!("ami-{:0>17}", version.patch.replace('.', "")),
            name: format!("amazon-eks-node-al2023-x86_64-standard-{minor}-v20261101"),
            kubernetes: version.patch.clone(),
            release_version: format!("{}-20261101", version.patch),
        })
    }

    pub fn find(read: &impl Read, id: &str) -> Option<Ami> {
        let settings = Settings::of(read);
        let mut amis = settings.kubernetes.iter().filter_map(|version| eks_optimized(&settings, &version.minor));
        amis.find(|ami| ami.id == id)
    }
}
