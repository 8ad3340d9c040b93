//! `github:` against a server on loopback: every spelling, links, redirects and refusals.

use proptest::prelude::*;

use super::super::web::Http;
use super::super::web::tests::Server;
use super::*;

fn resolve_with(server: &Server, rest: &str, token: Option<&str>) -> Result<String, String> {
    let endpoints = Endpoints { api: format!("{}/api", server.base), raw: format!("{}/raw", server.base) };
    let hub = Hub { web: &Http::default(), endpoints: &endpoints, token };
    let clean = |text: String| text.replace(&endpoints.raw, "RAW").replace(&endpoints.api, "API");
    hub.resolve(rest).map(clean).map_err(|error| clean(crate::process::words::chain(&error)))
}

fn resolve(server: &Server, rest: &str) -> Result<String, String> {
    resolve_with(server, rest, None)
}

fn server() -> Server {
    let main = "{\"default_branch\": \"main\", \"name\": \"o\"}";
    Server::new(&[
        ("/api/repos/o/o", 200, main),
        ("/api/repos/o/r", 200, main),
        ("/api/repos/o/empty", 200, "{}"),
        ("/api/repos/o/odd", 200, "<html>"),
        ("/raw/o/o/main/templates/demo.yaml", 200, "images: []\n"),
        ("/raw/o/o/v1/templates/demo.yaml", 200, "images: []\n"),
        ("/raw/o/o/main/.lima.yaml", 200, "templates/demo.yaml"),
        ("/raw/o/o/v1/.lima.yaml", 200, "templates/demo.yaml"),
        ("/raw/o/o/main/templates/.lima.yaml", 200, "demo.yaml"),
        ("/raw/o/o/main/templates/up.yaml", 200, "../top.yml"),
        ("/raw/o/o/main/out.yaml", 200, "../../p/r/main/x"),
        ("/raw/o/r/main/.lima.yaml", 200, "cpus: 1\n"),
        ("/raw/o/o/main/moved.yaml", 200, "github:o/r/x\nmore\n"),
        ("/raw/o/o/main/foreign.yaml", 200, "github:p/r/x"),
        ("/raw/o/o/main/pinned.yaml", 200, "github:o/r/x@v9"),
        ("/raw/o/r/main/moved.yaml", 200, "github:o/o/x"),
        ("/raw/o/o/main/private.yaml", 403, "no"),
    ])
}

#[test]
fn every_spelling_names_the_same_file() {
    let server = server();
    for rest in [
        "o/o/templates/demo.yaml",
        "o/o/templates/demo",
        "o//templates/demo",
        "o//templates/demo.yaml@main",
        "o",
        "o/",
        "o//",
        "o/o",
        "o/o/",
        "o/o/.lima",
        "o//templates/",
        "o/o/templates/.lima.yaml",
        "o/o/x/../templates/demo",
    ] {
        assert_eq!(resolve(&server, rest).as_deref(), Ok("RAW/o/o/main/templates/demo.yaml"), "{rest}");
    }
    for rest in ["o@v1", "o//@v1", "o/o/templates/demo@v1", "o//.lima.yaml@v1"] {
        assert_eq!(resolve(&server, rest).as_deref(), Ok("RAW/o/o/v1/templates/demo.yaml"), "{rest}");
    }
}

#[test]
fn links_stay_in_the_repository_and_other_files_are_not_looked_at() {
    let server = server();
    assert_eq!(resolve(&server, "o/o/templates/up").as_deref(), Ok("RAW/o/o/main/top.yml"));
    assert_eq!(resolve(&server, "o/r").as_deref(), Ok("RAW/o/r/main/.lima.yaml"));
    assert_eq!(resolve(&server, "o/r/never/there.sh").as_deref(), Ok("RAW/o/r/main/never/there.sh"));
    assert_eq!(
        resolve(&server, "o/o/out").unwrap_err(),
        "symlink target `../../p/r/main/x` in `out.yaml` escapes the repository"
    );
}

