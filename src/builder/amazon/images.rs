//! Finding images: the source of a build, and the data source `amazon-ami`.

use crate::account::{Account, Ec2};
use crate::config::{AmiData, check_access};
use aws_sdk_ec2::types::{Filter, Image};
use image_action_engine::config::Block;
use image_action_engine::outline::Grant;
use image_action_engine::run::RunContext;
use image_action_engine::{Config, DataSource, Error, ErrorKind, PrepareContext, Result};
use image_action_lang::{Diagnostic, Diagnostics, Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which images are meant.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Ids.
    pub ids: Vec<String>,
    /// EC2's filters by name.
    pub filters: BTreeMap<String, String>,
    /// Who owns them.
    pub owners: Vec<String>,
    /// The newest where several match.
    pub most_recent: bool,
    /// Deprecated ones too.
    pub include_deprecated: bool,
}

/// The values of one filter: they are read as one record of CSV (blanks before a value are cut, quotes need not be closed).
pub fn filter_values(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted),
            None => rest.split_once(',').map_or((rest.to_owned(), None), |(v, after)| (v.to_owned(), Some(after))),
        };
        values.push(value);
        match after {
            Some(after) => rest = after,
            None => return values,
        }
    }
}

/// A value up to its closing quote; a doubled quote, or one in the middle, stands for itself.
fn quoted_value(text: &str) -> (String, Option<&str>) {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            value.push(c);
            continue;
        }
        match chars.peek() {
            Some((_, '"')) => {
                value.push('"');
                chars.next();
            }
            Some((_, ',')) => return (value, Some(&text[at + 2..])),
            None => return (value, None),
            Some(_) => value.push('"'),
        }
    }
    (value, None)
}

/// EC2's filters of a map.
pub fn filters(map: &BTreeMap<String, String>) -> Vec<Filter> {
    map.iter().map(|(name, value)| filter(name, filter_values(value))).collect()
}

/// One filter.
pub fn filter(name: &str, values: Vec<String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// A text of AWS that may be missing.
pub fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

/// The one image that a query means.
///
/// # Errors
/// None matches, or several do and the newest was not asked for.
pub async fn find(ec2: &Ec2, query: &Query) -> Result<Image> {
    let list = |v: &Vec<String>| Some(v.clone()).filter(|v| !v.is_empty());
    let request = ec2
        .client
        .describe_images()
        .set_image_ids(list(&query.ids))
        .set_owners(list(&query.owners))
        .set_filters(Some(filters(&query.filters)).filter(|f| !f.is_empty()))
        .include_deprecated(query.include_deprecated);
    let wanted = describe(query);
    let answer = ec2.call("DescribeImages", &wanted, || request.clone().send()).await?;
    let mut found = answer.images.unwrap_or_default();
    match found.len() {
        0 => Err(Error::new(ErrorKind::NotFound, format!("no image matches in {}: {wanted}", ec2.region))
            .hint("check the filters and the owners; an image exists in one region only, and its architecture, name and state have to match")),
        1 => Ok(found.remove(0)),
        n if !query.most_recent => {
            Err(Error::new(ErrorKind::Invalid, format!("{n} images match in {}: {wanted}", ec2.region))
                .hint("set `most_recent = true`, or make the filters narrower"))
        }
        _ => {
            found.sort_by(|a, b| a.creation_date.cmp(&b.creation_date));
            // Not empty: the arm for none stands above.
            Ok(found.swap_remove(found.len() - 1))
        }
    }
}

fn describe(query: &Query) -> String {
    let mut parts: Vec<String> = query.ids.clone();
    parts.extend(query.filters.iter().map(|(k, v)| format!("{k}={v}")));
    if !query.owners.is_empty() {
        parts.push(format!("owners {}", query.owners.join(", ")));
    }
    parts.join(", ")
}

/// The tags of an image as a map.
pub fn tags(image: &Image) -> BTreeMap<String, String> {
    image.tags().iter().map(|t| (text(t.key()), text(t.value()))).collect()
}

/// `data "amazon-ami"`.
struct AmiSource(AmiData);

/// Makes the data source `amazon-ami`.
///
/// # Errors
/// What is wrong with its options.
pub fn make_ami_data(_cx: &PrepareContext, body: &Block) -> Result<Box<dyn DataSource>, Diagnostics> {
    let config = AmiData::decode(body);
    let mut found = check_access(&config.access, body);
    if config.owners.is_empty() {
        let what = if config.filters.is_empty() {
            "Neither `filters` nor `owners` is set."
        } else {
            "`owners` is missing: without it anybody's image of that name would be taken."
        };
        found.push(Diagnostic::error("Missing owners").detail(what).at(body.span_of("filters")).hint(
            "name the account ids, or amazon, self or aws-marketplace: owners = [\"099720109477\"] is Canonical",
        ));
    }
    found.or_ok(Box::new(AmiSource(config)) as Box<dyn DataSource>).map(|(source, _)| source)
}

#[async_trait::async_trait]
impl DataSource for AmiSource {
    fn output_type(&self) -> Type {
        let text = || Value::unknown(Type::String);
        let names = ["id", "name", "creation_date", "owner", "owner_name"];
        let mut all: BTreeMap<Arc<str>, Value> = names.iter().map(|n| (Arc::from(*n), text())).collect();
        all.insert("tags".into(), Value::unknown(Type::map(Type::String)));
        Value::object(all).ty().clone()
    }
    fn describe(&self) -> Option<String> {
        let c = &self.0;
        let search = crate::plan::show_search(&c.filters, &c.owners, c.most_recent, c.include_deprecated);
        let region = if c.access.region.is_empty() { String::new() } else { format!(", in {}", c.access.region) };
        Some(format!("{search}{region}"))
    }
    fn grants(&self) -> Option<(&'static str, Vec<Grant>)> {
        crate::policy::one_call(&self.0.access, "*", "ec2:DescribeImages")
    }
    async fn read(&self, run: &RunContext) -> Result<Value> {
        let account = Account::open(&self.0.access, &run.env, &run.cancel).await?;
        let query = Query {
            ids: Vec::new(),
            filters: self.0.filters.clone(),
            owners: self.0.owners.clone(),
            most_recent: self.0.most_recent,
            include_deprecated: self.0.include_deprecated,
        };
        let image = find(&account.ec2(account.region(), &run.cancel), &query).await?;
        let text = |v: Option<&str>| Value::string(v.unwrap_or_default());
        let tags = tags(&image).into_iter().map(|(k, v)| (Arc::from(k), Value::string(v))).collect();
        Ok(Value::object(BTreeMap::from([
            ("id".into(), text(image.image_id())),
            ("name".into(), text(image.name())),
            ("creation_date".into(), text(image.creation_date())),
            ("owner".into(), text(image.owner_id())),
            ("owner_name".into(), text(image.image_owner_alias())),
            ("tags".into(), Value::map(Type::String, tags)),
        ])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_holds_several_values() {
        assert_eq!(filter_values("ebs"), ["ebs"]);
        assert_eq!(filter_values("a, b"), ["a", "b"]);
        assert_eq!(filter_values("\"a,b\",c"), ["a,b", "c"]);
        assert_eq!(filter_values("\"say \"\"x\"\"\""), ["say \"x\""]);
        assert_eq!(filter_values(""), [""]);
    }
}
