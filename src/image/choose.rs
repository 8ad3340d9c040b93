//! Which candidates may be tried (pure).

use super::error::Skip;
use crate::config::Arch;
use crate::config::resolved::Image;

/// The candidates that fit, in order, and why the others do not.
///
/// The first one of the architecture fixes the variant, an empty one too, so that rows of another variant are never a silent fallback.
pub(super) fn candidates(images: &[Image], arch: Arch) -> (Vec<&Image>, Vec<Skip>) {
    let first = images.iter().find(|image| image.arch == arch);
    let mut skipped = Vec::new();
    let mut fitting = Vec::new();
    for image in images {
        match mismatch(image, first, arch) {
            Some(skip) => skipped.push(skip),
            None => fitting.push(image),
        }
    }
    (fitting, skipped)
}

fn mismatch(image: &Image, first: Option<&Image>, arch: Arch) -> Option<Skip> {
    let location = || image.location.clone();
    if image.arch != arch {
        return Some(Skip::Arch { location: location(), arch: image.arch });
    }
    let first = first?;
    let pairs = [(&image.variant, &first.variant), (&image.arch_variant, &first.arch_variant)];
    let (variant, wanted) = pairs.into_iter().find(|(own, wanted)| own != wanted)?;
    Some(Skip::Variant { location: location(), variant: variant.clone(), wanted: wanted.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(location: &str, arch: Arch, variant: &str, arch_variant: &str) -> Image {
        Image {
            location: location.into(),
            arch,
            digest: None,
            variant: variant.into(),
            arch_variant: arch_variant.into(),
            kernel: None,
            initrd: None,
        }
    }

    fn chosen(images: &[Image]) -> Vec<&str> {
        candidates(images, Arch::X86_64).0.into_iter().map(|image| image.location.as_str()).collect()
    }

    #[test]
    fn the_first_image_of_the_architecture_fixes_the_variant() {
        let (x86, arm) = (Arch::X86_64, Arch::Aarch64);
        let images = [
            image("arm", arm, "minimal", ""),
            image("a", x86, "", ""),
            image("b", x86, "minimal", ""),
            image("c", x86, "", "v3"),
            image("d", x86, "", ""),
        ];
        assert_eq!(chosen(&images), ["a", "d"]);
        assert_eq!(chosen(&images[2..]), ["b"]);
        assert_eq!(chosen(&images[..1]), Vec::<&str>::new());
    }

    #[test]
    fn a_skipped_image_says_why_in_upstreams_words() {
        let (_, skipped) = candidates(&[image("/a", Arch::Aarch64, "", "")], Arch::X86_64);
        let error = super::super::ImageError::NoneFits(skipped);
        assert_eq!(error.to_string(), "[skipped to download: `/a`: unsupported arch: `aarch64`]");
    }
}
