//! Systems Manager: the public parameters by which tools find images for nodes.

mod public;

use crate::settings::Settings;
use public::{Parameter, parameters};
use roadstead_kernel::{Caller, Service, page};
use roadstead_shapes::ssm as api;
use roadstead_shapes::ssm::{INVALID_FILTER_KEY, INVALID_NEXT_TOKEN, PARAMETER_NOT_FOUND, PARAMETER_VERSION_NOT_FOUND};
use roadstead_store::View;
use roadstead_types::Arn;
use roadstead_wire::fault::{Common, Fault};

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .read(&api::GET_PARAMETER, get_parameter)
        .read(&api::GET_PARAMETERS, get_parameters)
        .read(&api::GET_PARAMETERS_BY_PATH, get_parameters_by_path)
}

/// SSM GetParameter.
fn get_parameter(view: &View, _: &Caller, input: api::GetParameterRequest) -> Result<api::GetParameterResult, Fault> {
    let settings = Settings::of(view);
    let parameter = find(&settings, &input.name).map_err(|missing| missing.fault(&input.name))?;
    Ok(api::GetParameterResult { parameter: Some(parameter) })
}

/// SSM GetParameters: those that are not there are named.
fn get_parameters(
    view: &View,
    _: &Caller,
    input: api::GetParametersRequest,
) -> Result<api::GetParametersResult, Fault> {
    let settings = Settings::of(view);
    let (mut found, mut invalid) = (vec![], vec![]);
    for name in input.names {
        match find(&settings, &name) {
            Ok(parameter) => found.push(parameter),
            Err(_) => invalid.push(name),
        }
    }
    Ok(api::GetParametersResult { parameters: Some(found), invalid_parameters: Some(invalid) })
}

/// SSM GetParametersByPath: those in a folder, or anywhere below it. One that does not exist is empty.
fn get_parameters_by_path(
    view: &View,
    caller: &Caller,
    input: api::GetParametersByPathRequest,
) -> Result<api::GetParametersByPathResult, Fault> {
    if input.parameter_filters.is_some_and(|filters| !filters.is_empty()) {
        return Err(INVALID_FILTER_KEY.fault("Public parameters have no types, keys or labels to filter by."));
    }
    if !input.path.starts_with('/') {
        let why = "The parameter path must begin with a slash \"/\".";
        return Err(Common::Validation.fault(why));
    }
    let recursive = input.recursive.unwrap_or(false);
    let folder = format!("{}/", input.path.trim_end_matches('/'));
    let settings = Settings::of(view);
    let is_inside = |p: &Parameter| p.name.strip_prefix(&folder).is_some_and(|rest| recursive || !rest.contains('/'));
    let inside = parameters(&settings).into_iter().filter(is_inside).map(|p| (p.name.clone(), p)).collect();
    let scope = format!("ssm:GetParametersByPath/{}/{folder}{recursive}", caller.identity.account);
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(10);
    let page = page::page(&scope, inside, limit, input.next_token.as_deref());
    let page = page.map_err(|_| INVALID_NEXT_TOKEN.fault("The specified token isn't valid."))?;
    Ok(api::GetParametersByPathResult {
        parameters: Some(page.items.iter().map(|p| shown(p, &settings, None)).collect()),
        next_token: page.next,
    })
}

/// Why there is no such parameter.
#[derive(Clone, Copy)]
enum Missing {
    Name,
    Version,
}

impl Missing {
    fn fault(self, name: &str) -> Fault {
        match self {
            // AWS says no more than this.
            Missing::Name => PARAMETER_NOT_FOUND.fault(""),
            Missing::Version => PARAMETER_VERSION_NOT_FOUND.fault(format!(
                "Systems Manager could not find version {} of parameter {}.",
                selector(name).1.unwrap_or_default(),
                selector(name).0
            )),
        }
    }
}

/// By name, by ARN, or either with `:VERSION`.
fn find(settings: &Settings, asked: &str) -> Result<api::Parameter, Missing> {
    let prefix = format!("arn:aws:ssm:{}::parameter", settings.region);
    let (name, version) = selector(asked.strip_prefix(&prefix).unwrap_or(asked));
    let all = parameters(settings);
    let parameter = all.iter().find(|parameter| parameter.name == name).ok_or(Missing::Name)?;
    match version {
        None => Ok(shown(parameter, settings, None)),
        Some(version) if version == VERSION.to_string() => Ok(shown(parameter, settings, Some(version))),
        Some(_) => Err(Missing::Version),
    }
}

/// A name and the version that it asks for.
fn selector(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((name, version)) if !name.starts_with("arn:aws:ssm:") || name.contains('/') => (name, Some(version)),
        _ => (name, None),
    }
}

/// A region keeps no history of its public parameters: what it has is the first.
const VERSION: i64 = 1;

fn shown(parameter: &Parameter, settings: &Settings, selector: Option<&str>) -> api::Parameter {
    api::Parameter {
        name: Some(parameter.name.clone()),
        r#type: Some(api::ParameterType::String),
        value: Some(parameter.value.clone()),
        version: Some(VERSION),
        selector: selector.map(|version| format!(":{version}")),
        last_modified_date: Some(parameter.modified),
        arn: Some(Arn::new("ssm", &settings.region, "", format!("parameter{}", parameter.name)).to_string()),
        data_type: Some("text".into()),
        ..Default::default()
    }
}
