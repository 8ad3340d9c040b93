//! Images come over http(s) whole or not at all, once for all, and are kept.
//!
//! Everything runs against a server on the loopback that drops, stalls and lies as it is told.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal::SIGKILL;

use crate::support::web::{Act, Web};
use crate::support::{Going, Seen, World, say, until};

/// A World whose image is behind a URL.
struct Net {
    world: World,
    web: Web,
    image: Vec<u8>,
}

const PATH: &str = "/i.img";

impl Net {
    fn new() -> Net {
        let world = World::new();
        let image = image();
        let web = Web::new();
        web.put(PATH, &image);
        Net { world, web, image }
    }

    /// `NAME.yaml`, with more behind the location of the image.
    fn file(&self, name: &str, path: &str, more: &str) -> PathBuf {
        let image = self.world.image().display().to_string();
        let text =
            self.world.yaml().replace(&format!("\"{image}\""), &format!("\"{}\"{more}", self.web.url(path)));
        self.world.write(&format!("{name}.yaml"), &text)
    }

    fn create(&self, name: &str, path: &str, more: &str) -> Seen {
        let file = self.file(name, path, more);
        self.world.limactl(["create", &file.display().to_string()]).env("LIMA_DOWNLOAD_STALL", "1").seen()
    }

    fn begin(&self, name: &str) -> Going {
        let file = self.file(name, PATH, "");
        self.world.limactl(["create", &file.display().to_string()]).begin()
    }

    fn entry(&self, path: &str) -> PathBuf {
        let url = self.web.url(path);
        self.world.path("h/.cache/lima/download/by-url-sha256").join(sha256(url.as_bytes()))
    }

    /// Names of the files in the cache entry of `path`.
    fn cached(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.entry(path))
            .into_iter()
            .flatten()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The instance has the disk that the server has an image for.
    #[track_caller]
    fn has_disk(&self, name: &str) {
        let disk = fs::read(self.world.instance_file(name, "disk")).unwrap();
        assert_eq!(disk.len(), 32 << 20);
        assert!(disk[..self.image.len()] == self.image, "the disk has other bytes than the image");
    }

