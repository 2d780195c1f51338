//! The launch template operations.

use super::{Authorship, Data, LaunchTemplate, named, view};
use crate::ec2::asked::required;
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::tags;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::{Common, Fault};

/// Versions of a template at most: fewer than EC2's 10,000, because a template is one record.
const VERSIONS_MAX: usize = 1000;
/// The largest page of versions.
const VERSIONS_PAGE_MAX: i32 = 200;

/// EC2 CreateLaunchTemplate.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateLaunchTemplateRequest,
) -> Result<api::CreateLaunchTemplateResult, Fault> {
    let account = &caller.identity.account;
    let name = input.launch_template_name;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-().'/_".contains(&b);
    if !(3..=128).contains(&name.len()) || !name.bytes().all(is_plain) {
        let why = "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and \
                   the following characters: - ( ) . / _.";
        return Err(api::INVALID_LAUNCH_TEMPLATE_NAME_MALFORMED_EXCEPTION.fault(why));
    }
    if named(tx, account, &name).is_some() {
        return Err(
            api::INVALID_LAUNCH_TEMPLATE_NAME_ALREADY_EXISTS_EXCEPTION.fault("Launch template name already in use.")
        );
    }
    let tags = tags::given(input.tag_specifications, api::ResourceType::LaunchTemplate)?;
    let data = Data::of(input.launch_template_data)?;
    tags::not_dry(input.dry_run)?;
    let template = super::insert(tx, account, &name, data, tags, who(caller, input.version_description));
    Ok(api::CreateLaunchTemplateResult { launch_template: Some(view::show(&template)), ..Default::default() })
}

fn who(caller: &Caller, description: Option<String>) -> Authorship {
    Authorship { by: caller.identity.arn.to_string(), description }
}

/// EC2 CreateLaunchTemplateVersion: what is left out is as in the source version, if one is named.
pub fn create_version(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateLaunchTemplateVersionRequest,
) -> Result<api::CreateLaunchTemplateVersionResult, Fault> {
    let account = &caller.identity.account;
    let template = find(tx, account, input.launch_template_id, input.launch_template_name)?.body;
    let source = input.source_version.map(|text| number(&template, &text)).transpose()?;
    let base = source.and_then(|source| template.versions.get(&source)).map(|version| version.data.clone());
    let data = Data::of(input.launch_template_data)?.over(base.unwrap_or_default());
    if template.versions.len() >= VERSIONS_MAX {
        let why = format!("The maximum number of versions of a launch template has been reached: {VERSIONS_MAX}");
        return Err(api::VERSION_LIMIT_EXCEEDED.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    let added = super::append(tx, account, &template.id, data, who(caller, input.version_description));
    let template = find(tx, account, Some(template.id), None)?.body;
    let shown = added.and_then(|n| Some(view::show_version(&template, n, template.versions.get(&n)?)));
    Ok(api::CreateLaunchTemplateVersionResult { launch_template_version: shown, ..Default::default() })
}

/// EC2 DescribeLaunchTemplates.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeLaunchTemplatesRequest,
) -> Result<api::DescribeLaunchTemplatesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let mut ids = input.launch_template_ids.unwrap_or_default();
    for name in input.launch_template_names.unwrap_or_default() {
        ids.push(named(view_, account, &name).ok_or_else(|| missing_name(&name))?.id);
    }
    let query = Query {
        scope: format!("ec2:DescribeLaunchTemplates/{account}"),
        ids: &ids,
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<LaunchTemplate>::prefix(format!("{account}/")));
    let all = all.into_iter().map(|record| (record.body.id.clone(), record.body)).collect();
    let page = select(&query, all, values, missing)?;
    let shown = page.items.iter().map(view::show).collect();
    Ok(api::DescribeLaunchTemplatesResult { launch_templates: Some(shown), next_token: page.next })
}

fn values(template: &LaunchTemplate, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "launch-template-name" => template.name.clone(),
        "create-time" => template.created.0.to_string(),
        _ => return tag_values(&template.tags, filter),
    }])
}

