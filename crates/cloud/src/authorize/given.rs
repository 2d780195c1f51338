//! Tags that a request gives: every service has its own shape of them.

use roadstead_kernel::Call;
use roadstead_types::Tags;
use roadstead_wire::schema::{Struct, Value};

/// The tags that the call gives to a resource of this ARN. EC2 gives each type its own.
pub(super) fn tags(call: Call<'_>, arn: &str) -> Tags {
    let Value::Struct(members) = call.input else { return Tags::new() };
    let mut tags = Tags::new();
    for (name, value) in members.iter() {
        match name.to_ascii_lowercase().as_str() {
            "tags" => tags.extend(of(value)),
            "tagspecifications" => {
                for (kind, given) in specifications(value) {
                    if kind == kind_of(arn) {
                        tags.extend(of(given));
                    }
                }
            }
            _ => {}
        }
    }
    tags
}

/// The keys that the call gives, or takes away.
pub(super) fn keys(call: Call<'_>, arn: &str) -> Vec<String> {
    let removed = ["TagKeys", "tagKeys"].iter().find_map(|name| call.input.at(name));
    let removed = removed.into_iter().flat_map(|value| match value {
        Value::List(keys) => keys.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => vec![],
    });
    tags(call, arn).into_keys().chain(removed).collect()
}

/// Types that the call tags as it makes them, as ARNs write them.
pub(super) fn kinds(call: Call<'_>) -> Vec<&str> {
    let specifications = call.input.at("TagSpecifications").map(specifications).unwrap_or_default();
    specifications.into_iter().filter(|(_, tags)| !of(tags).is_empty()).map(|(kind, _)| kind).collect()
}

fn specifications(value: &Value) -> Vec<(&str, &Value)> {
    let Value::List(all) = value else { return vec![] };
    all.iter().filter_map(|one| Some((one.at("ResourceType")?.as_str()?, one.at("Tags")?))).collect()
}

/// Maps, and lists of keys and values.
fn of(value: &Value) -> Tags {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let pair = |tag: &Struct| {
        let key = ["Key", "TagKey"].iter().find_map(|name| tag.get(name))?;
        let value = ["Value", "TagValue"].iter().find_map(|name| tag.get(name));
        Some((text(Some(key)), text(value)))
    };
    match value {
        Value::Map(tags) => tags.iter().map(|(key, value)| (key.clone(), text(Some(value)))).collect(),
        Value::List(tags) => tags
            .iter()
            .filter_map(|tag| match tag {
                Value::Struct(tag) => pair(tag),
                _ => None,
            })
            .collect(),
        _ => Tags::new(),
    }
}

/// `instance` of `arn:aws:ec2:us-east-1:111122223333:instance/*`.
fn kind_of(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    resource.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_shapes::{autoscaling, ec2, eks, iam, kms, logs};
    use roadstead_wire::schema::{Data as _, Operation, Shape};
    use std::collections::BTreeMap;

    const VPC: &str = "arn:aws:ec2:us-east-1:111122223333:vpc/*";

    /// What a call with that input gives, as `key=value`, and the keys that a policy sees.
    fn found<I: Shape, O: Shape>(
        operation: &'static Operation<I, O>,
        input: &I,
        arn: &str,
    ) -> (Vec<String>, Vec<String>) {
        let input = input.clone().into_value();
        let call = Call { operation, input: &input };
        (tags(call, arn).into_iter().map(|(key, value)| format!("{key}={value}")).collect(), keys(call, arn))
    }

    #[track_caller]
    fn gives<I: Shape, O: Shape>(operation: &'static Operation<I, O>, input: &I) {
        assert_eq!(found(operation, input, VPC), (vec!["team=blue".to_owned()], vec!["team".to_owned()]));
    }

    #[test]
    fn each_services_tags_are_found() {
        let (key, value) = ("team".to_owned(), "blue".to_owned());
        let map = BTreeMap::from([(key.clone(), value.clone())]);
        gives(&eks::CREATE_CLUSTER, &eks::CreateClusterRequest { tags: Some(map.clone()), ..Default::default() });
        gives(&logs::CREATE_LOG_GROUP, &logs::CreateLogGroupRequest { tags: Some(map), ..Default::default() });
        let tags = Some(vec![iam::Tag { key: key.clone(), value: value.clone() }]);
        gives(&iam::CREATE_USER, &iam::CreateUserRequest { tags, ..Default::default() });
        let tags = Some(vec![kms::Tag { tag_key: key.clone(), tag_value: value.clone() }]);
        gives(&kms::CREATE_KEY, &kms::CreateKeyRequest { tags, ..Default::default() });
        let tag = autoscaling::Tag { key: key.clone(), value: Some(value.clone()), ..Default::default() };
        gives(&autoscaling::CREATE_OR_UPDATE_TAGS, &autoscaling::CreateOrUpdateTagsType { tags: vec![tag] });
        let tags = vec![ec2::Tag { key: Some(key), value: Some(value) }];
        let input = ec2::CreateTagsRequest { resources: vec![], tags: tags.clone(), dry_run: None };
        gives(&ec2::CREATE_TAGS, &input);
        let specification = ec2::TagSpecification { resource_type: Some(ec2::ResourceType::Vpc), tags: Some(tags) };
        let input = ec2::CreateVpcRequest { tag_specifications: Some(vec![specification]), ..Default::default() };
        gives(&ec2::CREATE_VPC, &input);
        let subnet = "arn:aws:ec2:us-east-1:111122223333:subnet/*";
        assert_eq!(found(&ec2::CREATE_VPC, &input, subnet), (vec![], vec![]), "they are another resource's");
        let call = Call { operation: &ec2::CREATE_VPC, input: &input.clone().into_value() };
        assert_eq!(kinds(call), ["vpc"]);
    }

    #[test]
    fn what_is_untagged_has_keys_too() {
        let input = iam::UntagRoleRequest { role_name: "r".into(), tag_keys: vec!["team".into()] };
        assert_eq!(found(&iam::UNTAG_ROLE, &input, "*"), (vec![], vec!["team".to_owned()]));
        let input = eks::UntagResourceRequest { resource_arn: "arn:x".into(), tag_keys: vec!["team".into()] };
        assert_eq!(found(&eks::UNTAG_RESOURCE, &input, "*"), (vec![], vec!["team".to_owned()]));
        let input = eks::ListClustersRequest::default();
        assert_eq!(found(&eks::LIST_CLUSTERS, &input, "*"), (vec![], vec![]));
    }
}