    /// A failed creation left neither an instance nor a file that could be taken for whole.
    #[track_caller]
    fn nothing_is_left(&self, name: &str) {
        assert!(!self.world.lima_home().join(name).exists());
        let left: Vec<String> =
            self.cached(PATH).into_iter().filter(|name| name.starts_with("data")).collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

/// A raw image of 3 MiB whose bytes tell their place, so that no mixture goes unnoticed; some of it is zero.
fn image() -> Vec<u8> {
    let word = |at: u32| if at % 4096 < 1024 { [0; 4] } else { at.wrapping_mul(2_654_435_761).to_le_bytes() };
    (0..3u32 << 18).flat_map(word).collect()
}

fn sha256(bytes: &[u8]) -> String {
    through("sha256sum", &[], bytes)
        .expect("sha256sum is installed")
        .iter()
        .take(64)
        .map(|c| *c as char)
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("\n  digest: \"sha256:{}\"", sha256(bytes))
}

/// What a program makes of its input; `None` if it is not installed.
fn through(program: &str, args: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
    let mut child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_owned();
    let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &bytes));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

const START: &str = "level=info msg=\"Terminal is not available, proceeding without opening an editor\"\n";

fn attempting(digest: &str) -> String {
    let arch = std::env::consts::ARCH;
    format!(
        "level=info msg=\"Attempting to download the image\" arch={arch} digest={digest} location=\"http://127.0.0.1:<PORT>/i.img\"\n"
    )
}

const DOWNLOADED: &str = "level=info msg=\"Downloaded the image from `http://127.0.0.1:<PORT>/i.img`\"\n";

fn rest(name: &str) -> String {
    format!(
        "level=info msg=\"Resize instance {name}'s disk from 3MiB to 32MiB\"\n\
         level=info msg=\"Run `limactl start {name}` to start the instance.\"\n"
    )
}

#[test]
fn an_image_is_downloaded_and_kept_as_lima_keeps_it() {
    let net = Net::new();
    let seen = net.create("a", PATH, "").succeeded();
    let expected =
        format!("{START}{}Downloading the image (i.img)\n{DOWNLOADED}{}", attempting(""), rest("a"));
    assert_eq!(seen.stderr, expected);
    net.has_disk("a");
    assert_eq!(net.web.asked(), ["GET /i.img"]);
    assert_eq!(net.cached(PATH), ["data", "time", "type", "url"]);
    let text = |name: &str| fs::read_to_string(net.entry(PATH).join(name)).unwrap();
    assert_eq!(text("url"), net.web.url(PATH));
    assert_eq!(text("time"), "Tue, 01 Dec 2026 00:00:00 GMT");
    assert_eq!(text("type"), "application/octet-stream");
    assert!(fs::read(net.entry(PATH).join("data")).unwrap() == net.image);
}

#[test]
fn a_second_instance_asks_only_whether_the_image_has_changed() {
    let net = Net::new();
    net.create("a", PATH, "").succeeded().done();
    let seen = net.create("b", PATH, "").succeeded();
    let cache = net.entry(PATH).join("data").display().to_string();
    let cache = cache.replace(&net.world.path("h").display().to_string(), "<H>");
    let expected =
        format!("{START}{}level=info msg=\"Using cache `{cache}`\"\n{}", attempting(""), rest("b"));
    assert_eq!(seen.stderr, expected);
    net.has_disk("b");
    assert_eq!(net.web.asked(), ["GET /i.img", "HEAD /i.img"]);
}

#[test]
fn an_image_that_has_changed_is_downloaded_again() {
    let mut net = Net::new();
    net.create("a", PATH, "").succeeded().done();
    net.image.reverse();
    net.web.put(PATH, &net.image);
    net.create("b", PATH, "").succeeded().done();
    net.has_disk("b");
    assert_eq!(net.web.asked(), ["GET /i.img", "HEAD /i.img", "GET /i.img"]);
}

#[test]
fn without_a_network_the_cached_image_serves_with_a_warning() {
    for plain in [false, true] {
        let mut net = Net::new();
        if plain {
            net.web.say_little(PATH);
        }
        net.create("a", PATH, "").succeeded().done();
        net.web.stop();
        let seen = net.create("b", PATH, "").succeeded();
        seen.says("level=warning msg=\"cannot check whether the cached copy of `http://127.0.0.1:<PORT>/i.img` is still current, using it: ")
            .says("Using cache")
            .done();
        net.has_disk("b");
    }
}

#[test]
fn an_image_with_a_digest_needs_no_server_once_it_is_here() {
    let mut net = Net::new();
    let digest = digest(&net.image);
    net.create("a", PATH, &digest).succeeded().done();
    assert_eq!(net.cached(PATH), ["data", "sha256.digest", "time", "type", "url"]);
    assert_eq!(
        fs::read_to_string(net.entry(PATH).join("sha256.digest")).unwrap(),
        format!("sha256:{}", sha256(&net.image))
    );
    net.web.stop();
    net.create("b", PATH, &digest).succeeded().says_not("warning").says("Using cache").done();
    net.has_disk("b");
}

#[test]
fn a_cache_that_lima_filled_is_used_and_one_with_another_digest_is_replaced() {
    let net = Net::new();
    let entry = net.entry(PATH);
    fs::create_dir_all(&entry).unwrap();
    fs::write(entry.join("url"), net.web.url(PATH)).unwrap();
    fs::write(entry.join("data"), &net.image).unwrap();
    fs::write(entry.join("time"), "").unwrap();
    fs::write(entry.join("data.part"), "half").unwrap();
    net.create("a", PATH, &digest(&net.image)).succeeded().says("Using cache").done();
    net.has_disk("a");
    assert_eq!(net.web.asked(), Vec::<String>::new());
    assert_eq!(net.cached(PATH), ["data", "sha256.digest", "time", "url"]);
    // The same URL has another file now, and the template another digest.
    fs::write(entry.join("sha256.digest"), format!("sha256:{}", "0".repeat(64))).unwrap();
    net.create("b", PATH, &digest(&net.image)).succeeded().says(DOWNLOADED).done();
    net.has_disk("b");
    assert_eq!(net.web.asked(), ["GET /i.img"]);
}

#[test]
fn every_compression_is_undone_whatever_the_file_is_called() {
    let net = Net::new();
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        let Some(packed) = through(program, &["-c"], &net.image) else {
            say(&format!("skipped: images compressed by {program}, which is not installed"));
            continue;
        };
        let path = format!("/{program}");
        net.web.put(&path, &packed);
        net.create(program, &path, &digest(&packed)).succeeded().done();
        net.has_disk(program);
        // What is kept is what was served.
        assert!(fs::read(net.entry(&path).join("data")).unwrap() == packed);
        let again = format!("{program}-again");
        net.create(&again, &path, &digest(&packed)).succeeded().says("Using cache").done();
        net.has_disk(&again);
    }
}

