//! Where a redirect leads (pure; RFC 3986 section 5, as far as servers use it).

use super::Answer;

/// The target of a redirect; `None` if `answer` is none.
pub(super) fn location(answer: &Answer) -> Option<&str> {
    let redirects = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
    answer.header("location").filter(|_| redirects)
}

/// What a server is asked for: a fragment is the reader's business.
pub(super) fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or(url)
}

/// The URL that `location`, found at `base`, means. `None` if it is neither `http` nor `https`.
pub(super) fn resolve(base: &str, location: &str) -> Option<String> {
    let location = without_fragment(location.trim());
    let (scheme, rest) = base.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let path = &rest[authority.len()..];
    let path = &path[..path.find('?').unwrap_or(path.len())];
    if let Some((other, _)) = location.split_once("://").filter(|(other, _)| is_scheme(other)) {
        let known = ["http", "https"].iter().any(|known| other.eq_ignore_ascii_case(known));
        return known.then(|| location.to_owned());
    }
    let place = match location.chars().next() {
        Some('/') if location.starts_with("//") => return Some(format!("{scheme}:{location}")),
        Some('/') => without_dots(location),
        Some('?') => format!("{}{location}", if path.is_empty() { "/" } else { path }),
        Some(_) => without_dots(&format!("{}{location}", &path[..path.rfind('/').map_or(0, |at| at + 1)])),
        None => return None,
    };
    let slash = if place.starts_with('/') { "" } else { "/" };
    Some(format!("{scheme}://{authority}{slash}{place}"))
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// The path with `.` and `..` gone; what follows `?` stays as it is.
fn without_dots(reference: &str) -> String {
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.trim_start_matches('/').split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            part => {
                kept.push(part);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_a_location_is_understood() {
        let base = "https://a.example:8443/x/y/z.img?q=1";
        for (location, url) in [
            ("http://b.example/i", Some("http://b.example/i")),
            ("HTTP://b.example/i#part", Some("HTTP://b.example/i")),
            ("//b.example/i", Some("https://b.example/i")),
            ("/i", Some("https://a.example:8443/i")),
            ("i?k=/v", Some("https://a.example:8443/x/y/i?k=/v")),
            ("../i", Some("https://a.example:8443/x/i")),
            ("../../../..", Some("https://a.example:8443/")),
            ("./", Some("https://a.example:8443/x/y/")),
            ("?q=2", Some("https://a.example:8443/x/y/z.img?q=2")),
            ("/at?u=ftp://x", Some("https://a.example:8443/at?u=ftp://x")),
            ("ftp://b.example/i", None),
            ("file:///etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(resolve(base, location).as_deref(), url, "{location}");
        }
        assert_eq!(resolve("http://a.example", "i").as_deref(), Some("http://a.example/i"));
        assert_eq!(resolve("http://a.example?x", "?y").as_deref(), Some("http://a.example/?y"));
    }

    proptest! {
        #[test]
        fn a_redirect_never_leaves_the_web(location in ".{0,40}") {
            if let Some(url) = resolve("http://a.example/b", &location) {
                let url = url.to_ascii_lowercase();
                prop_assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
            }
        }
    }
}
