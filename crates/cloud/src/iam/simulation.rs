//! What policies would say to a call that nobody makes (IAM user guide, "Testing IAM policies with the IAM policy
//! simulator"): by the same rules that decide calls, on keys that the caller gives.

use crate::iam::evaluate::{self, Keys, Question, Rules, Verdict};
use crate::iam::grammar::Document;
use crate::iam::grants::Grants;
use crate::iam::group::{self, Group};
use crate::iam::policy::{self, Policy, Version, aws};
use crate::iam::{listing, role, user};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::INVALID_INPUT_EXCEPTION;
use roadstead_store::{Key, Read, View};
use roadstead_types::Arn;
use roadstead_wire::fault::Fault;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A policy that is asked.
struct Source {
    /// Its name; of an input its place: `PolicyInputList.1`.
    id: String,
    kind: api::PolicySourceType,
    document: Document,
    rules: Rules,
}

/// All that are asked.
struct Policies {
    sources: Vec<Source>,
    /// Where there is a boundary, one of these must allow, too.
    boundary: Option<Vec<Source>>,
}

/// What is asked of all of them.
struct Asked {
    actions: Vec<String>,
    /// None: `*`.
    resources: Option<Vec<String>>,
    entries: Option<Vec<api::ContextEntry>>,
    /// A user whom the keys of the caller are of.
    caller: Option<Arn>,
    max_items: Option<i32>,
    marker: Option<String>,
}

/// The keys that are given, and those that policies asked for in vain.
struct Entries {
    given: BTreeMap<String, Vec<String>>,
    missing: RefCell<BTreeSet<String>>,
}

impl Keys for Entries {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        let found = self.given.get(key).cloned();
        if found.is_none() {
            self.missing.borrow_mut().insert(key.to_owned());
        }
        found
    }
}

/// IAM SimulateCustomPolicy.
pub fn custom(
    _: &View,
    _: &Caller,
    input: api::SimulateCustomPolicyRequest,
) -> Result<api::SimulatePolicyResponse, Fault> {
    refuse(&[
        ("OrderedOrganizationPolicyInputList", input.ordered_organization_policy_input_list.is_some()),
        ("ResourcePolicy", input.resource_policy.is_some()),
        ("ResourceOwner", input.resource_owner.is_some()),
        ("ResourceHandlingOption", input.resource_handling_option.is_some()),
    ])?;
    let asked = Asked {
        actions: input.action_names,
        resources: input.resource_arns,
        entries: input.context_entries,
        caller: input.caller_arn.as_deref().map(user_arn).transpose()?,
        max_items: input.max_items,
        marker: input.marker,
    };
    let sources = inputs("PolicyInputList", input.policy_input_list)?;
    let boundary = given_boundary(input.permissions_boundary_policy_input_list)?;
    simulate("iam:SimulateCustomPolicy", &Policies { sources, boundary }, asked)
}

/// IAM SimulatePrincipalPolicy: a user's groups' policies included, and the boundary unless another one is given.
pub fn principal(
    view: &View,
    caller: &Caller,
    input: api::SimulatePrincipalPolicyRequest,
) -> Result<api::SimulatePolicyResponse, Fault> {
    refuse(&[
        ("PolicyExclusionList", input.policy_exclusion_list.is_some()),
        ("ResourcePolicy", input.resource_policy.is_some()),
        ("ResourceOwner", input.resource_owner.is_some()),
        ("ResourceHandlingOption", input.resource_handling_option.is_some()),
    ])?;
    let mut policies = of_principal(view, caller, &input.policy_source_arn)?;
    policies.sources.extend(inputs("PolicyInputList", input.policy_input_list.unwrap_or_default())?);
    policies.boundary = given_boundary(input.permissions_boundary_policy_input_list)?.or(policies.boundary);
    let asked = Asked {
        actions: input.action_names,
        resources: input.resource_arns,
        entries: input.context_entries,
        caller: match input.caller_arn {
            Some(arn) => Some(user_arn(&arn)?),
            None => user_arn(&input.policy_source_arn).ok(),
        },
        max_items: input.max_items,
        marker: input.marker,
    };
    simulate(&format!("iam:SimulatePrincipalPolicy/{}", input.policy_source_arn), &policies, asked)
}

