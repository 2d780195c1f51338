//! The security group rule operations.

use super::asked::{self, Asked, Named};
use super::{Direction, Permission, RULES_MAX, SecurityGroupRule, view};
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::security_group::{self, SecurityGroup};
use crate::ec2::tags;
use crate::ec2::vpc::Vpc;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::{Common, Fault};
use std::collections::{BTreeMap, BTreeSet};

/// The rules that a request of either direction names: four types with the same members.
macro_rules! named {
    ($input:ident) => {
        Named {
            permissions: $input.ip_permissions,
            protocol: $input.ip_protocol,
            from: $input.from_port,
            to: $input.to_port,
            cidr: $input.cidr_ip,
            group_name: $input.source_security_group_name,
            group_owner: $input.source_security_group_owner_id,
        }
    };
}

/// EC2 AuthorizeSecurityGroupIngress: all of the rules, or none.
pub fn authorize_ingress(
    tx: &mut Tx,
    caller: &Caller,
    input: api::AuthorizeSecurityGroupIngressRequest,
) -> Result<api::AuthorizeSecurityGroupIngressResult, Fault> {
    let named = named!(input);
    let group = security_group::ops::named(tx, &caller.identity.account, input.group_id, input.group_name)?.body;
    let wish = Wish { named, tags: input.tag_specifications, dry_run: input.dry_run };
    let rules = authorize(tx, caller, &group, Direction::Ingress, wish)?;
    Ok(api::AuthorizeSecurityGroupIngressResult { r#return: Some(true), security_group_rules: Some(rules) })
}

/// EC2 AuthorizeSecurityGroupEgress: all of the rules, or none.
pub fn authorize_egress(
    tx: &mut Tx,
    caller: &Caller,
    input: api::AuthorizeSecurityGroupEgressRequest,
) -> Result<api::AuthorizeSecurityGroupEgressResult, Fault> {
    let named = named!(input);
    let group = security_group::ops::named(tx, &caller.identity.account, Some(input.group_id), None)?.body;
    let wish = Wish { named, tags: input.tag_specifications, dry_run: input.dry_run };
    let rules = authorize(tx, caller, &group, Direction::Egress, wish)?;
    Ok(api::AuthorizeSecurityGroupEgressResult { r#return: Some(true), security_group_rules: Some(rules) })
}

/// Rules that are asked for.
struct Wish {
    named: Named,
    tags: Option<Vec<api::TagSpecification>>,
    dry_run: Option<bool>,
}

fn authorize(
    tx: &mut Tx,
    caller: &Caller,
    group: &SecurityGroup,
    direction: Direction,
    wish: Wish,
) -> Result<Vec<api::SecurityGroupRule>, Fault> {
    let asked = wish.named.rules(tx, group)?;
    let tags = tags::given(wish.tags, api::ResourceType::SecurityGroupRule)?;
    let known: BTreeSet<Permission> =
        rules(tx, group, direction).into_iter().map(|rule| rule.body.permission).collect();
    if let Some(twice) = asked.iter().find(|asked| known.contains(&asked.permission)) {
        return Err(duplicate(&twice.permission));
    }
    let more = asked.iter().map(|asked| super::weight_of(tx, &group.account, &asked.permission.peer));
    fit(super::weight(tx, &group.id, direction) + more.sum::<usize>())?;
    tags::not_dry(wish.dry_run)?;
    let mut made = vec![];
    for Asked { permission, description } in asked {
        let rule = super::add(tx, group, direction, permission, description, tags.clone());
        made.push(view::show(&caller.region, &rule));
    }
    Ok(made)
}

/// EC2 RevokeSecurityGroupIngress: all of the rules, or none; in a default VPC, those that are there.
pub fn revoke_ingress(
    tx: &mut Tx,
    caller: &Caller,
    input: api::RevokeSecurityGroupIngressRequest,
) -> Result<api::RevokeSecurityGroupIngressResult, Fault> {
    let named = named!(input);
    let group = security_group::ops::named(tx, &caller.identity.account, input.group_id, input.group_name)?.body;
    let chosen = choose(tx, &group, Direction::Ingress, named, input.security_group_rule_ids)?;
    let (revoked, unknown) = revoke(tx, chosen, input.dry_run)?;
    Ok(api::RevokeSecurityGroupIngressResult {
        r#return: Some(true),
        unknown_ip_permissions: Some(unknown),
        revoked_security_group_rules: Some(revoked),
    })
}

/// EC2 RevokeSecurityGroupEgress: as [`revoke_ingress`].
pub fn revoke_egress(
    tx: &mut Tx,
    caller: &Caller,
    input: api::RevokeSecurityGroupEgressRequest,
) -> Result<api::RevokeSecurityGroupEgressResult, Fault> {
    let named = named!(input);
    let group = security_group::ops::named(tx, &caller.identity.account, Some(input.group_id), None)?.body;
    let chosen = choose(tx, &group, Direction::Egress, named, input.security_group_rule_ids)?;
    let (revoked, unknown) = revoke(tx, chosen, input.dry_run)?;
    Ok(api::RevokeSecurityGroupEgressResult {
        r#return: Some(true),
        unknown_ip_permissions: Some(unknown),
        revoked_security_group_rules: Some(revoked),
    })
}

/// Rules of a group that a request names.
struct Chosen {
    /// Those there are, with what the request says of them.
    found: Vec<(Record<SecurityGroupRule>, Option<String>)>,
    /// Those there are not: in a default VPC, that is no error.
    unknown: Vec<api::IpPermission>,
}

fn choose(
    tx: &Tx,
    group: &SecurityGroup,
    direction: Direction,
    named: Named,
    ids: Option<Vec<String>>,
) -> Result<Chosen, Fault> {
    let ids = ids.unwrap_or_default();
    match (ids.is_empty(), named.is_empty()) {
        (true, true) => {
            let why = "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.";
            return Err(Common::MissingParameter.fault(why));
        }
        (false, false) => {
            let why = "The parameter 'ipPermissions' may not be used in combination with 'securityGroupRuleIds'";
            return Err(Common::InvalidParameterCombination.fault(why));
        }
        (false, true) => {
            distinct(&ids)?;
            let found = ids.iter().map(|id| Ok((find(tx, group, direction, id)?, None)));
            return Ok(Chosen { found: found.collect::<Result<_, Fault>>()?, unknown: vec![] });
        }
        (true, false) => {}
    }
    let mut known: BTreeMap<Permission, Record<SecurityGroupRule>> =
        rules(tx, group, direction).into_iter().map(|rule| (rule.body.permission.clone(), rule)).collect();
    let (mut found, mut unknown) = (vec![], vec![]);
    for Asked { permission, description } in named.rules(tx, group)? {
        match known.remove(&permission) {
            Some(rule) => found.push((rule, description)),
            None => unknown.push((permission, description)),
        }
    }
    let lenient = tx.shared(&Vpc::key(&group.account, &group.vpc)).is_some_and(|vpc| vpc.body.is_default);
    if !(unknown.is_empty() || lenient) {
        return Err(no_such_rule());
    }
    let unknown = unknown.iter().map(|(permission, description)| (permission, description.as_deref()));
    Ok(Chosen { found, unknown: view::permissions(&group.account, unknown) })
}

fn revoke(
    tx: &mut Tx,
    chosen: Chosen,
    dry_run: Option<bool>,
) -> Result<(Vec<api::RevokedSecurityGroupRule>, Vec<api::IpPermission>), Fault> {
    tags::not_dry(dry_run)?;
    for (rule, _) in &chosen.found {
        tx.remove(&rule.key);
    }
    let revoked = chosen.found.iter().map(|(rule, _)| view::show_revoked(&rule.body)).collect();
    Ok((revoked, chosen.unknown))
}

/// EC2 DescribeSecurityGroupRules.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeSecurityGroupRulesRequest,
) -> Result<api::DescribeSecurityGroupRulesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeSecurityGroupRules/{account}"),
        ids: input.security_group_rule_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<SecurityGroupRule>::prefix(format!("{account}/"))).into_iter();
    let page = select(&query, all.map(|rule| (rule.body.id.clone(), rule.body)).collect(), values, missing)?;
    let rules = page.items.iter().map(|rule| view::show(&caller.region, rule)).collect();
    Ok(api::DescribeSecurityGroupRulesResult { security_group_rules: Some(rules), next_token: page.next })
}

fn values(rule: &SecurityGroupRule, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "group-id" => rule.group.clone(),
        "security-group-rule-id" => rule.id.clone(),
        _ => return tag_values(&rule.tags, filter),
    }])
}

