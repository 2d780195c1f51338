//! Stories of images: what a repository keeps of what was pushed to it, and for how long.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::ecr::image::digest_of;
use roadstead_cloud::ecr::layer;
use roadstead_shapes::ecr;
use roadstead_sim::{ACCOUNT, World};
use roadstead_types::Millis;
use serde_json::json;

const NAME: &str = "team/web";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Longer than a layer waits for its image.
const LONG: Millis = Millis::mins(61);

fn world() -> World {
    let mut world = World::calm();
    let input = ecr::CreateRepositoryRequest { repository_name: NAME.into(), ..Default::default() };
    world.call(&ecr::CREATE_REPOSITORY, input).unwrap();
    world
}

/// Uploads a blob of these bytes; its digest.
fn upload(world: &mut World, bytes: &'static str) -> String {
    let digest = digest_of(bytes);
    let given = digest.clone();
    world.within(move |tx| layer::add(tx, ACCOUNT, NAME, &given, 1)).unwrap();
    digest
}

fn put(world: &mut World, layers: &[&str], tag: &str) -> Result<String, String> {
    let descriptors: Vec<_> = layers.iter().map(|l| json!({"mediaType": "x", "digest": l, "size": 1})).collect();
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptors[0], "layers": descriptors[1..]});
    let input = ecr::PutImageRequest {
        repository_name: NAME.into(),
        image_manifest: manifest.to_string(),
        image_tag: Some(tag.into()),
        ..Default::default()
    };
    let answer = world.call(&ecr::PUT_IMAGE, input).map_err(|fault| fault.to_string())?;
    Ok(answer.image.unwrap().image_id.unwrap().image_digest.unwrap())
}

fn delete(world: &mut World, tag: &str) {
    let ids = vec![ecr::ImageIdentifier { image_digest: None, image_tag: Some(tag.into()) }];
    let input = ecr::BatchDeleteImageRequest { repository_name: NAME.into(), image_ids: ids, registry_id: None };
    let answer = world.call(&ecr::BATCH_DELETE_IMAGE, input).unwrap();
    assert_eq!(answer.failures, Some(vec![]));
}

fn kept(world: &World, digests: &[&String]) -> Vec<bool> {
    digests.iter().map(|digest| layer::is_kept(world.view(), digest)).collect()
}

#[test]
fn a_layer_waits_an_hour_for_its_image_and_then_stays_as_long_as_any_has_it() {
    let mut world = world();
    let [config, shared, own, never] = ["config", "shared", "own", "never"].map(|bytes| upload(&mut world, bytes));
    put(&mut world, &[&config, &shared, &own], "one").unwrap();
    put(&mut world, &[&config, &shared], "two").unwrap();
    world.settle();
    let all = [&config, &shared, &own, &never];
    assert_eq!(kept(&world, &all), [true, true, true, true]);
    world.wait(LONG);
    assert_eq!(kept(&world, &all), [true, true, true, false], "nobody came for one of them");
    delete(&mut world, "one");
    world.settle();
    assert_eq!(kept(&world, &all), [true, true, false, false]);
    delete(&mut world, "two");
    world.settle();
    assert_eq!(kept(&world, &all), [false; 4]);
    let why = put(&mut world, &[&config], "three").unwrap_err();
    assert!(why.starts_with("LayersNotFoundException"), "{why}");
}

#[test]
fn a_layer_that_was_just_given_survives_the_image_that_had_it() {
    let mut world = world();
    let layer = upload(&mut world, "layer");
    put(&mut world, &[&layer], "one").unwrap();
    delete(&mut world, "one");
    world.settle();
    assert_eq!(kept(&world, &[&layer]), [true], "whoever pushes it again now need not upload it");
    world.wait(LONG);
    assert_eq!(kept(&world, &[&layer]), [false]);
}

#[test]
fn a_moved_tag_leaves_its_image_without_one() {
    let mut world = world();
    let [a, b] = ["a", "b"].map(|bytes| upload(&mut world, bytes));
    let old = put(&mut world, &[&a], "latest").unwrap();
    let new = put(&mut world, &[&b], "latest").unwrap();
    let list = ecr::ListImagesRequest { repository_name: NAME.into(), ..Default::default() };
    let ids = world.call(&ecr::LIST_IMAGES, list).unwrap().image_ids.unwrap();
    let tag_of =
        |digest: &String| ids.iter().find(|id| id.image_digest.as_ref() == Some(digest)).map(|id| id.image_tag.clone());
    assert_eq!((tag_of(&old), tag_of(&new)), (Some(None), Some(Some("latest".to_owned()))));
}
