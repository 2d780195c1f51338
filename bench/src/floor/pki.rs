//! The floor's keys: the same authorities, kinds of keys and names as a cluster's, made before the clock starts.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The name of the node that may join.
pub const NODE: &str = "bare";

/// Who somebody is, and whom they trust.
pub struct Identity {
    /// The authority that signs who they talk to.
    pub authority: CertificateDer<'static>,
    /// Their own certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// Signs, and writes what it signed as `NAME.crt` and `NAME.key`.
struct Authority<'a> {
    folder: &'a Path,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// Writes all keys into `folder`; servers answer at `address`. Returns an administrator of the cluster.
///
/// # Errors
/// A file can't be written.
pub fn write(folder: &Path, address: IpAddr) -> Result<Identity> {
    let cluster = Authority::new(folder, "ca", "kubernetes")?;
    cluster.sign("apiserver", "kube-apiserver", None, &[address])?;
    cluster.sign("kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters"), &[])?;
    cluster.sign("kube-controller-manager", "system:kube-controller-manager", None, &[])?;
    cluster.sign("kube-scheduler", "system:kube-scheduler", None, &[])?;
    cluster.sign("kubelet", &format!("system:node:{NODE}"), Some("system:nodes"), &[])?;
    let etcd = Authority::new(folder, "etcd-ca", "etcd-ca")?;
    // Members check where a peer connects from: on loopback that is 127.0.0.1.
    etcd.sign("etcd", "etcd", None, &[address, Ipv4Addr::LOCALHOST.into()])?;
    etcd.sign("etcd-client", "kube-apiserver", None, &[])?;
    Authority::new(folder, "front-ca", "front-proxy-ca")?.sign("front-client", "front-proxy-client", None, &[])?;
    let accounts = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    fs::write(folder.join("sa.pub"), accounts.public_key_pem())?;
    fs::write(folder.join("sa.key"), accounts.serialize_pem())?;
    cluster.sign("admin", "admin", Some("system:masters"), &[])
}

impl<'a> Authority<'a> {
    fn new(folder: &'a Path, file: &str, name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key)?;
        fs::write(folder.join(format!("{file}.crt")), certificate.pem())?;
        fs::write(folder.join(format!("{file}.key")), key.serialize_pem())?;
        Ok(Self { folder, certificate: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    fn sign(&self, file: &str, name: &str, group: Option<&str>, addresses: &[IpAddr]) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = params(name, group);
        params.subject_alt_names = addresses.iter().map(|address| SanType::IpAddress(*address)).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(self.folder.join(format!("{file}.crt")), certificate.pem())?;
        fs::write(self.folder.join(format!("{file}.key")), key.serialize_pem())?;
        Ok(Identity {
            authority: self.certificate.clone(),
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        })
    }
}

fn params(name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params
}
