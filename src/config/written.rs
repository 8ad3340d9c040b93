//! `lima.yaml` as people write it: every key of the schema, every one optional.
//!
//! `None` is a key that is absent or null. The order of the fields is the order in which upstream prints a filled-in document. The keys
//! that a record knows are generated from its fields, so that an unknown key can be told from a known one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

pub use super::content::Content;
use super::decode::{Decode, Reader};
use super::node::{Kind as NodeKind, Node};
use super::schema::{Described, Kind, Record};

/// Declares a record: the struct, how it is read from a node, how it is printed and how it is described (`schema`).
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(rename = $key, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )*
        }

        impl $name {
            /// Every key, in the order of the schema.
            pub const KEYS: &'static [&'static str] = &[$($key),*];

            fn read(node: &Node, reader: &mut Reader) -> Option<$name> {
                let mut record = $name::default();
                for (key, mark, value) in reader.entries(node)? {
                    match key {
                        $($key => record.$field = reader.field(key, value),)*
                        _ => reader.unknown(key, mark, $name::KEYS),
                    }
                }
                Some(record)
            }
        }

        impl Described for $name {
            fn kind() -> Kind {
                Kind::Record(Record {
                    name: stringify!($name),
                    fields: || vec![$(($key, <$type as Described>::kind())),*],
                })
            }
        }
    };
}

/// Records that are written as a mapping and nothing else.
macro_rules! plain_records {
    ($($name:ident)*) => {
        $(impl Decode for $name {
            fn decode(node: &Node, reader: &mut Reader) -> Option<$name> {
                $name::read(node, reader)
            }
        })*
    };
}

plain_records! {
    LimaYaml Image File Kernel FirmwareFile Mount Sshfs NineP Virtiofs Ssh Firmware Audio Vnc Video Provision Containerd Probe PortForward
    CopyToHost Network HostResolver CaCerts Rosetta User
}

record! {
    /// The whole document.
    LimaYaml {
        base: Bases = "base",
        minimum_lima_version: String = "minimumLimaVersion",
        vm_type: String = "vmType",
        vm_opts: BTreeMap<String, serde_json::Value> = "vmOpts",
        os: String = "os",
        arch: String = "arch",
        images: Vec<Image> = "images",
        cpu_type: BTreeMap<String, String> = "cpuType",
        cpus: i64 = "cpus",
        memory: String = "memory",
        disk: String = "disk",
        additional_disks: Vec<AdditionalDisk> = "additionalDisks",
        mounts: Vec<Mount> = "mounts",
        mount_types_unsupported: Vec<String> = "mountTypesUnsupported",
        mount_type: String = "mountType",
        mount_inotify: bool = "mountInotify",
        ssh: Ssh = "ssh",
        firmware: Firmware = "firmware",
        audio: Audio = "audio",
        video: Video = "video",
        provision: Vec<Provision> = "provision",
        upgrade_packages: bool = "upgradePackages",
        containerd: Containerd = "containerd",
        guest_install_prefix: String = "guestInstallPrefix",
        probes: Vec<Probe> = "probes",
        port_forwards: Vec<PortForward> = "portForwards",
        copy_to_host: Vec<CopyToHost> = "copyToHost",
        message: String = "message",
        networks: Vec<Network> = "networks",
        env: BTreeMap<String, String> = "env",
        param: BTreeMap<String, String> = "param",
        dns: Vec<Address> = "dns",
        host_resolver: HostResolver = "hostResolver",
        propagate_proxy_env: bool = "propagateProxyEnv",
        ca_certs: CaCerts = "caCerts",
        rosetta: Rosetta = "rosetta",
        plain: bool = "plain",
        timezone: String = "timezone",
        nested_virtualization: bool = "nestedVirtualization",
        user: User = "user",
        tpm: bool = "tpm",
        os_opts: BTreeMap<String, serde_json::Value> = "osOpts",
    }
}

record! {
    /// Where a template or script is.
    Locator {
        url: String = "url",
        digest: String = "digest",
    }
}

record! {
    Image {
        location: String = "location",
        arch: String = "arch",
        digest: String = "digest",
        kernel: Kernel = "kernel",
        initrd: File = "initrd",
        variant: String = "variant",
        arch_variant: String = "archVariant",
    }
}

record! {
    File {
        location: String = "location",
        arch: String = "arch",
        digest: String = "digest",
    }
}

record! {
    Kernel {
        location: String = "location",
        arch: String = "arch",
        digest: String = "digest",
        cmdline: String = "cmdline",
    }
}

record! {
    FirmwareFile {
        location: String = "location",
        arch: String = "arch",
        digest: String = "digest",
        vm_type: String = "vmType",
    }
}

record! {
    /// A disk of `limactl disk`; may be written as its bare name.
    AdditionalDisk {
        name: String = "name",
        format: bool = "format",
        fs_type: String = "fsType",
        fs_args: Vec<String> = "fsArgs",
    }
}

