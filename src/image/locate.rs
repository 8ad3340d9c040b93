//! A location, as written in `lima.yaml`: a path of this host, or a URL (pure).

use std::path::PathBuf;

use super::error::FetchError;
use crate::config::HostFacts;

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Absolute.
    Path(PathBuf),
    /// `http` or `https`: the location as it is.
    Url,
}

/// What `location` means.
///
/// A bare path may start with `~/` and may be relative to where the program was started. `file://` takes the rest as it is: no host,
/// no `~`, no percent signs.
pub(super) fn place(location: &str, host: &HostFacts) -> Result<Place, FetchError> {
    if let Some(path) = location.strip_prefix("file://") {
        let path = PathBuf::from(path);
        return if path.is_absolute() { Ok(Place::Path(path)) } else { Err(FetchError::RelativeUrl) };
    }
    if let Some((scheme, _)) = location.split_once("://") {
        let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        return if known { Ok(Place::Url) } else { Err(FetchError::Scheme { scheme: scheme.to_owned() }) };
    }
    let own_home = location == "~" || location.starts_with("~/");
    if location.starts_with('~') && !own_home {
        return Err(FetchError::OtherHome);
    }
    host.expand(location).map(Place::Path).ok_or(FetchError::NoHome)
}

#[cfg(test)]
mod tests {
    use super::super::tests::host;
    use super::*;
    use std::path::Path;

    #[test]
    fn paths_and_file_urls_are_local() {
        let dir = Path::new("/cwd");
        let host = HostFacts { home: Some("/home/u".into()), ..host(dir) };
        let of = |location: &str| place(location, &host).map_err(|error| error.to_string());
        let path = |path: &str| Ok(Place::Path(path.into()));
        assert_eq!(of("/a/b"), path("/a/b"));
        assert_eq!(of("a/b"), path("/cwd/a/b"));
        assert_eq!(of("~/i.qcow2"), path("/home/u/i.qcow2"));
        assert_eq!(of("file:///a%20b/~"), path("/a%20b/~"));
        assert_eq!(of("https://example.com/i.img"), Ok(Place::Url));
        assert_eq!(of("HTTP://example.com/i.img"), Ok(Place::Url));
        assert_eq!(of("file://a"), Err("`file://` needs an absolute path".into()));
        assert!(of("~root/x").unwrap_err().contains("~USER"));
        assert!(of("ftp://example.com/i.img").unwrap_err().starts_with("unsupported protocol scheme `ftp`"));
    }

    #[test]
    fn a_home_that_is_not_known_is_said() {
        let host = HostFacts { home: None, ..host(Path::new("/")) };
        assert!(matches!(place("~/x", &host), Err(FetchError::NoHome)));
    }
}
