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
        let mut images: Vec<String> = row.images.iter().take(IMAGES).map(|i| self.image(i)).collect();
        let mut regions: Vec<String> = row.images.iter().take(IMAGES).map(|i| inline(&i.region)).collect();
        if row.images.len() > IMAGES {
            images.push(format!("and {} more", row.images.len() - IMAGES));
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
