//! The key driver: makes the keys that planners state, seals their private parts.

use anyhow::{Context as _, Result};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, SanType, SerialNumber,
};
use roadstead_cloud::keys::{KeySpec, KeyState};
use roadstead_vault::Vault;
use std::net::{IpAddr, Ipv4Addr};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// As EKS: a cluster's first authority is valid for ten years, and what it signs with it.
const VALID: Duration = Duration::days(3650);
/// Certificates are valid from a little before now: clocks of clients differ.
const BACKDATED: Duration = Duration::minutes(5);

/// Makes the key. `authority` is the state of the authority that a certificate names.
pub fn make(vault: &Vault, name: &str, spec: &KeySpec, authority: Option<&KeyState>) -> Result<KeyState> {
    let (public, private) = match spec {
        KeySpec::Authority { common_name } => make_authority(common_name)?,
        KeySpec::Certificate { common_name, organisation, names, addresses, .. } => {
            let authority = authority.context("a certificate needs its authority's key first")?;
            let params = leaf(common_name, organisation.as_deref(), names, addresses)?;
            sign(vault, params, authority)?
        }
        KeySpec::Signing => {
            let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
            (key.public_key_pem(), Zeroizing::new(key.serialize_pem()))
        }
        KeySpec::Text { template } => (String::new(), fill(template)?),
    };
    Ok(KeyState { public, private: vault.seal(&format!("key/{name}"), private.as_bytes())? })
}

type Pem = Zeroizing<String>;

fn make_authority(common_name: &str) -> Result<(String, Pem)> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = params(common_name, None)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    Ok((params.self_signed(&key)?.pem(), Zeroizing::new(key.serialize_pem())))
}

fn leaf(
    common_name: &str,
    organisation: Option<&str>,
    names: &[String],
    addresses: &[Ipv4Addr],
) -> Result<CertificateParams> {
    let mut params = params(common_name, organisation)?;
    for name in names {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    params.subject_alt_names.extend(addresses.iter().map(|a| SanType::IpAddress(IpAddr::V4(*a))));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn sign(vault: &Vault, params: CertificateParams, authority: &KeyState) -> Result<(String, Pem)> {
    let private = vault.unseal(&authority.private)?;
    let private = KeyPair::from_pem(std::str::from_utf8(&private)?)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.public, private)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok((params.signed_by(&key, &issuer)?.pem(), Zeroizing::new(key.serialize_pem())))
}

fn params(common_name: &str, organisation: Option<&str>) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - BACKDATED, now + VALID);
    let mut serial = [0; 16];
    rand::fill(&mut serial).context("no random bytes from the system")?;
    // RFC 5280 §4.1.2.2: positive, at most 20 octets.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// Puts random bytes where the template wants them.
fn fill(template: &str) -> Result<Pem> {
    let mut out = Zeroizing::new(String::new());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{random:") {
        let (length, after) = after.split_once("}}").context("a text template's {{random:N}} has no end")?;
        let mut bytes = Zeroizing::new(vec![0; length.parse()?]);
        rand::fill(&mut bytes).context("no random bytes from the system")?;
        out.push_str(before);
        out.push_str(&Zeroizing::new(STANDARD.encode(&*bytes)));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    fn vault() -> (tempfile::TempDir, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_create(&dir.path().join("root.key")).unwrap();
        (dir, vault)
    }

    fn der(pem: &str) -> Vec<u8> {
        x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
    }

    #[test]
    fn a_certificate_is_its_authoritys_and_nobody_elses() {
        let (_dir, vault) = vault();
        let ca = make(&vault, "ca", &KeySpec::Authority { common_name: "ca".into() }, None).unwrap();
        let other = make(&vault, "other", &KeySpec::Authority { common_name: "ca".into() }, None).unwrap();
        let spec = KeySpec::Certificate {
            authority: "ca".into(),
            common_name: "kcm".into(),
            organisation: Some("system:masters".into()),
            names: vec!["localhost".into()],
            addresses: vec![Ipv4Addr::LOCALHOST],
        };
        let leaf = make(&vault, "kcm", &spec, Some(&ca)).unwrap();
        let (ca, other, leaf) = (der(&ca.public), der(&other.public), der(&leaf.public));
        let parse = |d| X509Certificate::from_der(d).unwrap().1;
        let leaf = parse(&leaf);
        assert!(leaf.verify_signature(Some(parse(&ca).public_key())).is_ok());
        assert!(leaf.verify_signature(Some(parse(&other).public_key())).is_err());
        assert_eq!(leaf.subject().to_string(), "CN=kcm, O=system:masters");
        assert!(leaf.validity().is_valid() && !leaf.is_ca());
    }

    #[test]
    fn private_parts_open_only_with_the_root_key() {
        let (_dir, vault) = vault();
        let state = make(&vault, "sa", &KeySpec::Signing, None).unwrap();
        assert!(state.public.starts_with("-----BEGIN PUBLIC KEY-----"));
        assert!(vault.unseal(&state.private).unwrap().starts_with(b"-----BEGIN PRIVATE KEY-----"));
        assert!(!serde_json::to_string(&state).unwrap().contains("PRIVATE KEY"));
    }

    #[test]
    fn a_text_gets_fresh_bytes_each_time() {
        let a = fill("k: {{random:32}};{{random:3}}").unwrap();
        assert_eq!(a.len(), "k: ;".len() + 44 + 4);
        assert_ne!(a, fill("k: {{random:32}};{{random:3}}").unwrap());
        assert!(fill("{{random:x}}").is_err() && fill("{{random:3").is_err());
    }
}
