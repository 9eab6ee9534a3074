//! Who we are where nobody gave us a password: the surroundings (a CI job, say) vouch for us with a short-lived token, and each
//! cloud takes it for one of its own. This room knows neither who vouches nor who takes it.

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A cloud's token is renewed when less than this is left of it, or half of its life where that is shorter: a call that begins
/// now still ends with it.
pub const RENEW_EARLY: Duration = Duration::from_secs(5 * 60);

/// How long a token of this life is used before it is renewed.
pub fn kept(life: Duration) -> Duration {
    life.saturating_sub(RENEW_EARLY).max(life / 2)
}

/// Gives tokens that say who runs this. Each lives some minutes, and a new one can be had as long as the run lasts.
#[async_trait]
pub trait IdentitySource: Send + Sync {
    /// A new token for whoever is called by this name.
    ///
    /// # Errors
    /// [`ErrorKind::Credentials`] where there is none to be had, with the line that changes it; [`Error::cancelled`].
    async fn token(&self, audience: &str, cancel: &CancellationToken) -> Result<IdentityToken>;
    /// Keeps a secret that was had for a token out of everything that is shown.
    fn conceal(&self, secret: &Secret);
    /// Whether this is where tokens of this address come from: a template may name the address itself.
    fn is_at(&self, url: &str) -> bool;
}

/// A token, and what it says.
#[derive(Clone, Debug)]
pub struct IdentityToken {
    /// The token itself, a JWT.
    pub token: Secret,
    /// What it says, to be shown.
    pub claims: Claims,
}

/// What a token says of us. It proves nothing without its signature, which is not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Who we are (`sub`).
    pub subject: String,
    /// Who is to take it (`aud`).
    pub audience: String,
    /// Who says so (`iss`).
    pub issuer: String,
}

impl IdentityToken {
    /// Reads what a JWT says (RFC 7519); its signature is for those to check who are to believe it.
    ///
    /// # Errors
    /// [`ErrorKind::Credentials`] where it is none.
    pub fn parse(token: Secret) -> Result<IdentityToken> {
        let claims = Claims::of(token.expose());
        let wrong = || Error::new(ErrorKind::Credentials, "the identity token that was given is no JWT");
        Ok(IdentityToken { claims: claims.ok_or_else(wrong)?, token })
    }
}

impl Claims {
    /// What a JWT says; `None` where it is none.
    pub fn of(token: &str) -> Option<Claims> {
        let payload = token.split('.').nth(1)?;
        let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let claims: Value = serde_json::from_slice(&bytes).ok()?;
        let text = |name: &str| match &claims[name] {
            Value::String(text) => text.clone(),
            // An audience may be a list.
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            _ => String::new(),
        };
        Some(Claims { subject: text("sub"), audience: text("aud"), issuer: text("iss") })
    }
    /// The issuer without its scheme, as some clouds call it.
    pub fn issuer_host(&self) -> &str {
        self.issuer.split_once("://").map_or(self.issuer.as_str(), |(_, rest)| rest)
    }
}

impl fmt::Display for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The token that was sent says:\n  subject (sub):  {}\n  audience (aud): {}\n  issuer (iss):   {}",
            self.subject, self.audience, self.issuer
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_renewed_five_minutes_early_or_at_half_of_a_short_life() {
        assert_eq!(kept(Duration::from_secs(3600)), Duration::from_secs(3300));
        assert_eq!(kept(Duration::from_secs(4)), Duration::from_secs(2));
    }

    #[test]
    fn claims_are_shown_without_the_token() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let payload = part(r#"{"sub":"repo:o/r:pull_request","aud":["a","b"],"iss":"https://issuer.test/x"}"#);
        let token = format!("{}.{payload}.c2lnbmF0dXJl", part("{}"));
        let token = IdentityToken::parse(Secret::new(&token)).unwrap();
        let shown = token.claims.to_string();
        assert!(shown.contains("repo:o/r:pull_request") && shown.contains("a b"), "{shown}");
        assert!(!format!("{token:?} {shown}").contains("c2lnbmF0dXJl"));
        assert_eq!(token.claims.issuer_host(), "issuer.test/x");
        assert!(IdentityToken::parse(Secret::new("no token")).is_err());
    }
}
