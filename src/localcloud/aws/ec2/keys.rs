//! Key pairs.

use super::super::resources::{KeyPair, new_id, time};
use super::super::{Answer, Call, Refused};
use super::{Wanted, done, dry_run, need, one, specified_tags, tag_set};
use crate::cloud::Cloud;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use rsa::pkcs1::{EncodeRsaPrivateKey, LineEnding};
use rsa::traits::PublicKeyParts;
use russh::keys::ssh_key::LineEnding as SshLineEnding;
use russh::keys::{Algorithm, PrivateKey, PublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Size of the RSA keys that EC2 makes.
const RSA_BITS: usize = 2048;

/// A private key as EC2 hands it out, and its public half as a line of `authorized_keys`.
struct Material {
    private: String,
    public: String,
}

fn internal(e: &dyn std::fmt::Display) -> Refused {
    Refused { status: 500, ..Refused::new("InternalError", e.to_string()) }
}

/// RSA in the form of PKCS#1, as EC2's.
fn rsa() -> Result<Material, Refused> {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, RSA_BITS).map_err(|e| internal(&e))?;
    let private = key.to_pkcs1_pem(LineEnding::LF).map_err(|e| internal(&e))?.to_string();
    // RFC 4253 §6.6: the name, e and n, each with its length; numbers have a zero in front where they would look negative.
    let mut blob = Vec::new();
    let mut put = |bytes: &[u8]| {
        let sign = bytes.first().is_some_and(|b| b & 0x80 != 0);
        let length = u32::try_from(bytes.len() + usize::from(sign)).unwrap_or(u32::MAX);
        blob.extend(length.to_be_bytes());
        if sign {
            blob.push(0);
        }
        blob.extend(bytes);
    };
    put(b"ssh-rsa");
    put(&key.e().to_bytes_be());
    put(&key.n().to_bytes_be());
    Ok(Material { private, public: format!("ssh-rsa {}", STANDARD.encode(blob)) })
}

/// Ed25519 in OpenSSH's form, as EC2's.
fn ed25519() -> Result<Material, Refused> {
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).map_err(|e| internal(&e))?;
    let private = key.to_openssh(SshLineEnding::LF).map_err(|e| internal(&e))?.to_string();
    let public = key.public_key().to_openssh().map_err(|e| internal(&e))?;
    Ok(Material { private, public: public.trim().to_owned() })
}

fn check_free(cloud: &Arc<Cloud>, call: &Call, name: &str) -> Result<(), Refused> {
    if cloud.aws.world().region(&call.region)?.key_pairs.contains_key(name) {
        return Err(Refused::new("InvalidKeyPair.Duplicate", format!("The keypair already exists: {name}")));
    }
    Ok(())
}

/// `CreateKeyPair`
pub async fn create(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let name = need(call, "KeyName")?;
    let tags = specified_tags(call, &["key-pair"])?;
    let kind = match call.params.get("KeyType").unwrap_or("rsa") {
        "rsa" => "rsa",
        "ed25519" => "ed25519",
        other => return Err(Refused::invalid(format!("Value ({other}) for parameter KeyType is invalid."))),
    };
    check_free(cloud, call, name)?;
    dry_run(call)?;
    let made = tokio::task::spawn_blocking(move || if kind == "rsa" { rsa() } else { ed25519() });
    let material = made.await.map_err(|e| internal(&e))??;
    let pair = pair(name, kind, material.public, tags("key-pair"));
    let mut answer = show(&pair);
    answer["keyMaterial"] = Value::String(material.private);
    cloud.aws.world().region(&call.region)?.key_pairs.insert(name.to_owned(), pair);
    Ok(answer)
}

fn pair(name: &str, kind: &'static str, public: String, tags: super::Tags) -> KeyPair {
    let digest = Sha256::digest(public.as_bytes());
    let fingerprint = if kind == "rsa" {
        digest[..20].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
    } else {
        STANDARD.encode(digest)
    };
    KeyPair { id: new_id("key"), name: name.to_owned(), kind, fingerprint, public, created: Utc::now(), tags }
}

fn show(pair: &KeyPair) -> Value {
    json!({
        "keyName": pair.name,
        "keyPairId": pair.id,
        "keyType": pair.kind,
        "keyFingerprint": pair.fingerprint,
        "createTime": time(pair.created),
        "tagSet": tag_set(&pair.tags),
    })
}

/// `ImportKeyPair`
pub fn import(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let name = need(call, "KeyName")?;
    let tags = specified_tags(call, &["key-pair"])?;
    let wrong = || Refused::new("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
    let material = STANDARD.decode(need(call, "PublicKeyMaterial")?).map_err(|_| wrong())?;
    let text = String::from_utf8(material).map_err(|_| wrong())?;
    let key = PublicKey::from_openssh(text.trim()).map_err(|_| wrong())?;
    let kind = match key.algorithm() {
        Algorithm::Rsa { .. } => "rsa",
        Algorithm::Ed25519 => "ed25519",
        _ => return Err(wrong()),
    };
    check_free(cloud, call, name)?;
    dry_run(call)?;
    let pair = pair(name, kind, text.trim().to_owned(), tags("key-pair"));
    let answer = show(&pair);
    cloud.aws.world().region(&call.region)?.key_pairs.insert(name.to_owned(), pair);
    Ok(answer)
}

/// `DescribeKeyPairs`
pub fn describe(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "KeyName");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    wanted.check_ids("InvalidKeyPair.NotFound", "key pair", |name| region.key_pairs.contains_key(name))?;
    let mut set = Vec::new();
    for pair in region.key_pairs.values() {
        let value = |filter: &str| match filter {
            "key-name" => one(&pair.name),
            "key-pair-id" => one(&pair.id),
            "fingerprint" => one(&pair.fingerprint),
            _ => None,
        };
        if wanted.takes(&pair.name, &pair.tags, value)? {
            set.push(show(pair));
        }
    }
    Ok(json!({ "keySet": set }))
}

/// `DeleteKeyPair`: one that does not exist is no error.
pub fn delete(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let (name, id) = (call.params.get("KeyName"), call.params.get("KeyPairId"));
    if name.is_none() && id.is_none() {
        return Err(Refused::missing("KeyName"));
    }
    dry_run(call)?;
    let mut world = cloud.aws.world();
    world.region(&call.region)?.key_pairs.retain(|_, k| Some(k.name.as_str()) != name && Some(k.id.as_str()) != id);
    done()
}
