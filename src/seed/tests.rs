//! Whole documents for a default instance, compared with the committed ones in `golden/`; and any value at all, read back.
//!
//! `UPDATE_GOLDEN=1 cargo test` writes the documents anew; the difference is for the reviewer.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_yaml::Value;

use super::*;
use crate::config::resolved::{Provision, ProvisionFile, User};

fn default_values() -> Values {
    Values {
        name: "d".to_owned(),
        hostname: "lima-d".to_owned(),
        iid: "iid-1795492740".to_owned(),
        debug: false,
        user: User {
            name: "anna".to_owned(),
            comment: String::new(),
            home: "/home/anna.guest".to_owned(),
            shell: "/bin/bash".to_owned(),
            uid: 1001,
            passwordless_sudo: true,
        },
        ssh_public_keys: vec!["ssh-ed25519 AAAAC3Nz/x+y= lima".to_owned()],
        nics: vec![Nic { name: "eth0".to_owned(), mac: "52:55:55:ff:ef:5c".to_owned(), metric: 200 }],
        dns: vec!["192.168.5.3".parse().unwrap()],
        slirp: Slirp {
            gateway: "192.168.5.2".parse().unwrap(),
            dns: "192.168.5.3".parse().unwrap(),
            address: Some("192.168.5.15".parse().unwrap()),
        },
        udp_dns_port: 33036,
        tcp_dns_port: 45997,
        vm_type: "qemu".to_owned(),
        mount_type: "9p".to_owned(),
        disks: Vec::new(),
        plain: false,
        timezone: "Europe/Berlin".to_owned(),
        upgrade_packages: false,
        guest_install_prefix: "/usr/local".to_owned(),
        env: BTreeMap::new(),
        params: BTreeMap::new(),
        ca_certs: CaCerts::default(),
        provisions: Vec::new(),
    }
}

/// Everything that can be asked for, once.
fn full_values() -> Values {
    let data = ProvisionFile {
        content: b"x = 1\n".to_vec(),
        overwrite: true,
        owner: "root:root".to_owned(),
        path: "/etc/x.conf".to_owned(),
        permissions: "0600".to_owned(),
    };
    let system = || ProvisionMode::System { script: "#!/bin/sh\n".to_owned() };
    let modes = [
        system(),
        ProvisionMode::User { script: "#!/bin/bash\n".to_owned() },
        ProvisionMode::Boot { script: "#!/bin/sh\necho \"$PARAM_k\" it's\n".to_owned() },
        ProvisionMode::Data(data),
        ProvisionMode::Yq {
            expression: ".a = 1".to_owned(),
            format: "auto".to_owned(),
            path: "/etc/y.yaml".to_owned(),
            owner: "root:root".to_owned(),
            permissions: "644".to_owned(),
        },
        ProvisionMode::Dependency { script: "#!/bin/sh\n".to_owned(), skip_default_resolution: true },
        ProvisionMode::Ansible { playbook: "p.yaml".to_owned() },
        system(),
    ];
    let mut values = default_values();
    values.user.comment = "Anna \"O'Neill\":\u{7} #1".to_owned();
    values.user.passwordless_sudo = false;
    values.upgrade_packages = true;
    values.nics.push(Nic { name: "lima0".to_owned(), mac: "52:55:55:DD:ee:ff".to_owned(), metric: 100 });
    values.env = [("https_proxy", "http://192.168.5.2:3128"), ("FOO", "b r"), ("HTTPS_PROXY", "x")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    values.params = [("internal_netplanOptional", "true"), ("k", "v 'w'")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    values.ca_certs = CaCerts {
        remove_defaults: true,
        trusted: vec!["  -----BEGIN CERTIFICATE-----\n\n  MIIB=\r\n-----END CERTIFICATE-----".to_owned()],
    };
    values.provisions = modes.map(|mode| Provision { mode }).into();
    values
}

#[test]
fn every_document_of_a_default_instance_is_the_committed_one() {
    check_golden("default", &default_values());
}

#[test]
fn every_document_of_an_instance_with_everything_is_the_committed_one() {
    check_golden("full", &full_values());
}

fn check_golden(folder: &str, values: &Values) {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/seed/golden").join(folder);
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut documents: BTreeMap<String, String> = files(values)
        .unwrap()
        .into_iter()
        .filter(|file| !file.path.contains('/') && file.path != "boot.sh")
        .map(|file| (file.path, String::from_utf8(file.content).unwrap()))
        .collect();
    documents.insert("cloud-config.yaml".to_owned(), cloud_config(values));
    for (name, text) in documents {
        // What the guest runs is in `guest/` already.
        let text = guest::without_embedded(&text);
        if update {
            std::fs::create_dir_all(&golden).unwrap();
            std::fs::write(golden.join(&name), &text).unwrap();
        }
        let committed = std::fs::read_to_string(golden.join(&name)).unwrap_or_default();
        assert_eq!(text, committed, "{folder}/{name}");
    }
}

#[test]
fn files_are_numbered_by_their_place_in_the_merged_list() {
    let files = files(&full_values()).unwrap();
    let provisions: Vec<_> = files
        .iter()
        .filter(|file| file.path.starts_with("provision."))
        .map(|file| (file.path.as_str(), file.executable))
        .collect();
    let expected = [
        ("provision.system/00000000", true),
        ("provision.user/00000001", true),
        ("provision.data/00000003", false),
        ("provision.yq/00000004", false),
        ("provision.dependency/00000005", true),
        ("provision.system/00000007", true),
    ];
    assert_eq!(provisions, expected);
    let longest = files.iter().flat_map(|file| file.path.split('/')).map(str::len).max();
    assert!(longest <= Some(30), "names on the volume have a documented limit");
}

#[test]
fn a_user_who_cannot_be_is_refused_by_field() {
    let refused = |change: &dyn Fn(&mut Values)| {
        let mut values = default_values();
        change(&mut values);
        files(&values).unwrap_err().to_string()
    };
    assert_eq!(refused(&|v| v.user.name = "root".to_owned()), "the guest's user must not be `root`");
    assert_eq!(refused(&|v| v.user.uid = 0), "the guest's user must not have uid 0");
    assert_eq!(refused(&|v| v.user.home.clear()), "`user.home` must not be empty");
    assert_eq!(refused(&|v| v.user.shell.clear()), "`user.shell` must not be empty");
    assert_eq!(refused(&|v| v.ssh_public_keys.clear()), "no ssh public key for the guest's user");
    let home = "the value of `LIMA_CIDATA_HOME` must be one line, without NUL";
    assert_eq!(refused(&|v| v.user.home = "/a\nb".to_owned()), home);
    let param = "the value of `PARAM_k` must be one line, without NUL";
    assert_eq!(refused(&|v| drop(v.params.insert("k".to_owned(), "a\nb".to_owned()))), param);
    let name =
        "`1k` cannot be the name of a parameter (field `param`): want a letter, then letters, digits and `_`";
    assert_eq!(refused(&|v| drop(v.params.insert("1k".to_owned(), String::new()))), name);
    let env = "the value of `FOO` must be one line, without NUL";
    assert_eq!(refused(&|v| drop(v.env.insert("FOO".to_owned(), "a\nb".to_owned()))), env);
    let env = "`A=B` cannot be the name of an environment variable (field `env`)";
    assert_eq!(refused(&|v| drop(v.env.insert("A=B".to_owned(), String::new()))), env);
}

/// A document's value behind a path of keys and indices.
fn at<'a>(document: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(document, |value, key| match key.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[key],
    })
}

