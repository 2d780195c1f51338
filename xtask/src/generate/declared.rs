//! The errors that operations declare, as their protocols spell them.

use super::model::Model;
use super::ops::{self, Ops};
use super::reach;
use super::source::Models;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// An operation that we serve.
#[derive(Debug)]
pub struct Declared {
    /// Our name of its service.
    pub service: String,
    /// Its name.
    pub operation: String,
    /// The codes of errors of its own that a caller can bring about: those of 4xx that its model and ops.toml name.
    pub errors: BTreeSet<String>,
}

/// All operations that we serve, by service and name.
pub fn all(ops: &Ops, models: &Models) -> Result<Vec<Declared>> {
    let mut found = vec![];
    for (name, service) in &ops.services {
        let model = models.read(&service.model)?;
        for (operation, own) in &service.operations {
            let errors = errors(service, &model, operation, own).with_context(|| format!("{name}:{operation}"))?;
            found.push(Declared { service: name.clone(), operation: operation.clone(), errors });
        }
    }
    Ok(found)
}

fn errors(service: &ops::Service, model: &Model, name: &str, own: &ops::Operation) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for error in &reach::operation(model, name)?.errors {
        let shape = model.shape(&error.shape)?;
        if shape.error_status() < 500 {
            let code = if model.metadata.is_xml() { shape.error_code(&error.shape) } else { &error.shape };
            found.insert(code.to_owned());
        }
    }
    for code in &own.errors {
        // The service's own, or one that its model has for other operations.
        let status = match service.errors.get(code) {
            Some(status) => *status,
            None => model.shape(code).with_context(|| format!("no status of {code}"))?.error_status(),
        };
        if status < 500 {
            found.insert(code.clone());
        }
    }
    Ok(found)
}
