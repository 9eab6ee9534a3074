//! Keys: those of files, and the temporary one of a build.

use image_action_engine::{Error, Result, Secret};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::{Algorithm, Certificate, EcdsaCurve, PrivateKey as Key, decode_secret_key, encode_pkcs8_pem};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A private key that can log in.
#[derive(Clone)]
pub struct PrivateKey {
    pub(crate) key: Arc<Key>,
    /// A certificate for it.
    pub(crate) certificate: Option<Certificate>,
    /// The key as text, for programs that make their own connection.
    pub pem: Secret,
    /// The file it came from.
    pub file: Option<PathBuf>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("file", &self.file).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads a key from its text.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(text: &str) -> std::result::Result<PrivateKey, String> {
        let key = decode_secret_key(text, None).map_err(|e| match e {
            russh::keys::Error::KeyIsEncrypted => encrypted(),
            // Encrypted PEM of other kinds fails while it is decoded.
            _ if text.contains("ENCRYPTED") => encrypted(),
            e => format!("it is not a private key: {e}"),
        })?;
        if key.is_encrypted() {
            return Err(encrypted());
        }
        Ok(PrivateKey { key: Arc::new(key), certificate: None, pem: Secret::new(text), file: None })
    }
    /// The public key as a line of `authorized_keys`, without a comment and without a line end.
    pub fn public_openssh(&self) -> String {
        let mut public = self.key.public_key().clone();
        public.set_comment("");
        // Encoding fails for no key that was decoded.
        public.to_openssh().unwrap_or_default().trim_end().to_owned()
    }
}

fn encrypted() -> String {
    "it is protected by a passphrase; only keys without one can be used".to_owned()
}

/// Reads a private key file.
///
/// # Errors
/// Why it cannot be used.
pub fn load_private_key(path: &Path) -> std::result::Result<PrivateKey, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut key = PrivateKey::parse(&text)?;
    key.file = Some(path.to_owned());
    Ok(key)
}

/// Reads a certificate that is valid now.
///
/// # Errors
/// Why it cannot be used.
pub fn load_certificate(path: &Path) -> std::result::Result<Certificate, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let certificate = Certificate::from_openssh(text.trim()).map_err(|e| format!("it is not a certificate: {e}"))?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    if now < certificate.valid_after() || now >= certificate.valid_before() {
        return Err("it is not valid now".to_owned());
    }
    Ok(certificate)
}

/// The kind of a temporary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of this size.
    Rsa {
        /// Size in bits.
        bits: usize,
    },
    /// ECDSA on this curve.
    Ecdsa {
        /// 256, 384 or 521.
        bits: usize,
    },
    /// Ed25519.
    Ed25519,
}

/// The longest RSA key that is made: longer ones take minutes.
const RSA_LONGEST: usize = 16384;

impl KeyKind {
    /// Reads the template's words; `bits` is 0 where it says nothing.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(kind: &str, bits: i64) -> std::result::Result<KeyKind, String> {
        let bits = usize::try_from(bits).map_err(|_| format!("a key of {bits} bits cannot be"))?;
        match (kind.to_ascii_lowercase().as_str(), bits) {
            ("rsa" | "" | "<unknown>", 0) => Ok(KeyKind::Rsa { bits: 4096 }),
            ("rsa" | "" | "<unknown>", 1024..=RSA_LONGEST) => Ok(KeyKind::Rsa { bits }),
            ("rsa" | "", _) => Err(format!("an RSA key has from 1024 to {RSA_LONGEST} bits, not {bits}")),
            ("ecdsa", 0) => Ok(KeyKind::Ecdsa { bits: 521 }),
            ("ecdsa", 256 | 384 | 521) => Ok(KeyKind::Ecdsa { bits }),
            ("ecdsa", _) => Err(format!("an ECDSA key has 256, 384 or 521 bits, not {bits}")),
            ("ed25519", _) => Ok(KeyKind::Ed25519),
            ("dsa", _) => Err("DSA keys are not supported: no sshd of today takes them".to_owned()),
            (other, _) => Err(format!("the key type \"{other}\" is not known")),
        }
    }

    /// Its name, for messages (`RSA`).
    pub fn name(&self) -> &'static str {
        match self {
            KeyKind::Rsa { .. } => "RSA",
            KeyKind::Ecdsa { .. } => "ECDSA",
            KeyKind::Ed25519 => "ED25519",
        }
    }
}

/// A key pair that lives as long as a build.
#[derive(Clone, Debug)]
pub struct TemporaryKey {
    /// The private key as text: PKCS#8 PEM for RSA and ECDSA, OpenSSH's own form for Ed25519.
    pub private_pem: Secret,
    /// The public key as a line of `authorized_keys`, without comment and line end.
    pub public_openssh: String,
    /// The key, to log in with.
    pub key: PrivateKey,
}

impl TemporaryKey {
    /// Makes one. An RSA key of 4096 bits takes seconds, on a thread of its own.
    ///
    /// # Errors
    /// Where the system's randomness fails.
    pub async fn generate(kind: KeyKind) -> Result<TemporaryKey> {
        tokio::task::spawn_blocking(move || make(kind))
            .await
            .map_err(|e| Error::failed(format!("the temporary key could not be made: {e}")))?
    }
}

fn make(kind: KeyKind) -> Result<TemporaryKey> {
    let failed =
        |e: &dyn fmt::Display| Error::failed(format!("the temporary {} key could not be made: {e}", kind.name()));
    let mut rng = safe_rng();
    let key = match kind {
        KeyKind::Rsa { bits } => {
            let pair = RsaKeypair::random(&mut rng, bits).map_err(|e| failed(&e))?;
            Key::new(KeypairData::from(pair), "")
        }
        KeyKind::Ecdsa { bits } => {
            let curve = match bits {
                256 => EcdsaCurve::NistP256,
                384 => EcdsaCurve::NistP384,
                _ => EcdsaCurve::NistP521,
            };
            Key::random(&mut rng, Algorithm::Ecdsa { curve })
        }
        KeyKind::Ed25519 => Key::random(&mut rng, Algorithm::Ed25519),
    }
    .map_err(|e| failed(&e))?;
    let pem = if kind == KeyKind::Ed25519 {
        key.to_openssh(LineEnding::LF).map_err(|e| failed(&e))?.to_string()
    } else {
        let mut pem = Vec::new();
        encode_pkcs8_pem(&key, &mut pem).map_err(|e| failed(&e))?;
        // MIME base64 ends its lines with CR LF, which some readers of PEM refuse.
        String::from_utf8_lossy(&pem).replace('\r', "").replace("\n\n", "\n")
    };
    let key = PrivateKey { key: Arc::new(key), certificate: None, pem: Secret::new(pem.clone()), file: None };
    Ok(TemporaryKey { private_pem: Secret::new(pem), public_openssh: key.public_openssh(), key })
}
