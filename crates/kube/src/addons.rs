//! The add-ons driver: gives a cluster the objects of its add-ons by server-side apply, takes away those that an earlier
//! version had, keeps what EKS manages, and says how its pods are.

use crate::Dial;
use crate::api::{Api, status};
use crate::follow::{Collection, Event, follow};
use crate::https::Refusal;
use hyper::StatusCode;
use roadstead_cloud::eks::addon::{
    self, AddonSpec, AddonState, Conflict, Conflicts, Hold, Outcome, Release, Workload, objects, place, read_unserved,
    read_workload,
};
use roadstead_kernel::driver::Driver;
use roadstead_store::Record;
use roadstead_vault::Vault;
use serde_json::Value;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::channel;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Before what the API did not take is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// So often an object is applied with fields of others left out, each time those that the API names.
const ROUNDS: usize = 8;

/// Keeps the add-ons of clusters.
pub struct Addons<D> {
    /// The way into VPCs.
    pub dialer: D,
    /// Opens the service's client keys.
    pub vault: Arc<Vault>,
}

impl<D: Dial> Driver for Addons<D> {
    type Desired = AddonSpec;
    type Observed = AddonState;

    async fn converge(&self, desired: &Record<AddonSpec>, saw: &(dyn Fn(AddonState) + Send + Sync)) {
        let spec = &desired.body;
        let api = Api::new(self.dialer.clone(), self.vault.clone(), spec.access.clone());
        let mut keeper = Keeper { spec, api, saw, said: None };
        match &spec.hold {
            Hold::Once { done: true } => {}
            Hold::Once { done: false } => drop(keeper.apply(Conflicts::Preserve).await),
            Hold::Gone => keeper.take_away().await,
            Hold::Managed { conflicts, made, .. } => {
                let conflicts = if *made { Conflicts::Preserve } else { *conflicts };
                while keeper.apply(conflicts).await {
                    keeper.watch().await;
                }
                // What the API refused it would refuse again: somebody has to ask for something else.
                pending().await
            }
        }
    }
}

/// Why an object is not as it must be.
enum Trouble {
    /// It was not taken yet; why.
    Later(String),
    /// Fields of it are somebody else's.
    Conflicts(Vec<Conflict>),
    /// The API does not take it; why.
    Refused(String),
}

struct Keeper<'a, D> {
    spec: &'a AddonSpec,
    api: Api<D>,
    saw: &'a (dyn Fn(AddonState) + Send + Sync),
    said: Option<AddonState>,
}

