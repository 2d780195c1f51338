//! Stories of public parameters: how tools find the image for a node.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_shapes::ssm;
use roadstead_sim::World;

const FOLDER: &str = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended";

fn get(world: &mut World, name: &str) -> Result<ssm::Parameter, String> {
    let input = ssm::GetParameterRequest { name: name.into(), ..Default::default() };
    let answer = world.call(&ssm::GET_PARAMETER, input).map_err(|fault| fault.to_string())?;
    Ok(answer.parameter.unwrap())
}

#[test]
fn an_image_is_found_by_name_by_arn_and_by_version() {
    let mut world = World::calm();
    let name = format!("{FOLDER}/image_id");
    let found = get(&mut world, &name).unwrap();
    assert!(found.value.as_deref().is_some_and(|id| id.starts_with("ami-")), "{:?}", found.value);
    let arn = format!("arn:aws:ssm:us-east-1::parameter{name}");
    assert_eq!((found.arn.as_deref(), found.version), (Some(arn.as_str()), Some(1)));
    for asked in [arn.clone(), format!("{name}:1"), format!("{arn}:1")] {
        let again = get(&mut world, &asked).unwrap();
        assert_eq!((again.name, again.value), (found.name.clone(), found.value.clone()), "{asked}");
    }
    let all = get(&mut world, FOLDER).unwrap().value.unwrap();
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["image_id"].as_str(), found.value.as_deref());
    let release = get(&mut world, &format!("{FOLDER}/release_version")).unwrap().value.unwrap();
    assert!(release.starts_with("1.36."), "{release}");
}

#[test]
fn what_is_not_there_is_said_to_be_so() {
    let mut world = World::calm();
    for name in ["nothing", "/aws/service/eks", "arn:aws:ssm:eu-west-1::parameter/aws/service/eks", "arn:aws:ssm:"] {
        assert_eq!(get(&mut world, name).unwrap_err(), "ParameterNotFound: ", "{name}");
    }
    let why = get(&mut world, &format!("{FOLDER}/image_id:2")).unwrap_err();
    assert!(why.starts_with("ParameterVersionNotFound: Systems Manager could not find version 2"), "{why}");
    let names = vec![format!("{FOLDER}/image_id"), "/none".into()];
    let some = world.call(&ssm::GET_PARAMETERS, ssm::GetParametersRequest { names, with_decryption: None }).unwrap();
    assert_eq!((some.parameters.unwrap().len(), some.invalid_parameters.unwrap()), (1, vec!["/none".to_owned()]));
}

#[test]
fn a_folder_is_listed_in_pages() {
    let mut world = World::calm();
    let mut request = ssm::GetParametersByPathRequest {
        path: "/aws/service/eks/".into(),
        recursive: Some(true),
        max_results: Some(5),
        ..Default::default()
    };
    let mut names = vec![];
    loop {
        let page = world.call(&ssm::GET_PARAMETERS_BY_PATH, request.clone()).unwrap();
        names.extend(page.parameters.unwrap().into_iter().filter_map(|parameter| parameter.name));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 3 * 4, "three versions, each with an image and what there is to say of it");
    assert!(names.is_sorted() && names.contains(&format!("{FOLDER}/image_name")));
    let flat = ssm::GetParametersByPathRequest { path: FOLDER.into(), ..Default::default() };
    assert_eq!(world.call(&ssm::GET_PARAMETERS_BY_PATH, flat).unwrap().parameters.unwrap().len(), 3);
    let foreign =
        ssm::GetParametersByPathRequest { path: FOLDER.into(), next_token: Some("x".into()), ..Default::default() };
    let why = world.call(&ssm::GET_PARAMETERS_BY_PATH, foreign).unwrap_err().to_string();
    assert!(why.starts_with("InvalidNextToken"), "{why}");
    let rootless = ssm::GetParametersByPathRequest { path: "aws".into(), ..Default::default() };
    assert!(world.call(&ssm::GET_PARAMETERS_BY_PATH, rootless).is_err());
}
