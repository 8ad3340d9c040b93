//! `limactl prune`: removes what is cached, all of it or what nobody refers to.

use std::collections::BTreeSet;

use clap::Args;

use super::context::App;
use super::{Outcome, locator};
use crate::document::Document;
use crate::image::{self, Pruned};
use crate::instance::{self, Context};
use crate::template::Http;

/// Prune garbage objects
///
/// Without --keep-referred, everything that was downloaded is removed. What another limactl is using stays.
#[derive(Debug, Args)]
#[command(override_usage = "limactl prune [flags]")]
pub struct PruneArgs {
    /// Keep objects that are referred by some instances or templates
    #[arg(long)]
    pub keep_referred: bool,
}

pub fn run(args: PruneArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let cache = &context.host.cache_dir;
    let pruned = if args.keep_referred {
        let referred = referred(&context)?;
        image::prune_unreferred(cache, &referred)?
    } else {
        tracing::info!("Pruning `{}`", cache.display());
        image::prune(cache)?
    };
    tell(&pruned, args.keep_referred);
    Ok(())
}

fn tell(pruned: &Pruned, one_by_one: bool) {
    for dir in pruned.removed.iter().filter(|_| one_by_one) {
        tracing::info!("Deleted `{}`", dir.display());
    }
    for dir in &pruned.busy {
        tracing::warn!("another limactl is using `{}`, which stays", dir.display());
    }
}

/// Every location that an instance or a template names. An instance that cannot be read is only warned about, as what it refers to cannot be
/// told; one without a `lima.yaml` is being made right now, and may refer to anything.
fn referred(context: &Context) -> Result<BTreeSet<String>, anyhow::Error> {
    let mut locations = BTreeSet::new();
    for name in context.home.instance_names()? {
        match instance::inspect(context, &name) {
            Ok(found) => match &found.config {
                Some(config) => locations.extend(in_document(&config.document)),
                None => {
                    let problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
                    tracing::warn!("instance `{name}` cannot be read, skipping it: {}", problems.join("; "));
                }
            },
            Err(error) => anyhow::bail!(
                "cannot safely prune while instance `{name}` is being used: {}",
                crate::process::words::chain(&error)
            ),
        }
    }
    for template in templates(context)? {
        locations.extend(in_document(&template));
    }
    Ok(locations)
}

/// All templates of the store, parts of templates included, so that bases need not be embedded.
fn templates(context: &Context) -> Result<Vec<serde_json::Value>, anyhow::Error> {
    let http = Http::default();
    let library = locator::library(&context.host, &http);
    let mut documents = Vec::new();
    for listed in library.list()? {
        let template = library.read(&format!("template:{}", listed.name))?;
        match Document::parse(&String::from_utf8_lossy(&template.text)) {
            Ok(document) => documents.push(document.root().resolved().to_json()),
            Err(fault) => {
                tracing::warn!("template `{}` cannot be read, skipping it: {fault}", listed.name);
            }
        }
    }
    Ok(documents)
}

/// Locations of images, their kernels and initrds, firmware and containerd archives in a filled-in document.
fn in_document(document: &serde_json::Value) -> BTreeSet<String> {
    let list =
        |pointer: &str| document.pointer(pointer).and_then(|list| list.as_array()).into_iter().flatten();
    let images = list("/images").flat_map(|image| [image, &image["kernel"], &image["initrd"]]);
    let others = list("/firmware/images").chain(list("/containerd/archives"));
    images.chain(others).filter_map(|file| Some(file["location"].as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_file_is_found_in_a_document() {
        let document = json!({
            "images": [{"location": "i", "kernel": {"location": "k"}, "initrd": {"location": "r"}}, {"location": "j"}],
            "firmware": {"images": [{"location": "f"}]},
            "containerd": {"archives": [{"location": "n"}]},
            "mounts": [{"location": "m"}],
        });
        let found: Vec<String> = in_document(&document).into_iter().collect();
        assert_eq!(found, ["f", "i", "j", "k", "n", "r"]);
        assert!(in_document(&json!({})).is_empty());
    }
}