impl<D: Dial> Keeper<'_, D> {
    fn say(&mut self, outcome: Outcome, workload: Option<Workload>) {
        let applied = match outcome {
            Outcome::Applied => Some(self.spec.release.clone()),
            Outcome::Gone => None,
            Outcome::Pending(_) | Outcome::Conflicts(_) | Outcome::Refused(_) => self.spec.before.clone(),
        };
        let state = AddonState { hold: self.spec.hold.clone(), outcome, applied, workload };
        if self.said.as_ref() != Some(&state) {
            (self.saw)(state.clone());
            self.said = Some(state);
        }
    }

    /// Applies all objects, as often as it takes; false if the API will not have them.
    async fn apply(&mut self, conflicts: Conflicts) -> bool {
        loop {
            let outcome = match self.apply_all(conflicts).await {
                Ok(()) => Outcome::Applied,
                Err(Trouble::Conflicts(conflicts)) => Outcome::Conflicts(conflicts),
                Err(Trouble::Refused(why)) => Outcome::Refused(why),
                Err(Trouble::Later(why)) => {
                    self.say(Outcome::Pending(why), None);
                    sleep(RETRY).await;
                    continue;
                }
            };
            let applied = outcome == Outcome::Applied;
            // Of what is looked at afterwards there is more to say.
            if !applied || matches!(self.spec.hold, Hold::Once { .. }) {
                self.say(outcome, None);
            }
            return applied;
        }
    }

    async fn apply_all(&mut self, conflicts: Conflicts) -> Result<(), Trouble> {
        let all = objects(&self.spec.release);
        if conflicts == Conflicts::None {
            self.rehearse(&all).await?;
        }
        for object in &all {
            self.apply_one(object.clone(), conflicts).await?;
        }
        let wanted: Vec<_> = all.iter().map(place).collect();
        self.delete(self.spec.before.as_ref(), |at| !wanted.contains(at)).await
    }

    /// Finds all conflicts before anything is changed.
    async fn rehearse(&mut self, all: &[Value]) -> Result<(), Trouble> {
        let mut found = vec![];
        for object in all {
            match self.api.rehearse(&path(object), object).await.map_err(|error| trouble(object, error)) {
                Err(Trouble::Conflicts(conflicts)) => found.extend(conflicts),
                Err(other) => return Err(other),
                Ok(_) => {}
            }
        }
        if found.is_empty() { Ok(()) } else { Err(Trouble::Conflicts(found)) }
    }

    async fn apply_one(&mut self, mut object: Value, conflicts: Conflicts) -> Result<(), Trouble> {
        let force = conflicts == Conflicts::Overwrite;
        let mut trouble_left = None;
        for _ in 0..ROUNDS {
            let Err(error) = self.api.apply(&path(&object), &object, force).await else { return Ok(()) };
            let trouble = trouble(&object, error);
            let Trouble::Conflicts(theirs) = &trouble else { return Err(trouble) };
            let mut found = theirs.iter().map(|conflict| addon::without(&mut object, &conflict.field));
            // All of them at once, and at least one.
            if conflicts != Conflicts::Preserve || found.by_ref().filter(|found| *found).count() == 0 {
                return Err(trouble);
            }
            trouble_left = Some(trouble);
        }
        trouble_left.map_or(Ok(()), Err)
    }

    /// Says how what runs is, and whether what it adds to the API is served, until one of them is gone.
    async fn watch(&mut self) {
        let Some(workload) = addon::workload(&self.spec.release) else { return pending().await };
        let api_service = addon::api_service(&self.spec.release);
        let (to, mut heard) = channel(16);
        let mut tellers = JoinSet::new();
        for object in [Some(&workload), api_service.as_ref()].into_iter().flatten() {
            let (path, name) = place(object);
            let of = Collection { path, query: format!("fieldSelector=metadata.name%3D{name}") };
            let kind = object["kind"].clone();
            tellers.spawn(follow(self.api.clone(), of, to.clone(), move |event| (kind.clone(), event)));
        }
        let mut runs = None;
        let mut unserved = api_service.as_ref().and_then(read_unserved);
        while let Some((kind, event)) = heard.recv().await {
            let object = match event {
                Event::All(all) => all.into_iter().next(),
                Event::Put(object) => Some(object),
                Event::Gone(_) => None,
                Event::Lost(_) => continue,
            };
            let Some(mut object) = object else { return };
            // The items of a list do not say of what kind they are.
            object["kind"] = kind;
            match object["kind"] == "APIService" {
                true => unserved = read_unserved(&object),
                false => runs = read_workload(&object).or(runs),
            }
            if let Some(runs) = &runs {
                self.say(Outcome::Applied, Some(Workload { unserved: unserved.clone(), ..runs.clone() }));
            }
        }
    }

    async fn take_away(&mut self) {
        loop {
            let (release, before) = (Some(&self.spec.release), self.spec.before.as_ref());
            let mut gone = self.delete(release, |_| true).await;
            if gone.is_ok() {
                gone = self.delete(before, |_| true).await;
            }
            match gone {
                Ok(()) => return self.say(Outcome::Gone, None),
                Err(Trouble::Later(why) | Trouble::Refused(why)) => self.say(Outcome::Pending(why), None),
                Err(Trouble::Conflicts(_)) => {}
            }
            sleep(RETRY).await;
        }
    }

    /// Deletes the objects of a release, last made first, at the places that are `due`.
    async fn delete(
        &mut self,
        release: Option<&Release>,
        due: impl Fn(&(String, String)) -> bool,
    ) -> Result<(), Trouble> {
        for object in release.map(objects).unwrap_or_default().iter().rev() {
            if due(&place(object)) {
                self.api.delete(&path(object)).await.map_err(|error| trouble(object, error))?;
            }
        }
        Ok(())
    }
}

fn path(object: &Value) -> String {
    let (collection, name) = place(object);
    format!("{collection}/{}", name.replace(':', "%3A"))
}

/// What a failed request means for its object.
fn trouble(object: &Value, error: anyhow::Error) -> Trouble {
    let why = format!("{error:#}");
    let Some(refusal) = error.downcast_ref::<Refusal>() else { return Trouble::Later(why) };
    let conflicts = addon::conflicts(object, &refusal.body);
    match status(&error) {
        Some(StatusCode::CONFLICT) if !conflicts.is_empty() => Trouble::Conflicts(conflicts),
        Some(StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY) => {
            Trouble::Refused(why)
        }
        _ => Trouble::Later(why),
    }
}
