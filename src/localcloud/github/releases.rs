//! Releases and their assets.

use super::{Asset, IMMUTABLE, Record, Store, body, error, found, invalid, now, page, user};
use crate::http::{Request, Response};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub fn handle(
    store: &mut Store,
    repo: &str,
    path: &[&str],
    request: &Request,
    upload: bool,
) -> Result<Response, Response> {
    match (request.method.as_str(), path, upload) {
        ("POST", ["releases", id, "assets"], true) => add_asset(store, repo, id, request),
        (_, _, true) => Err(error(404, "Not Found")),
        ("GET", ["releases"], _) => {
            let mut all: Vec<Value> = mine(store, repo).map(|r| shown(store, r)).collect();
            all.reverse();
            Ok(page(request, all, |items, _| Value::Array(items)))
        }
        ("POST", ["releases"], _) => create(store, repo, request),
        // Drafts are not found by their tag.
        ("GET", ["releases", "tags", tag], _) => {
            let release = mine(store, repo).find(|r| r["tag_name"] == **tag && r["draft"] == false);
            Ok(found(release.map(|r| shown(store, r))))
        }
        ("GET", ["releases", "assets", id], _) => asset(store, repo, id, request),
        ("DELETE", ["releases", "assets", id], _) => {
            let id: u64 = id.parse().map_err(|_| error(404, "Not Found"))?;
            let release = store.assets.iter().find(|a| a.repo == repo && a.value["id"] == id).map(|a| a.release);
            if mine(store, repo).any(|r| Some(&r["id"]) == release.map(Value::from).as_ref() && sealed(r)) {
                return Err(error(422, "Cannot delete asset from an immutable release"));
            }
            let before = store.assets.len();
            store.assets.retain(|a| a.repo != repo || a.value["id"] != id);
            if store.assets.len() == before { Err(error(404, "Not Found")) } else { Ok(Response::empty(204)) }
        }
        ("GET", ["releases", id], _) => {
            let release = mine(store, repo).find(|r| same(r, id));
            Ok(found(release.map(|r| shown(store, r))))
        }
        ("GET", ["releases", id, "assets"], _) => {
            let all = store.assets.iter().filter(|a| a.repo == repo && a.release.to_string() == **id);
            Ok(page(request, all.map(|a| a.value.clone()).collect(), |items, _| Value::Array(items)))
        }
        ("PATCH", ["releases", id], _) => update(store, repo, id, request),
        ("DELETE", ["releases", id], _) => {
            let before = store.releases.len();
            store.releases.retain(|r| r.repo != repo || !same(&r.value, id));
            if store.releases.len() == before { Err(error(404, "Not Found")) } else { Ok(Response::empty(204)) }
        }
        _ => Err(error(404, "Not Found")),
    }
}

/// Whether a release takes no changes of its files any more.
fn sealed(release: &Value) -> bool {
    release["immutable"] == true && release["draft"] == false
}

/// Whether something has the id that a path names.
fn same(value: &Value, id: &str) -> bool {
    value["id"].as_u64().is_some_and(|own| id.parse() == Ok(own))
}

fn mine<'a>(store: &'a Store, repo: &str) -> impl Iterator<Item = &'a Value> {
    store.releases.iter().filter(move |r| r.repo == repo).map(|r| &r.value)
}

/// A release with its assets.
fn shown(store: &Store, release: &Value) -> Value {
    let mut release = release.clone();
    let own = store.assets.iter().filter(|a| json!(a.release) == release["id"]);
    release["assets"] = own.map(|a| a.value.clone()).collect();
    release
}

