//! Functions and data sources that read secrets, against servers that play Consul, Vault, AWS and Google.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::stub::{Asked, Stub};
use crate::support::script;
use base64::Engine as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};

/// A template that writes what an expression gives to `out`.
fn template(blocks: &str, expression: &str) -> String {
    format!(
        "{blocks}\nsource \"file\" \"f\" {{\n  target  = \"out\"\n  content = jsonencode({expression})\n}}\n\
         build {{\n  sources = [\"source.file.f\"]\n}}\n"
    )
}

fn run(dir: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_image-action"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Everything that was said, its lines joined.
fn said(output: &Output) -> String {
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a build writes, and everything that it says.
fn built(blocks: &str, expression: &str, env: &[(&str, &str)]) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.pkr.hcl"), template(blocks, expression)).unwrap();
    let output = run(dir.path(), &["build", "."], env);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    (std::fs::read_to_string(dir.path().join("out")).unwrap(), text)
}

/// What is said of an expression that cannot be had.
fn refused(blocks: &str, expression: &str, env: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.pkr.hcl"), template(blocks, expression)).unwrap();
    let output = run(dir.path(), &["build", "."], env);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!dir.path().join("out").exists(), "{text}");
    text
}

fn encoded(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn status(line: &str, body: &str) -> String {
    format!("HTTP/1.1 {line}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn path(asked: &Asked) -> String {
    asked.head.lines().next().unwrap_or_default().to_owned()
}

/// Answers as Consul 1.20 does.
fn consul() -> Stub {
    Stub::start("", |asked| {
        let entry = |key: &str, value: Option<&str>| {
            serde_json::json!([{
                "LockIndex": 0, "Key": key, "Flags": 0, "Value": value.map(encoded), "CreateIndex": 1, "ModifyIndex": 1,
            }])
            .to_string()
        };
        Some(match path(asked).as_str() {
            "GET /v1/kv/app/pass%20word?ns=team HTTP/1.1" => entry("app/pass word", Some("from-consul-1")),
            "GET /v1/kv/app/empty?ns=team HTTP/1.1" => entry("app/empty", None),
            "GET /v1/kv/app/shut?ns=team HTTP/1.1" => {
                status("403 Forbidden", "Permission denied: token lacks permission")
            }
            _ => status("404 Not Found", ""),
        })
    })
}

#[test]
fn a_key_of_consul_is_asked_for_as_its_own_client_does() {
    let consul = consul();
    let address = consul.url.trim_start_matches("http://").to_owned();
    let env = [("CONSUL_HTTP_ADDR", address.as_str()), ("CONSUL_HTTP_TOKEN", "t0ken"), ("CONSUL_NAMESPACE", "team")];
    // Twice in the template: asked once.
    let twice = "[consul_key(\"app/pass word\"), upper(consul_key(\"app/pass word\"))]";
    let (written, said) = built("", twice, &env);
    assert_eq!(written, r#"["from-consul-1","FROM-CONSUL-1"]"#);
    assert!(!said.to_lowercase().contains("from-consul-1"), "{said}");
    let seen = consul.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].header("x-consul-token").as_deref(), Some("t0ken"));

    for (key, says) in [
        ("app/empty", ["is empty", "consul kv put"]),
        ("app/none", ["does not exist", "consul kv get"]),
        ("app/shut", ["may not be read", "key:read"]),
        ("/app", ["begins with", "leave out the slash"]),
    ] {
        let said = refused("", &format!("consul_key(\"{key}\")"), &env);
        assert!(says.iter().all(|s| said.contains(s)) && said.contains("t.pkr.hcl:4:"), "{said}");
    }
    let nobody = refused("", "consul_key(\"a\")", &[("CONSUL_HTTP_ADDR", "127.0.0.1:1")]);
    assert!(nobody.contains("got no answer from 127.0.0.1:1") && nobody.contains("CONSUL_HTTP_ADDR"), "{nobody}");
    let secret = refused("", "consul_key(\"a\")", &[("CONSUL_HTTP_ADDR", "unix:///run/consul.sock")]);
    assert!(secret.contains("no address that can be asked"), "{secret}");
}

/// Answers as Vault 1.18 does, with stores of both versions.
fn vault() -> Stub {
    Stub::start("", |asked| {
        let secret = |data: serde_json::Value| {
            serde_json::json!({
                "request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data,
                "wrap_info": null, "warnings": null, "auth": null,
            })
            .to_string()
        };
        Some(match path(asked).as_str() {
            "GET /v1/secret/data/app HTTP/1.1" => secret(serde_json::json!({
                "data": {"password": "from-vault-2", "port": 1}, "metadata": {"version": 3, "destroyed": false},
            })),
            "GET /v1/old/app HTTP/1.1" => secret(serde_json::json!({"password": "from-vault-1"})),
            "GET /v1/standby/app HTTP/1.1" => {
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: /v1/old/app\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                    .to_owned()
            }
            "GET /v1/secret/app HTTP/1.1" => status("404 Not Found", r#"{"errors":[],"warnings":["Invalid path for a versioned K/V secrets engine."]}"#),
            "GET /v1/sealed HTTP/1.1" => status("503 Service Unavailable", r#"{"errors":["Vault is sealed"]}"#),
            _ => status("403 Forbidden", r#"{"errors":["permission denied"]}"#),
        })
    })
}

#[test]
fn a_secret_of_vault_is_asked_for_as_its_own_client_does() {
    let vault = vault();
    let env = [
        ("VAULT_ADDR", vault.url.as_str()),
        ("VAULT_TOKEN", "hvs.abc"),
        ("VAULT_NAMESPACE", "team"),
        ("VAULT_MAX_RETRIES", "0"),
    ];
    let read = |mount: &str| built("", &format!("vault(\"{mount}/app\", \"password\")"), &env);
    for (mount, wanted) in [("secret/data", "from-vault-2"), ("old", "from-vault-1"), ("standby", "from-vault-1")] {
        let (written, said) = read(mount);
        assert_eq!(written, format!("\"{wanted}\""));
        assert!(!said.contains(wanted), "{said}");
    }
    let seen = vault.seen();
    assert!(seen.iter().all(|a| a.header("x-vault-token").as_deref() == Some("hvs.abc")), "{seen:?}");
    assert!(seen.iter().all(|a| a.header("x-vault-request").as_deref() == Some("true")), "{seen:?}");
    assert!(seen.iter().all(|a| a.header("x-vault-namespace").as_deref() == Some("team")), "{seen:?}");

    for (call, says) in [
        ("vault(\"secret/app\", \"password\")", ["versioned K/V", "MOUNT/data/NAME"]),
        ("vault(\"secret/data/app\", \"user\")", ["has no key", "password, port"]),
        ("vault(\"secret/data/app\", \"port\")", ["is no text", "store it as a text"]),
        ("vault(\"other\", \"a\")", ["permission denied", "capabilities"]),
        ("vault(\"sealed\", \"a\")", ["Vault is sealed", "VAULT_ADDR"]),
    ] {
        let said = refused("", call, &env);
        assert!(says.iter().all(|s| said.contains(s)), "{call}\n{said}");
        assert!(!said.contains("from-vault") && !said.contains("hvs.abc"), "{said}");
    }
    let nobody = refused("", "vault(\"a\", \"b\")", &[]);
    assert!(nobody.contains("VAULT_TOKEN is not set"), "{nobody}");
    // What an expression tries may fail.
    let (tried, _) = built("", "try(vault(\"a\", \"b\"), \"stand-in\")", &[]);
    assert_eq!(tried, "\"stand-in\"");
}

#[test]
fn a_local_run_asks_nobody_and_a_default_may_not_ask() {
    let (consul, vault) = (consul(), vault());
    let env = [
        ("CONSUL_HTTP_ADDR", consul.url.as_str()),
        ("VAULT_ADDR", vault.url.as_str()),
        ("VAULT_TOKEN", "hvs.abc"),
        ("AWS_ENDPOINT_URL", vault.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for call in
        ["consul_key(\"a\")", "vault(\"a\", \"b\")", "aws_secretsmanager(\"a\", null)", "aws_secretsmanager_raw(\"a\")"]
    {
        std::fs::write(dir.path().join("t.pkr.hcl"), template("", call)).unwrap();
        let output = run(dir.path(), &["build", "--local", "."], &env);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("a local run asks no server") && text.contains("stand-in"), "{text}");
        std::fs::write(dir.path().join("t.pkr.hcl"), format!("variable \"v\" {{\n  default = {call}\n}}\n")).unwrap();
        let text = said(&run(dir.path(), &["validate", "."], &env));
        assert!(text.contains("may call env alone"), "{text}");
    }
    assert!(consul.seen().is_empty() && vault.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_parameters_of_aws_are_read_with_a_signature_that_holds() {
    let mut moto = tokio::process::Command::new("python3")
        .arg(script("moto_secrets.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(moto.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let account: BTreeMap<String, String> = serde_json::from_str(&line).unwrap();
    // In between, to see the calls; moto is who judges them.
    let seen = Stub::start(&account["url"], |_| None);
    let env = [
        ("AWS_ENDPOINT_URL", seen.url.as_str()),
        ("AWS_ACCESS_KEY_ID", &account["key"]),
        ("AWS_SECRET_ACCESS_KEY", &account["secret"]),
        ("AWS_REGION", &account["region"]),
    ];
    let (written, said) = built(
        "",
        "[aws_secretsmanager(\"app/db\", \"password\"), aws_secretsmanager(\"app/db\", \"port\"), \
         aws_secretsmanager(\"one\", null), aws_secretsmanager(\"plain\", \"\"), aws_secretsmanager_raw(\"one\")]",
        &env,
    );
    assert_eq!(written, r#"["from-aws-1","5432","from-aws-2","from-aws-3","{\"only\": \"from-aws-2\"}"]"#);
    assert!(!said.contains("from-aws"), "{said}");
    let targets = |stub: &Stub| stub.seen().iter().filter_map(|a| a.header("x-amz-target")).collect::<Vec<_>>();
    assert_eq!(targets(&seen), ["secretsmanager.GetSecretValue"; 5]);

    let data = format!(
        "data \"amazon-secretsmanager\" \"db\" {{\n  name = \"app/db\"\n  key = \"password\"\n}}\n\
         data \"amazon-secretsmanager\" \"old\" {{\n  name = \"turned\"\n  version_id = \"{}\"\n}}\n\
         data \"amazon-secretsmanager\" \"new\" {{\n  name = \"turned\"\n}}\n\
         data \"amazon-secretsmanager\" \"bytes\" {{\n  name = \"bytes\"\n}}\n\
         data \"amazon-parameterstore\" \"size\" {{\n  name = \"/app/size\"\n}}\n\
         data \"amazon-parameterstore\" \"was\" {{\n  name = \"/app/size:1\"\n}}\n\
         data \"amazon-parameterstore\" \"key\" {{\n  name = \"/app/key\"\n  with_decryption = true\n}}\n",
        account["old"]
    );
    let (written, said) = built(
        &data,
        "[data.amazon-secretsmanager.db.value, data.amazon-secretsmanager.old.value, data.amazon-secretsmanager.new.value, \
         data.amazon-secretsmanager.bytes.secret_binary, data.amazon-parameterstore.size.value, \
         data.amazon-parameterstore.size.version, data.amazon-parameterstore.was.value, \
         data.amazon-parameterstore.key.value, data.amazon-parameterstore.size.arn]",
        &env,
    );
    let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/app/size";
    let wanted =
        ["from-aws-1", "from-aws-old", "from-aws-new", "AP8=", "t3.large", "2", "t3.medium", "from-ssm-1", arn];
    assert_eq!(serde_json::from_str::<Vec<String>>(&written).unwrap(), wanted);
    assert!(!said.contains("from-"), "{said}");
    let all = targets(&seen);
    assert_eq!(all.iter().filter(|t| *t == "AmazonSSM.GetParameter").count(), 3, "{all:?}");

    for (block, says) in [
        (
            "data \"amazon-parameterstore\" \"x\" {\n  name = \"/none\"\n}",
            ["ssm:GetParameter of /none in eu-west-1", "begins with a slash"],
        ),
        (
            "data \"amazon-secretsmanager\" \"x\" {\n  name = \"none\"\n}",
            ["secretsmanager:GetSecretValue of none", "being deleted"],
        ),
        (
            "data \"amazon-secretsmanager\" \"x\" {\n  name = \"app/db\"\n  key = \"host\"\n}",
            ["has no key \"host\"", "user, password, port"],
        ),
    ] {
        let said = refused(block, "1", &env);
        assert!(says.iter().all(|s| said.contains(s)), "{said}");
    }
    let wrong = [("AWS_SECRET_ACCESS_KEY", "another"), env[0], env[1], env[3]];
    let block =
        "data \"amazon-parameterstore\" \"x\" {\n  name = \"/app/size\"\n  skip_credential_validation = true\n}";
    let said = refused(block, "1", &wrong);
    // moto refuses in XML, whatever the protocol.
    assert!(said.contains("ssm:GetParameter of /app/size") && said.contains("status 403"), "{said}");
    drop(moto.stdin.take());
}

#[test]
fn a_secret_of_google_is_read_and_its_checksum_compared() {
    // CRC-32C of "123456789" is 0xe3069283, the polynomial's check value.
    let google = Stub::start("", |asked| {
        Some(match path(asked).as_str() {
            "GET /v1/projects/p/secrets/good/versions/latest:access HTTP/1.1" => {
                r#"{"name":"projects/1/secrets/good/versions/2","payload":{"data":"MTIzNDU2Nzg5","dataCrc32c":"3808858755"}}"#.to_owned()
            }
            "GET /v1/projects/p/secrets/changed/versions/7:access HTTP/1.1" => {
                r#"{"payload":{"data":"MTIzNDU2Nzg5","dataCrc32c":"1"}}"#.to_owned()
            }
            "GET /v1/projects/p/secrets/json/versions/latest:access HTTP/1.1" => {
                format!(r#"{{"payload":{{"data":"{}"}}}}"#, encoded(r#"{"user":"from-google"}"#))
            }
            _ => status("404 Not Found", r#"{"error":{"code":404,"message":"Secret [projects/1/secrets/none] not found or has no versions.","status":"NOT_FOUND"}}"#),
        })
    });
    let endpoint = format!("{}/", google.url);
    let env =
        [("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", endpoint.as_str()), ("GOOGLE_OAUTH_ACCESS_TOKEN", "ya29.x")];
    let block = |name: &str, more: &str| {
        format!(
            "data \"googlecompute-secretsmanager\" \"{name}\" {{\n  project_id = \"p\"\n  name = \"{name}\"\n{more}}}\n"
        )
    };
    let (written, said) = built(
        &format!("{}{}", block("good", ""), block("json", "  key = \"user\"\n")),
        "[data.googlecompute-secretsmanager.good, data.googlecompute-secretsmanager.json.value]",
        &env,
    );
    assert_eq!(written, r#"[{"checksum":3808858755,"payload":"123456789","value":"123456789"},"from-google"]"#);
    assert!(!said.contains("from-google"), "{said}");
    assert!(google.seen().iter().all(|a| a.header("authorization").as_deref() == Some("Bearer ya29.x")));
    for (block, says) in [
        (block("changed", "  version = \"7\"\n"), ["CRC-32C differs", "try again"]),
        (block("none", ""), ["secrets.versions.access of none (version latest) in p", "project_id"]),
        (block("json", "  key = \"pass\"\n"), ["has no key \"pass\"", "it has these: user"]),
    ] {
        let said = refused(&block, "1", &env);
        assert!(says.iter().all(|s| said.contains(s)), "{said}");
    }
}
