//! The arguments of `scp` and `rsync` between this host and guests. Pure.
//!
//! `scp` is given URLs (`scp://USER@ADDRESS:PORT/PATH`, since OpenSSH 8.0), so that one command can reach several ports; before that, a port
//! of its own. `rsync` is given a remote shell. Both get `--` before the paths, so that no path is taken for an option.

use std::path::Path;

use super::command::common;
use super::{Version, join};

/// `scp` reads URLs since this version; all paths of an older one share one port.
const SCP_URLS_SINCE: Version = Version(8, 0, 0);

/// One path of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyPath {
    Host(String),
    /// Relative paths start in the user's home; an empty path is the home.
    Guest {
        user: String,
        address: String,
        port: u16,
        path: String,
    },
}

impl CopyPath {
    pub fn path(&self) -> &str {
        match self {
            CopyPath::Host(path) | CopyPath::Guest { path, .. } => path,
        }
    }

    fn path_mut(&mut self) -> &mut String {
        match self {
            CopyPath::Host(path) | CopyPath::Guest { path, .. } => path,
        }
    }

    pub fn is_guest(&self) -> bool {
        matches!(self, CopyPath::Guest { .. })
    }
}

/// What both programs can be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyFlags {
    pub recursive: bool,
    pub verbose: bool,
}

/// `-F /dev/null -o OPTION… -q|-v [-r] -3 -- PATH…`. `None` if `version` cannot reach all the ports.
pub fn scp_args(
    options: &[String],
    flags: CopyFlags,
    version: Version,
    paths: &[CopyPath],
) -> Option<Vec<String>> {
    let mut args = common(options);
    args.push(if flags.verbose { "-v" } else { "-q" }.to_owned());
    if flags.recursive {
        args.push("-r".to_owned());
    }
    // Between two guests the data passes through this host: they do not know each other.
    args.push("-3".to_owned());
    let has_urls = version >= SCP_URLS_SINCE;
    if !has_urls {
        let mut ports: Vec<u16> = paths.iter().filter_map(port).collect();
        ports.dedup();
        match ports[..] {
            [] => {}
            [port] => args.extend(["-P".to_owned(), port.to_string()]),
            _ => return None,
        }
    }
    args.push("--".to_owned());
    args.extend(paths.iter().map(|path| scp_word(path, has_urls)));
    Some(args)
}

fn port(path: &CopyPath) -> Option<u16> {
    match path {
        CopyPath::Guest { port, .. } => Some(*port),
        CopyPath::Host(_) => None,
    }
}

fn scp_word(path: &CopyPath, has_urls: bool) -> String {
    match path {
        CopyPath::Guest { user, address, port, path } if has_urls => {
            format!("scp://{user}@{address}:{port}/{}", percent_encoded(path))
        }
        path => rsync_word(path),
    }
}

