//! Stories of KMS keys: how long one waits for its deletion, and what goes with it.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::kms::alias::Alias;
use roadstead_cloud::kms::key::KmsKey;
use roadstead_shapes::kms;
use roadstead_sim::World;
use roadstead_store::{Index, Read as _};
use roadstead_types::Millis;

const WEEK: Millis = Millis::mins(7 * 24 * 60);

fn create(world: &mut World, alias: &str) -> String {
    let key = world.call(&kms::CREATE_KEY, kms::CreateKeyRequest::default()).unwrap().key_metadata.unwrap().key_id;
    let input = kms::CreateAliasRequest { alias_name: alias.into(), target_key_id: key.clone() };
    world.call(&kms::CREATE_ALIAS, input).unwrap();
    key
}

fn schedule(world: &mut World, key: &str) -> Millis {
    let input = kms::ScheduleKeyDeletionRequest { key_id: key.into(), pending_window_in_days: Some(7) };
    world.call(&kms::SCHEDULE_KEY_DELETION, input).unwrap().deletion_date.unwrap()
}

fn left(world: &World) -> (usize, usize) {
    (world.view().count(Index::<KmsKey>::all()), world.view().count(Index::<Alias>::all()))
}

#[test]
fn a_key_goes_with_its_aliases_when_its_time_has_come() {
    let mut world = World::calm();
    let (doomed, _kept) = (create(&mut world, "alias/doomed"), create(&mut world, "alias/kept"));
    let at = schedule(&mut world, &doomed);
    assert_eq!(at, world.now() + WEEK);
    world.try_run_until(at - Millis::secs(1)).unwrap();
    assert_eq!(left(&world), (2, 2));
    world.try_run_until(at + Millis::secs(1)).unwrap();
    assert_eq!(left(&world), (1, 1));
    let gone = kms::DescribeKeyRequest { key_id: "alias/doomed".into(), grant_tokens: None };
    assert!(world.call(&kms::DESCRIBE_KEY, gone).unwrap_err().to_string().starts_with("NotFoundException"));
}

#[test]
fn a_key_whose_deletion_is_called_off_stays() {
    let mut world = World::calm();
    let key = create(&mut world, "alias/kept");
    let at = schedule(&mut world, &key);
    world.call(&kms::CANCEL_KEY_DELETION, kms::CancelKeyDeletionRequest { key_id: key }).unwrap();
    world.try_run_until(at + Millis::secs(1)).unwrap();
    assert_eq!(left(&world), (1, 1));
}
