//! `shell-local`: scripts that run on our side after the image is made.

use crate::provisioner::shell_local::{ShellLocalConfig, prepare, run};
use async_trait::async_trait;
use image_action_engine::{Artifact, Block, BuildContext, PostOutcome, PostProcessor, PrepareContext, Result};
use image_action_lang::Diagnostics;

/// What an `execute_command` of one element is run through.
const WRAP: [&str; 2] = ["sh", "-c"];

/// Makes it; its options are those of the provisioner.
///
/// # Errors
/// What is wrong with its options.
pub fn make(cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn PostProcessor>, Diagnostics> {
    Ok(Box::new(ShellLocal(prepare(cx, body)?)))
}

struct ShellLocal(ShellLocalConfig);

#[async_trait]
impl PostProcessor for ShellLocal {
    async fn process(&self, cx: &BuildContext, artifact: &Artifact) -> Result<PostOutcome> {
        run(&self.0, &WRAP, cx, &artifact.facts, &cx.cancel).await?;
        Ok(PostOutcome { artifact: Some(artifact.clone()), keep: true, keep_forced: true })
    }
}