/// scp decodes `%41` in URLs, so whatever could be taken for that, or for a part of the URL, is encoded. Patterns still are patterns.
fn percent_encoded(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~*[]!$&'(),;=:@+".contains(&byte);
    path.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// `-a -q|-v --progress [-r] [-e SHELL] -- PATH…`; `remote_shell` is needed if a path is a guest's.
pub fn rsync_args(flags: CopyFlags, remote_shell: Option<&str>, paths: &[CopyPath]) -> Vec<String> {
    let mut args = vec!["-a"];
    match flags.verbose {
        true => args.extend(["-v", "--progress"]),
        false => args.push("-q"),
    }
    if flags.recursive {
        args.push("-r");
    }
    args.extend(remote_shell.into_iter().flat_map(|shell| ["-e", shell]));
    args.push("--");
    args.into_iter().map(str::to_owned).chain(paths.iter().map(rsync_word)).collect()
}

/// A path of a guest, as rsync names it; a path of the host as it is.
pub fn rsync_word(path: &CopyPath) -> String {
    match path {
        CopyPath::Host(path) => path.clone(),
        CopyPath::Guest { user, address, path, .. } => format!("{user}@{address}:{path}"),
    }
}

/// The remote shell of rsync: `ssh -F /dev/null -o OPTION… -p PORT`, each word quoted, because rsync takes the text apart as a shell would.
pub fn remote_shell(program: &Path, leading: &[String], options: &[String], port: u16) -> String {
    let mut words = vec![program.display().to_string()];
    words.extend_from_slice(leading);
    words.extend(common(options));
    words.extend(["-p".to_owned(), port.to_string()]);
    join(&words)
}

/// Makes rsync's `-r` mean what scp's means: a directory becomes the target where that is not there or ends without a slash, and goes into
/// it where it ends with one. Slashes at the ends of the paths are set for that, in upstream's order. A source in `files` (by index) is no
/// directory; files alone, and several sources, which go into the target in either program, stay as they are.
pub fn like_scp(paths: &mut [CopyPath], files: &[usize]) {
    let sources = paths.len().saturating_sub(1);
    if sources != 1 {
        for path in &mut paths[..sources] {
            cut_slash(path);
        }
        return;
    }
    if files.contains(&0) {
        return;
    }
    for index in 0..paths.len() {
        if !paths[index].path().ends_with('/') {
            let text = paths[index].path_mut();
            // The home itself; a slash would make it the root.
            text.push_str(if text.is_empty() { "./" } else { "/" });
        } else if paths[index].is_guest() {
            let others = paths.iter_mut().enumerate().filter(|(other, _)| *other != index);
            others.for_each(|(_, path)| cut_slash(path));
        } else {
            cut_slash(&mut paths[index]);
        }
    }
}

/// `a//` → `a`; the root stays.
fn cut_slash(path: &mut CopyPath) {
    let text = path.path_mut();
    let kept = text.trim_end_matches('/').len();
    text.truncate(kept.max(usize::from(text.starts_with('/'))));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(path: &str) -> CopyPath {
        CopyPath::Host(path.to_owned())
    }

    fn guest(port: u16, path: &str) -> CopyPath {
        CopyPath::Guest { user: "u".into(), address: "127.0.0.1".into(), port, path: path.into() }
    }

    fn scp(flags: CopyFlags, version: Version, paths: &[CopyPath]) -> Option<String> {
        scp_args(&["User=u".to_owned()], flags, version, paths).map(|args| args.join(" "))
    }

    const NEW: Version = Version(9, 2, 1);
    const OLD: Version = Version(7, 9, 0);

    #[test]
    fn scp_is_given_urls() {
        let quiet = CopyFlags::default();
        assert_eq!(
            scp(quiet, NEW, &[host("-x"), guest(2200, "/etc/a b")]).unwrap(),
            "-F /dev/null -o User=u -q -3 -- -x scp://u@127.0.0.1:2200//etc/a%20b"
        );
        assert_eq!(
            scp(
                CopyFlags { recursive: true, verbose: true },
                NEW,
                &[guest(1, "rel/*.txt"), guest(2, "100%#?")]
            )
            .unwrap(),
            "-F /dev/null -o User=u -v -r -3 -- scp://u@127.0.0.1:1/rel/*.txt scp://u@127.0.0.1:2/100%25%23%3F"
        );
    }

    #[test]
    fn an_old_scp_has_one_port() {
        let quiet = CopyFlags::default();
        assert_eq!(
            scp(quiet, OLD, &[guest(2200, "/a"), host("b")]).unwrap(),
            "-F /dev/null -o User=u -q -3 -P 2200 -- u@127.0.0.1:/a b"
        );
        assert_eq!(scp(quiet, OLD, &[guest(1, "/a"), guest(1, "/b")]).unwrap().matches("-P").count(), 1);
        assert_eq!(scp(quiet, OLD, &[guest(1, "/a"), guest(2, "/b")]), None);
    }

    #[test]
    fn rsync_is_given_a_shell_whose_words_are_quoted() {
        let options = [r#"IdentityFile="/l h/user""#.to_owned(), "User=u".to_owned()];
        let shell = remote_shell(Path::new("/usr/bin/ssh"), &[], &options, 2200);
        assert_eq!(shell, r#"/usr/bin/ssh -F /dev/null -o 'IdentityFile="/l h/user"' -o User=u -p 2200"#);
        let args = rsync_args(CopyFlags::default(), Some("ssh -p 1"), &[host("a"), guest(1, "/b")]);
        assert_eq!(args, ["-a", "-q", "-e", "ssh -p 1", "--", "a", "u@127.0.0.1:/b"]);
        let verbose = CopyFlags { recursive: true, verbose: true };
        assert_eq!(
            rsync_args(verbose, None, &[host("a"), host("b")]),
            ["-a", "-v", "--progress", "-r", "--", "a", "b"]
        );
    }

    fn rewritten(paths: &[CopyPath], files: &[usize]) -> Vec<String> {
        let mut paths = paths.to_vec();
        like_scp(&mut paths, files);
        paths.iter().map(|path| path.path().to_owned()).collect()
    }

    #[test]
    fn a_directory_goes_where_scp_would_put_it() {
        assert_eq!(rewritten(&[host("foo"), guest(1, "D/foo")], &[]), ["foo/", "D/foo/"]);
        assert_eq!(rewritten(&[host("foo/"), guest(1, "E")], &[]), ["foo", "E/"]);
        assert_eq!(rewritten(&[host("foo"), guest(1, "E/")], &[]), ["foo", "E/"]);
        assert_eq!(rewritten(&[host("foo/"), guest(1, "E/")], &[]), ["foo", "E/"]);
        for (from, to) in [("foo", "X"), ("foo/", "X"), ("foo", "X/"), ("foo/", "X/")] {
            let paths = rewritten(&[guest(1, from), host(to)], &[]);
            assert_eq!(paths[0], "foo/", "{from} {to}");
            assert_eq!(paths[1].trim_end_matches('/'), "X", "{from} {to}");
        }
    }

    #[test]
    fn files_and_several_sources_stay() {
        assert_eq!(rewritten(&[host("f"), guest(1, "x")], &[0]), ["f", "x"]);
        assert_eq!(rewritten(&[host("a/"), host("f"), guest(1, "d")], &[1]), ["a", "f", "d"]);
        assert_eq!(rewritten(&[host("/"), host("a"), guest(1, "d")], &[]), ["/", "a", "d"]);
        assert_eq!(rewritten(&[guest(1, ""), host("d")], &[]), ["./", "d/"]);
    }
}