/// Each action on each resource.
fn simulate(scope: &str, policies: &Policies, asked: Asked) -> Result<api::SimulatePolicyResponse, Fault> {
    asked.actions.iter().try_for_each(|action| check_action(action))?;
    let given = given(asked.entries, asked.caller.as_ref())?;
    let is_named = asked.resources.is_some();
    let resources = asked.resources.unwrap_or_else(|| vec!["*".to_owned()]);
    let pairs = asked.actions.iter().flat_map(|action| resources.iter().map(move |resource| (action, resource)));
    let results = pairs.enumerate().map(|(n, (action, resource))| {
        let entries = Entries { given: given.clone(), missing: RefCell::default() };
        (format!("{n:06}"), result(policies, action, resource, &entries, is_named))
    });
    let page = listing::page(scope, results.collect(), asked.max_items, asked.marker.as_deref())?;
    Ok(api::SimulatePolicyResponse {
        evaluation_results: Some(page.items),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// What the policies say. Where resources are named, what keys are missing is told of each resource.
fn result(policies: &Policies, action: &str, resource: &str, entries: &Entries, named: bool) -> api::EvaluationResult {
    let question = Question { action, resource, keys: entries };
    let ask = |source: &Source| evaluate::evaluate([&source.rules], &question);
    let those = |sources: &[Source], verdict: Verdict| -> Vec<api::Statement> {
        sources.iter().filter(|source| ask(source) == verdict).map(statement).collect()
    };
    let boundary = policies.boundary.as_deref();
    let limits = |verdict: Verdict| boundary.map(|sources| those(sources, verdict)).unwrap_or_default();
    let denied = [those(&policies.sources, Verdict::Denied), limits(Verdict::Denied)].concat();
    let allowed = those(&policies.sources, Verdict::Allowed);
    let is_within = limits(Verdict::Denied).is_empty() && !limits(Verdict::Allowed).is_empty();
    let (decision, matched) = match (denied.is_empty(), allowed.is_empty()) {
        (false, _) => (api::PolicyEvaluationDecisionType::ExplicitDeny, denied),
        (true, false) if is_within || boundary.is_none() => (api::PolicyEvaluationDecisionType::Allowed, allowed),
        (true, _) => (api::PolicyEvaluationDecisionType::ImplicitDeny, vec![]),
    };
    let of_boundary =
        boundary.map(|_| api::PermissionsBoundaryDecisionDetail { allowed_by_permissions_boundary: Some(is_within) });
    let missing = as_written(policies, &entries.missing.borrow());
    let of_resource = api::ResourceSpecificResult {
        eval_resource_name: resource.to_owned(),
        eval_resource_decision: decision,
        matched_statements: Some(matched.clone()),
        missing_context_values: Some(missing.clone()),
        eval_decision_details: None,
        permissions_boundary_decision_detail: of_boundary.clone(),
    };
    api::EvaluationResult {
        eval_action_name: action.to_owned(),
        eval_resource_name: Some(resource.to_owned()),
        eval_decision: decision,
        matched_statements: Some(matched),
        missing_context_values: Some(if named { vec![] } else { missing }),
        organizations_decision_detail: None,
        permissions_boundary_decision_detail: of_boundary,
        eval_decision_details: None,
        resource_specific_results: named.then(|| vec![of_resource]),
    }
}

fn statement(source: &Source) -> api::Statement {
    api::Statement {
        source_policy_id: Some(source.id.clone()),
        source_policy_type: Some(source.kind),
        ..Default::default()
    }
}

/// Keys in the case that a policy names them in.
fn as_written(policies: &Policies, keys: &BTreeSet<String>) -> Vec<String> {
    let sources = || policies.sources.iter().chain(policies.boundary.iter().flatten());
    let statements = || sources().flat_map(|source| &source.document.statements);
    let written = |key: &String| {
        let mut conditions = statements().flat_map(|statement| &statement.conditions);
        conditions.find(|condition| condition.key.to_lowercase() == *key).map_or(key, |found| &found.key).clone()
    };
    keys.iter().map(written).collect()
}

/// The policies of a user and its groups, of a group, or of a role.
fn of_principal(read: &impl Read, caller: &Caller, text: &str) -> Result<Policies, Fault> {
    let unclear = || invalid(format!("Invalid Entity Arn: {text} does not clearly define entity type and name."));
    let arn: Arn = text.parse().map_err(|_| unclear())?;
    let kind = arn.resource.split_once('/').map(|(kind, _)| kind).filter(|_| arn.service == "iam");
    let mut sources = vec![];
    let mut boundary = None;
    match kind {
        Some("user") => {
            let record = user::ops::find(read, caller, Some(arn.name().to_owned()))?;
            add(read, &record.body.account, &record.body.grants, api::PolicySourceType::User, &mut sources)?;
            boundary = record.body.boundary;
            for name in &record.body.groups {
                let Some(group) = read.shared(&Key::<Group>::new(name.clone())) else { continue };
                add(read, &group.body.account, &group.body.grants, api::PolicySourceType::Group, &mut sources)?;
            }
        }
        Some("group") => {
            let record = group::ops::find(read, caller, arn.name())?;
            add(read, &record.body.account, &record.body.grants, api::PolicySourceType::Group, &mut sources)?;
        }
        Some("role") => {
            let record = role::ops::find(read, caller, arn.name())?;
            add(read, &record.body.account, &record.body.grants, api::PolicySourceType::Role, &mut sources)?;
            boundary = record.body.boundary;
        }
        _ => return Err(unclear()),
    }
    let boundary = boundary.map(|arn| managed(read, &caller.identity.account, &arn, policy::name_of(&arn)));
    Ok(Policies { sources, boundary: boundary.transpose()? })
}

fn add(
    read: &impl Read,
    account: &str,
    grants: &Grants,
    kind: api::PolicySourceType,
    to: &mut Vec<Source>,
) -> Result<(), Fault> {
    for (name, text) in &grants.inline {
        to.push(source(name.clone(), kind, text)?);
    }
    for (arn, name) in &grants.attached {
        to.extend(managed(read, account, arn, name)?);
    }
    Ok(())
}

/// A managed policy, if it is there.
fn managed(read: &impl Read, account: &str, arn: &str, name: &str) -> Result<Vec<Source>, Fault> {
    if let Some(policy) = aws::find(arn) {
        return Ok(vec![source(name.to_owned(), api::PolicySourceType::AwsManaged, policy.document)?]);
    }
    let Some(policy) = read.shared(&Policy::key(account, policy::name_of(arn))) else { return Ok(vec![]) };
    let versions = policy.body.versions.iter().filter(|version| version.number == policy.body.default);
    let one = |version: &Version| source(name.to_owned(), api::PolicySourceType::UserManaged, &version.document);
    versions.map(one).collect()
}

/// The boundary that is asked for instead.
fn given_boundary(texts: Option<Vec<String>>) -> Result<Option<Vec<Source>>, Fault> {
    texts.map(|texts| inputs("PermissionsBoundaryPolicyInputList", texts)).transpose()
}

fn inputs(member: &str, texts: Vec<String>) -> Result<Vec<Source>, Fault> {
    let one = |(n, text): (usize, String)| source(format!("{member}.{n}"), api::PolicySourceType::None, &text);
    (1..).zip(texts).map(one).collect()
}

fn source(id: String, kind: api::PolicySourceType, text: &str) -> Result<Source, Fault> {
    let document = Document::of_principal(text).map_err(|why| invalid(why.to_string()))?;
    let rules = Rules::of(&document);
    Ok(Source { id, kind, document, rules })
}

/// By their names in lower case: those that are given, and what is known of a user who calls.
fn given(
    entries: Option<Vec<api::ContextEntry>>,
    caller: Option<&Arn>,
) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut given = BTreeMap::new();
    if let Some(arn) = caller {
        given.insert("aws:username".to_owned(), vec![arn.name().to_owned()]);
        given.insert("aws:principalarn".to_owned(), vec![arn.to_string()]);
    }
    for entry in entries.unwrap_or_default() {
        let (Some(name), Some(values)) = (entry.context_key_name, entry.context_key_values) else {
            return Err(invalid("A context entry has a ContextKeyName and ContextKeyValues."));
        };
        given.insert(name.to_lowercase(), values);
    }
    Ok(given)
}

/// `service:Name`; patterns are not simulated (IAM API reference, SimulateCustomPolicy).
fn check_action(action: &str) -> Result<(), Fault> {
    let is_one = action.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty());
    match is_one && !action.contains(['*', '?']) {
        true => Ok(()),
        false => Err(invalid(format!("Invalid Action: {action}"))),
    }
}

fn user_arn(text: &str) -> Result<Arn, Fault> {
    let arn = text.parse::<Arn>().ok().filter(|arn| arn.service == "iam" && arn.resource.starts_with("user/"));
    arn.ok_or_else(|| invalid(format!("CallerArn {text} is not the ARN of a user.")))
}

/// What would change a decision must not be passed over.
fn refuse(given: &[(&str, bool)]) -> Result<(), Fault> {
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(invalid(format!("{name} is not simulated in this region yet: leave it out."))),
        None => Ok(()),
    }
}

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_INPUT_EXCEPTION.fault(why)
}
