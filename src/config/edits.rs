//! The flags that change `lima.yaml`, as changes of its tree. The text is rewritten around them: comments, order, quoting and every byte that
//! a change is not about stay.
//!
//! An assignment that already holds changes nothing. A text keeps the quotes of the one that it replaces. An alias in the way of a change is
//! replaced by what it stands for, so that nothing changes anywhere else.

use std::net::IpAddr;

use thiserror::Error;

use crate::document::{Document, Fault, Kind, Node, RewriteError, Sort, Style};
use crate::query::{self, Query};

/// One flag of `create`, `start`, `edit`, …, as a change of the file. They are applied in the order of the list, whatever their order here.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    Cpus(u32),
    /// Appends name servers, and turns the host resolver off, which would keep them from being used.
    Dns(Vec<IpAddr>),
    /// GiB.
    Memory(f32),
    /// Puts mounts in front of the others.
    AddMounts(Vec<Mount>),
    OnlyMounts(Vec<Mount>),
    NoMounts,
    MountType(String),
    VmType(String),
    MountInotify(bool),
    /// For every mount that there is by then.
    MountWritable(bool),
    /// Appends networks; one that is there already is not added again.
    Networks(Vec<Network>),
    NestedVirtualization(bool),
    Rosetta(bool),
    /// An expression of yq.
    Set(String),
    /// Sets a parameter that the file defines.
    Param {
        name: String,
        value: String,
    },
    /// Whether the guest has a display.
    Video(bool),
    AudioDevice(String),
    AudioInterface(String),
    /// 0 takes a free port at each start.
    SshPort(u16),
    /// Keeps the images of that variant.
    ImageVariant(String),
    /// Keeps the images of that variant of their architecture.
    ArchVariant(String),
    Arch(String),
    Containerd {
        user: bool,
        system: bool,
    },
    /// GiB.
    Disk(f32),
    Plain(bool),
    /// Appends port forwards.
    PortForwards(Vec<PortForward>),
    Shell(String),
}

/// A directory of the host that appears in the guest under the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute.
    pub path: String,
    pub writable: bool,
}

/// What `--network` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    VzNat,
    /// A network of `networks.yaml`.
    Lima(String),
}

/// What `--port-forward` says; the ports are checked with the rest of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortForward {
    pub host: String,
    pub guest: String,
    pub is_static: bool,
}

#[derive(Debug, Error)]
pub enum EditError {
    #[error("cannot edit a file that is not YAML: {0}")]
    NotYaml(Fault),
    #[error("error while processing flag `param`: template does not define param `{0}`")]
    UnknownParam(String),
    #[error("cannot apply `--set`: {0}")]
    Set(Box<query::Error>),
    #[error("cannot apply the flags to the file")]
    Rewrite(#[from] RewriteError),
}

/// Applies the edits in order and returns the new text. Without edits, and where every assignment already holds, that is the old text.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    if edits.is_empty() {
        return Ok(text.to_owned());
    }
    let document = Document::parse(text).map_err(EditError::NotYaml)?;
    let mut root = document.root().clone();
    refuse_unknown_params(&root, edits)?;
    for edit in edits {
        match edit {
            Edit::Set(expression) => root = set_by(expression, &root)?,
            edit => edit.apply(&mut root),
        }
    }
    Ok(document.rewrite(&root)?)
}

/// An empty expression changes nothing.
fn set_by(expression: &str, root: &Node) -> Result<Node, EditError> {
    let wrong = |error: query::Error| EditError::Set(Box::new(error));
    Query::parse(expression).map_err(wrong)?.edit(root).map_err(wrong)
}

/// What is defined counts before any of the edits.
fn refuse_unknown_params(root: &Node, edits: &[Edit]) -> Result<(), EditError> {
    let resolved = root.get("param").map(|_| root.resolved());
    let known = resolved.as_ref().and_then(|root| root.get("param"));
    let unknown = edits.iter().find_map(|edit| match edit {
        Edit::Param { name, .. } => known.and_then(|params| params.get(name)).is_none().then_some(name),
        _ => None,
    });
    unknown.map_or(Ok(()), |name| Err(EditError::UnknownParam(name.clone())))
}

