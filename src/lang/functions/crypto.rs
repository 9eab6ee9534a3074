//! Digests, passwords, keys, identifiers.

use super::args::{text, whole_at};
use super::encoding::from_base64;
use super::{Function, FunctionError, Outcome, Takes, deep, param};
use crate::scope::World;
use crate::value::Value;
use md5::Md5;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use uuid::Uuid;

/// bcrypt's cost where none is given.
const BCRYPT_DEFAULT_COST: u32 = 10;
/// Below the first the default is taken, above the second is an error: limits of the algorithm.
const BCRYPT_COSTS: std::ops::RangeInclusive<i64> = 4..=31;
/// The greatest cost that is worked off here: each step doubles the time, and this one takes a quarter of a minute.
const BCRYPT_MAX_COST: i64 = 18;
/// bcrypt reads no more bytes than this.
const BCRYPT_MAX_BYTES: usize = 72;
/// Bits of the smallest RSA key that is accepted, as in Go since 1.24.
const RSA_MIN_BITS: usize = 1024;

const STR: super::Param = param("str", Takes::String);

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("md5", &[STR], Takes::String, |_, a| Ok(digest::<Md5>(&a[0]))),
    deep("sha1", &[STR], Takes::String, |_, a| Ok(digest::<Sha1>(&a[0]))),
    deep("sha256", &[STR], Takes::String, |_, a| Ok(digest::<Sha256>(&a[0]))),
    deep("sha512", &[STR], Takes::String, |_, a| Ok(digest::<Sha512>(&a[0]))),
    deep("bcrypt", &[STR], Takes::String, bcrypt).variadic(param("cost", Takes::Number)),
    deep(
        "rsadecrypt",
        &[param("ciphertext", Takes::String), param("privatekey", Takes::String)],
        Takes::String,
        rsadecrypt,
    ),
    deep("uuidv4", &[], Takes::String, |_, _| Ok(Value::string(Uuid::new_v4().to_string()))),
    deep("uuidv5", &[param("namespace", Takes::String), param("name", Takes::String)], Takes::String, uuidv5),
];

fn digest<D: Digest>(value: &Value) -> Value {
    Value::string(hex::encode(D::digest(text(value).as_bytes())))
}

fn bcrypt(_: &World, a: &[Value]) -> Outcome {
    let cost = match a {
        [_] => BCRYPT_DEFAULT_COST,
        [_, cost] => {
            let cost = whole_at(cost, 1)?;
            if cost > *BCRYPT_COSTS.end() {
                return Err(FunctionError::new(format!("cost {cost} is above the greatest, {}", BCRYPT_COSTS.end())));
            }
            if cost > BCRYPT_MAX_COST {
                return Err(FunctionError::at(
                    1,
                    format!("cost {cost} would take minutes to years; {BCRYPT_MAX_COST} is the limit"),
                ));
            }
            u32::try_from(cost).ok().filter(|_| BCRYPT_COSTS.contains(&cost)).unwrap_or(BCRYPT_DEFAULT_COST)
        }
        _ => return Err(FunctionError::new("bcrypt() takes no more than two arguments")),
    };
    let password = text(&a[0]);
    if password.len() > BCRYPT_MAX_BYTES {
        return Err(FunctionError::new(format!("the text is longer than {BCRYPT_MAX_BYTES} bytes")));
    }
    let hashed = bcrypt::hash_with_result(password, cost).map_err(|e| FunctionError::new(e.to_string()))?;
    Ok(Value::string(hashed.format_for_version(bcrypt::Version::TwoA)))
}

fn rsadecrypt(_: &World, a: &[Value]) -> Outcome {
    let ciphertext =
        from_base64(text(&a[0])).map_err(|e| FunctionError::new(format!("failed to decode ciphertext: {e}")))?;
    let key = rsa::RsaPrivateKey::from_pkcs1_pem(text(&a[1]).trim()).map_err(|_| {
        FunctionError::new("failed to parse key: a PEM \"RSA PRIVATE KEY\" (PKCS#1) without a passphrase is needed")
    })?;
    if key.size() * 8 < RSA_MIN_BITS {
        return Err(FunctionError::new(format!("the key has fewer than {RSA_MIN_BITS} bits")));
    }
    let failed = || FunctionError::new("failed to decrypt");
    let plain = key.decrypt(rsa::Pkcs1v15Encrypt, &ciphertext).map_err(|_| failed())?;
    String::from_utf8(plain).map(Value::string).map_err(|_| failed())
}

fn uuidv5(_: &World, a: &[Value]) -> Outcome {
    let namespace = match text(&a[0]) {
        "dns" => Uuid::NAMESPACE_DNS,
        "url" => Uuid::NAMESPACE_URL,
        "oid" => Uuid::NAMESPACE_OID,
        "x500" => Uuid::NAMESPACE_X500,
        other => Uuid::parse_str(other).map_err(|_| {
            FunctionError::new(format!("uuidv5() needs dns, url, oid, x500 or a UUID as its namespace, not {other:?}"))
        })?,
    };
    Ok(Value::string(Uuid::new_v5(&namespace, text(&a[1]).as_bytes()).to_string()))
}