/// EC2 ModifySecurityGroupRules: each becomes what is said, all at once, and keeps its direction.
pub fn modify(
    tx: &mut Tx,
    caller: &Caller,
    input: api::ModifySecurityGroupRulesRequest,
) -> Result<api::ModifySecurityGroupRulesResult, Fault> {
    let group = security_group::ops::named(tx, &caller.identity.account, Some(input.group_id), None)?.body;
    let ids: Vec<String> =
        input.security_group_rules.iter().map(|update| update.security_group_rule_id.clone()).collect();
    distinct(&ids)?;
    let mut all: BTreeMap<String, Record<SecurityGroupRule>> =
        super::of_group(tx, &group.id).into_iter().map(|rule| (rule.body.id.clone(), rule)).collect();
    for update in input.security_group_rules {
        let rule = all.get_mut(&update.security_group_rule_id);
        let rule = rule.ok_or_else(|| missing(&update.security_group_rule_id))?;
        let Asked { permission, description } =
            asked::changed(tx, &group, update.security_group_rule.unwrap_or_default())?;
        (rule.body.permission, rule.body.description) = (permission, description);
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = all.values().find(|rule| !seen.insert((rule.body.direction, &rule.body.permission))) {
        return Err(duplicate(&twice.body.permission));
    }
    for direction in [Direction::Ingress, Direction::Egress] {
        let rules = all.values().filter(|rule| rule.body.direction == direction);
        fit(rules.map(|rule| super::weight_of(tx, &group.account, &rule.body.permission.peer)).sum())?;
    }
    tags::not_dry(input.dry_run)?;
    all.into_values().filter(|rule| ids.contains(&rule.body.id)).for_each(|rule| tx.put(rule));
    Ok(api::ModifySecurityGroupRulesResult { r#return: Some(true) })
}

/// EC2 UpdateSecurityGroupRuleDescriptionsIngress.
pub fn update_ingress_descriptions(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateSecurityGroupRuleDescriptionsIngressRequest,
) -> Result<api::UpdateSecurityGroupRuleDescriptionsIngressResult, Fault> {
    let group = security_group::ops::named(tx, &caller.identity.account, input.group_id, input.group_name)?.body;
    let named = Named { permissions: input.ip_permissions, ..Named::default() };
    let said = Said { named, descriptions: input.security_group_rule_descriptions, dry_run: input.dry_run };
    update_descriptions(tx, &group, Direction::Ingress, said)?;
    Ok(api::UpdateSecurityGroupRuleDescriptionsIngressResult { r#return: Some(true) })
}

/// EC2 UpdateSecurityGroupRuleDescriptionsEgress.
pub fn update_egress_descriptions(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateSecurityGroupRuleDescriptionsEgressRequest,
) -> Result<api::UpdateSecurityGroupRuleDescriptionsEgressResult, Fault> {
    let group = security_group::ops::named(tx, &caller.identity.account, input.group_id, input.group_name)?.body;
    let named = Named { permissions: input.ip_permissions, ..Named::default() };
    let said = Said { named, descriptions: input.security_group_rule_descriptions, dry_run: input.dry_run };
    update_descriptions(tx, &group, Direction::Egress, said)?;
    Ok(api::UpdateSecurityGroupRuleDescriptionsEgressResult { r#return: Some(true) })
}

/// What is said of rules, named by what they let through or by their ids.
struct Said {
    named: Named,
    descriptions: Option<Vec<api::SecurityGroupRuleDescription>>,
    dry_run: Option<bool>,
}

fn update_descriptions(tx: &mut Tx, group: &SecurityGroup, direction: Direction, said: Said) -> Result<(), Fault> {
    let by_id = said.descriptions.unwrap_or_default();
    let ids = by_id.iter().map(|said| said.security_group_rule_id.clone().unwrap_or_default()).collect();
    let mut chosen = choose(tx, group, direction, said.named, Some(ids))?;
    if !chosen.unknown.is_empty() {
        return Err(no_such_rule());
    }
    for ((_, description), said) in chosen.found.iter_mut().zip(by_id) {
        *description = asked::description(said.description)?;
    }
    tags::not_dry(said.dry_run)?;
    for (mut rule, description) in chosen.found {
        rule.body.description = description;
        tx.put(rule);
    }
    Ok(())
}

/// A group's rules of one direction.
fn rules(read: &impl Read, group: &SecurityGroup, direction: Direction) -> Vec<Record<SecurityGroupRule>> {
    let all = super::of_group(read, &group.id).into_iter();
    all.filter(|rule| rule.body.direction == direction).collect()
}

fn find(
    read: &impl Read,
    group: &SecurityGroup,
    direction: Direction,
    id: &str,
) -> Result<Record<SecurityGroupRule>, Fault> {
    let rule = read.get(&SecurityGroupRule::key(&group.account, id));
    let rule = rule.filter(|rule| rule.body.group == group.id && rule.body.direction == direction);
    rule.ok_or_else(|| missing(id))
}

/// Checks that each is named once.
fn distinct(ids: &[String]) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    match ids.iter().find(|id| !seen.insert(*id)) {
        None => Ok(()),
        Some(twice) => {
            let why = format!("The security group rule ID '{twice}' must not appear multiple times");
            Err(Common::InvalidParameterValue.fault(why))
        }
    }
}

/// Checks that a group may have rules that count for so many, in one direction.
fn fit(count: usize) -> Result<(), Fault> {
    if count > RULES_MAX {
        let why = "The maximum number of rules per security group has been reached.";
        return Err(api::RULES_PER_SECURITY_GROUP_LIMIT_EXCEEDED.fault(why));
    }
    Ok(())
}

fn no_such_rule() -> Fault {
    api::INVALID_PERMISSION_NOT_FOUND.fault("The specified rule does not exist in this security group.")
}

fn duplicate(permission: &Permission) -> Fault {
    api::INVALID_PERMISSION_DUPLICATE.fault(format!("the specified rule \"{permission}\" already exists"))
}

fn missing(id: &str) -> Fault {
    let why = format!("The security group rule ID '{id}' does not exist");
    api::INVALID_SECURITY_GROUP_RULE_ID_NOT_FOUND.fault(why)
}