#[test]
fn the_organisations_repository_sends_readers_on_and_keeps_their_ref() {
    let server = server();
    assert_eq!(resolve(&server, "o//moved").as_deref(), Ok("github:o/r/x"));
    // The tag exists only in the other repository.
    assert_eq!(resolve(&server, "o//moved@v7").as_deref(), Ok("github:o/r/x@v7"));
    assert_eq!(
        resolve(&server, "o//foreign").unwrap_err(),
        "redirect `github:p/r/x` is not a `github:o` URL (from `RAW/o/o/main/foreign.yaml`)"
    );
    assert_eq!(
        resolve(&server, "o//pinned").unwrap_err(),
        "redirect `github:o/r/x@v9` must not include a branch/tag/sha (from `RAW/o/o/main/pinned.yaml`)"
    );
    // Elsewhere such a text is just a file.
    assert_eq!(resolve(&server, "o/r/moved").as_deref(), Ok("RAW/o/r/main/moved.yaml"));
}

#[test]
fn what_cannot_be_had_is_named() {
    let server = server();
    for (rest, words) in [
        ("", "github: URL must contain at least an ORG, got ``"),
        ("/o/x", "github: URL must contain at least an ORG, got `/o/x`"),
        ("o/o/.hidden", "file `RAW/o/o/main/.hidden.yaml` not found or inaccessible: status 404"),
        ("o/r/nope@v1", "file `RAW/o/r/v1/nope.yaml` not found or inaccessible: status 404"),
        ("o/o/private", "file `RAW/o/o/main/private.yaml` not found or inaccessible: status 403"),
        ("o/../../p/x", "repo `..` in github: URL `o/../../p/x` escapes the org"),
        ("o/r/../../../p/x", "path `../../../p/x` in github: URL `o/r/../../../p/x` escapes the repository"),
        ("o/r/x@../../p/r/main", "branch `../../p/r/main` in github: URL `o/r/x` escapes the repository"),
        ("o/%2e%2E/p/x", "repo `%2e%2E` in github: URL `o/%2e%2E/p/x` escapes the org"),
        ("o/r/x@/../../p/r", "branch `../../p/r` in github: URL `o/r/x` escapes the repository"),
        ("o/empty/x", "failed to get default branch for o/empty: the repository has no default branch"),
        (
            "o/absent/x",
            "failed to get default branch for o/absent: GitHub API returned status 404: <html>no such page</html>",
        ),
    ] {
        assert_eq!(resolve(&server, rest).unwrap_err(), words, "{rest}");
    }
    let error = resolve(&server, "o/odd/x").unwrap_err();
    assert!(error.starts_with("failed to get default branch for o/odd: failed to parse GitHub API response"));
}

#[test]
fn the_token_goes_to_the_api_and_nowhere_else() {
    let server = server();
    resolve_with(&server, "o", Some("secret")).unwrap();
    let requests = server.requests.lock().unwrap();
    let with_token = |request: &&String| request.to_lowercase().contains("authorization: token secret");
    assert_eq!(requests.iter().filter(with_token).count(), 1, "{requests:?}");
    assert!(requests[0].starts_with("GET /api/repos/o/o ") && requests[0].contains("secret"));
}

/// Answers everything with one text, and the API with a branch.
struct Says(String);

impl Web for Says {
    fn get(&self, url: &str, _: &[(&str, &str)], _: u64) -> Result<Answer, WebError> {
        let body = if url.starts_with("API/") { "{\"default_branch\": \"main\"}" } else { &self.0 };
        Ok(Answer { status: 200, body: body.as_bytes().to_vec(), is_cut: false })
    }
}

proptest! {
    #[test]
    fn no_words_and_no_answer_lead_out_of_the_repository(words in "[ab.@/:-]{0,16}", answer in "(github:)?[ab./:@ \n-]{0,12}") {
        let endpoints = Endpoints { api: "API".into(), raw: "RAW".into() };
        let web = Says(answer);
        let hub = Hub { web: &web, endpoints: &endpoints, token: None };
        if let Ok(found) = hub.resolve(&words) {
            let inside = found.strip_prefix("RAW/").is_some_and(|path| path.split('/').all(|part| part != ".."));
            prop_assert!(inside || found.starts_with("github:"), "{} -> {}", words, found);
        }
    }
}
