//! What a start finds in the instance directory, whatever came before.

use std::fs;

use super::error::with_causes;
use super::format::tests::qcow2;
use super::*;
use crate::config::host::test_facts_in;
use crate::config::resolved::{FileRef, Kernel};

/// A host whose relative paths start in `dir`, and whose only programs are in `<dir>/bin`.
pub(super) fn host(dir: &Path) -> HostFacts {
    test_facts_in(dir)
}

/// A directory with sources, and an instance directory in it.
struct World {
    dir: tempfile::TempDir,
    images: Vec<Image>,
    firmware: Vec<FileRef>,
    size: Bytes,
    events: Vec<Event>,
}

const RAW: &[u8] = &[b'r'; 4096];

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        World { dir, images: vec![], firmware: vec![], size: Bytes(8192), events: vec![] }
    }

    fn source(&mut self, name: &str, bytes: &[u8]) -> &mut World {
        fs::write(self.dir.path().join(name), bytes).unwrap();
        self
    }

    fn image(&mut self, location: &str) -> &mut Image {
        self.images.push(Image {
            location: location.into(),
            arch: Arch::X86_64,
            digest: None,
            variant: String::new(),
            arch_variant: String::new(),
            kernel: None,
            initrd: None,
        });
        self.images.last_mut().unwrap()
    }

    fn instance(&self) -> PathBuf {
        self.dir.path().join("d")
    }

    fn prepare(&mut self) -> Result<Boot, ImageError> {
        let (dir, host) = (self.instance(), host(self.dir.path()));
        let request = Request {
            images: &self.images,
            firmware: &self.firmware,
            arch: Arch::X86_64,
            disk: self.size,
            dir: &dir,
            host: &host,
        };
        let events = &mut self.events;
        prepare(&request, &mut |event| events.push(event))
    }

    /// The whole message of a preparation that must fail.
    fn failure(&mut self) -> String {
        with_causes(&self.prepare().unwrap_err())
    }

    /// Installs a stand-in for qemu-img that keeps its arguments and runs `script`, where `{grown}` is a file with `bytes`.
    fn qemu_img(&mut self, script: &str, bytes: &[u8]) {
        let bin = self.dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        self.source("grown", bytes);
        let (argv, grown) = (self.dir.path().join("argv"), self.dir.path().join("grown"));
        let script = script.replace("{grown}", &grown.display().to_string());
        let script = format!("#!/bin/sh\necho \"$@\" >>{}\n{script}\n", argv.display());
        // Written by another process, so that no fork on another thread can keep it open for writing ("text file busy").
        self.source("script", script.as_bytes());
        let install = std::process::Command::new("install")
            .args(["-m", "755"])
            .arg(self.dir.path().join("script"))
            .arg(bin.join("qemu-img"))
            .status();
        assert!(install.unwrap().success());
    }

    /// What the stand-in was called with, a line each.
    fn argv(&self) -> String {
        fs::read_to_string(self.dir.path().join("argv")).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.instance()).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn kernel(location: &str, cmdline: &str) -> Option<Kernel> {
    Some(Kernel { file: file(location), cmdline: cmdline.into() })
}

fn file(location: &str) -> FileRef {
    FileRef { location: location.into(), digest: None }
}

#[test]
fn an_image_with_its_kernel_becomes_a_disk_of_the_wanted_size() {
    let mut world = World::new();
    world.source("i", RAW).source("k", b"kernel").source("r", b"initrd");
    let image = world.image("i");
    image.kernel = kernel("k", "root=/dev/vda1 console=ttyS0");
    image.initrd = Some(file("r"));
    image.digest = Some(format!("sha256:{}", digest::sha256_hex(RAW)));
    let digest = image.digest.clone();
    let boot = world.prepare().unwrap();
    assert_eq!((boot.format, boot.virtual_size), (Format::Raw, Bytes(8192)));
    assert_eq!(boot.cmdline.as_deref(), Some("root=/dev/vda1 console=ttyS0"));
    assert_eq!(fs::read(boot.kernel.unwrap()).unwrap(), b"kernel");
    assert_eq!(fs::read(boot.initrd.unwrap()).unwrap(), b"initrd");
    assert_eq!(&fs::read(&boot.disk).unwrap()[..4096], RAW);
    assert_eq!(world.files(), ["disk", "initrd", "kernel", "kernel.cmdline"]);
    let arch = Arch::X86_64;
    let attempting =
        |part, location: &str, digest| Event::Attempting { part, location: location.into(), arch, digest };
    let downloaded = |part, location: &str| Event::Downloaded { part, location: location.into() };
    assert_eq!(
        world.events,
        [
            attempting(Part::Image, "i", digest),
            downloaded(Part::Image, "i"),
            attempting(Part::Kernel, "k", None),
            downloaded(Part::Kernel, "k"),
            attempting(Part::Initrd, "r", None),
            downloaded(Part::Initrd, "r"),
            Event::Resizing { from: Bytes(4096), to: Bytes(8192) },
        ]
    );
}

