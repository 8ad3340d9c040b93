//! Tests of the rules for paths, on both systems.

use std::collections::BTreeMap;

use super::*;
use crate::config::managed::{test_defaults, test_mac_defaults};
use crate::config::networks::{NetworksFileFacts, new_file};
use crate::netdaemons::system::{test_linux, test_mac};

/// A file system of directories that are root's, but for what a test puts there.
struct Tree(BTreeMap<PathBuf, io::Result<Stat>>);

const DIRECTORY: Stat = Stat { kind: Kind::Directory, uid: 0, gid: 0, mode: 0o755 };
const PROGRAM: Stat = Stat { kind: Kind::File, ..DIRECTORY };
const DAEMON: &str = "/opt/socket_vmnet/bin/socket_vmnet";

impl Look for Tree {
    fn look(&self, path: &Path) -> io::Result<Stat> {
        match self.0.get(path) {
            Some(Ok(stat)) => Ok(*stat),
            Some(Err(error)) => Err(error.kind().into()),
            None => Ok(DIRECTORY),
        }
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        Some(Path::new("/real").join(path.strip_prefix("/").ok()?))
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        BTreeMap::from([("sudo", 27), ("admin", 80)]).get(name).copied()
    }
}

fn check_with(
    system: &System,
    facts: &NetworksFileFacts,
    text: &str,
    odd: &[(&str, Stat)],
) -> Result<(), String> {
    let networks = ManagedNetworks::read(text, facts, system.os).unwrap();
    let absent = || Err(io::ErrorKind::NotFound.into());
    let mut tree = BTreeMap::from([
        (PathBuf::from(DAEMON), Ok(PROGRAM)),
        (networks.var_run.clone().into(), absent()),
        (networks.sudoers.clone().into(), absent()),
    ]);
    tree.extend(odd.iter().map(|(path, stat)| (PathBuf::from(path), Ok(*stat))));
    let checked = check(&networks, system, &Tree(tree), Some("run x".into()));
    checked.map_err(|error| error.to_string())
}

fn on_linux(odd: &[(&str, Stat)]) -> Result<(), String> {
    check_with(&test_linux(), &test_defaults(), &new_file(&test_defaults()), odd)
}

fn on_mac(odd: &[(&str, Stat)]) -> Result<(), String> {
    check_with(&test_mac(), &test_mac_defaults(), &new_file(&test_mac_defaults()), odd)
}

#[test]
fn what_is_root_s_alone_is_trusted() {
    assert_eq!(on_linux(&[]), Ok(()));
    assert_eq!(on_mac(&[]), Ok(()));
    let by_group = Stat { mode: 0o775, ..DIRECTORY };
    assert_eq!(on_linux(&[("/opt", by_group), ("/run", by_group)]), Ok(()), "the group is root's");
    let of_daemon = Stat { gid: 1, ..by_group };
    assert_eq!(on_mac(&[("/private/var/run", of_daemon)]), Ok(()), "as macOS has it");
}

#[test]
fn every_fault_names_the_path_and_what_mends_it() {
    let odd = |stat: Stat, words: &str| {
        let expected = format!("networks.yaml field `paths.socketVMNet` error: {words}");
        for system in [on_linux as fn(&[(&str, Stat)]) -> Result<(), String>, on_mac] {
            assert_eq!(system(&[("/opt/socket_vmnet", stat)]), Err(expected.clone()));
        }
    };
    odd(
        Stat { uid: 501, ..DIRECTORY },
        "dir `/opt/socket_vmnet` is not owned by `root` (uid: 0), but by uid 501 (hint: run `sudo chown root /opt/socket_vmnet`)",
    );
    odd(
        Stat { mode: 0o775, gid: 80, ..DIRECTORY },
        "dir `/opt/socket_vmnet` is group-writable and group is not `root`'s (hint: run `sudo chmod g-w /opt/socket_vmnet`)",
    );
    odd(
        Stat { mode: 0o1777, ..DIRECTORY },
        "dir `/opt/socket_vmnet` is world-writable (hint: run `sudo chmod o-w /opt/socket_vmnet`)",
    );
    odd(
        Stat { kind: Kind::Link, ..DIRECTORY },
        "dir `/opt/socket_vmnet` is a symlink (hint: name `/real/opt/socket_vmnet` in networks.yaml instead)",
    );
    odd(PROGRAM, "`/opt/socket_vmnet` is not a directory (hint: run `sudo rm /opt/socket_vmnet`)");
}