fn create(store: &mut Store, repo: &str, request: &Request) -> Result<Response, Response> {
    let map = body(request)?;
    let tag = map.get("tag_name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if tag.is_empty() {
        return Err(invalid("Release", "tag_name", "missing_field"));
    }
    let draft = map.get("draft") == Some(&json!(true));
    if !draft && mine(store, repo).any(|r| r["tag_name"] == tag.as_str() && r["draft"] == false) {
        return Err(invalid("Release", "tag_name", "already_exists"));
    }
    let id = store.id();
    let origin = request.origin();
    let mut value = json!({
        "id": id, "node_id": format!("RE_{id}"), "tag_name": tag, "name": null, "body": null, "draft": false,
        "prerelease": false, "immutable": false, "created_at": now(), "published_at": null, "author": user(request),
        "target_commitish": "main", "assets": [], "tarball_url": null, "zipball_url": null,
        "url": format!("{origin}/github/repos/{repo}/releases/{id}"),
        "assets_url": format!("{origin}/github/repos/{repo}/releases/{id}/assets"),
        "html_url": format!("{origin}/github/{repo}/releases/tag/{tag}"),
        "upload_url": format!("{origin}/github/uploads/repos/{repo}/releases/{id}/assets{{?name,label}}"),
    });
    apply(&mut value, &map, repo);
    store.releases.push(Record { repo: repo.to_owned(), value: value.clone() });
    Ok(Response::json(201, &value))
}

fn apply(release: &mut Value, map: &Map<String, Value>, repo: &str) {
    for field in ["tag_name", "name", "body", "draft", "prerelease", "target_commitish"] {
        if let Some(value) = map.get(field) {
            release[field] = value.clone();
        }
    }
    if release["draft"] == false && release["published_at"].is_null() {
        release["published_at"] = json!(now());
        release["immutable"] = json!(repo.ends_with(IMMUTABLE));
    }
}

fn update(store: &mut Store, repo: &str, id: &str, request: &Request) -> Result<Response, Response> {
    let map = body(request)?;
    let release = store.releases.iter_mut().find(|r| r.repo == repo && same(&r.value, id));
    let Some(release) = release else { return Err(error(404, "Not Found")) };
    if sealed(&release.value) && (map.contains_key("tag_name") || map.contains_key("target_commitish")) {
        return Err(error(422, "An immutable release keeps its tag"));
    }
    apply(&mut release.value, &map, repo);
    let value = release.value.clone();
    Ok(Response::json(200, &shown(store, &value)))
}

fn add_asset(store: &mut Store, repo: &str, id: &str, request: &Request) -> Result<Response, Response> {
    let Some(release) = mine(store, repo).find(|r| same(r, id)).cloned() else {
        return Err(error(404, "Not Found"));
    };
    if sealed(&release) {
        return Err(error(422, "Cannot upload assets to an immutable release."));
    }
    let Some(name) = request.param("name").filter(|n| !n.is_empty()) else {
        return Err(invalid("ReleaseAsset", "name", "missing_field"));
    };
    // GitHub wants the length beforehand (no chunks).
    if request.header("content-length").is_none() {
        return Err(error(411, "Content-Length required"));
    }
    // GitHub's renaming of what is no plain name.
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-+@".contains(c) { c } else { '.' }).collect();
    let release_id = release["id"].as_u64().unwrap_or_default();
    if store.assets.iter().any(|a| a.repo == repo && a.release == release_id && a.value["name"] == name.as_str()) {
        return Err(invalid("ReleaseAsset", "name", "already_exists"));
    }
    let asset = store.id();
    let value = json!({
        "id": asset, "node_id": format!("RA_{asset}"), "name": name, "label": request.param("label"), "state": "uploaded",
        "content_type": request.header("content-type").unwrap_or("application/octet-stream"), "size": request.body.len(),
        "digest": format!("sha256:{}", hex::encode(Sha256::digest(&request.body))), "download_count": 0, "uploader": user(request),
        "created_at": now(), "updated_at": now(),
        "url": format!("{}/github/repos/{repo}/releases/assets/{asset}", request.origin()),
        "browser_download_url": format!("{}/github/repos/{repo}/releases/assets/{asset}", request.origin()),
    });
    let content = request.body.clone();
    store.assets.push(Asset { repo: repo.to_owned(), release: release_id, value: value.clone(), content });
    Ok(Response::json(201, &value))
}

/// The asset's record, or its content where the client asks for bytes.
fn asset(store: &Store, repo: &str, id: &str, request: &Request) -> Result<Response, Response> {
    let asset = store.assets.iter().find(|a| a.repo == repo && same(&a.value, id));
    let Some(asset) = asset else { return Err(error(404, "Not Found")) };
    if request.header("accept") == Some("application/octet-stream") {
        let mut response = Response::empty(200).header("content-type", "application/octet-stream");
        response.body = asset.content.clone();
        return Ok(response);
    }
    Ok(Response::json(200, &asset.value))
}
