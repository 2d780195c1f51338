//! DHCP options: the one default set of an account, which all of its VPCs have. It is in no record.

use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::instance;
use crate::ec2::tags;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::View;
use roadstead_types::Tags;
use roadstead_wire::fault::Fault;

/// The id of an account's default set.
pub fn id(account: &str) -> String {
    format!("dopt-{account:0>17}")
}

/// EC2 DescribeDhcpOptions.
pub fn describe(
    _: &View,
    caller: &Caller,
    input: api::DescribeDhcpOptionsRequest,
) -> Result<api::DescribeDhcpOptionsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeDhcpOptions/{account}"),
        ids: input.dhcp_options_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let missing =
        |id: &str| api::INVALID_DHCP_OPTIONS_ID_NOT_FOUND.fault(format!("The dhcpOption ID '{id}' does not exist"));
    let page = select(&query, vec![(id(account), show(&caller.region, account))], values, missing)?;
    Ok(api::DescribeDhcpOptionsResult { dhcp_options: Some(page.items), next_token: page.next })
}

fn values(options: &api::DhcpOptions, filter: &str) -> Option<Vec<String>> {
    let configurations = || options.dhcp_configurations.iter().flatten();
    Some(match filter {
        "dhcp-options-id" => options.dhcp_options_id.iter().cloned().collect(),
        "owner-id" => options.owner_id.iter().cloned().collect(),
        "key" => configurations().filter_map(|configuration| configuration.key.clone()).collect(),
        "value" => {
            let values = configurations().flat_map(|configuration| configuration.values.iter().flatten());
            values.filter_map(|value| value.value.clone()).collect()
        }
        _ => return tag_values(&Tags::new(), filter),
    })
}

fn show(region: &str, account: &str) -> api::DhcpOptions {
    let configuration = |key: &str, value: String| api::DhcpConfiguration {
        key: Some(key.into()),
        values: Some(vec![api::AttributeValue { value: Some(value) }]),
    };
    let configurations = vec![
        configuration("domain-name", instance::private_domain(region)),
        configuration("domain-name-servers", "AmazonProvidedDNS".into()),
    ];
    api::DhcpOptions {
        owner_id: Some(account.into()),
        tags: Some(vec![]),
        dhcp_options_id: Some(id(account)),
        dhcp_configurations: Some(configurations),
    }
}
