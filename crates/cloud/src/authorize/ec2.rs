//! What an input of EC2's names otherwise than by its id.

use crate::ec2;
use crate::ec2::address::Address;
use crate::ec2::network_interface::NetworkInterface;
use crate::ec2::route_table::RouteTable;
use crate::ec2::vpc::Vpc;
use roadstead_kernel::Call;
use roadstead_store::{Index, Read};
use roadstead_wire::schema::Value;

/// The id of the account's resource of that kind, as ARNs write kinds. None: it is yet to be made, or is not there.
pub(super) fn named(read: &impl Read, account: &str, call: Call<'_>, kind: &str) -> Option<String> {
    let text = |member: &str| call.input.at(member).and_then(Value::as_str);
    match (kind, call.operation.name) {
        ("security-group", "CreateSecurityGroup") | ("launch-template", "CreateLaunchTemplate") => None,
        ("security-group", _) => {
            let name = text("GroupName")?.to_owned();
            Some(ec2::security_group::ops::named(read, account, None, Some(name)).ok()?.body.id)
        }
        ("launch-template", _) => Some(ec2::launch_template::named(read, account, text("LaunchTemplateName")?)?.id),
        ("network-interface", _) => {
            let found = read.list(Index::<NetworkInterface>::by("attachment", text("AttachmentId")?));
            found.into_iter().find(|record| record.body.account == account).map(|record| record.body.id)
        }
        ("elastic-ip", _) => {
            let found = read.list(Index::<Address>::by("association", text("AssociationId")?));
            found.into_iter().find(|record| record.body.account == account).map(|record| record.body.id)
        }
        ("route-table", _) => {
            let found = read.list(Index::<RouteTable>::by("association", text("AssociationId")?));
            found.into_iter().find(|record| record.body.account == account).map(|record| record.body.id)
        }
        ("vpc", _) => {
            let found = read.list(Index::<Vpc>::by("association", text("AssociationId")?));
            found.into_iter().find(|record| record.body.account == account).map(|record| record.body.id)
        }
        _ => None,
    }
}
