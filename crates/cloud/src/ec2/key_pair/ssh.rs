//! Keys as SSH's tools read and write them.

use super::model::{Algorithm, PublicKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

/// The lengths of RSA keys that EC2 takes, bits (EC2 user guide, "Create a key pair using a third-party tool").
const RSA_BITS: [usize; 3] = [1024, 2048, 4096];

/// An Ed25519 pair that follows from a secret: the public key, and the private one in OpenSSH's own format, which is PEM.
///
/// # Errors
/// A library's, for the log.
pub(super) fn generate(
    secret: &str,
    name: &str,
) -> Result<(PublicKey, String), Box<dyn std::error::Error + Send + Sync>> {
    let seed: [u8; 32] = digest(&SHA256, secret.as_bytes()).as_ref().try_into()?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|rejected| rejected.to_string())?;
    let public = Ed25519PublicKey(pair.public_key().as_ref().try_into()?);
    let pair = Ed25519Keypair { public, private: Ed25519PrivateKey::from_bytes(&seed) };
    let private = PrivateKey::new(KeypairData::Ed25519(pair), name)?;
    let shown = shown(private.public_key().key_data(), Algorithm::Ed25519)?;
    Ok((shown, private.to_openssh(LineEnding::LF)?.to_string()))
}

/// The public key that a text is in OpenSSH's format; None if it is none that EC2 takes.
pub(super) fn parse(text: &str) -> Option<PublicKey> {
    let key = ssh_key::PublicKey::from_openssh(text.trim()).ok()?;
    let algorithm = match key.key_data() {
        KeyData::Ed25519(_) => Algorithm::Ed25519,
        KeyData::Rsa(rsa) => {
            let bits = rsa.n.as_positive_bytes()?.len() * 8;
            RSA_BITS.contains(&bits).then_some(Algorithm::Rsa)?
        }
        _ => return None,
    };
    shown(key.key_data(), algorithm).ok()
}

fn shown(key: &KeyData, algorithm: Algorithm) -> Result<PublicKey, ssh_key::Error> {
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let fingerprint = fingerprint.trim_start_matches("SHA256:").to_owned();
    Ok(PublicKey { algorithm, text: ssh_key::PublicKey::from(key.clone()).to_openssh()?, fingerprint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_follows_from_its_secret_and_its_halves_fit() {
        let (public, private) = generate("a secret", "nodes").unwrap();
        assert_eq!(generate("a secret", "nodes").unwrap(), (public.clone(), private.clone()));
        assert_ne!(generate("another", "nodes").unwrap().0, public);
        assert!(private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        let read = PrivateKey::from_openssh(&private).unwrap();
        assert_eq!(parse(&read.public_key().to_openssh().unwrap()), Some(public));
    }

    #[test]
    fn what_is_no_key_of_ec2_s_is_none() {
        let text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti user@example.com";
        let key = parse(text).unwrap();
        assert_eq!(key.fingerprint, "UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ");
        assert!(!key.text.contains("user@example.com"));
        for wrong in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3MAAACBAN"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
