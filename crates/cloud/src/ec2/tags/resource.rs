//! What can have tags: each kind of resource by the prefix of its ids.

use crate::ec2::address::Address;
use crate::ec2::instance::Instance;
use crate::ec2::internet_gateway::InternetGateway;
use crate::ec2::key_pair::KeyPair;
use crate::ec2::launch_template::LaunchTemplate;
use crate::ec2::nat_gateway::NatGateway;
use crate::ec2::network_acl::NetworkAcl;
use crate::ec2::network_interface::NetworkInterface;
use crate::ec2::prefix_list::PrefixList;
use crate::ec2::route_table::RouteTable;
use crate::ec2::security_group::SecurityGroup;
use crate::ec2::security_group_rule::SecurityGroupRule;
use crate::ec2::subnet::Subnet;
use crate::ec2::volume::Volume;
use crate::ec2::vpc::Vpc;
use crate::ec2::vpc_endpoint::VpcEndpoint;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Key, Object, Read, Record, Tx};
use roadstead_types::Tags;
use roadstead_wire::fault::{ErrorShape, Fault};

/// A kind of resource with tags.
trait Tagged: Object {
    const TYPE: api::ResourceType;
    const MISSING: &'static ErrorShape;

    /// Where an account's resource of this id stands.
    fn place(account: &str, id: &str) -> Key<Self>;
    /// All of an account.
    fn all(account: &str) -> Index<Self>;
    /// Its id, its account, and its tags; None: no user sees it.
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)>;
}