impl Edit {
    fn apply(&self, root: &mut Node) {
        match self {
            Edit::Cpus(count) => assign(root, &["cpus"], Node::int((*count).into())),
            Edit::Dns(servers) => add_servers(root, servers),
            Edit::Memory(gib) => assign(root, &["memory"], Node::text(format!("{gib}GiB"))),
            Edit::AddMounts(mounts) => {
                // The last flag is the first entry, as it always was.
                let mut items: Vec<Node> = mounts.iter().rev().map(Mount::node).collect();
                items.append(&mut list(root, "mounts"));
                assign(root, &["mounts"], Node::sequence(items));
            }
            Edit::OnlyMounts(mounts) => {
                assign(root, &["mounts"], Node::sequence(mounts.iter().map(Mount::node).collect()));
            }
            Edit::NoMounts => assign(root, &["mounts"], Node::null()),
            Edit::MountType(name) => assign(root, &["mountType"], Node::text(name)),
            Edit::VmType(name) => assign(root, &["vmType"], Node::text(name)),
            Edit::MountInotify(on) => assign(root, &["mountInotify"], Node::bool(*on)),
            Edit::MountWritable(on) => {
                let mut items = list(root, "mounts");
                items.iter_mut().for_each(|mount| assign(mount, &["writable"], Node::bool(*on)));
                assign_list(root, "mounts", items);
            }
            Edit::Networks(networks) => add_networks(root, networks),
            Edit::NestedVirtualization(on) => assign(root, &["nestedVirtualization"], Node::bool(*on)),
            Edit::Rosetta(on) => {
                assign(root, &["vmOpts", "vz", "rosetta", "enabled"], Node::bool(*on));
                assign(root, &["vmOpts", "vz", "rosetta", "binfmt"], Node::bool(*on));
            }
            Edit::Param { name, value } => assign(root, &["param", name], Node::text(value)),
            Edit::Video(on) => {
                assign(root, &["video", "display"], Node::text(if *on { "default" } else { "none" }));
            }
            Edit::AudioDevice(name) => assign(root, &["audio", "device"], Node::text(name)),
            Edit::AudioInterface(name) => assign(root, &["audio", "interface"], Node::text(name)),
            Edit::SshPort(port) => assign(root, &["ssh", "localPort"], Node::int((*port).into())),
            Edit::ImageVariant(name) => keep_images(root, "variant", name),
            Edit::ArchVariant(name) => keep_images(root, "archVariant", name),
            Edit::Arch(name) => assign(root, &["arch"], Node::text(name)),
            Edit::Containerd { user, system } => {
                assign(root, &["containerd", "user"], Node::bool(*user));
                assign(root, &["containerd", "system"], Node::bool(*system));
            }
            Edit::Disk(gib) => assign(root, &["disk"], Node::text(format!("{gib}GiB"))),
            Edit::Plain(on) => assign(root, &["plain"], Node::bool(*on)),
            Edit::PortForwards(forwards) => {
                let mut items = list(root, "portForwards");
                items.extend(forwards.iter().map(PortForward::node));
                assign_list(root, "portForwards", items);
            }
            // The caller's, because it can fail.
            Edit::Set(_) => {}
            Edit::Shell(path) => assign(root, &["user", "shell"], Node::text(path)),
        }
    }
}

impl Mount {
    fn node(&self) -> Node {
        let mut node = Node::mapping(Vec::new());
        node.set("location", Node::text(&self.path));
        node.set("mountPoint", Node::text(&self.path));
        node.set("writable", Node::bool(self.writable));
        node
    }
}

impl PortForward {
    fn node(&self) -> Node {
        let mut node = Node::mapping(Vec::new());
        node.set("guestPort", Node::text(&self.guest));
        node.set("hostPort", Node::text(&self.host));
        node.set("static", Node::bool(self.is_static));
        node
    }
}

impl Network {
    fn node(&self) -> Node {
        let mut node = Node::mapping(Vec::new());
        match self {
            Network::VzNat => node.set("vzNAT", Node::bool(true)),
            Network::Lima(name) => node.set("lima", Node::text(name)),
        }
        node
    }

    /// Whether an entry of `networks` connects to this network.
    fn is(&self, entry: &Node) -> bool {
        match self {
            Network::VzNat => entry.get("vzNAT").and_then(Node::as_bool) == Some(true),
            Network::Lima(name) => entry.get("lima").and_then(Node::scalar_text) == Some(name),
        }
    }
}