#[test]
fn a_second_start_only_looks_at_the_size() {
    let mut world = World::new();
    world.source("i", RAW).image("i");
    world.prepare().unwrap();
    fs::remove_file(world.dir.path().join("i")).unwrap();
    world.events.clear();
    world.prepare().unwrap();
    assert_eq!(world.events, []);
    world.size = Bytes(8193);
    assert_eq!(world.prepare().unwrap().virtual_size, Bytes(8704));
    // The same odd size again is not a wish to shrink.
    world.prepare().unwrap();
    world.size = Bytes(4096);
    let message = world.failure();
    assert!(
        message.contains("disk shrinking is not supported: the disk has 8.5KiB, `disk:` says 4KiB"),
        "{message}"
    );
}

#[test]
fn an_image_that_is_too_large_is_refused_with_both_sizes_and_leaves_nothing() {
    let mut world = World::new();
    world.source("i", &qcow2(Bytes::mib(2100).0)).image("i");
    world.size = Bytes::gib(1);
    assert_eq!(
        world.failure(),
        "`i` cannot be used: disk shrinking is not supported: the disk has 2.051GiB, `disk:` says 1GiB; \
         set `disk: 3GiB` or more"
    );
    assert_eq!(world.files(), Vec::<String>::new());
}

#[test]
fn a_wrong_digest_is_told_in_upstreams_words_and_leaves_nothing() {
    let mut world = World::new();
    let zeros = format!("sha256:{}", "0".repeat(64));
    world.source("i", RAW).image("i").digest = Some(zeros.clone());
    let got = digest::sha256_hex(RAW);
    assert_eq!(
        world.failure(),
        format!("failed to download `i`: expected digest `{zeros}`, got `sha256:{got}`")
    );
    assert_eq!(world.files(), Vec::<String>::new());
}

#[test]
fn an_absent_image_is_named() {
    let mut world = World::new();
    let path = world.dir.path().join("nope");
    let path = path.to_str().unwrap();
    world.image(path);
    let start = format!("failed to download `{path}`: failed to open source {path}: open {path}: ");
    assert!(world.failure().starts_with(&start));
}

#[test]
fn the_next_candidate_starts_clean() {
    let mut world = World::new();
    world.source("a", RAW).source("b", &[b'b'; 4096]).source("k", b"kernel");
    let first = world.image("a");
    first.kernel = kernel("k", "first");
    first.initrd = Some(file("absent"));
    world.image("b");
    let boot = world.prepare().unwrap();
    assert_eq!((boot.kernel, boot.cmdline, boot.initrd), (None, None, None));
    assert_eq!(fs::read(boot.disk).unwrap()[0], b'b');
    assert_eq!(world.files(), ["disk"]);
    assert!(
        world.events.iter().any(|event| matches!(event, Event::Failed { cause } if cause.contains("absent")))
    );
}

#[test]
fn every_candidate_that_failed_is_reported() {
    let mut world = World::new();
    world.image("a");
    world.image("ftp://example.com/b.img");
    let message = world.failure();
    let lines: Vec<&str> = message.lines().collect();
    assert!(lines[0].starts_with("failed to download `a`: "), "{message}");
    assert!(
        lines[1]
            .starts_with("failed to download `ftp://example.com/b.img`: unsupported protocol scheme `ftp`"),
        "{message}"
    );
}

#[test]
fn what_a_killed_run_left_is_neither_used_nor_kept() {
    let mut world = World::new();
    world.source("i", RAW).image("i");
    for name in ["image", "image.tmp", "kernel", "kernel.tmp", "initrd", "initrd.tmp", "kernel.cmdline.tmp"] {
        fs::write(world.instance().join(name), b"half").unwrap();
    }
    let boot = world.prepare().unwrap();
    assert_eq!(&fs::read(boot.disk).unwrap()[..4096], RAW);
    assert_eq!((boot.kernel, boot.initrd), (None, None));
    assert_eq!(world.files(), ["disk"]);
}