#[test]
fn holes_of_an_image_take_no_room() {
    use std::os::unix::fs::MetadataExt;
    let net = Net::new();
    let mut sparse = vec![0; 16 << 20];
    sparse[..4].copy_from_slice(b"boot");
    net.web.put(PATH, &through("gzip", &["-c"], &sparse).unwrap());
    net.create("a", PATH, "").succeeded().done();
    let room = fs::metadata(net.world.instance_file("a", "disk")).unwrap().blocks() * 512;
    assert!(room < 1 << 20, "{room}");
}

#[test]
fn a_connection_that_drops_is_taken_up_where_it_broke_off() {
    let net = Net::new();
    net.web.act(PATH, [Act::Drop(1_000_000), Act::Drop(500_000)]);
    let seen = net.create("a", PATH, &digest(&net.image)).succeeded();
    seen.says("level=warning msg=\"the download broke off after ").says("; going on from ").done();
    net.has_disk("a");
    assert_eq!(net.web.asked(), ["GET /i.img", "GET /i.img from 1000000", "GET /i.img from 1500000"]);
}

#[test]
fn a_compressed_image_survives_a_drop_too() {
    let net = Net::new();
    let packed = through("gzip", &["-c"], &net.image).unwrap();
    net.web.put(PATH, &packed);
    net.web.act(PATH, [Act::Drop(packed.len() / 2), Act::NoRanges]);
    net.create("a", PATH, &digest(&packed)).succeeded().done();
    net.has_disk("a");
    let half = packed.len() / 2;
    assert_eq!(net.web.asked(), ["GET /i.img".to_owned(), format!("GET /i.img from {half}")]);
}

#[test]
fn a_server_that_says_nothing_any_more_is_left_and_asked_again() {
    let net = Net::new();
    net.web.act(PATH, [Act::Stall(1_000_000), Act::Stall(0)]);
    let seen = net.create("a", PATH, "").succeeded();
    seen.says("the server says nothing; going on from ").done();
    net.has_disk("a");
    assert_eq!(net.web.asked(), ["GET /i.img", "GET /i.img from 1000000", "GET /i.img from 1000000"]);
}

#[test]
fn a_server_that_sends_next_to_nothing_is_left_too() {
    let net = Net::new();
    net.web.act(PATH, [Act::Trickle(500)]);
    let seen = net.create("a", PATH, "").succeeded();
    seen.says("the server sends next to nothing; going on from ").done();
    net.has_disk("a");
}

#[test]
fn a_server_without_ranges_or_with_wrong_ones_is_asked_for_all_of_it() {
    let net = Net::new();
    net.web.act(PATH, [Act::Drop(1_000_000), Act::NoRanges]);
    net.create("a", PATH, "").succeeded().done();
    net.has_disk("a");
    net.web.put("/w.img", &net.image);
    net.web.act("/w.img", [Act::Drop(1_000_000), Act::WrongRange]);
    net.create("w", "/w.img", "").succeeded().done();
    net.has_disk("w");
    assert_eq!(net.web.asked()[2..], ["GET /w.img", "GET /w.img from 1000000", "GET /w.img"]);
    // Without a word that names the version nothing can be continued.
    net.web.put("/p.img", &net.image);
    net.web.say_little("/p.img");
    net.web.act("/p.img", [Act::Drop(1_000_000)]);
    net.create("p", "/p.img", "").succeeded().says("trying again").done();
    net.has_disk("p");
    assert_eq!(net.web.asked()[5..], ["GET /p.img", "GET /p.img"]);
}