fn add_servers(root: &mut Node, servers: &[IpAddr]) {
    let mut items = list(root, "dns");
    for server in servers.iter().map(|server| Node::text(server.to_string())) {
        if !items.iter().any(|item| item.scalar_text() == server.scalar_text()) {
            items.push(server);
        }
    }
    assign_list(root, "dns", items);
    assign(root, &["hostResolver", "enabled"], Node::bool(false));
}

fn add_networks(root: &mut Node, networks: &[Network]) {
    let mut items = list(root, "networks");
    for network in networks {
        if !items.iter().any(|entry| network.is(entry)) {
            items.push(network.node());
        }
    }
    assign_list(root, "networks", items);
}

fn keep_images(root: &mut Node, key: &str, variant: &str) {
    let mut items = list(root, "images");
    items.retain(|image| image.get(key).and_then(Node::scalar_text) == Some(variant));
    assign_list(root, "images", items);
}

/// The items of a list of the document, an alias in its place or among them replaced by what it stands for.
fn list(root: &Node, key: &str) -> Vec<Node> {
    let Some(node) = root.get(key) else { return Vec::new() };
    let has_alias = |node: &Node| matches!(node.kind(), Kind::Alias(_));
    if has_alias(node) || node.items().iter().any(has_alias) {
        return root.resolved().get(key).map(|node| node.items().to_vec()).unwrap_or_default();
    }
    node.items().to_vec()
}

/// Sets a list, unless it is as it was: an empty one does not replace a key that is not there.
fn assign_list(root: &mut Node, key: &str, items: Vec<Node>) {
    let is_absent = root.get(key).is_none_or(Node::is_null);
    if !(items.is_empty() && is_absent) {
        assign(root, &[key], Node::sequence(items));
    }
}

/// Sets the value at a path. Missing parents, and parents that are null, become mappings; below a scalar nothing is set: the file is refused
/// for that scalar anyway.
fn assign(root: &mut Node, path: &[&str], value: Node) {
    for depth in 1..path.len() {
        let parents = &path[..depth];
        if find(root, parents).is_some_and(|node| matches!(node.kind(), Kind::Alias(_)))
            && let Some(meaning) = find(&root.resolved(), parents).cloned()
        {
            set(root, parents, meaning);
        }
    }
    set(root, path, value);
}

fn find<'a>(root: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, key| node.get(key))
}

fn set(root: &mut Node, path: &[&str], value: Node) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        let new = match root.get(key) {
            Some(old) if old.same(&value) => return,
            Some(old) => in_style_of(old, value),
            None => value,
        };
        if matches!(root.kind(), Kind::Mapping(_)) || root.is_null() {
            root.set(key, new);
        }
    } else if root.get(key).is_none_or(Node::is_null) {
        let mut parent = Node::mapping(Vec::new());
        set(&mut parent, rest, value);
        set(root, &[key], parent);
    } else if let Some(parent) = root.get_mut(key) {
        set(parent, rest, value);
    }
}