#[test]
fn nobody_is_told_to_take_a_directory_from_those_whose_it_is() {
    let told = |path: &str, place: &str, stat: Stat| {
        let text = format!("paths: {{varRun: {path}}}");
        check_with(&test_linux(), &test_defaults(), &text, &[(place, stat)]).unwrap_err()
    };
    let hint = "(hint: name a place that only root can change in `paths.varRun` of networks.yaml; the usual one is `/run/lima`)";
    let shared = Stat { mode: 0o1777, ..DIRECTORY };
    for path in ["/tmp", "/tmp/lima"] {
        assert_eq!(
            told(path, "/tmp", shared),
            format!("networks.yaml field `paths.varRun` error: dir `/tmp` is world-writable {hint}")
        );
    }
    let home = Stat { uid: 1000, ..DIRECTORY };
    assert!(told("/home/me/run", "/home/me", home).ends_with(hint));
    assert!(told("/home/me", "/home/me", home).ends_with(hint));
}

#[test]
fn the_program_must_be_one_and_be_there() {
    let not_program = Stat { mode: 0o644, ..PROGRAM };
    assert!(on_linux(&[(DAEMON, not_program)]).unwrap_err().contains("is not an executable file"));
    let elsewhere = "paths: {socketVMNet: /opt/none, varRun: /run/lima}";
    let networks = ManagedNetworks::read(elsewhere, &test_defaults(), HostOs::Linux).unwrap();
    let none = || BTreeMap::from([(PathBuf::from("/opt/none"), Err(io::ErrorKind::NotFound.into()))]);
    let error = check(&networks, &test_linux(), &Tree(none()), Some("run x".into())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "networks.yaml: `/opt/none` (`paths.socketVMNet`) has to be installed (hint: run x)"
    );
    let mut tree = none();
    tree.insert("/run".into(), Ok(Stat { mode: 0o757, ..DIRECTORY }));
    let error = check(&networks, &test_linux(), &Tree(tree), None).unwrap_err().to_string();
    assert!(error.contains("dir `/run` is world-writable"), "an insecure path comes first: {error}");
}

#[test]
fn sockets_can_be_reached_and_nobody_but_root_makes_them() {
    let closed = Stat { mode: 0o750, ..DIRECTORY };
    let error = on_linux(&[("/run", closed)]).unwrap_err();
    assert!(
        error.starts_with("networks.yaml field `paths.varRun` error: dir `/run` is not executable by"),
        "{error}"
    );
    let of_daemon = Stat { mode: 0o775, gid: 1, ..DIRECTORY };
    assert!(on_linux(&[("/run", of_daemon)]).unwrap_err().contains("group is not `root`'s"));
    let of_others = Stat { mode: 0o775, gid: 80, ..DIRECTORY };
    let error = on_mac(&[("/private/var/run", of_others)]).unwrap_err();
    assert!(error.contains("group-writable and group is neither `root`'s nor `daemon`'s"), "{error}");
}

#[test]
fn a_file_of_rules_that_cannot_be_seen_is_judged_by_what_is_above_it() {
    let networks =
        ManagedNetworks::read(&new_file(&test_defaults()), &test_defaults(), HostOs::Linux).unwrap();
    let tree = |directory: Stat| {
        Tree(BTreeMap::from([
            (PathBuf::from(DAEMON), Ok(PROGRAM)),
            ("/etc/sudoers.d/lima".into(), Err(io::ErrorKind::PermissionDenied.into())),
            ("/etc/sudoers.d".into(), Ok(directory)),
        ]))
    };
    assert!(check(&networks, &test_linux(), &tree(Stat { mode: 0o750, ..DIRECTORY }), None).is_ok());
    let open = tree(Stat { mode: 0o777, ..DIRECTORY });
    let error = check(&networks, &test_linux(), &open, None).unwrap_err().to_string();
    assert!(error.contains("`paths.sudoers` error: dir `/etc/sudoers.d` is world-writable"), "{error}");
}

