//! The instance's file (`y`), `_config/default.yaml` (`d`) and `_config/override.yaml` (`o`) become one document. Pure.
//!
//! Every key has one of these rules: *scalar*: the first that is set of o, y, d (set means present and not null, even if empty);
//! *list*: o, then y, then d; *map*: key by key, o over y over d; *own*: only y counts. `mounts` and `networks` go d, y, o and are merged by
//! mount point and by interface (mounts after their templates are expanded: `defaults`); `dns` is the first list that is not empty.

use std::collections::BTreeMap;

use super::written::*;

/// The three documents in the order of the file's name, its defaults and its overrides.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub file: LimaYaml,
    pub defaults: LimaYaml,
    pub overrides: LimaYaml,
}

fn scalar<T>(y: Option<T>, d: Option<T>, o: Option<T>) -> Option<T> {
    o.or(y).or(d)
}

fn list<T>(y: Option<Vec<T>>, d: Option<Vec<T>>, o: Option<Vec<T>>) -> Option<Vec<T>> {
    chain([o, y, d])
}

fn list_upwards<T>(y: Option<Vec<T>>, d: Option<Vec<T>>, o: Option<Vec<T>>) -> Option<Vec<T>> {
    chain([d, y, o])
}

fn chain<T>(lists: [Option<Vec<T>>; 3]) -> Option<Vec<T>> {
    if lists.iter().all(Option::is_none) {
        return None;
    }
    Some(lists.into_iter().flatten().flatten().collect())
}

fn map<V>(
    y: Option<BTreeMap<String, V>>,
    d: Option<BTreeMap<String, V>>,
    o: Option<BTreeMap<String, V>>,
) -> Option<BTreeMap<String, V>> {
    if y.is_none() && d.is_none() && o.is_none() {
        return None;
    }
    Some([d, y, o].into_iter().flatten().flatten().collect())
}

fn unique(y: Option<Vec<String>>, d: Option<Vec<String>>, o: Option<Vec<String>>) -> Option<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    for text in list_upwards(y, d, o)? {
        if !out.contains(&text) {
            out.push(text);
        }
    }
    Some(out)
}

fn first_not_empty<T>(lists: [Option<Vec<T>>; 3]) -> Option<Vec<T>> {
    lists.into_iter().flatten().find(|list| !list.is_empty())
}

/// Merges field by field with the named rule.
macro_rules! merged {
    ($type:ident from $y:ident, $d:ident, $o:ident { $($rule:ident: $($field:ident)+;)* } $($own:ident = $value:expr,)*) => {
        $type {
            $($($field: $rule($y.$field, $d.$field, $o.$field),)+)*
            $($own: $value,)*
        }
    };
}

/// Merges the three documents into one. `mounts` is left as the list d, y, o.
pub fn merge(sources: Sources) -> LimaYaml {
    let Sources { file: y, defaults: d, overrides: o } = sources;
    merged!(LimaYaml from y, d, o {
        scalar: vm_type os arch cpus memory disk mount_type mount_inotify upgrade_packages guest_install_prefix propagate_proxy_env plain timezone
            nested_virtualization tpm;
        list: images additional_disks mount_types_unsupported provision probes port_forwards copy_to_host;
        list_upwards: mounts;
        map: vm_opts env param os_opts;
        ssh: ssh;
        firmware: firmware;
        audio: audio;
        video: video;
        containerd: containerd;
        networks: networks;
        host_resolver: host_resolver;
        ca_certs: ca_certs;
        user: user;
    }
    dns = first_not_empty([o.dns, y.dns, d.dns]),
    base = y.base,
    minimum_lima_version = y.minimum_lima_version,
    cpu_type = y.cpu_type,
    message = y.message,
    rosetta = y.rosetta,
    )
}

/// A nested record: merged field by field, an absent one counting as empty.
macro_rules! nested {
    ($($name:ident: $type:ident { $($rule:ident: $($field:ident)+;)* })*) => {
        $(fn $name(y: Option<$type>, d: Option<$type>, o: Option<$type>) -> Option<$type> {
            if y.is_none() && d.is_none() && o.is_none() {
                return None;
            }
            let (y, d, o) = (y.unwrap_or_default(), d.unwrap_or_default(), o.unwrap_or_default());
            Some(merged!($type from y, d, o { $($rule: $($field)+;)* }))
        })*
    };
}

nested! {
    ssh: Ssh { scalar: local_port load_dot_ssh_pub_keys forward_agent forward_x11 forward_x11_trusted over_vsock; }
    firmware: Firmware { scalar: legacy_bios; list: images; }
    audio: Audio { scalar: device interface; }
    video: Video { scalar: display; vnc: vnc; }
    vnc: Vnc { scalar: display; }
    containerd: Containerd { scalar: system user; list: archives; }
    host_resolver: HostResolver { scalar: enabled ipv6; map: hosts; }
    ca_certs: CaCerts { scalar: remove_defaults; unique: files certs; }
    user: User { scalar: name comment home shell uid passwordless_sudo; }
}

/// Networks of all three, lowest priority first; an entry whose interface was seen before changes that entry. `vzNAT` is never merged.
fn networks(
    y: Option<Vec<Network>>,
    d: Option<Vec<Network>>,
    o: Option<Vec<Network>>,
) -> Option<Vec<Network>> {
    let mut out: Vec<Network> = Vec::new();
    for new in list_upwards(y, d, o)? {
        let named = new.interface.as_deref().filter(|name| !name.is_empty());
        let seen = named.and_then(|name| out.iter_mut().find(|old| old.interface.as_deref() == Some(name)));
        match seen {
            Some(old) => change_network(old, new),
            None => out.push(new),
        }
    }
    Some(out)
}

fn change_network(old: &mut Network, new: Network) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if given(&new.socket) {
        old.socket = new.socket;
        old.lima = None;
    }
    if given(&new.lima) {
        old.lima = new.lima;
        old.socket = None;
    }
    if given(&new.mac_address) {
        old.mac_address = new.mac_address;
    }
    old.metric = new.metric.or(old.metric);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_go_from_override_to_default_and_mounts_the_other_way() {
        let with = |name: &str| LimaYaml {
            additional_disks: Some(vec![AdditionalDisk {
                name: Some(name.to_owned()),
                ..Default::default()
            }]),
            mounts: Some(vec![Mount { location: Some(name.to_owned()), ..Default::default() }]),
            ..Default::default()
        };
        let merged = merge(Sources { file: with("y"), defaults: with("d"), overrides: with("o") });
        let disks: Vec<_> =
            merged.additional_disks.unwrap().into_iter().map(|disk| disk.name.unwrap()).collect();
        let mounts: Vec<_> =
            merged.mounts.unwrap().into_iter().map(|mount| mount.location.unwrap()).collect();
        assert_eq!(disks, ["o", "y", "d"]);
        assert_eq!(mounts, ["d", "y", "o"]);
    }

    #[test]
    fn an_empty_text_is_set_and_null_is_not() {
        let with = |zone: Option<&str>| LimaYaml { timezone: zone.map(str::to_owned), ..Default::default() };
        let merged = merge(Sources {
            file: with(Some("")),
            defaults: with(Some("Asia/Tokyo")),
            overrides: with(None),
        });
        assert_eq!(merged.timezone.as_deref(), Some(""));
    }
}