/// Strings that are likely to break a document or a script.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,20}",
        "[\"'\\\\:#\n\r\t{}|>&*!%@`$ -]{0,12}",
        Just("no".to_owned()),
        Just("0x1f".to_owned()),
        Just("# a\n- b: c\n".to_owned()),
    ]
}

proptest! {
    #[test]
    fn any_value_comes_back_from_the_documents_for_cloud_init(
        name in nasty(), home in nasty(), shell in nasty(), timezone in nasty(), hostname in nasty(),
        keys in vec(nasty(), 1..3), nic in nasty(), mac in nasty(),
    ) {
        let mut values = default_values();
        values.user.name = name.clone();
        values.user.home = home.clone();
        values.user.shell = shell.clone();
        values.timezone = timezone.clone();
        values.hostname = hostname.clone();
        values.ssh_public_keys = keys.clone();
        values.nics[0].name = nic.clone();
        values.nics[0].mac = mac.clone();
        let text = user_data::user_data(&values);
        let document: Value = serde_yaml::from_str(&text).expect(&text);
        prop_assert_eq!(at(&document, "users.0.name"), name.as_str());
        prop_assert_eq!(at(&document, "users.0.uid"), "1001");
        prop_assert_eq!(at(&document, "users.0.homedir"), home.as_str());
        prop_assert_eq!(at(&document, "users.0.shell"), shell.as_str());
        for (index, key) in keys.iter().enumerate() {
            prop_assert_eq!(at(&document, &format!("users.0.ssh-authorized-keys.{index}")), key.trim());
        }
        prop_assert_eq!(document.get("timezone").is_some(), !timezone.is_empty());
        if !timezone.is_empty() {
            prop_assert_eq!(at(&document, "timezone"), timezone.as_str());
        }
        let network: Value = serde_yaml::from_str(&user_data::network_config(&values)).unwrap();
        let interface = &network["ethernets"][nic.as_str()];
        prop_assert_eq!(at(interface, "match.macaddress"), mac.as_str());
        prop_assert_eq!(at(interface, "set-name"), nic.as_str());
        let meta: Value = serde_yaml::from_str(&user_data::meta_data(&values)).unwrap();
        prop_assert_eq!(at(&meta, "local-hostname"), hostname.as_str());
    }

    /// The command is taken apart as a shell would: what it runs and with which parameters is exactly what was asked.
    #[test]
    fn any_early_script_reaches_its_shell_whole(script in nasty(), param in nasty()) {
        let mut values = default_values();
        values.params = [("k".to_owned(), param.clone())].into();
        values.provisions = vec![Provision { mode: ProvisionMode::Boot { script: script.clone() } }];
        let text = user_data::user_data(&values);
        let document: Value = serde_yaml::from_str(&text).expect(&text);
        let command = document["bootcmd"].as_sequence().unwrap().last().unwrap().as_str().unwrap().to_owned();
        let words = shlex::split(&command).unwrap();
        let param = format!("PARAM_k={param}");
        let expected = ["env", &param, "/bin/sh", "-c", &script, "||", "lima_early_failed", "provision.boot/00000000", "$?"];
        prop_assert_eq!(words, expected);
    }

    #[test]
    fn any_environment_is_a_list_of_lines_or_an_error(env in btree_map(nasty(), nasty(), 0..4)) {
        let mut values = default_values();
        values.env = env.clone();
        let broken = |(name, value): (&String, &String)| {
            name.is_empty() || name.starts_with('#') || name.contains(['=', '\n', '\0']) || value.contains(['\n', '\0'])
        };
        match env::etc_environment(&values) {
            Err(_) => prop_assert!(env.iter().any(broken)),
            Ok(text) => {
                prop_assert!(!env.iter().any(broken));
                let lines: Vec<&str> = text.split('\n').collect();
                let read: BTreeMap<String, String> = lines[1..lines.len() - 2]
                    .iter()
                    .filter_map(|line| line.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                prop_assert_eq!(read, env);
            }
        }
    }
}