#[test]
fn a_path_that_a_rule_would_read_otherwise_is_refused() {
    for (path, words) in [
        ("opt/x", "is not an absolute path"),
        ("/opt/a b", "contains whitespace"),
        ("\"/opt/a\\nb\"", "contains whitespace"),
        ("/opt/a*", "contains '*', which has a meaning of its own in a sudoers file"),
        ("'/opt/a,b'", "contains ','"),
        ("/opt/../tmp/x", "contains `.`, `..` or an empty part"),
        ("/opt//x", "contains `.`, `..` or an empty part"),
        ("/", "contains `.`, `..` or an empty part"),
    ] {
        let text = format!("paths: {{socketVMNet: {path}}}");
        let error = check_with(&test_linux(), &test_defaults(), &text, &[]).unwrap_err();
        assert!(
            error.contains(words) && error.contains("(hint: change `paths.socketVMNet` in networks.yaml)"),
            "{error}"
        );
    }
}

#[test]
fn the_group_exists_and_its_user_is_in_it() {
    let with_group = |group: &str| {
        let text = new_file(&test_defaults()).replace("group: sudo", &format!("group: {group}"));
        check_with(&test_linux(), &test_defaults(), &text, &[]).unwrap_err()
    };
    assert!(with_group("nosuch").starts_with("group `nosuch` of networks.yaml does not exist (hint: "));
    assert!(with_group("'a b'").starts_with("invalid group `a b`: "));
    let networks =
        ManagedNetworks::read(&new_file(&test_defaults()), &test_defaults(), HostOs::Linux).unwrap();
    let shared = networks.get("shared").unwrap();
    let tree = Tree(BTreeMap::new());
    assert!(check_use(&networks, shared, &test_linux(), &tree).is_ok());
    let stranger = System { own_groups: vec![1001], ..test_linux() };
    assert_eq!(
        check_use(&networks, shared, &stranger, &tree).unwrap_err().to_string(),
        "cannot use network `shared`: user `me` is not in the group `sudo` of networks.yaml (hint: run `sudo usermod --append --groups sudo me` and log in again)"
    );
    assert!(check_use(&networks, shared, &System { is_root: true, ..stranger }, &tree).is_ok());
    let deep = ManagedNetworks { var_run: "/r".repeat(40), ..networks };
    let text = format!(
        "paths: {{varRun: {}}}\nnetworks: {{shared: {{mode: host, gateway: 10.0.0.1}}}}",
        "/rr".repeat(34)
    );
    let long = ManagedNetworks::read(&text, &test_defaults(), HostOs::Linux).unwrap();
    let error = check_use(&deep, long.get("shared").unwrap(), &test_linux(), &tree).unwrap_err();
    assert!(error.to_string().contains("must be shorter than 108 characters"), "{error}");
}

#[test]
fn a_directory_of_sockets_that_was_made_lets_the_daemon_write() {
    let networks =
        ManagedNetworks::read(&new_file(&test_mac_defaults()), &test_mac_defaults(), HostOs::MacOs).unwrap();
    let made = |stat: Stat| Tree(BTreeMap::from([(PathBuf::from(&networks.var_run), Ok(stat))]));
    let good = Stat { mode: 0o775, gid: 1, ..DIRECTORY };
    assert!(check_made(&networks, &test_mac(), &made(good)).is_ok());
    let error = check_made(&networks, &test_mac(), &made(DIRECTORY)).unwrap_err().to_string();
    assert!(error.contains("doesn't seem to be writable by the daemon (gid:1) group"), "{error}");
}