/// A text in the quotes of the one that it replaces.
fn in_style_of(old: &Node, mut new: Node) -> Node {
    let style = match old.kind() {
        Kind::Scalar(scalar) if matches!(scalar.style, Style::Single | Style::Double) => scalar.style,
        _ => return new,
    };
    if new.sort() == Sort::Text
        && let Kind::Scalar(scalar) = new.kind_mut()
    {
        scalar.style = style;
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RICH: &str = "\
# head
images:
# the first image
- location: \"/a.img\"  # a
  arch: x86_64

cpus: 4  # four of them
memory: \"4GiB\"
disk: '50GiB'
ssh:
  # fixed port
  localPort: 60022
provision:
- script: |
    # cpus: 4
    echo \"{{.User}}\"

# the end
";

    fn edited(text: &str, edit: Edit) -> String {
        apply(text, &[edit]).unwrap()
    }

    /// The lines of `new` that `old` does not have.
    fn changed<'a>(old: &str, new: &'a str) -> Vec<&'a str> {
        new.lines().filter(|line| !old.lines().any(|other| other == *line)).collect()
    }

    #[test]
    fn a_value_is_replaced_in_its_line() {
        for (edit, line) in [
            (Edit::Cpus(6), "cpus: 6  # four of them"),
            (Edit::Memory(2.5), "memory: \"2.5GiB\""),
            (Edit::Disk(60.0), "disk: '60GiB'"),
            (Edit::SshPort(0), "  localPort: 0"),
        ] {
            let new = edited(RICH, edit);
            assert_eq!(changed(RICH, &new), [line]);
            assert_eq!(new.lines().count(), RICH.lines().count());
        }
    }

    #[test]
    fn a_new_key_goes_to_the_end_and_missing_parents_are_made() {
        assert_eq!(edited("cpus: 2 # two\n", Edit::Plain(true)), "cpus: 2 # two\nplain: true\n");
        assert_eq!(edited("cpus: 2", Edit::VmType("qemu".to_owned())), "cpus: 2\nvmType: qemu\n");
        assert_eq!(edited("cpus: 2\n", Edit::SshPort(22222)), "cpus: 2\nssh:\n  localPort: 22222\n");
        assert_eq!(edited("{cpus: 2}\n", Edit::Plain(true)), "{cpus: 2, plain: true}\n");
    }

    #[test]
    fn null_and_empty_parents_are_replaced() {
        for (text, new) in [
            ("ssh:\n", "ssh:\n  localPort: 7\n"),
            ("ssh: null\n", "ssh:\n  localPort: 7\n"),
            ("ssh: {}\n", "ssh:\n  localPort: 7\n"),
            ("ssh: ~\ncpus: 1\n", "ssh:\n  localPort: 7\ncpus: 1\n"),
            ("# nothing\n", "# nothing\nssh:\n  localPort: 7\n"),
            ("", "ssh:\n  localPort: 7\n"),
            ("ssh: 5\n", "ssh: 5\n"),
        ] {
            assert_eq!(edited(text, Edit::SshPort(7)), new);
        }
    }

    #[test]
    fn an_alias_in_the_way_is_replaced_by_what_it_stands_for() {
        let text = "a: &x\n  forwardAgent: true\nssh: *x\n";
        let new = "a: &x\n  forwardAgent: true\nssh:\n  forwardAgent: true\n  localPort: 7\n";
        assert_eq!(edited(text, Edit::SshPort(7)), new);
    }

    #[test]
    fn mounts_come_before_the_others_and_the_last_flag_first() {
        let mount = |path: &str, writable| Mount { path: path.into(), writable };
        let edit = Edit::AddMounts(vec![mount("/a", false), mount("/b", true)]);
        let entry =
            |path, writable| format!("- location: {path}\n  mountPoint: {path}\n  writable: {writable}\n");
        let text = "mounts:\n# home\n- location: \"~\"  # mine\n";
        assert_eq!(
            edited(text, edit),
            format!(
                "mounts:\n{}{}# home\n- location: \"~\"  # mine\n",
                entry("/b", true),
                entry("/a", false)
            )
        );
        assert_eq!(edited(text, Edit::MountWritable(true)), format!("{text}  writable: true\n"));
        assert_eq!(edited(text, Edit::NoMounts), "mounts: null\n");
        assert_eq!(edited("cpus: 1\n", Edit::MountWritable(true)), "cpus: 1\n");
        assert_eq!(
            edited("", Edit::OnlyMounts(vec![mount("/a", true)])),
            format!("mounts:\n{}", entry("/a", true))
        );
    }

    #[test]
    fn networks_are_added_once_and_none_is_lost() {
        let networks =
            |names: &[&str]| Edit::Networks(names.iter().map(|name| Network::Lima((*name).into())).collect());
        let text = "networks:\n- socket: /a  # one\n- socket: /b\n- lima: shared\n";
        assert_eq!(edited(text, networks(&["shared"])), text);
        assert_eq!(edited(text, networks(&["host", "host"])), format!("{text}- lima: host\n"));
        assert_eq!(edited(text, Edit::Networks(vec![Network::VzNat])), format!("{text}- vzNAT: true\n"));
    }

    #[test]
    fn name_servers_turn_the_resolver_off() {
        let servers = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(
            edited("dns: [192.0.2.1]\n", Edit::Dns(servers)),
            "dns: [192.0.2.1, '2001:db8::1']\nhostResolver:\n  enabled: false\n"
        );
    }

    #[test]
    fn only_images_of_a_variant_are_kept() {
        let text = "images:\n# big\n- location: /a\n# small\n- location: /b\n  variant: minimal\n";
        assert_eq!(
            edited(text, Edit::ImageVariant("minimal".into())),
            "images:\n# small\n- location: /b\n  variant: minimal\n"
        );
    }

    #[test]
    fn a_param_must_be_there_and_is_a_text() {
        let param = |name: &str| Edit::Param { name: name.into(), value: "a=\"b\" 1".into() };
        assert_eq!(edited("param:\n  Size: \"10\"\n", param("Size")), "param:\n  Size: \"a=\\\"b\\\" 1\"\n");
        assert_eq!(
            apply("param: {}\n", &[param("Size")]).unwrap_err().to_string(),
            "error while processing flag `param`: template does not define param `Size`"
        );
    }

    #[test]
    fn forwards_are_appended() {
        let forward = PortForward { host: "8080".into(), guest: "80".into(), is_static: false };
        assert_eq!(
            edited("portForwards:\n- guestPort: 1 # first\n", Edit::PortForwards(vec![forward])),
            "portForwards:\n- guestPort: 1 # first\n- guestPort: \"80\"\n  hostPort: \"8080\"\n  static: false\n"
        );
    }

    #[test]
    fn only_the_first_document_and_the_first_bytes_change() {
        assert_eq!(edited("cpus: 1\n---\ncpus: 1\n", Edit::Cpus(2)), "cpus: 2\n---\ncpus: 1\n");
        assert_eq!(edited("a: b\r\ncpus: 1\r\n", Edit::Cpus(2)), "a: b\r\ncpus: 2\r\n");
        assert_eq!(edited("---\ncpus: 1\n...\n", Edit::Cpus(2)), "---\ncpus: 2\n...\n");
    }

    #[test]
    fn sizes_are_the_shortest_text_of_the_number() {
        assert_eq!(edited("", Edit::Memory(0.1)), "memory: 0.1GiB\n");
        assert_eq!(edited("", Edit::Memory(16.0)), "memory: 16GiB\n");
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_place() {
        let error = apply("cpus: [1\n", &[Edit::Cpus(1)]).unwrap_err().to_string();
        assert!(error.starts_with("cannot edit a file that is not YAML: [1:7] "), "{error}");
    }

    fn any_edit() -> impl Strategy<Value = Edit> {
        prop_oneof![
            any::<u32>().prop_map(Edit::Cpus),
            (0f32..10_000.0).prop_map(Edit::Memory),
            (0f32..10_000.0).prop_map(Edit::Disk),
            "[ -~]{0,12}".prop_map(Edit::VmType),
            any::<bool>().prop_map(Edit::Plain),
            "(true|null|7|yes|~|[a-z0-9_]{1,8})".prop_map(Edit::Arch),
            any::<u16>().prop_map(Edit::SshPort),
            "/[ -~é]{0,12}".prop_map(Edit::Shell),
        ]
    }

    fn any_text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("cpus: 4  # c\n".to_owned()),
            Just("memory: \"4GiB\"\n".to_owned()),
            Just("ssh:\n    localPort: 1 # p\n".to_owned()),
            Just("user: {shell: /bin/sh, uid: 1}\n".to_owned()),
            Just("plain:\n".to_owned()),
            Just("arch: &a x86_64\n".to_owned()),
            Just("images:\n- location: *a\n".to_owned()),
            Just("vmType: >-\n  folded\n\n".to_owned()),
            Just("message: |+\n  text # no\n\n".to_owned()),
            Just("# comment\n\n".to_owned()),
        ];
        proptest::sample::subsequence((0..10).collect::<Vec<usize>>(), 0..10)
            .prop_flat_map(move |_| prop::collection::vec(part.clone(), 0..7))
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn an_assignment_twice_is_the_assignment_once(text in any_text(), edit in any_edit()) {
            if let Ok(once) = apply(&text, std::slice::from_ref(&edit)) {
                prop_assert_eq!(apply(&once, &[edit]).unwrap(), once);
            }
        }

        #[test]
        fn no_edit_changes_no_byte(text in ".{0,60}") {
            prop_assert_eq!(apply(&text, &[]).unwrap(), text);
        }

        #[test]
        fn no_text_panics(text in "[ -~\n]{0,60}", edit in any_edit()) {
            let _ = apply(&text, &[edit]);
        }
    }
}