/// EC2 DescribeLaunchTemplateVersions: the newest first.
pub fn describe_versions(
    view_: &View,
    caller: &Caller,
    input: api::DescribeLaunchTemplateVersionsRequest,
) -> Result<api::DescribeLaunchTemplateVersionsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let asked = input.versions.unwrap_or_default();
    let templates = match (input.launch_template_id, input.launch_template_name) {
        (None, None) => {
            if asked.is_empty() || asked.iter().any(|text| !["$Latest", "$Default"].contains(&text.as_str())) {
                let why = "Without a launch template only the versions $Latest and $Default can be described.";
                return Err(Common::MissingParameter.fault(why));
            }
            let all = view_.list(Index::<LaunchTemplate>::prefix(format!("{account}/")));
            all.into_iter().map(|record| record.body).collect()
        }
        (id, name) => vec![find(view_, account, id, name)?.body],
    };
    let least = input.min_version.as_deref().map_or(Ok(0), bound)?;
    let most = input.max_version.as_deref().map_or(Ok(u64::MAX), bound)?;
    let mut listed = vec![];
    for template in &templates {
        let wanted = asked.iter().map(|text| number(template, text)).collect::<Result<Vec<_>, _>>()?;
        let versions = template.versions.iter();
        let versions = versions.filter(|(n, _)| (asked.is_empty() || wanted.contains(n)) && (least..=most).contains(n));
        let key = |n: u64| format!("{}/{:020}", template.id, u64::MAX - n);
        listed.extend(versions.map(|(n, version)| (key(*n), view::show_version(template, *n, version))));
    }
    // "This value can be between 1 and 200", says the model's text.
    if input.max_results.is_some_and(|asked| !(1..=VERSIONS_PAGE_MAX).contains(&asked)) {
        let why = format!("Maximum results allowed are between 1 and {VERSIONS_PAGE_MAX}");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    let query = Query {
        scope: format!("ec2:DescribeLaunchTemplateVersions/{account}"),
        ids: &[],
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let page = select(&query, listed, version_values, missing)?;
    Ok(api::DescribeLaunchTemplateVersionsResult { launch_template_versions: Some(page.items), next_token: page.next })
}

fn bound(text: &str) -> Result<u64, Fault> {
    text.parse().map_err(|_| Common::InvalidParameterValue.fault(format!("'{text}' is not a version number")))
}

fn version_values(version: &api::LaunchTemplateVersion, filter: &str) -> Option<Vec<String>> {
    let data = version.launch_template_data.as_ref();
    let value = match filter {
        "image-id" => data.and_then(|data| data.image_id.clone()),
        "instance-type" => data.and_then(|data| data.instance_type).map(|name| name.to_string()),
        "is-default-version" => version.default_version.map(|is| is.to_string()),
        "ebs-optimized" => data.and_then(|data| data.ebs_optimized).map(|is| is.to_string()),
        _ => return None,
    };
    Some(value.into_iter().collect())
}

/// EC2 ModifyLaunchTemplate: another version is the default one.
pub fn modify(
    tx: &mut Tx,
    caller: &Caller,
    input: api::ModifyLaunchTemplateRequest,
) -> Result<api::ModifyLaunchTemplateResult, Fault> {
    let mut record = find(tx, &caller.identity.account, input.launch_template_id, input.launch_template_name)?;
    let version = required(input.default_version, "DefaultVersion")?;
    record.body.default = number(&record.body, &version)?;
    tags::not_dry(input.dry_run)?;
    let shown = view::show(&record.body);
    tx.put(record);
    Ok(api::ModifyLaunchTemplateResult { launch_template: Some(shown) })
}

/// EC2 DeleteLaunchTemplate: instances that were launched from it stay.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteLaunchTemplateRequest,
) -> Result<api::DeleteLaunchTemplateResult, Fault> {
    let account = &caller.identity.account;
    let template = find(tx, account, input.launch_template_id, input.launch_template_name)?.body;
    tags::not_dry(input.dry_run)?;
    super::remove(tx, account, &template.id);
    Ok(api::DeleteLaunchTemplateResult { launch_template: Some(view::show(&template)) })
}

/// The version of a template that a launch names: its id, its number, and what it says.
pub(crate) fn resolve(
    read: &impl Read,
    account: &str,
    named: api::LaunchTemplateSpecification,
) -> Result<(String, u64, Data), Fault> {
    let template = find(read, account, named.launch_template_id, named.launch_template_name)?.body;
    let version = number(&template, named.version.as_deref().unwrap_or("$Default"))?;
    let data = template.versions.get(&version).map(|version| version.data.clone());
    Ok((template.id, version, data.unwrap_or_default()))
}

/// A template of the account, by its id or its name.
fn find(
    read: &impl Read,
    account: &str,
    id: Option<String>,
    name: Option<String>,
) -> Result<Record<LaunchTemplate>, Fault> {
    let id = match (id, name) {
        (Some(id), None) => id,
        (None, Some(name)) => super::named(read, account, &name).ok_or_else(|| missing_name(&name))?.id,
        (Some(_), Some(_)) => {
            let why = "Specify either a launch template ID or a launch template name, not both.";
            return Err(Common::InvalidParameterCombination.fault(why));
        }
        (None, None) => {
            let why = "Either a launch template ID or a launch template name must be specified in the request.";
            return Err(Common::MissingParameter.fault(why));
        }
    };
    read.get(&LaunchTemplate::key(account, &id)).ok_or_else(|| missing(&id))
}

fn missing(id: &str) -> Fault {
    if !id.starts_with("lt-") {
        return api::INVALID_LAUNCH_TEMPLATE_ID_MALFORMED.fault(format!("Invalid launch template ID: '{id}'"));
    }
    let why = format!("The specified launch template, with template ID {id}, does not exist.");
    api::INVALID_LAUNCH_TEMPLATE_ID_NOT_FOUND.fault(why)
}

fn missing_name(name: &str) -> Fault {
    let why = format!("The specified launch template, with template name {name}, does not exist.");
    api::INVALID_LAUNCH_TEMPLATE_NAME_NOT_FOUND_EXCEPTION.fault(why)
}

/// The number of a version: `$Latest`, `$Default`, or a number.
fn number(template: &LaunchTemplate, text: &str) -> Result<u64, Fault> {
    let number = match text {
        "$Latest" => Some(template.latest),
        "$Default" => Some(template.default),
        _ => text.parse().ok(),
    };
    number.filter(|number| template.versions.contains_key(number)).ok_or_else(|| {
        let why =
            format!("Could not find the specified version {text} for the launch template with ID {}.", template.id);
        api::INVALID_LAUNCH_TEMPLATE_ID_VERSION_NOT_FOUND.fault(why)
    })
}