#[test]
fn a_file_that_changes_in_the_middle_is_never_mixed() {
    let mut net = Net::new();
    let mut other = net.image.clone();
    other.reverse();
    net.web.act(PATH, [Act::DropAndReplace(1_000_000, other.clone())]);
    net.image = other;
    net.create("a", PATH, "").succeeded().done();
    net.has_disk("a");
    assert_eq!(net.web.asked(), ["GET /i.img", "GET /i.img from 1000000"]);
}

#[test]
fn a_mixture_made_by_a_careless_server_is_found_out_by_the_digest_and_fetched_again() {
    let mut net = Net::new();
    let mut other = net.image.clone();
    other.reverse();
    net.web.act(PATH, [Act::DropAndReplace(1_000_000, other.clone()), Act::NoIfRange]);
    net.image = other;
    net.create("a", PATH, &digest(&net.image)).succeeded().says("; trying again").done();
    net.has_disk("a");
    assert_eq!(net.web.asked(), ["GET /i.img", "GET /i.img from 1000000", "GET /i.img"]);
}

#[test]
fn a_length_that_is_a_lie_never_makes_an_image() {
    let net = Net::new();
    // More is announced than there is, each time.
    net.web.act(PATH, (0..20).map(|_| Act::Length(4 << 20)));
    let seen = net.create("a", PATH, "").ended_with(1);
    seen.says(
        "level=fatal msg=\"failed to download `http://127.0.0.1:<PORT>/i.img`: the download broke off after ",
    )
    .done();
    net.nothing_is_left("a");
    // Less is announced than there is.
    net.web.put("/s.img", &net.image);
    net.web.act("/s.img", [Act::Length(1 << 20)]);
    let seen = net.create("s", "/s.img", &digest(&net.image)).ended_with(1);
    seen.says("expected digest `sha256:").done();
    assert!(!net.world.lima_home().join("s").exists());
    assert_eq!(net.cached("/s.img"), ["url"]);
}

#[test]
fn a_wrong_digest_is_told_and_nothing_is_kept() {
    let net = Net::new();
    let zeros = "0".repeat(64);
    let seen = net.create("a", PATH, &format!("\n  digest: \"sha256:{zeros}\"")).ended_with(1);
    let got = sha256(&net.image);
    let fatal = format!(
        "level=fatal msg=\"failed to download `http://127.0.0.1:<PORT>/i.img`: expected digest `sha256:{zeros}`, got `sha256:{got}`\"\n"
    );
    assert!(seen.stderr.ends_with(&fatal), "{seen:#?}");
    net.nothing_is_left("a");
}

#[test]
fn a_compressed_image_that_is_cut_off_is_told_and_not_kept() {
    let net = Net::new();
    let packed = through("gzip", &["-c"], &net.image).unwrap();
    net.web.put(PATH, &packed[..packed.len() - 100]);
    net.create("a", PATH, "").ended_with(1).says("cannot decompress the image (gzip): ").done();
    net.nothing_is_left("a");
    // The server has the whole one later.
    net.web.put(PATH, &packed);
    net.create("a", PATH, "").succeeded().done();
    net.has_disk("a");
}

#[test]
fn a_missing_file_is_told_at_once_and_a_server_in_trouble_gets_time() {
    let net = Net::new();
    let seen = net.create("a", "/absent.img", "").ended_with(1);
    let fatal = "level=fatal msg=\"failed to download `http://127.0.0.1:<PORT>/absent.img`: unexpected HTTP status `404 Not Found`\"\n";
    assert!(seen.stderr.ends_with(fatal), "{seen:#?}");
    assert_eq!(net.web.asked(), ["GET /absent.img"]);
    net.web.act(PATH, [Act::Status(500), Act::Status(503)]);
    net.create("b", PATH, "")
        .succeeded()
        .says("unexpected HTTP status `500 Internal Server Error`; trying again")
        .done();
    net.has_disk("b");
    // An end comes to that, too.
    net.web.put("/e.img", &net.image);
    net.web.act("/e.img", (0..20).map(|_| Act::Status(502)));
    net.create("e", "/e.img", "").ended_with(1).says("level=fatal msg=\"failed to download `http://127.0.0.1:<PORT>/e.img`: unexpected HTTP status `502 Bad Gateway`\"").done();
}

