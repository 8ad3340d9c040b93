//! The compiled-in templates are whole: each can be embedded without anything else, and its images are data that can be used.

use super::super::library::tests::host;
use super::super::{Depth, Embedding, Http, Library};
use super::*;
use crate::document::Document;

#[test]
fn names_are_in_order_and_every_template_embeds_to_a_text_without_bases() {
    assert!(TEMPLATES.is_sorted_by(|a, b| a.0 < b.0));
    let temp = tempfile::tempdir().unwrap();
    let host = host(temp.path());
    let http = Http::default();
    let library = Library::new(&host, Vec::new(), &http);
    for (name, _) in TEMPLATES.iter().filter(|(name, _)| !name.starts_with('_')) {
        let template = library.read(&format!("template:{name}")).unwrap();
        let text = Embedding::new(&library, Depth::All).run(&template, None).unwrap();
        let json = Document::parse(&text).unwrap().root().to_json();
        assert_eq!(json.get("base"), None, "{name}");
        assert_eq!(json["mounts"][0]["location"], "~", "{name}");
        assert!(json["images"].as_array().is_some_and(|images| images.len() >= 2), "{name}");
    }
}

#[test]
fn every_image_has_a_digest_or_stands_behind_one_that_has() {
    for (name, text) in TEMPLATES.iter().filter(|(name, _)| name.starts_with("_images/")) {
        let json = Document::parse(text).unwrap().root().to_json();
        let mut pinned = Vec::new();
        for image in json["images"].as_array().unwrap() {
            let location = image["location"].as_str().unwrap();
            assert!(location.starts_with("https://"), "{name}");
            let kind = format!("{} {} {}", image["arch"], image["variant"], image["archVariant"]);
            match image["digest"].as_str() {
                Some(digest) => {
                    let (algorithm, hex) = digest.split_once(':').unwrap();
                    let length = if algorithm == "sha512" { 128 } else { 64 };
                    assert!(
                        hex.len() == length && hex.bytes().all(|b| b.is_ascii_hexdigit()),
                        "{name}: {digest}"
                    );
                    pinned.push(kind);
                }
                None => assert!(pinned.contains(&kind), "{name}: {location}"),
            }
        }
    }
}
