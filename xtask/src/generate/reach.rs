//! What the operations that we serve need of their model.

use super::model::{Model, Operation, Ref};
use super::ops::Service;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// What is needed, by name.
#[derive(Debug, Default)]
pub struct Reach {
    /// Every shape.
    pub shapes: BTreeSet<String>,
    /// Those that inputs and outputs need: they get Rust types. An error's members do not.
    pub typed: BTreeSet<String>,
    /// Those that are errors.
    pub errors: BTreeSet<String>,
}

/// Follows the operations of `service` through `model`.
pub fn reach(service: &Service, model: &Model) -> Result<Reach> {
    let mut found = Reach::default();
    for name in service.operations.keys() {
        let operation = operation(model, name)?;
        for shape in operation.input.iter().chain(&operation.output) {
            follow(model, shape, &mut found.typed)?;
        }
        found.errors.extend(operation.errors.iter().map(|error| error.shape.clone()));
    }
    found.errors.extend(invalid(service).filter(|error| model.shapes.contains_key(*error)).map(str::to_owned));
    found.shapes = found.typed.clone();
    for error in &found.errors {
        for member in model.shape(error)?.uses() {
            follow(model, member, &mut found.shapes)?;
        }
        found.shapes.insert(error.clone());
    }
    Ok(found)
}

/// An operation of the model.
pub fn operation<'m>(model: &'m Model, name: &str) -> Result<&'m Operation> {
    model.operations.get(name).with_context(|| format!("the model lacks the operation {name}"))
}

fn invalid(service: &Service) -> impl Iterator<Item = &str> {
    let own = service.operations.values().filter_map(|operation| operation.invalid.as_deref());
    own.chain(service.invalid.as_deref())
}

fn follow(model: &Model, shape: &Ref, found: &mut BTreeSet<String>) -> Result<()> {
    if found.insert(shape.shape.clone()) {
        for used in model.shape(&shape.shape)?.uses() {
            follow(model, used, found)?;
        }
    }
    Ok(())
}

/// Whether a field of `to` inside `from` would make a type of infinite size: `to` holds a `from` in turn, with no
/// list or map between.
pub fn is_recursive(model: &Model, from: &str, to: &str) -> Result<bool> {
    holds(model, to, from, &mut BTreeSet::new())
}

fn holds(model: &Model, outer: &str, inner: &str, seen: &mut BTreeSet<String>) -> Result<bool> {
    let shape = model.shape(outer)?;
    if shape.kind != "structure" || !seen.insert(outer.to_owned()) {
        return Ok(false);
    }
    if outer == inner {
        return Ok(true);
    }
    for (_, member) in &shape.members {
        if holds(model, &member.shape, inner, seen)? {
            return Ok(true);
        }
    }
    Ok(false)
}