#[test]
fn redirects_are_followed_and_circles_are_left() {
    let net = Net::new();
    net.web.put("/moved/j.img", &net.image);
    net.web.act(PATH, [Act::Redirect("/moved/there".into())]);
    net.web.put("/moved/there", b"");
    net.web.act("/moved/there", [Act::Redirect("j.img#part".into())]);
    net.create("a", PATH, "").succeeded().done();
    net.has_disk("a");
    assert_eq!(net.web.asked(), ["GET /i.img", "GET /moved/there", "GET /moved/j.img"]);
    net.web.put("/loop", b"");
    net.web.act("/loop", (0..50).map(|_| Act::Redirect("/loop".into())));
    let seen = net.create("b", "/loop", "").ended_with(1);
    seen.says("`http://127.0.0.1:<PORT>/loop` was redirected more than 10 times").done();
    net.web.put("/away", b"");
    net.web.act("/away", [Act::Redirect("file:///etc/passwd".into())]);
    let seen = net.create("c", "/away", "").ended_with(1);
    seen.says("cannot follow a redirect of `http://127.0.0.1:<PORT>/away` to `file:///etc/passwd`").done();
}

#[test]
fn the_next_image_serves_where_the_first_cannot_be_had() {
    let net = Net::new();
    let arch = std::env::consts::ARCH;
    let more = format!("\n  arch: \"{arch}\"\n- location: \"{}\"", net.web.url(PATH));
    net.create("a", "/absent.img", &more)
        .succeeded()
        .says("unexpected HTTP status `404 Not Found`; trying the next image")
        .done();
    net.has_disk("a");
}

#[test]
fn an_unknown_scheme_and_a_dead_server_are_told() {
    let mut net = Net::new();
    let text = net.world.yaml().replace(&net.world.image().display().to_string(), "ftp://example.com/i.img");
    let file = net.world.write("f.yaml", &text);
    let seen = net.world.limactl(["create", &file.display().to_string()]).seen().ended_with(1);
    seen.says("failed to download `ftp://example.com/i.img`: unsupported protocol scheme `ftp`").done();
    net.web.stop();
    let seen = net.create("a", PATH, "").ended_with(1);
    seen.says("cannot reach `http://127.0.0.1:<PORT>/i.img`: ").done();
    net.nothing_is_left("a");
}

#[test]
fn two_that_want_the_same_image_download_it_once() {
    let net = Net::new();
    net.web.act(PATH, [Act::Hold(1_000_000)]);
    let first = net.begin("a");
    until("the first has begun", || !net.web.asked().is_empty());
    let second = net.begin("b");
    // It says that it waits; the pipe is read only at its end, so its lock is what shows it.
    until("the second waits for the lock", || {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let waiting = format!(" {} ", second.pid());
        locks.lines().any(|line| line.contains("->") && line.contains(&waiting))
    });
    net.web.release();
    first.end().succeeded().says(DOWNLOADED).done();
    let seen = second.end().succeeded().says("Using cache");
    seen.says("Waiting for another limactl that is using the cache entry of `http://127.0.0.1:<PORT>/i.img`")
        .done();
    net.has_disk("a");
    net.has_disk("b");
    assert_eq!(net.web.asked().iter().filter(|asked| asked.starts_with("GET")).count(), 1);
}

#[test]
fn a_download_that_is_killed_leaves_nothing_that_is_in_the_way() {
    let net = Net::new();
    net.web.act(PATH, [Act::Hold(1_000_000)]);
    let create = net.begin("a");
    let begun = |net: &Net| net.cached(PATH).iter().any(|name| name.starts_with("data.tmp."));
    until("the download has begun", || begun(&net));
    create.signal(SIGKILL);
    create.end().ended_with(128 + 9).done();
    assert!(begun(&net), "a kill -9 leaves the unfinished file to the next one");
    net.web.release();
    // The instance is there without a disk; its start makes one, and sweeps.
    net.world.works_again("a");
    assert_eq!(net.cached(PATH), ["data", "time", "type", "url"]);
}

