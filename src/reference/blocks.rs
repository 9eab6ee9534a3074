//! Packer's own blocks, declared as components declare their options: for the reference alone. `src/template` decodes them by
//! hand, because their arguments are evaluated at different times.

// Nothing is decoded into these structs.
#![allow(dead_code)]

use image_action_engine::Config;
use image_action_lang::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The name of a field that stands for names which the template chooses.
pub const ANY_NAME: &str = "NAME";

/// What a template needs.
#[derive(Config)]
pub struct Packer {
    /// Versions of Packer that the template works with, such as `">= 1.7.0"`. It is compared with the version whose behaviour is
    /// followed here; see `image-action version`.
    required_version: Option<String>,
    /// Plugins that the template uses. They are built in, and nothing is downloaded: what is asked for is compared with what is
    /// there.
    #[config(block)]
    required_plugins: Option<RequiredPlugins>,
}

/// One entry for each plugin.
#[derive(Config)]
pub struct RequiredPlugins {
    /// `{ source = "github.com/hashicorp/amazon", version = ">= 1.2.0" }`. The name is what names of components begin with:
    /// `amazon` of `amazon-ebs`.
    #[config(name = "NAME")]
    plugin: Option<Value>,
}

/// A value that is given from outside: `-var NAME=VALUE`, `-var-file`, `*.auto.pkrvars.hcl`, `PKR_VAR_NAME`.
#[derive(Config)]
pub struct Variable {
    /// The type: `string`, `number`, `bool`, `any`, `list(string)`, `map(string)`, `object({ a = string, b = optional(number) })`
    /// and so on. Left out, it is the type of the default, or `string`.
    #[config(name = "type")]
    kind: Option<Value>,
    /// The value where none is given. Without a default, a value must be given. The only function here is `env("NAME")`, which
    /// gives the value of an environment variable.
    default: Option<Value>,
    /// What the variable is for.
    description: Option<String>,
    /// Masks the value in everything that is shown.
    sensitive: bool,
    /// A condition that the value must meet.
    #[config(block)]
    validation: Vec<Validation>,
}

/// A condition that the value must meet.
#[derive(Config)]
pub struct Validation {
    /// An expression that is true for a good value. It refers to the variable itself: `length(var.name) > 3`.
    #[config(required)]
    condition: Option<Value>,
    /// What is said of a bad value: a whole sentence, from an upper-case letter to a period.
    #[config(required)]
    error_message: Option<String>,
}

/// The defaults of several variables, without anything else.
#[derive(Config)]
pub struct Variables {
    /// The default of the variable.
    #[config(name = "NAME")]
    value: Option<Value>,
}

/// Values that are used in several places, as `local.NAME`. They may refer to variables, to data sources and to one another.
#[derive(Config)]
pub struct Locals {
    /// An expression.
    #[config(name = "NAME")]
    value: Option<Value>,
}

/// One value, as `local.NAME`, that can be masked.
#[derive(Config)]
pub struct Local {
    /// The value: any expression.
    #[config(required)]
    expression: Option<Value>,
    /// Masks the value in everything that is shown.
    sensitive: bool,
}

/// What is built, and what happens to it: its sources are built side by side, each with all provisioners in order.
#[derive(Config)]
pub struct Build {
    /// The name, which `-only` and `-except` can use: `NAME.amazon-ebs.web`.
    name: Option<String>,
    /// What the build is for; `image-action inspect` shows it.
    description: Option<String>,
    /// What is built: `["source.amazon-ebs.web", "source.null.test"]`. At least one, here or as a `source` block.
    sources: Vec<String>,
    /// `source "amazon-ebs.web" { … }` builds a source with more options than its own block has. What that block sets cannot be
    /// changed.
    #[config(block)]
    source: Vec<NestedSource>,
    /// `provisioner "shell" { … }` does something with the machine. In order. The options are on the page of each provisioner.
    #[config(block)]
    provisioner: Vec<Provisioner>,
    /// `error-cleanup-provisioner "shell" { … }` runs where a provisioner has failed, before the machine is removed. At most one.
    #[config(block, name = "error-cleanup-provisioner")]
    error_cleanup: Option<Provisioner>,
    /// `post-processor "manifest" { … }` does something with what was built. The options are on the page of each post-processor.
    #[config(block, name = "post-processor")]
    post_processor: Vec<PostProcessor>,
    /// A chain of `post-processor` blocks: each is given what the one before has made.
    #[config(block, name = "post-processors")]
    post_processors: Vec<PostProcessors>,
}

/// A source with more options. Beside `name` it takes every option of the builder.
#[derive(Config)]
pub struct NestedSource {
    /// Another name of the source in this build. It must be set where one source is built twice.
    name: Option<String>,
}

/// What every provisioner takes beside its own options.
#[derive(Config)]
pub struct Provisioner {
    /// A name to tell provisioners apart in what is shown.
    name: Option<String>,
    /// Only for these sources of the build: `["amazon-ebs.web"]`. Not together with `except`.
    only: Vec<String>,
    /// Not for these sources of the build.
    except: Vec<String>,
    /// A pause before it starts, and before every repetition.
    pause_before: Duration,
    /// How long it may take, each repetition by itself; what it has started is ended then. Left out, or 0: as long as it takes.
    timeout: Duration,
    /// How often it is run again after a failure.
    max_retries: i64,
    /// Shows a failure and goes on with the build.
    continue_on_error: bool,
    /// Other values of its options for some sources, by the source's name: `{ web = { inline = ["…"] } }`. Maps are merged by
    /// key and lists by index; anything else is replaced.
    #[config(name = "override")]
    overrides: BTreeMap<String, Value>,
}

/// What every post-processor takes beside its own options.
#[derive(Config)]
pub struct PostProcessor {
    /// A name to tell post-processors apart; `-except` can use it.
    name: Option<String>,
    /// Only for these sources of the build: `["amazon-ebs.web"]`. Not together with `except`.
    only: Vec<String>,
    /// Not for these sources of the build.
    except: Vec<String>,
    /// Whether what it is given stays when it has made something else of it. Left out, that depends on the post-processor; what a
    /// cloud keeps (an image) always stays.
    keep_input_artifact: Option<bool>,
}

/// A chain.
#[derive(Config)]
pub struct PostProcessors {
    /// A post-processor of the chain.
    #[config(block, name = "post-processor")]
    post_processor: Vec<PostProcessor>,
}

/// Blocks that are made from a collection, one for each element. It may stand wherever its blocks may, but for the top of a file.
#[derive(Config)]
pub struct Dynamic {
    /// A list, a set, a map or an object.
    #[config(required)]
    for_each: Option<Value>,
    /// A bare word: what the element is called in the content, as `WORD.key` and `WORD.value`. Left out, the type of the blocks.
    iterator: Option<Value>,
    /// The labels of the blocks, where they have some: `["shell"]` for provisioners.
    labels: Vec<String>,
    /// The body of each block.
    #[config(block, required)]
    content: Option<Content>,
}

/// The options of the blocks that are made.
#[derive(Config)]
pub struct Content {}