record! {
    Mount {
        location: String = "location",
        mount_point: String = "mountPoint",
        writable: bool = "writable",
        sshfs: Sshfs = "sshfs",
        nine_p: NineP = "9p",
        virtiofs: Virtiofs = "virtiofs",
    }
}

record! {
    Sshfs {
        cache: bool = "cache",
        follow_symlinks: bool = "followSymlinks",
        sftp_driver: String = "sftpDriver",
    }
}

record! {
    NineP {
        security_model: String = "securityModel",
        protocol_version: String = "protocolVersion",
        msize: String = "msize",
        cache: String = "cache",
    }
}

record! {
    Virtiofs {
        queue_size: i64 = "queueSize",
    }
}

record! {
    Ssh {
        local_port: i64 = "localPort",
        load_dot_ssh_pub_keys: bool = "loadDotSSHPubKeys",
        forward_agent: bool = "forwardAgent",
        forward_x11: bool = "forwardX11",
        forward_x11_trusted: bool = "forwardX11Trusted",
        over_vsock: bool = "overVsock",
    }
}

record! {
    Firmware {
        legacy_bios: bool = "legacyBIOS",
        images: Vec<FirmwareFile> = "images",
    }
}

record! {
    Audio {
        device: String = "device",
        interface: String = "interface",
    }
}

record! {
    Video {
        display: String = "display",
        vnc: Vnc = "vnc",
    }
}

record! {
    Vnc {
        display: String = "display",
    }
}

record! {
    Provision {
        mode: String = "mode",
        skip_default_dependency_resolution: bool = "skipDefaultDependencyResolution",
        script: String = "script",
        file: Locator = "file",
        playbook: String = "playbook",
        content: Content = "content",
        overwrite: bool = "overwrite",
        owner: String = "owner",
        path: String = "path",
        permissions: String = "permissions",
        expression: String = "expression",
        format: String = "format",
    }
}

record! {
    Containerd {
        system: bool = "system",
        user: bool = "user",
        archives: Vec<File> = "archives",
    }
}

record! {
    Probe {
        mode: String = "mode",
        description: String = "description",
        script: String = "script",
        file: Locator = "file",
        hint: String = "hint",
    }
}

record! {
    PortForward {
        guest_ip_must_be_zero: bool = "guestIPMustBeZero",
        guest_ip: Address = "guestIP",
        guest_port: i64 = "guestPort",
        guest_port_range: [i64; 2] = "guestPortRange",
        guest_socket: String = "guestSocket",
        host_ip: Address = "hostIP",
        host_port: i64 = "hostPort",
        host_port_range: [i64; 2] = "hostPortRange",
        host_socket: String = "hostSocket",
        proto: String = "proto",
        reverse: bool = "reverse",
        ignore: bool = "ignore",
        is_static: bool = "static",
    }
}

record! {
    CopyToHost {
        guest: String = "guest",
        host: String = "host",
        skip_if_missing: bool = "skipIfMissing",
        delete_on_stop: bool = "deleteOnStop",
    }
}

record! {
    Network {
        lima: String = "lima",
        socket: String = "socket",
        vz_nat: bool = "vzNAT",
        mac_address: String = "macAddress",
        interface: String = "interface",
        metric: u32 = "metric",
    }
}

record! {
    HostResolver {
        enabled: bool = "enabled",
        ipv6: bool = "ipv6",
        hosts: BTreeMap<String, String> = "hosts",
    }
}

record! {
    CaCerts {
        remove_defaults: bool = "removeDefaults",
        files: Vec<String> = "files",
        certs: Vec<String> = "certs",
    }
}

record! {
    Rosetta {
        enabled: bool = "enabled",
        binfmt: bool = "binfmt",
    }
}

record! {
    User {
        name: String = "name",
        comment: String = "comment",
        home: String = "home",
        shell: String = "shell",
        uid: u32 = "uid",
        passwordless_sudo: bool = "passwordlessSudo",
    }
}

/// `base`: one locator or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Bases(pub Vec<Locator>);

impl Decode for Bases {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Bases> {
        match &node.kind {
            NodeKind::Sequence(_) => Vec::decode(node, reader).map(Bases),
            _ => Locator::decode(node, reader).map(|locator| Bases(vec![locator])),
        }
    }
}

impl Decode for Locator {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Locator> {
        match &node.kind {
            NodeKind::Scalar(_) => Some(Locator { url: Some(String::decode(node, reader)?), digest: None }),
            _ => Locator::read(node, reader),
        }
    }
}

impl Decode for AdditionalDisk {
    fn decode(node: &Node, reader: &mut Reader) -> Option<AdditionalDisk> {
        match &node.kind {
            NodeKind::Scalar(_) => Some(AdditionalDisk {
                name: Some(String::decode(node, reader)?),
                ..AdditionalDisk::default()
            }),
            _ => AdditionalDisk::read(node, reader),
        }
    }
}

/// An IP address; `None` only for a null in a list of them, which upstream lets pass as "no address".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Address(pub Option<IpAddr>);

impl Decode for Address {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Address> {
        IpAddr::decode(node, reader).map(|address| Address(Some(address)))
    }
}