#[test]
fn a_download_that_is_interrupted_leaves_nothing_at_all() {
    let net = Net::new();
    net.web.act(PATH, [Act::Hold(1_000_000)]);
    let create = net.begin("a");
    until("the download has begun", || net.cached(PATH).iter().any(|name| name.starts_with("data.tmp.")));
    create.interrupt();
    create.end().ended_with(128 + 2).done();
    net.nothing_is_left("a");
    net.web.release();
    net.create("a", PATH, "").succeeded().done();
    net.has_disk("a");
}

#[test]
fn the_start_of_an_instance_without_a_disk_can_be_interrupted_while_it_downloads() {
    let net = Net::new();
    net.create("a", PATH, "").succeeded().done();
    fs::remove_file(net.world.instance_file("a", "disk")).unwrap();
    fs::remove_dir_all(net.entry(PATH)).unwrap();
    net.web.act(PATH, [Act::Hold(1_000_000)]);
    let start = net.world.limactl(["start", "a"]).begin();
    until("the download has begun", || net.cached(PATH).iter().any(|name| name.starts_with("data.tmp.")));
    start.interrupt();
    start.end().ended_with(128 + 2).done();
    assert_eq!(net.cached(PATH), ["url"]);
    net.web.release();
    net.world.works_again("a");
}

#[test]
fn json_lines_stay_json_lines() {
    let net = Net::new();
    let file = net.file("a", PATH, "");
    let seen =
        net.world.limactl(["--log-format=json", "create", &file.display().to_string()]).seen().succeeded();
    let messages: Vec<String> = seen
        .stderr
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["msg"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(messages.contains(&"Downloading the image (i.img)".to_owned()), "{messages:#?}");
}

#[test]
fn a_proxy_of_the_environment_is_asked() {
    let net = Net::new();
    let text =
        net.world.yaml().replace(&net.world.image().display().to_string(), "http://images.example/i.img");
    let file = net.world.write("p.yaml", &text);
    let run = net.world.limactl(["create", &file.display().to_string()]);
    run.env("HTTP_PROXY", &net.web.url("")).seen().succeeded().done();
    net.has_disk("p");
    assert_eq!(net.web.asked(), ["CONNECT images.example:80", "GET /i.img"]);
}

#[test]
fn an_installation_medium_is_attached_beside_an_empty_disk() {
    let net = Net::new();
    let mut iso = net.image.clone();
    iso[0x8001..0x8006].copy_from_slice(b"CD001");
    net.web.put("/cd.iso", &iso);
    net.create("a", "/cd.iso", "").succeeded().done();
    assert!(fs::read(net.world.instance_file("a", "iso")).unwrap() == iso);
    let disk = fs::read(net.world.instance_file("a", "disk")).unwrap();
    assert!(disk.starts_with(b"QFI\xfb"));
    net.world.limactl(["start", "a"]).seen().succeeded().done();
    let argv = net.world.qemu_calls().pop().unwrap().join(" ");
    assert!(argv.contains(&net.world.instance_file("a", "iso").display().to_string()), "{argv}");
}

#[test]
fn a_disk_of_another_format_becomes_qcow2_and_one_that_names_files_is_refused() {
    let net = Net::new();
    for format in ["vmdk", "vdi", "vpc", "vhdx"] {
        let raw = net.world.path("raw");
        fs::write(&raw, &net.image).unwrap();
        let (source, target) = (raw.display().to_string(), net.world.path(format).display().to_string());
        let made = Command::new("qemu-img").args(["convert", "-O", format, &source, &target]).status();
        assert!(made.unwrap().success());
        let path = format!("/{format}");
        net.web.put(&path, &fs::read(&target).unwrap());
        let seen = net.create(format, &path, "").succeeded();
        seen.says(&format!("Converting the image from {format} to qcow2")).done();
        let back = net.world.path("back").display().to_string();
        let disk = net.world.instance_file(format, "disk").display().to_string();
        let read =
            Command::new("qemu-img").args(["convert", "-f", "qcow2", "-O", "raw", &disk, &back]).status();
        assert!(read.unwrap().success());
        assert!(fs::read(&back).unwrap()[..net.image.len()] == net.image, "{format}");
    }
    let flat = format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 6144 FLAT \"{}\" 0\n",
        net.world.path("raw").display()
    );
    net.web.put("/flat", flat.as_bytes());
    let seen = net.create("flat", "/flat", "").ended_with(1);
    seen.says("it is only a description whose data are in other files, which is not allowed").done();
    assert!(!net.world.lima_home().join("flat").exists());
}

