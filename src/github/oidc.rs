//! The job's own identity: the runner gives out tokens, signed by GitHub, that say which repository, branch and workflow runs.
//!
//! Protocol and lifetimes as in `actions/toolkit`'s `oidc-utils.ts`: a GET with the runner's own bearer, one token for each
//! audience, as often as is asked while the job runs.

use async_trait::async_trait;
use image_action_engine::wait::retry;
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, IdentitySource, IdentityToken, Result, Secret};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Where tokens are asked for; the runner sets it where the job may have some.
pub const URL_VARIABLE: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";

/// What is shown there.
pub const TOKEN_VARIABLE: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The line of a workflow that a job needs for this.
pub const CURE: &str = "add `id-token: write` to the `permissions` of the job (the workflow that calls a reusable one has to give it as well); \
     pull requests of forks and of Dependabot never have it";

/// Learns every token, before anything can show it.
pub type Learn = Arc<dyn Fn(&str) + Send + Sync>;

/// The runner of this job.
pub struct Runner {
    /// Where, and what is shown there; else why the job may not ask.
    endpoint: Result<(Url, Secret)>,
    learn: Learn,
}

impl Runner {
    /// The runner that this environment describes. Makes no call, and finds no fault: a job that may not ask learns it with its
    /// first token, as a template is validated without any.
    pub fn new(env: &Env, learn: Learn) -> Runner {
        let endpoint = match (env.get(URL_VARIABLE), env.get(TOKEN_VARIABLE)) {
            (Some(url), Some(token)) => Url::parse(url).map(|url| (url, Secret::new(token))).map_err(|e| {
                Error::new(ErrorKind::Credentials, format!("{URL_VARIABLE} is no URL: {e}"))
                    .hint("it is the runner that sets it: do not set it yourself")
            }),
            (url, _) => {
                let missing = if url.is_some() { TOKEN_VARIABLE } else { URL_VARIABLE };
                let what = format!("this job may not ask GitHub for an identity token: {missing} is not set");
                Err(Error::new(ErrorKind::Credentials, what).hint(CURE))
            }
        };
        Runner { endpoint, learn }
    }

    async fn ask(http: &reqwest::Client, url: &Url, bearer: &Secret) -> Result<Secret> {
        let lost = |e: reqwest::Error| {
            // The address says nothing to people, and its query may.
            let e = e.without_url();
            Error::new(ErrorKind::Unreachable, format!("GitHub's token service did not answer: {e}"))
        };
        let request = http.get(url.clone()).bearer_auth(bearer.expose()).header("accept", "application/json");
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await.map_err(lost)?).unwrap_or_default();
        match (status, body["value"].as_str()) {
            (200..300, Some(token)) => Ok(Secret::new(token)),
            (429 | 500.., _) => {
                Err(Error::new(ErrorKind::Unreachable, format!("GitHub's token service answered {status}")))
            }
            _ => {
                let words = body["message"].as_str().map(|m| format!(": {m}")).unwrap_or_default();
                let what = format!("GitHub gave this job no identity token (status {status}{words})");
                Err(Error::new(ErrorKind::Credentials, what).hint(CURE))
            }
        }
    }
}

fn client() -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("image-action/", env!("CARGO_PKG_VERSION")))
        .timeout(ANSWER_TIMEOUT)
        // The bearer is for this address alone.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|e| Error::failed(format!("cannot set up the connection to GitHub's token service: {e}")))
}

#[async_trait]
impl IdentitySource for Runner {
    async fn token(&self, audience: &str, cancel: &CancellationToken) -> Result<IdentityToken> {
        let (url, bearer) = self.endpoint.as_ref().map_err(Clone::clone)?;
        let mut url = url.clone();
        // The address has a query already.
        url.query_pairs_mut().append_pair("audience", audience);
        let http = client()?;
        let again = |e: &Error| e.kind == ErrorKind::Unreachable;
        let token = retry(cancel, again, || Runner::ask(&http, &url, bearer)).await?;
        self.conceal(&token);
        IdentityToken::parse(token)
    }
    fn conceal(&self, secret: &Secret) {
        if !secret.is_empty() {
            (self.learn)(secret.expose());
        }
    }
    fn is_at(&self, url: &str) -> bool {
        let other = Url::parse(url);
        self.endpoint.as_ref().is_ok_and(|(own, _)| other.is_ok_and(|other| other == *own))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn refused(pairs: &[(&str, &str)]) -> Error {
        let env = Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let runner = Runner::new(&env, Arc::new(|_| {}));
        runner.token("sts.amazonaws.com", &CancellationToken::new()).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_job_that_may_not_ask_is_told_the_line_that_is_missing() {
        for (pairs, missing) in [(&[][..], URL_VARIABLE), (&[(URL_VARIABLE, "http://127.0.0.1:1")], TOKEN_VARIABLE)] {
            let error = refused(pairs).await;
            assert_eq!(error.kind, ErrorKind::Credentials);
            assert!(error.summary.contains(missing), "{error}");
            assert!(error.hint.unwrap().contains("`id-token: write`"));
        }
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_told() {
        let error = refused(&[(URL_VARIABLE, "nowhere"), (TOKEN_VARIABLE, "t")]).await;
        assert!(error.summary.contains(URL_VARIABLE), "{error}");
    }
}
