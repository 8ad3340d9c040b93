//! What `load` promises as a whole: exact documents, exact messages, warnings.

use std::path::Path;

use proptest::prelude::*;

use super::host::{HostUser, test_facts as host};
use super::resolved::ProvisionMode;
use super::*;

fn look(path: &Path) -> PathKind {
    match path.to_str() {
        Some("/srv") => PathKind::Directory,
        Some("/run/vmnet.sock") => PathKind::Socket,
        Some("/etc/hostname") => PathKind::Other,
        _ => PathKind::Absent,
    }
}

struct Files<'a> {
    main: &'a [u8],
    defaults: Option<&'a str>,
    overrides: Option<&'a str>,
    version: Option<&'a str>,
}

fn load_files(files: &Files, host: &HostFacts) -> Result<Loaded, Error> {
    let known = KnownNetwork::defaults();
    let request = Request {
        main: Text { label: "vm.yaml", bytes: files.main },
        defaults: files.defaults.map(|text| Text { label: "default file `d.yaml`", bytes: text.as_bytes() }),
        overrides: files
            .overrides
            .map(|text| Text { label: "override file `o.yaml`", bytes: text.as_bytes() }),
        file: Path::new("/home/me/.lima/default/lima.yaml"),
        lima_version: files.version.unwrap_or_default(),
        existing: files.version.is_some(),
        known_networks: &known,
        look: &look,
    };
    load(&request, host)
}

fn try_load(text: &str) -> Result<Loaded, Error> {
    let files = Files { main: text.as_bytes(), defaults: None, overrides: None, version: None };
    load_files(&files, &host())
}

/// Loads `text` with an image in front of it.
fn config(text: &str) -> Config {
    try_load(&format!("images: [{{location: /a.img}}]\n{text}")).unwrap().config
}