/// The cache, then the instances, are on a small file system of their own.
#[test]
fn a_full_disk_is_told_and_nothing_is_left() {
    for place in ["h/.cache", "lh"] {
        let net = Net::new();
        let file = net.file("x", PATH, "");
        fs::create_dir_all(net.world.path(place)).unwrap();
        let script = format!(
            "mount -t tmpfs -o size=1m none {place} && {limactl} create {file}; status=$?; find {place} -name 'data*' -o -name disk; exit $status",
            place = net.world.path(place).display(),
            limactl = env!("CARGO_BIN_EXE_limactl"),
            file = file.display()
        );
        let Some(output) = crate::support::in_mount_namespace(&net.world, &script) else {
            return;
        };
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        let whole = if place == "lh" { "no space left in `" } else { ": 3MiB are needed, " };
        assert!(text.contains("no space left in `") && text.contains(whole), "{text}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{text}");
    }
}

/// A server that does not say how much there is fills the cache until nothing is left.
#[test]
fn a_cache_that_fills_up_in_the_middle_is_emptied_again() {
    let net = Net::new();
    let packed = through("gzip", &["-1c"], &net.image).unwrap();
    net.web.put(PATH, &packed);
    net.web.act(PATH, [Act::Length(packed.len())]);
    let file = net.file("x", PATH, "");
    fs::create_dir_all(net.world.lima_home()).unwrap();
    // The compressed file is in a cache with room; what it becomes is not.
    let script = format!(
        "mount -t tmpfs -o size=1m none {home} && {limactl} create {file}; status=$?; ls {home}; exit $status",
        home = net.world.lima_home().display(),
        limactl = env!("CARGO_BIN_EXE_limactl"),
        file = file.display()
    );
    let Some(output) = crate::support::in_mount_namespace(&net.world, &script) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no space left in `"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "_config\n_locks\n", "{text}");
    // The download itself was whole, and need not be repeated.
    assert!(net.cached(PATH).contains(&"data".to_owned()));
}

#[test]
fn prune_empties_the_cache() {
    let net = Net::new();
    net.create("a", PATH, "").succeeded().done();
    net.world.limactl(["prune"]).tells(&["Pruning `<H>/.cache/lima`"]).run().done();
    assert!(!net.world.path("h/.cache/lima").exists());
    net.world.limactl(["prune"]).tells(&["Pruning `<H>/.cache/lima`"]).run().done();
    net.create("b", PATH, "").succeeded().done();
    net.has_disk("b");
}

#[test]
fn prune_keeps_what_instances_refer_to_and_sweeps_it() {
    let net = Net::new();
    net.web.put("/other.img", &net.image);
    net.create("a", PATH, "").succeeded().done();
    net.create("b", "/other.img", "").succeeded().done();
    net.world.limactl(["delete", "b"]).seen().succeeded().done();
    fs::write(net.entry(PATH).join("data.tmp.1.0"), "half").unwrap();
    net.world.limactl(["prune", "--keep-referred"]).seen().succeeded().done();
    assert_eq!(net.cached(PATH), ["data", "time", "type", "url"]);
    assert!(!net.entry("/other.img").exists());
    // A template refers to images as well as an instance does.
    let templates = net.world.lima_home().join("_templates");
    fs::create_dir_all(&templates).unwrap();
    fs::write(templates.join("mine.yaml"), format!("images:\n- location: {}\n", net.web.url(PATH))).unwrap();
    net.world.limactl(["delete", "a"]).seen().succeeded().done();
    net.world.limactl(["prune", "--keep-referred"]).seen().succeeded().done();
    assert!(net.entry(PATH).exists());
    fs::remove_file(templates.join("mine.yaml")).unwrap();
    net.world.limactl(["prune", "--keep-referred"]).seen().succeeded().done();
    assert!(!net.entry(PATH).exists());
}

#[test]
fn prune_leaves_a_download_alone() {
    let net = Net::new();
    net.web.act(PATH, [Act::Hold(1_000_000)]);
    let create = net.begin("a");
    until("the download has begun", || net.cached(PATH).iter().any(|name| name.starts_with("data.tmp.")));
    let seen = net.world.limactl(["prune"]).seen().succeeded();
    seen.says("level=warning msg=\"another limactl is using `<H>/.cache/lima/download/by-url-sha256/").done();
    net.web.release();
    create.end().succeeded().done();
    net.has_disk("a");
    assert_eq!(net.cached(PATH), ["data", "time", "type", "url"]);
}

