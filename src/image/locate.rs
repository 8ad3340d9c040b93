//! A location, as written in `lima.yaml`, as a path of this host (pure).

use std::path::PathBuf;

use super::error::FetchError;
use crate::config::HostFacts;

/// The absolute path that `location` means.
///
/// A bare path may start with `~/` and may be relative to where the program was started. `file://` takes the rest as it is: no host,
/// no `~`, no percent signs. Every other `scheme://` is remote.
pub(super) fn path(location: &str, host: &HostFacts) -> Result<PathBuf, FetchError> {
    if let Some(path) = location.strip_prefix("file://") {
        let path = PathBuf::from(path);
        return if path.is_absolute() { Ok(path) } else { Err(FetchError::RelativeUrl) };
    }
    if let Some((scheme, _)) = location.split_once("://") {
        return Err(FetchError::Remote { scheme: scheme.to_owned() });
    }
    let own_home = location == "~" || location.starts_with("~/");
    if location.starts_with('~') && !own_home {
        return Err(FetchError::OtherHome);
    }
    host.expand(location).ok_or(FetchError::NoHome)
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
        let of = |location: &str| path(location, &host).map_err(|error| error.to_string());
        assert_eq!(of("/a/b"), Ok("/a/b".into()));
        assert_eq!(of("a/b"), Ok("/cwd/a/b".into()));
        assert_eq!(of("~/i.qcow2"), Ok("/home/u/i.qcow2".into()));
        assert_eq!(of("file:///a%20b/~"), Ok("/a%20b/~".into()));
        assert_eq!(of("file://a"), Err("`file://` needs an absolute path".into()));
        assert!(of("~root/x").unwrap_err().contains("~USER"));
        assert!(
            of("https://example.com/i.img").unwrap_err().starts_with("`https` images are not supported yet")
        );
    }

    #[test]
    fn a_home_that_is_not_known_is_said() {
        let host = HostFacts { home: None, ..host(Path::new("/")) };
        assert!(matches!(path("~/x", &host), Err(FetchError::NoHome)));
    }
}