impl Tagged for Vpc {
    const TYPE: api::ResourceType = api::ResourceType::Vpc;
    const MISSING: &'static ErrorShape = &api::INVALID_VPC_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<Vpc> {
        Vpc::key(account, id)
    }
    fn all(account: &str) -> Index<Vpc> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for Subnet {
    const TYPE: api::ResourceType = api::ResourceType::Subnet;
    const MISSING: &'static ErrorShape = &api::INVALID_SUBNET_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<Subnet> {
        Subnet::key(account, id)
    }
    fn all(account: &str) -> Index<Subnet> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for SecurityGroup {
    const TYPE: api::ResourceType = api::ResourceType::SecurityGroup;
    const MISSING: &'static ErrorShape = &api::INVALID_GROUP_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<SecurityGroup> {
        SecurityGroup::key(account, id)
    }
    fn all(account: &str) -> Index<SecurityGroup> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for SecurityGroupRule {
    const TYPE: api::ResourceType = api::ResourceType::SecurityGroupRule;
    const MISSING: &'static ErrorShape = &api::INVALID_SECURITY_GROUP_RULE_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<SecurityGroupRule> {
        SecurityGroupRule::key(account, id)
    }
    fn all(account: &str) -> Index<SecurityGroupRule> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for RouteTable {
    const TYPE: api::ResourceType = api::ResourceType::RouteTable;
    const MISSING: &'static ErrorShape = &api::INVALID_ROUTE_TABLE_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<RouteTable> {
        RouteTable::key(account, id)
    }
    fn all(account: &str) -> Index<RouteTable> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for NetworkAcl {
    const TYPE: api::ResourceType = api::ResourceType::NetworkAcl;
    const MISSING: &'static ErrorShape = &api::INVALID_NETWORK_ACL_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<NetworkAcl> {
        NetworkAcl::key(account, id)
    }
    fn all(account: &str) -> Index<NetworkAcl> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for VpcEndpoint {
    const TYPE: api::ResourceType = api::ResourceType::VpcEndpoint;
    const MISSING: &'static ErrorShape = &api::INVALID_VPC_ENDPOINT_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<VpcEndpoint> {
        VpcEndpoint::key(account, id)
    }
    fn all(account: &str) -> Index<VpcEndpoint> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for InternetGateway {
    const TYPE: api::ResourceType = api::ResourceType::InternetGateway;
    const MISSING: &'static ErrorShape = &api::INVALID_INTERNET_GATEWAY_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<InternetGateway> {
        InternetGateway::key(account, id)
    }
    fn all(account: &str) -> Index<InternetGateway> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for NatGateway {
    const TYPE: api::ResourceType = api::ResourceType::Natgateway;
    const MISSING: &'static ErrorShape = &api::NAT_GATEWAY_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<NatGateway> {
        NatGateway::key(account, id)
    }
    fn all(account: &str) -> Index<NatGateway> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for Address {
    const TYPE: api::ResourceType = api::ResourceType::ElasticIp;
    const MISSING: &'static ErrorShape = &api::INVALID_ALLOCATION_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<Address> {
        Address::key(account, id)
    }
    fn all(account: &str) -> Index<Address> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for PrefixList {
    const TYPE: api::ResourceType = api::ResourceType::PrefixList;
    const MISSING: &'static ErrorShape = &api::INVALID_PREFIX_LIST_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<PrefixList> {
        PrefixList::key(account, id)
    }
    fn all(account: &str) -> Index<PrefixList> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for KeyPair {
    const TYPE: api::ResourceType = api::ResourceType::KeyPair;
    const MISSING: &'static ErrorShape = &api::INVALID_KEY_PAIR_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<KeyPair> {
        KeyPair::key(account, id)
    }
    fn all(account: &str) -> Index<KeyPair> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for LaunchTemplate {
    const TYPE: api::ResourceType = api::ResourceType::LaunchTemplate;
    const MISSING: &'static ErrorShape = &api::INVALID_LAUNCH_TEMPLATE_ID_NOT_FOUND;
    fn place(account: &str, id: &str) -> Key<LaunchTemplate> {
        LaunchTemplate::key(account, id)
    }
    fn all(account: &str) -> Index<LaunchTemplate> {
        Index::prefix(format!("{account}/"))
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for NetworkInterface {
    const TYPE: api::ResourceType = api::ResourceType::NetworkInterface;
    const MISSING: &'static ErrorShape = &api::INVALID_NETWORK_INTERFACE_ID_NOT_FOUND;
    fn place(_: &str, id: &str) -> Key<NetworkInterface> {
        NetworkInterface::key(id)
    }
    fn all(account: &str) -> Index<NetworkInterface> {
        Index::by("account", account)
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for Volume {
    const TYPE: api::ResourceType = api::ResourceType::Volume;
    const MISSING: &'static ErrorShape = &api::INVALID_VOLUME_NOT_FOUND;
    fn place(_: &str, id: &str) -> Key<Volume> {
        Volume::key(id)
    }
    fn all(account: &str) -> Index<Volume> {
        Index::by("account", account)
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        Some((&self.id, &self.account, &mut self.tags))
    }
}

impl Tagged for Instance {
    const TYPE: api::ResourceType = api::ResourceType::Instance;
    const MISSING: &'static ErrorShape = &api::INVALID_INSTANCE_ID_NOT_FOUND;
    fn place(_: &str, id: &str) -> Key<Instance> {
        Instance::key(id)
    }
    fn all(account: &str) -> Index<Instance> {
        Index::by("account", account)
    }
    fn parts(&mut self) -> Option<(&str, &str, &mut Tags)> {
        let spec = &mut self.spec;
        spec.launch.as_mut().map(|launch| (spec.id.as_str(), spec.account.as_str(), &mut launch.tags))
    }
}

/// A function of the kind that an id is of, by its prefix.
macro_rules! by_prefix {
    ($id:ident, $function:ident($($argument:expr),*), $otherwise:expr) => {
        match $id.split_once('-').map(|(prefix, _)| prefix) {
            Some("vpc") => $function::<Vpc>($($argument),*),
            Some("subnet") => $function::<Subnet>($($argument),*),
            Some("sg") => $function::<SecurityGroup>($($argument),*),
            Some("sgr") => $function::<SecurityGroupRule>($($argument),*),
            Some("rtb") => $function::<RouteTable>($($argument),*),
            Some("acl") => $function::<NetworkAcl>($($argument),*),
            Some("pl") => $function::<PrefixList>($($argument),*),
            Some("vpce") => $function::<VpcEndpoint>($($argument),*),
            Some("igw") => $function::<InternetGateway>($($argument),*),
            Some("nat") => $function::<NatGateway>($($argument),*),
            Some("eipalloc") => $function::<Address>($($argument),*),
            Some("key") => $function::<KeyPair>($($argument),*),
            Some("lt") => $function::<LaunchTemplate>($($argument),*),
            Some("eni") => $function::<NetworkInterface>($($argument),*),
            Some("vol") => $function::<Volume>($($argument),*),
            Some("i") => $function::<Instance>($($argument),*),
            _ => $otherwise,
        }
    };
}

/// Changes the tags of an account's resource.
///
/// # Errors
/// There is no such resource, or the change says so.
pub(super) fn change(
    tx: &mut Tx,
    account: &str,
    id: &str,
    change: impl FnOnce(&mut Tags) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let invalid = || Err(api::INVALID_ID.fault(format!("The ID '{id}' is not valid")));
    by_prefix!(id, change_of(tx, account, id, change), invalid())
}

/// The tags of an account's resource.
pub(super) fn of(read: &impl Read, account: &str, id: &str) -> Option<Tags> {
    by_prefix!(id, tags_of(read, account, id), None)
}

/// What an id is of, as ARNs write it: `network-interface`.
pub(super) fn kind_of(id: &str) -> Option<&'static str> {
    by_prefix!(id, name_of(), None)
}

fn name_of<T: Tagged>() -> Option<&'static str> {
    Some(T::TYPE.as_str())
}

fn tags_of<T: Tagged>(read: &impl Read, account: &str, id: &str) -> Option<Tags> {
    let mut record = read.get(&T::place(account, id))?;
    record.body.parts().filter(|(_, owner, _)| *owner == account).map(|(_, _, tags)| tags.clone())
}

fn change_of<T: Tagged>(
    tx: &mut Tx,
    account: &str,
    id: &str,
    change: impl FnOnce(&mut Tags) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let missing = || T::MISSING.fault(format!("The ID '{id}' does not exist"));
    let mut record = tx.get(&T::place(account, id)).ok_or_else(missing)?;
    let (_, _, tags) = record.body.parts().filter(|(_, owner, _)| *owner == account).ok_or_else(missing)?;
    change(tags)?;
    tx.put(record);
    Ok(())
}

/// A tag of a resource.
pub(super) struct Row {
    pub kind: api::ResourceType,
    pub id: String,
    pub key: String,
    pub value: String,
}

/// All tags of an account.
pub(super) fn rows(read: &impl Read, account: &str) -> Vec<Row> {
    let mut rows = rows_of::<Vpc>(read, account);
    rows.extend(rows_of::<Subnet>(read, account));
    rows.extend(rows_of::<SecurityGroup>(read, account));
    rows.extend(rows_of::<SecurityGroupRule>(read, account));
    rows.extend(rows_of::<RouteTable>(read, account));
    rows.extend(rows_of::<NetworkAcl>(read, account));
    rows.extend(rows_of::<PrefixList>(read, account));
    rows.extend(rows_of::<VpcEndpoint>(read, account));
    rows.extend(rows_of::<InternetGateway>(read, account));
    rows.extend(rows_of::<NatGateway>(read, account));
    rows.extend(rows_of::<Address>(read, account));
    rows.extend(rows_of::<KeyPair>(read, account));
    rows.extend(rows_of::<LaunchTemplate>(read, account));
    rows.extend(rows_of::<NetworkInterface>(read, account));
    rows.extend(rows_of::<Volume>(read, account));
    rows.extend(rows_of::<Instance>(read, account));
    rows
}

fn rows_of<T: Tagged>(read: &impl Read, account: &str) -> Vec<Row> {
    let of = |mut record: Record<T>| {
        let Some((id, _, tags)) = record.body.parts() else { return vec![] };
        let row = |(key, value): (&String, &String)| Row {
            kind: T::TYPE,
            id: id.to_owned(),
            key: key.clone(),
            value: value.clone(),
        };
        tags.iter().map(row).collect()
    };
    read.list(T::all(account)).into_iter().flat_map(of).collect()
}
