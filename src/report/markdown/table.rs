//! The table of builds.

use super::{Report, Row, Status, code, inline, launch, link, took};
use image_action_engine::component::Image;

/// Most images of one build that are listed; the others are counted.
const IMAGES: usize = 12;

/// How people call the provider of a source type.
pub fn provider(source_type: &str) -> &str {
    match source_type.split('-').next() {
        Some("amazon") => "AWS",
        Some("azure") => "Azure",
        Some("googlecompute") => "Google Cloud",
        _ => "local",
    }
}

/// What is shown of an image: its id where that is short, else the part of it that tells it from others.
pub fn short_id(image: &Image) -> String {
    // …/galleries/G/images/I/versions/V
    let parts: Vec<&str> = image.id.split('/').collect();
    match parts[..] {
        [.., "galleries", gallery, "images", name, "versions", version] => format!("{gallery}/{name}/{version}"),
        [.., "images", name] => name.to_owned(),
        _ => image.id.clone(),
    }
}

impl Report {
    /// The table: its head with the first row, then a section for each further one.
    pub(super) fn table(&self) -> Vec<String> {
        let mut rows: Vec<String> = self.rows.iter().map(|r| self.row(r)).collect();
        if let Some(first) = rows.first_mut() {
            let head = "| Build | Image | Region | Time |\n| :-- | :-- | :-- | --: |\n";
            first.insert_str(0, head);
        }
        rows
    }
    fn row(&self, row: &Row) -> String {
        // A gallery's version is one image with a replica in each region.
        let each: Vec<&[Image]> = row.images.chunk_by(|a, b| !a.id.is_empty() && a.id == b.id).collect();
        let shown = &each[..each.len().min(IMAGES)];
        let mut images: Vec<String> = shown.iter().filter_map(|same| same.first()).map(|i| self.image(i)).collect();
        let mut regions: Vec<String> =
            shown.iter().map(|same| same.iter().map(|i| inline(&i.region)).collect::<Vec<_>>().join(", ")).collect();
        if each.len() > IMAGES {
            images.push(format!("and {} more", each.len() - IMAGES));
            regions.push(String::new());
        }
        if images.is_empty() {
            images.push("–".to_owned());
        }
        // GitHub breaks a cell at any blank before it lets the table be wider than the page.
        let fixed = |text: &str| text.replace(' ', "&nbsp;");
        // What a phone shows of the table without scrolling: how it went, where, which.
        format!(
            "| {} **{}** {}<br>{} | {} | {} | {} |\n",
            row.status.sign(),
            fixed(provider(&row.source_type)),
            self.word(row),
            code(&row.build),
            images.join("<br>"),
            regions.join("<br>"),
            fixed(&took(row.elapsed)),
        )
    }
    fn word(&self, row: &Row) -> &'static str {
        match row.status {
            Status::Success if row.images.is_empty() && !self.makes_images => "provisioned",
            Status::Success => "built",
            Status::Failure => "failed",
            Status::Cancelled => "cancelled",
        }
    }
    fn image(&self, image: &Image) -> String {
        let shown = code(&short_id(image));
        match launch::console(image).filter(|_| !self.local) {
            Some(url) => link(&shown, &url),
            None => shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_with_replicas_is_one_image_in_several_regions() {
        let image = |id: &str, region: &str| Image { id: id.into(), region: region.into(), ..Image::default() };
        let row = |images| Row {
            build: "a.b".into(),
            source_type: "azure-arm".into(),
            status: Status::Success,
            elapsed: std::time::Duration::ZERO,
            images,
            failure: None,
        };
        let report = Report { local: true, ..Report::default() };
        let cells = |images| report.row(&row(images)).split(" | ").map(str::to_owned).collect::<Vec<_>>();
        let replicas = cells(vec![image("v1", "westus2"), image("v1", "eastus")]);
        assert_eq!(replicas[1..3], ["`v1`", "westus2, eastus"]);
        let copies = cells(vec![image("ami-1", "us-west-2"), image("ami-2", "us-east-1")]);
        assert_eq!(copies[1..3], ["`ami-1`<br>`ami-2`", "us-west-2<br>us-east-1"]);
        let unnamed = cells(vec![image("", "a"), image("", "b")]);
        assert_eq!(unnamed[2], "a<br>b");
    }

    #[test]
    fn long_ids_are_shown_by_what_tells_them_apart() {
        let short = |id: &str| short_id(&Image { id: id.into(), ..Image::default() });
        assert_eq!(short("ami-0abc"), "ami-0abc");
        assert_eq!(short("projects/p/global/images/app-1"), "app-1");
        let gallery =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/G/images/I/versions/1.0.0";
        assert_eq!(short(gallery), "G/I/1.0.0");
        assert_eq!(short("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/app"), "app");
    }
}