#[test]
fn what_is_no_disk_is_refused_by_name() {
    let mut world = World::new();
    world
        .source("gz", b"\x1f\x8b\x08")
        .source("text", b"# Disk DescriptorFile\n")
        .source("asif", b"shdw")
        .source("empty", b"");
    nix::unistd::mkfifo(&world.dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (location, words) in [
        ("gz", "cannot decompress the image (gzip): "),
        ("text", "`text` cannot be used: it is only a description whose data are in other files"),
        ("asif", "`asif` cannot be used: its format is asif, which QEMU cannot boot from"),
        ("fifo", "is not a regular file"),
        (".", "is not a regular file"),
        ("empty", "it is empty"),
    ] {
        world.images.clear();
        world.image(location);
        let message = world.failure();
        assert!(message.contains(words), "{message}");
        assert_eq!(world.files(), Vec::<String>::new());
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_image_and_its_kernel_are_decompressed_and_an_initrd_is_not() {
    let mut world = World::new();
    let (image, initrd) = (gzip(RAW), gzip(b"initrd"));
    world.source("i", &image).source("k", &gzip(b"kernel")).source("r", &initrd);
    let candidate = world.image("i");
    candidate.digest = Some(format!("sha256:{}", digest::sha256_hex(&image)));
    candidate.kernel = kernel("k", "");
    candidate.initrd = Some(file("r"));
    let boot = world.prepare().unwrap();
    assert_eq!(&fs::read(boot.disk).unwrap()[..4096], RAW);
    assert_eq!(fs::read(boot.kernel.unwrap()).unwrap(), b"kernel");
    assert_eq!(fs::read(boot.initrd.unwrap()).unwrap(), initrd);
}

#[test]
fn a_digest_is_of_the_compressed_bytes() {
    let mut world = World::new();
    world.source("i", &gzip(RAW)).image("i").digest = Some(format!("sha256:{}", digest::sha256_hex(RAW)));
    assert!(world.failure().contains("expected digest"));
    assert_eq!(world.files(), Vec::<String>::new());
}

#[test]
fn an_installation_medium_gets_an_empty_disk_beside_it() {
    let mut iso = vec![0; 0x9000];
    iso[0x8001..0x8006].copy_from_slice(b"CD001");
    let mut world = World::new();
    world.source("i", &iso).image("i");
    let disk = qcow2(8192);
    world.qemu_img("/bin/cat {grown} >\"$5\"", &disk);
    let boot = world.prepare().unwrap();
    assert_eq!((boot.format, boot.virtual_size), (Format::Qcow2, Bytes(8192)));
    assert_eq!(fs::read(boot.iso.unwrap()).unwrap(), iso);
    assert_eq!(world.files(), ["disk", "iso"]);
    assert_eq!(world.argv(), format!("create -q -f qcow2 {}/disk.tmp 8192\n", world.instance().display()));
}

#[test]
fn another_format_becomes_qcow2_if_it_stands_alone() {
    for (format, head) in [
        ("vhdx", &b"vhdxfile"[..]),
        ("vpc", b"conectix"),
        ("vmdk", b"KDMV\x01\0\0\0\x03\0\0\0\x10\0\0\0\0\0\0\0"),
    ] {
        let mut world = World::new();
        world.source("i", head).image("i");
        let script = "if [ $1 = info ]; then echo \"{\\\"filename\\\": \\\"$5\\\"}\"; else /bin/cat {grown} >\"$7\"; fi";
        world.qemu_img(script, &qcow2(8192));
        let boot = world.prepare().unwrap();
        assert_eq!((boot.format, boot.virtual_size), (Format::Qcow2, Bytes(8192)));
        assert_eq!(world.files(), ["disk"]);
        let dir = world.instance();
        let (image, converted) = (dir.join("image.tmp"), dir.join("converted.tmp"));
        assert_eq!(
            world.argv(),
            format!(
                "info --output=json -f {format} {image}\nconvert -f {format} -O qcow2 {image} {converted}\n",
                image = image.display(),
                converted = converted.display()
            )
        );
        assert!(world.events.iter().any(|event| matches!(event, Event::Converting { .. })));
    }
}

#[test]
fn an_image_that_cannot_be_converted_is_not_the_last_one_tried() {
    let mut world = World::new();
    world.source("bad", b"vhdxfile").source("good", &[0; 8192]);
    world.image("bad");
    world.image("good");
    world.qemu_img("echo broken >&2; exit 1", b"");
    assert_eq!(world.prepare().unwrap().format, Format::Raw);
    assert_eq!(world.files(), ["disk"]);
}

#[test]
fn firmware_of_ones_own_is_fetched_once_and_its_absence_is_only_told() {
    let mut world = World::new();
    world.source("i", RAW).source("f", &gzip(b"code")).image("i");
    world.firmware = vec![file("absent"), file("f")];
    let boot = world.prepare().unwrap();
    assert_eq!(fs::read(boot.firmware.unwrap()).unwrap(), b"code");
    assert_eq!(world.files(), ["disk", "qemu-efi-code.fd"]);
    let failed =
        |event: &&Event| matches!(event, Event::FirmwareFailed { location, .. } if location == "absent");
    assert_eq!(world.events.iter().filter(failed).count(), 1);
    world.events.clear();
    world.prepare().unwrap();
    assert_eq!(world.events, []);
}

#[test]
fn an_image_that_depends_on_another_file_is_refused() {
    let mut tied = qcow2(8192);
    tied[8..16].copy_from_slice(&200u64.to_be_bytes());
    tied[16..20].copy_from_slice(&11u32.to_be_bytes());
    tied[200..211].copy_from_slice(b"/etc/shadow");
    let mut external = qcow2(8192);
    external[79] = 4;
    let mut world = World::new();
    world.source("tied", &tied).source("external", &external);
    world.image("tied");
    assert!(world.failure().contains("it has a backing file (`/etc/shadow`), which is not allowed"));
    world.images.clear();
    world.image("external");
    assert!(world.failure().contains("it keeps its data in another file, which is not allowed"));
    assert_eq!(world.files(), Vec::<String>::new());
}

#[test]
fn a_disk_that_the_guest_has_tied_to_a_file_is_found_out_before_the_next_start() {
    let mut world = World::new();
    world.source("i", RAW).image("i");
    let boot = world.prepare().unwrap();
    let mut tied = qcow2(8192);
    tied[8..16].copy_from_slice(&200u64.to_be_bytes());
    fs::write(boot.disk, tied).unwrap();
    assert!(with_causes(&examine(&world.instance()).unwrap_err()).contains("backing file"));
}

#[test]
fn qemu_img_grows_a_qcow2_and_is_named_when_it_is_missing() {
    let mut world = World::new();
    world.source("i", &qcow2(4096)).image("i");
    let error = world.prepare().unwrap_err();
    assert_eq!(
        with_causes(&error),
        "`i` cannot be used: exec: \"qemu-img\": executable file not found in $PATH"
    );
    assert!(error.hint().unwrap().contains("install"));
    assert_eq!(world.files(), Vec::<String>::new());
    world.qemu_img("/bin/cat {grown} >\"$4\"", &qcow2(8192));
    assert_eq!(world.prepare().unwrap().virtual_size, Bytes(8192));
    let image = world.instance().join("image.tmp");
    assert_eq!(world.argv(), format!("resize -f qcow2 {} 8192\n", image.display()));
}

#[test]
fn an_old_instance_keeps_its_disk_and_its_base() {
    let mut world = World::new();
    let dir = world.instance();
    let mut diff = qcow2(8192);
    let base = dir.join("basedisk").into_os_string().into_string().unwrap();
    diff[8..16].copy_from_slice(&200u64.to_be_bytes());
    diff[16..20].copy_from_slice(&(base.len() as u32).to_be_bytes());
    diff[200..200 + base.len()].copy_from_slice(base.as_bytes());
    fs::write(dir.join("diffdisk"), diff).unwrap();
    fs::write(dir.join("basedisk"), RAW).unwrap();
    world.prepare().unwrap();
    assert_eq!(world.files(), ["basedisk", "diffdisk", "disk"]);
    assert_eq!(fs::read_link(dir.join("disk")).unwrap(), Path::new("diffdisk"));
}

#[test]
fn the_cache_is_upstreams() {
    let entry = cache::place(Path::new("/c/lima"), "https://example.com/a.img");
    let hash = "38677a2c1ea942a56231187d34e849e8b167a99eb33bafae636c0afd53559488";
    assert_eq!(entry, Path::new("/c/lima/download/by-url-sha256").join(hash));
}