#[test]
fn a_terminal_gets_a_bar_that_goes_again() {
    use std::io::Read;
    let net = Net::new();
    net.web.act(PATH, [Act::Hold(1_572_864)]);
    let file = net.file("a", PATH, "");
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = net.world.command(env!("CARGO_BIN_EXE_limactl"));
    command.arg("create").arg(&file).env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(terminal.slave).spawn().unwrap();
    // The command keeps its end of the terminal open; without it reading comes to an end.
    drop(command);
    let mut reader = fs::File::from(terminal.master);
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    // Reading fails when nobody has the other end any more.
    while let Ok(count @ 1..) = reader.read(&mut piece) {
        text.extend_from_slice(&piece[..count]);
        if String::from_utf8_lossy(&text).contains("] 50% ") {
            net.web.release();
        }
    }
    let text = String::from_utf8_lossy(&text);
    assert!(child.wait().unwrap().success(), "{text}");
    assert!(
        text.contains("Downloading the image (i.img)\r\n") && text.contains("1.50 MiB / 3.00 MiB ["),
        "{text}"
    );
    let bar = text.rfind("] 50% ").unwrap();
    let cleared = text[bar..].find("\u{1b}[2K").unwrap() + bar;
    assert!(text[cleared..].contains("Downloaded the image from"), "{text}");
    net.has_disk("a");
}

/// A server with TLS, whose certificate is its own authority; `None`, and one line, where the tools are missing.
fn tls_server(world: &World) -> Option<(Child, String)> {
    let (key, cert) = (world.path("key.pem"), world.path("cert.pem"));
    let made = world
        .command("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        say("skipped: https, because openssl, which makes the certificate, is not installed");
        return None;
    }
    let script = "import http.server,ssl,sys\n\
        s=http.server.ThreadingHTTPServer(('localhost',0),http.server.SimpleHTTPRequestHandler)\n\
        c=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
        c.load_cert_chain('cert.pem','key.pem')\n\
        s.socket=c.wrap_socket(s.socket,server_side=True)\n\
        print(s.server_port,flush=True)\n\
        s.serve_forever()\n";
    let mut server = world
        .command("python3")
        .args(["-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut port = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut port)
        .unwrap();
    Some((server, format!("https://localhost:{}/i.raw", port.trim())))
}

#[test]
fn https_is_trusted_as_the_system_says_and_refused_at_once_otherwise() {
    let net = Net::new();
    fs::write(net.world.path("i.raw"), &net.image).unwrap();
    let Some((mut server, url)) = tls_server(&net.world) else { return };
    let text = net.world.yaml().replace(&net.world.image().display().to_string(), &url);
    let file = net.world.write("t.yaml", &text).display().to_string();
    let run = || net.world.limactl(["create", file.as_str()]);
    let seen = run().seen().ended_with(1);
    seen.says("level=fatal msg=\"failed to download `https://localhost:")
        .says("certificate")
        .says_not("trying again")
        .done();
    run().env("SSL_CERT_FILE", &net.world.path("cert.pem").display().to_string()).seen().succeeded().done();
    net.has_disk("t");
    server.kill().unwrap();
    server.wait().unwrap();
}