/// The problems of `text` with an image in front of it, without their places.
fn problems(text: &str) -> Vec<String> {
    match try_load(&format!("images: [{{location: /a.img}}]\n{text}")).unwrap_err() {
        Error::Invalid(found) => found.iter().map(|located| located.problem.to_string()).collect(),
        other => other.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn a_problem_is_told_with_its_place() {
    let told =
        try_load("images: [{location: /a.img}]\ncpus: -1\nuser: {passwordlessSudo: false}\n").unwrap_err();
    assert_eq!(
        told.to_string(),
        "field `cpus` must be greater than 0, but is `-1` (line 2, column 7)\n\
         field `user.passwordlessSudo` can be false only if field `plain` is true (line 3, column 26)"
    );
    assert_eq!(
        try_load("cpus: 1").unwrap_err().to_string(),
        "field `images` must be set",
        "nothing of it is written"
    );
}

#[test]
fn bytes_that_are_no_text_are_content_and_a_text_may_be_a_template() {
    let config = config(
        "provision:\n- {mode: data, path: /a, content: !!binary /wCA}\n- {mode: data, path: /b, content: '{{.Name}}'}\n",
    );
    let content = |index: usize| match &config.provision[index].mode {
        ProvisionMode::Data(file) => file.content.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((content(0), content(1)), (vec![0xff, 0, 0x80], b"default".to_vec()));
}

#[test]
fn the_old_variable_decides_over_ssh_over_vsock_and_is_told_of() {
    let load = |value: &str| {
        let mut host = host();
        host.env.push(("LIMA_SSH_OVER_VSOCK".to_owned(), value.to_owned()));
        let main = b"images: [{location: /a}]\nssh: {overVsock: false}\n";
        let files = Files { main, defaults: None, overrides: None, version: None };
        load_files(&files, &host).unwrap()
    };
    let on = load("1");
    assert_eq!(
        on.warnings[0].message,
        "environment variable `LIMA_SSH_OVER_VSOCK` is deprecated; set the field `ssh.overVsock` instead"
    );
    assert_eq!(on.config.inactive_keys[0].path, "ssh.overVsock");
    let strange = load("maybe");
    assert_eq!(
        strange.warnings[0].message,
        "environment variable `LIMA_SSH_OVER_VSOCK` is not a boolean and is ignored: `maybe`"
    );
    assert!(strange.config.inactive_keys.is_empty());
}

#[test]
fn the_smallest_document_is_filled_in_upstreams_order() {
    let archive = |name: &str, arch: &str, digest: &str| {
        format!(
            "{{\"location\":\"https://github.com/containerd/nerdctl/releases/download/v2.3.5/nerdctl-full-2.3.5-linux-{name}.tar.gz\",\
             \"arch\":\"{arch}\",\"digest\":\"sha256:{digest}\"}}"
        )
    };
    let amd = archive("amd64", "x86_64", "b697295c623639734aaab737523c808fd3cc8d3046039fd94fff1744e4c317aa");
    let arm = archive("arm64", "aarch64", "6e4b687f1d138e750a3c8372abc0f81d3d7490b6359c48c0562fc7dfe98859b2");
    let want = format!(
        "{{\"vmType\":\"qemu\",\"os\":\"Linux\",\"arch\":\"x86_64\",\"images\":[{{\"location\":\"/a.img\",\"arch\":\"x86_64\"}}],\
         \"cpus\":4,\"memory\":\"4GiB\",\"disk\":\"100GiB\",\"mountInotify\":false,\
         \"ssh\":{{\"localPort\":0,\"loadDotSSHPubKeys\":false,\"forwardAgent\":false,\"forwardX11\":false,\"forwardX11Trusted\":false}},\
         \"firmware\":{{\"legacyBIOS\":false}},\"audio\":{{\"device\":\"\",\"interface\":\"\"}},\"video\":{{\"display\":\"none\"}},\
         \"upgradePackages\":false,\"containerd\":{{\"system\":false,\"user\":true,\"archives\":[{amd},{arm}]}},\
         \"guestInstallPrefix\":\"/usr/local\",\"hostResolver\":{{\"enabled\":true,\"ipv6\":false}},\"propagateProxyEnv\":true,\
         \"caCerts\":{{\"removeDefaults\":false}},\"plain\":false,\"timezone\":\"Europe/Paris\",\"nestedVirtualization\":false,\
         \"user\":{{\"name\":\"me\",\"comment\":\"My Name\",\"home\":\"/home/me.guest\",\"shell\":\"/bin/bash\",\"uid\":1001,\
         \"passwordlessSudo\":true}},\"tpm\":false}}"
    );
    assert_eq!(config("").document.to_string(), want);
}

#[test]
fn the_definite_view_says_the_same() {
    let config = config("cpus: \"2\"\nmemory: 3GB\nssh: {localPort: 0x1F90}\n");
    assert_eq!((config.cpus, config.memory, config.disk), (2, Bytes::gib(3), Bytes::gib(100)));
    assert_eq!(config.ssh.local_port, 8080);
    assert_eq!(config.mac_address, mac::derive(&host().machine_id, "/home/me/.lima/default"));
    assert_eq!((config.inactive_keys.len(), config.unsupported.len()), (0, 0));
}

#[test]
fn two_problems_are_both_reported() {
    assert_eq!(
        problems("os: linux\nmemory: 12XB\nmountType: nfs\n"),
        [
            "field `os` must be one of [`Linux` `Darwin` `FreeBSD` `Windows`]; got `linux`",
            "field `memory` has an invalid value: invalid suffix: 'xb'",
            "field `mountType` must be one of [`reverse-sshfs` `9p` `virtiofs` `wsl2`]; got `nfs`",
        ]
    );
}

#[test]
fn messages_are_upstreams_where_it_has_them() {
    for (text, message) in [
        (
            "arch: sparc",
            "field `arch` must be one of [x86_64 aarch64 armv7l ppc64le riscv64 s390x]; got `sparc`",
        ),
        ("vmType: nope", "vmType `nope` is not a registered driver"),
        ("dns: [192.0.2.1]", "field `dns` must be empty when field `HostResolver.Enabled` is true"),
        ("minimumLimaVersion: 99.0.0", "template requires Lima version `99.0.0`; this is only `2.2.0`"),
        (
            "param: {k: v}",
            "field `param` key `k` is not used in any provision, probe, copyToHost, or portForward",
        ),
        ("networks: [{}]", "field `networks[0].lima` or  field `networks[0].socket must be set"),
        (
            "networks: [{lima: user-v2, socket: /a}]",
            "field `networks[0].lima` and field `networks[0].socket` are mutually exclusive",
        ),
        ("networks: [{lima: nosuch}]", "network `nosuch` is not defined (field `networks[0].lima`)"),
        (
            "networks: [{socket: /a, interface: aaaaaaaaaaaaaaaaaaaa}]",
            "field `networks[0].interface` must be less than 16 bytes, but is 20 bytes: `aaaaaaaaaaaaaaaaaaaa`",
        ),
        (
            "additionalDisks: [a--b]",
            "field `additionalDisks[0].name is invalid`: identifier `a--b` must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$",
        ),
        ("probes: [{description: x}]", "field `probe[0].script` must start with a '#!' line"),
        (
            "copyToHost: [{guest: a, host: /a}]",
            "field `CopyToHost[0].guest` must be an absolute path, but is `a`",
        ),
    ] {
        assert_eq!(problems(text), [message], "{text}");
    }
    assert_eq!(
        problems("networks: [{socket: /a, macAddress: zz}]"),
        [
            "field `vmnet.mac` invalid: address zz: invalid MAC address",
            "field `networks[0].macAddress` must be a 48 bit (6 bytes) MAC address; actual length of `zz` is 0 bytes",
        ]
    );
    let digest = try_load("images: [{location: /a, digest: 'sha256:zz'}]").unwrap_err().to_string();
    assert_eq!(
        digest,
        "field `images[0].digest` is invalid: sha256:zz: invalid checksum digest length (line 1, column 33)"
    );
    assert_eq!(try_load("cpus: 1").unwrap_err().to_string(), "field `images` must be set");
}

#[test]
fn a_fault_does_not_hide_a_later_one() {
    let found = problems(
        "provision: [{mode: data, content: x}]\nportForwards: [{guestPort: 80, proto: sctp}]\naudio: {interface: x}\n",
    );
    assert_eq!(
        found,
        [
            "field `provision[0].path` must not be empty when mode is `data`",
            "field `portForwards[0].proto` must be `tcp`, `udp`, or `any`, but is `sctp`",
            "field `audio.interface` must be one of [`` `hda` `virtio`]; got `x`",
        ]
    );
}

#[test]
fn aliases_that_lead_back_are_refused() {
    assert_eq!(
        problems("hostResolver: {hosts: {a: B., b: A, c: a, d: 192.0.2.1, e: d, f: elsewhere.example}}\n"),
        [
            "field `hostResolver.hosts` has the name `a`, whose aliases lead back to itself",
            "field `hostResolver.hosts` has the name `b`, whose aliases lead back to itself",
        ]
    );
}

#[test]
fn a_file_of_another_kind_does_not_flood_the_terminal() {
    let keys: String = (0..500).map(|n| format!("zz{n}: x\n")).collect();
    let warnings = try_load(&format!("images: [{{location: /a}}]\n{keys}")).unwrap().warnings;
    assert!(warnings[0].fields[1].1.ends_with(" unknown field \"zz19\", and 480 more"));
    let wrong: String = (0..500).map(|_| "- x\n").collect();
    let error = try_load(&format!("mounts:\n{wrong}")).unwrap_err().to_string();
    assert!(error.ends_with("\nand 480 more"), "{error}");
}

#[test]
fn what_is_on_the_host_is_looked_at() {
    assert_eq!(
        problems(
            "mounts: [{location: /etc/hostname, mountPoint: /x}, {location: /srv}]\nnetworks: [{socket: /srv}]\n"
        ),
        [
            "field `mounts[0].location` must refer to a directory, but is `/etc/hostname`",
            "field `networks[0].socket` must be a socket if it exists, but is `/srv`",
        ]
    );
    assert_eq!(config("networks: [{socket: /run/vmnet.sock}]\n").unsupported, []);
}

#[test]
fn broken_yaml_is_shown_with_line_column_and_source() {
    let error = try_load("cpus: [1\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "failed to unmarshal YAML (vm.yaml): [1:7] while parsing a flow sequence, expected ',' or ']'\n>  1 | cpus: [1\n             ^\n"
    );
}

#[test]
fn every_wrong_type_is_shown_with_its_path() {
    let error = try_load("cpus: many\nplain: yes\nmounts:\n- location: /a\n  writable: \"true\"\n")
        .unwrap_err()
        .to_string();
    let heads: Vec<_> = error.lines().filter(|line| line.contains("cannot unmarshal")).collect();
    assert_eq!(
        heads,
        [
            "failed to unmarshal YAML (vm.yaml): [1:7] cannot unmarshal string into field `cpus` of type int",
            "[2:8] cannot unmarshal string into field `plain` of type bool",
            "[5:13] cannot unmarshal string into field `mounts[0].writable` of type bool",
        ]
    );
    assert!(
        try_load("- a\n")
            .unwrap_err()
            .to_string()
            .contains("[1:1] sequence was used where mapping is expected\n")
    );
}

#[test]
fn every_broken_file_is_named() {
    let files = Files { main: b"a: [", defaults: Some("cpus: x"), overrides: Some("b: {"), version: None };
    let error = load_files(&files, &host()).unwrap_err().to_string();
    for label in ["(vm.yaml)", "(default file `d.yaml`)", "(override file `o.yaml`)"] {
        assert!(error.contains(&format!("failed to unmarshal YAML {label}: [1:")), "{error}");
    }
}

#[test]
fn unknown_keys_warn_all_of_them_with_a_guess() {
    let loaded = try_load("images: [{location: /a.img}]\nCPUs: 1\nssh:\n  localport: 3\nfoo: 1\n").unwrap();
    assert_eq!(
        loaded.warnings,
        [Warning {
            message: "Non-strict YAML detected; please check for typos".to_owned(),
            fields: vec![
                ("comment".to_owned(), "vm.yaml".to_owned()),
                (
                    "error".to_owned(),
                    "[2:1] unknown field \"CPUs\" (did you mean \"cpus\"?), [4:3] unknown field \"ssh.localport\" \
                     (did you mean \"localPort\"?), [5:1] unknown field \"foo\""
                        .to_owned()
                ),
            ],
        }]
    );
}

#[test]
fn keys_that_do_not_act_are_listed_by_name() {
    let config = config(
        "mounts: [{location: /srv}]\ncontainerd: {user: true}\nnetworks: [{lima: user-v2}, {vzNAT: true}]\nvmType: vz\n",
    );
    let lines = |keys: &[InactiveKey]| keys.iter().map(InactiveKey::to_string).collect::<Vec<_>>();
    assert_eq!(
        lines(&config.inactive_keys),
        [
            "field `mounts` has no effect in this version: directories of the host are not mounted yet",
            "field `containerd` has no effect in this version: it is not installed by this version",
        ]
    );
    assert_eq!(
        lines(&config.unsupported),
        [
            "field `vmType: vz` is not supported by this version: the only driver is `qemu`",
            "field `networks[].lima: user-v2` is not supported by this version: networks of this mode are not there yet",
            "field `networks[].vzNAT` is not supported by this version: it is for the `vz` driver",
        ]
    );
}

#[test]
fn networks_are_numbered_by_their_place_and_have_upstreams_addresses() {
    let text = "networks:\n- lima: shared\n- socket: run/x\n  macAddress: 02-AB-00-00-00-01\n- {lima: host, interface: h0, metric: 300}\n";
    let found = config(text).networks;
    let address = |index: usize| {
        mac::derive("0123456789abcdef0123456789abcdef", &format!("/home/me/.lima/default/lima.yaml#{index}"))
    };
    let network = |index, attachment, interface: &str, mac_address: &str, metric| resolved::Network {
        index,
        attachment,
        interface: interface.to_owned(),
        mac_address: mac_address.to_owned(),
        metric,
    };
    let lima = |name: &str| resolved::Attachment::Lima(name.to_owned());
    let socket = resolved::Attachment::Socket(host().cwd.join("run/x"));
    assert_eq!(
        found,
        [
            network(0, lima("shared"), "lima0", &address(0), 100),
            network(1, socket, "lima1", "02:ab:00:00:00:01", 100),
            network(2, lima("host"), "h0", &address(2), 300),
        ]
    );
}

#[test]
fn an_old_instance_keeps_its_habits() {
    let old = |version| {
        let files = Files {
            main: b"images: [{location: /a}]",
            defaults: None,
            overrides: None,
            version: Some(version),
        };
        let config = load_files(&files, &host()).unwrap().config;
        (config.user.home, config.ssh.local_port)
    };
    assert_eq!(old(""), ("/home/me.linux".to_owned(), 60022));
    assert_eq!(old("2.0.3"), ("/home/me.linux".to_owned(), 0));
    assert_eq!(old("2.2.0"), ("/home/me.guest".to_owned(), 0));
    assert_eq!(old("abcdef"), ("/home/me.guest".to_owned(), 0));
}

#[test]
fn root_becomes_an_ordinary_user_in_the_guest() {
    let mut root = host();
    root.user = HostUser { name: "root".to_owned(), uid: 0, comment: "root".to_owned() };
    let files = Files { main: b"images: [{location: /a}]", defaults: None, overrides: None, version: None };
    let user = load_files(&files, &root).unwrap().config.user;
    assert_eq!((user.name.as_str(), user.uid, user.home.as_str()), ("lima", 1000, "/home/lima.guest"));
}

#[test]
fn a_template_that_cannot_run_keeps_its_text_and_warns() {
    let loaded =
        try_load("images: [{location: /a}]\nprovision: [{script: \"docker ps --format '{{json .}}'\"}]\n")
            .unwrap();
    let ProvisionMode::System { script } = &loaded.config.provision[0].mode else { panic!() };
    assert_eq!(script, "docker ps --format '{{json .}}'");
    assert_eq!(
        loaded.warnings[0].message,
        "cannot expand the template in field `provision[0].script`, its text is used as it is"
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_place() {
    let files = Files { main: b"cpus: 1\nmessage: \xff\n", defaults: None, overrides: None, version: None };
    let error = load_files(&files, &host()).unwrap_err().to_string();
    assert!(
        error.starts_with("failed to unmarshal YAML (vm.yaml): [2:10] the text is not UTF-8\n"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let files = Files { main: &bytes, defaults: None, overrides: None, version: None };
        let _ = load_files(&files, &host());
    }

    #[test]
    fn no_value_of_any_key_panics(key in prop::sample::select(written::LimaYaml::KEYS), value in "([0-9]{1,20}|-[0-9]{1,3}|\\[[0-9, ]{0,9}\\]|\\{\\}|[a-z./~:{}-]{0,12})") {
        let _ = try_load(&format!("images: [{{location: /a}}]\n{key}: {value}\n"));
        let _ = try_load(&format!("images: [{{location: /a}}]\n{key}:\n- {value}\n"));
    }

    /// What is printed as JSON, which is YAML, reads back as the same document.
    #[test]
    fn a_filled_document_is_its_own_filling(cpus in 1u32..64, gib in 1u64..64, port in 23u16.., on: bool, zone in "[A-Za-z/]{0,12}", script in "[ -z~\n]{1,30}") {
        let script = serde_json::to_string(&script).unwrap();
        let text = format!(
            "images: [{{location: /a}}]\ncpus: {cpus}\nmemory: {gib}GiB\nssh: {{localPort: {port}}}\nplain: {on}\ntimezone: \"{zone}\"\n\
             provision: [{{script: {script}}}]\nmounts: [{{location: /srv, mountPoint: /mnt/x}}]\nportForwards: [{{guestPort: 80, static: true}}]\n"
        );
        let once = try_load(&text).unwrap().config.document;
        let again = try_load(&once.to_string()).unwrap().config.document;
        prop_assert_eq!(once, again);
    }
}
