//! What comes from guests, templates, pull requests and branches changes nothing: not the runner's log, not the page.

use super::{Job, kept, pull_request};
use serde_json::json;

/// Commands that the runner acts on (`runner:ActionCommandManager.cs` and its extensions).
const COMMANDS: [&str; 17] = [
    "internal-set-repo-path",
    "set-env",
    "set-output",
    "save-state",
    "add-path",
    "add-mask",
    "add-matcher",
    "remove-matcher",
    "debug",
    "error",
    "warning",
    "notice",
    "group",
    "endgroup",
    "echo",
    "stop-commands",
    "pause-logging",
];

/// A command of a line, as the runner finds it: `ActionCommand.TryParseV2`, then `ActionCommand.TryParse`.
fn command(line: &str) -> Option<(String, String)> {
    let known = |text: &str| {
        let name = text.split([' ']).next().unwrap_or_default().to_lowercase();
        COMMANDS.contains(&name.as_str()).then_some(name)
    };
    // Leading blanks are passed over; the second :: ends the properties.
    if let Some(rest) = line.trim_start().strip_prefix("::")
        && let Some((head, data)) = rest.split_once("::")
        && let Some(name) = known(head)
    {
        return Some((name, format!("{head}::{data}")));
    }
    // The old form stands anywhere in a line.
    let (_, rest) = line.split_once("##[")?;
    let (head, data) = rest.split_once(']')?;
    known(head).map(|name| (name, format!("{head}]{data}")))
}

/// Lines as the runner splits the stream: at every kind of line end.
fn commands(text: &str) -> Vec<(String, String)> {
    text.split(['\n', '\r']).filter_map(command).collect()
}

#[test]
fn the_reader_finds_what_the_runner_finds() {
    for line in ["::error::x", "  ::ADD-MASK::x", "a ##[group]x", "::notice title=a,file=b::x", "##[error code=1;]x"] {
        assert!(command(line).is_some(), "{line}");
    }
    for line in [": :error::x", "text ::error::x", "::unknown::x", "##[unknown]x", "::error"] {
        assert!(command(line).is_none(), "{line}");
    }
}

const TEMPLATE: &str = r###"
variable "evil" {
  default = "::error::owned ##[error]owned <img src=x> @octocat |"
}

source "null" "a" {
  communicator = "none"
}

build {
  name    = "n ##[group]owned <img src=x> @octocat"
  sources = ["source.null.a"]

  provisioner "shell-local" {
    name   = "::warning::owned <script>"
    inline = [
      "printf '%s\\n' '::error::owned' '   ::add-mask::owned' 'x ##[add-matcher]owned' '::stop-commands::owned'",
      "printf 'a\\r::set-output name=status::owned\\n'",
      "printf ':\\033[0m:error::owned\\n#\\033[1m#[error]owned\\n:\\001:error::owned\\n'",
      "printf '::error::owned' >&2",
      "printf '</details></summary>```\\n# @octocat <img src=x>\\n| a | b |\\n'",
      "printf '%s\\n' \"$EVIL\"",
      "exit 1",
    ]
    env = { EVIL = var.evil }
  }
}
"###;

#[tokio::test]
async fn nothing_hostile_reaches_the_runner_or_the_page() {
    let mut payload = pull_request(1);
    payload["pull_request"]["title"] = json!("::error::owned ##[error]owned");
    payload["pull_request"]["head"]["ref"] = json!("x\n::error::owned");
    let more = [
        ("GITHUB_HEAD_REF", "x::error::owned"),
        ("GITHUB_ACTOR", "::error::owned"),
        ("GITHUB_WORKFLOW", "--> <img src=x> ::error::owned"),
        ("INPUT_ENVIRONMENT", "dev ##[error]owned <img src=x>"),
    ];
    let job = Job::new("pull_request", &payload, &more).await;
    job.template(TEMPLATE);
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("owned"), "the output is shown, or the test proves nothing: {}", ended.text);
    let found = commands(&ended.text);
    assert!(
        found.iter().all(|(name, text)| name == "notice" && text.starts_with("notice title=image-action::")),
        "{found:?}"
    );
    // The files that the runner reads say what we say, and no more.
    let outputs = kept(&job.file("output"));
    assert_eq!(outputs["status"], "failure");
    let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
    assert!(names.iter().all(|n| ["status", "images", "report"].contains(n)), "{names:?}");
    let comment = job.github("issues/7/comments").await[0]["body"].as_str().unwrap().to_owned();
    for page in [comment, job.file("summary")] {
        for (outside, line) in outside_of_fences(&page) {
            assert!(
                !outside.contains("<img") && !outside.contains("<script") && !outside.contains("@octocat"),
                "{line}\n{page}"
            );
        }
        assert_eq!(
            page.matches("<details>").count(),
            outside_of_fences(&page).iter().filter(|(o, _)| o.contains("</details>")).count()
        );
    }
    job.contract().await;
}

#[tokio::test]
async fn a_broken_template_says_nothing_to_the_runner_but_what_is_wrong() {
    let job = Job::new("pull_request", &pull_request(1), &[("INPUT_CHECKS", "false")]).await;
    job.template("source \"null\" \"::error::owned\" {\n  x = \"##[error]owned\"\n}\nbuild {\n  sources = [\"##[group]owned\"]\n}\n");
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    for (name, text) in commands(&ended.text) {
        assert!(name == "error" && text.starts_with("error ") && text.contains("title="), "{text}\n{}", ended.text);
    }
}

/// The lines that are no code, without their code spans.
fn outside_of_fences(page: &str) -> Vec<(String, String)> {
    let mut fence: Option<String> = None;
    let mut lines = Vec::new();
    for line in page.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if ticks.len() >= open.len() && line.trim_end() == ticks => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                let outside: String = line.split('`').step_by(2).collect();
                lines.push((outside, line.to_owned()));
            }
        }
    }
    assert!(fence.is_none(), "a fence stays open\n{page}");
    lines
}
