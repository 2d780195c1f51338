//! Points the user's tools at the region.

use crate::bootstrap::Admin;
use crate::config::Config;
use crate::private_file;
use anyhow::{Context as _, Result, ensure};
use roadstead_cloud::account::{ADMIN, CLUSTER_ROLE, NODE_ROLE};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines for `eval`.
pub fn exports(config: &Config) -> Result<String> {
    let (admin, endpoint) = access(config)?;
    Ok(format!(
        "export AWS_ENDPOINT_URL={endpoint}\nexport AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\nexport AWS_DEFAULT_REGION={}\nexport AWS_REGION={}\nunset AWS_PROFILE AWS_SESSION_TOKEN\n",
        admin.access_key_id, admin.secret_access_key, config.region, config.region
    ))
}

fn access(config: &Config) -> Result<(Admin, String)> {
    let hint = || {
        format!(
            "no region was started on {} yet, or not by this user: run `roadstead up` first",
            config.data_dir.display()
        )
    };
    let admin = Admin::read(config).with_context(hint)?;
    let address = fs::read_to_string(config.data_dir.join("address")).with_context(hint)?;
    Ok((admin, format!("http://{}", address.trim())))
}

/// What to do with a region that has just started.
pub fn explain(config: &Config) -> Result<()> {
    let (_, endpoint) = access(config)?;
    println!("Region {} is up at {endpoint}.", config.region);
    println!("  eval $(roadstead env)        points aws, boto3, Terraform and kubectl at it, as user {ADMIN}");
    println!("  aws eks create-cluster …     with role arn:aws:iam::{}:role/{CLUSTER_ROLE}", config.account);
    println!("  aws eks create-nodegroup …   with role arn:aws:iam::{}:role/{NODE_ROLE}", config.account);
    println!("  roadstead down               stops it");
    Ok(())
}

/// Writes an AWS profile, replacing one of that name and leaving all others as they are.
pub fn write_profile(config: &Config, name: &str) -> Result<()> {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    ensure!(plain, "profile '{name}': use letters, digits, '-', '_' and '.'");
    let (admin, endpoint) = access(config)?;
    let section = if name == "default" { "default".to_owned() } else { format!("profile {name}") };
    let settings = format!("region = {}\nendpoint_url = {endpoint}\n", config.region);
    let keys =
        format!("aws_access_key_id = {}\naws_secret_access_key = {}\n", admin.access_key_id, admin.secret_access_key);
    replace(&file("AWS_CONFIG_FILE", "config")?, &section, &settings)?;
    replace(&file("AWS_SHARED_CREDENTIALS_FILE", "credentials")?, name, &keys)?;
    println!("Profile {name} points at {endpoint}: aws --profile {name} eks list-clusters");
    Ok(())
}

fn file(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    Ok(Path::new(&home).join(".aws").join(name))
}

fn replace(path: &Path, section: &str, body: &str) -> Result<()> {
    let before = fs::read_to_string(path).unwrap_or_default();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    private_file::replace(path, with_section(&before, section, body).as_bytes())
}

/// An INI text in which `section` has that body.
fn with_section(text: &str, section: &str, body: &str) -> String {
    let header = format!("[{section}]");
    let (mut kept, mut inside) = (String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with('[') {
            inside = line.trim() == header;
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    format!("{kept}{header}\n{body}")
}

#[cfg(test)]
mod tests {
    use super::with_section;

    #[test]
    fn a_profile_replaces_its_own_section_and_no_other() {
        let once = with_section("[default]\nregion = x\n", "profile r", "a = 1\n");
        assert_eq!(once, "[default]\nregion = x\n[profile r]\na = 1\n");
        let again = with_section(&format!("{once}[other]\nb = 2\n"), "profile r", "a = 3\n");
        assert_eq!(again, "[default]\nregion = x\n[other]\nb = 2\n[profile r]\na = 3\n");
    }
}
