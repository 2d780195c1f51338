//! `roadstead config`: what is configured, and where each value comes from.

use super::{Config, DEFAULT_FILE, Flags, read};
use anyhow::Result;
use clap::ArgMatches;
use clap::parser::ValueSource;
use roadstead_inspect::render;
use serde_json::{Map, Value, json};

/// Every setting with its value and its source: a table, or with `as_json` an object for programs.
///
/// # Errors
/// The configuration file cannot be read.
pub fn show(config: &Config, flags: &Flags, given: &ArgMatches, as_json: bool) -> Result<String> {
    let (file, place) = (read::<toml::Table>(flags.config.as_deref())?, flags.config.as_deref());
    let place = place.unwrap_or(DEFAULT_FILE.as_ref()).display().to_string();
    let source = |name: &str| {
        let id = name.replace('-', "_");
        match given.value_source(&id) {
            Some(ValueSource::CommandLine) => format!("--{name}"),
            Some(ValueSource::EnvVariable) => format!("ROADSTEAD_{}", id.to_uppercase()),
            _ if file.contains_key(name) => place.clone(),
            _ => "default".to_owned(),
        }
    };
    let settings = config.settings().map(|(name, value)| (name, value.unwrap_or_else(|| "none".to_owned())));
    if as_json {
        let entry = |(name, value): (&str, String)| (name.to_owned(), json!({"value": value, "source": source(name)}));
        return Ok(format!("{:#}\n", Value::Object(settings.map(entry).into_iter().collect::<Map<_, _>>())));
    }
    let row = |(name, value): (&str, String)| vec![name.to_owned(), value, source(name)];
    let head = ["NAME", "VALUE", "FROM"].map(str::to_owned).to_vec();
    Ok(render::table(&[vec![head], settings.map(row).to_vec()].concat()))
}
