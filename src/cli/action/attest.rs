//! `attest: true`: the files of a run are signed by the job's own identity, and the signature is kept at GitHub.

use super::{Action, files};
use crate::attestation::BUNDLE_FILE;
use crate::attestation::provenance::{self, Image};
use crate::attestation::sign::{Services, Signer};
use crate::github::client::RELEASE_PATIENCE;
use crate::github::release::File;
use crate::github::{oidc, runner};
use crate::report::markdown::Report;
use image_action_engine::{Error, ErrorKind, Result};
use serde_json::{Value, json};

impl Action<'_> {
    async fn signer(&self) -> Result<Signer> {
        let env = &self.session.env;
        let source = env.identity().ok_or_else(|| {
            let what = format!("`attest: true` needs the identity of the job, and {} is not set", oidc::URL_VARIABLE);
            Error::new(ErrorKind::Credentials, what).hint(oidc::CURE)
        })?;
        let services = Services::of(env)?;
        let public = services.are_public();
        let signer = Signer::new(services, source.as_ref(), &self.run.cancel).await?;
        let visibility = signer.claims["repository_visibility"].as_str();
        if public && visibility.is_some_and(|v| v != "public") {
            let what = "`attest: true` in a repository that is not public: the public log would show its name for ever";
            return Err(Error::new(ErrorKind::Invalid, what).hint(
                "leave `attest` out, or name a Sigstore instance of your own with the variables IMAGE_ACTION_FULCIO_URL and \
                 IMAGE_ACTION_REKOR_URL",
            ));
        }
        Ok(signer)
    }

    /// Whether the job may sign, before it builds for an hour.
    pub(super) async fn check_attest(&self) -> Result<()> {
        if !self.work.attest {
            return Ok(());
        }
        if self.client.is_none() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "`attest: true` outside of a workflow: there is nobody to vouch for",
            )
            .hint("leave `attest` out"));
        }
        self.signer().await.map(drop)
    }

    /// Signs the files, writes the bundle into the workspace, and gives it to GitHub; it becomes one more file.
    pub(super) async fn attest(&self, report: &Report, files: &mut Vec<File>) -> Result<()> {
        let Some(client) = self.client.as_ref().filter(|_| self.work.attest) else { return Ok(()) };
        let (session, env) = (self.session, &self.session.env);
        let signer = self.signer().await?;
        let server = env.get("GITHUB_SERVER_URL").unwrap_or("https://github.com").trim_end_matches('/');
        let images: Vec<Image> =
            report.rows.iter().flat_map(|row| row.images.iter().map(move |i| (row, i))).map(image).collect();
        let content = files.iter().map(|f| (f.name.as_str(), f.content.as_ref()));
        let bundle = signer.sign(&provenance::statement(content, &images, &signer.claims, server)).await?;
        let path = format!("{}{BUNDLE_FILE}", self.work.prefix);
        files::write(session, BUNDLE_FILE, bundle.as_bytes())?;
        let value: Value = serde_json::from_str(&bundle)
            .map_err(|e| Error::failed(format!("the attestation that was signed is no JSON: {e}")))?;
        let stored = client.patient(RELEASE_PATIENCE).post("attestations", &json!({"bundle": value})).await;
        let stored = stored.map_err(|e| match e.kind {
            ErrorKind::Permission | ErrorKind::NotFound => {
                let hint =
                    "add `attestations: write` to the `permissions` of the job; GitHub Enterprise Server keeps none";
                Error::new(e.kind, format!("the attestation is signed and could not be stored: {}", e.summary))
                    .hint(hint)
            }
            _ => e,
        })?;
        runner::output(env, "attestation", &path)?;
        if let Some(id) = stored["id"].as_u64() {
            let url = format!("{server}/{}/attestations/{id}", client.repository);
            runner::output(env, "attestation-url", &url)?;
            session.say(&format!("attestation: {url}"));
        }
        files.push(File { name: BUNDLE_FILE.to_owned(), content: bundle.into_bytes().into() });
        Ok(())
    }
}

fn image((row, image): (&crate::report::markdown::Row, &image_action_engine::component::Image)) -> Image {
    Image {
        build: row.build.clone(),
        provider: image.provider.clone(),
        region: image.region.clone(),
        id: image.id.clone(),
    }
}
