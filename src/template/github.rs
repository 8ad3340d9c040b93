//! `github:ORG[/REPO][/PATH][@REF]`: which raw address it stands for.
//!
//! REPO defaults to ORG, PATH to `.lima.yaml`, REF to the repository's default branch. Files ending in `.yaml` or `.yml` are looked at, because
//! GitHub delivers a symbolic link as a text with its target; in the repository that has the organisation's name a file may also begin
//! with `github:` and send the reader to another repository of that organisation. Whatever a file says is as untrusted as the file: no
//! `..` leads out of a repository, no redirect out of an organisation.

use thiserror::Error;

use super::web::{Answer, Web, WebError};
use crate::config::paths;

/// The file that stands for a directory.
const DEFAULT_FILE: &str = ".lima.yaml";
/// More than a link or a redirect has.
const LOOK: u64 = 1024;
/// More than the description of a repository has.
const DESCRIPTION: u64 = 1 << 20;

#[derive(Debug, Error)]
pub enum GithubError {
    #[error("github: URL must contain at least an ORG, got `{0}`")]
    NoOrg(String),
    #[error("repo `{repo}` in github: URL `{url}` escapes the org")]
    RepoEscapes { repo: String, url: String },
    #[error("path `{path}` in github: URL `{url}` escapes the repository")]
    PathEscapes { path: String, url: String },
    #[error("branch `{branch}` in github: URL `{url}` escapes the repository")]
    BranchEscapes { branch: String, url: String },
    #[error("symlink target `{target}` in `{path}` escapes the repository")]
    LinkEscapes { target: String, path: String },
    #[error("redirect `{redirect}` is not a `github:{org}` URL (from `{url}`)")]
    ForeignRedirect { redirect: String, org: String, url: String },
    #[error("redirect `{redirect}` must not include a branch/tag/sha (from `{url}`)")]
    RedirectWithRef { redirect: String, url: String },
    #[error("file `{url}` not found or inaccessible: status {status}")]
    Absent { url: String, status: u16 },
    #[error("failed to fetch file: `{url}`")]
    Fetch {
        url: String,
        #[source]
        source: WebError,
    },
    #[error("failed to get default branch for {org}/{repo}")]
    DefaultBranch {
        org: String,
        repo: String,
        #[source]
        source: BranchError,
    },
}

/// Why the default branch of a repository is not known.
#[derive(Debug, Error)]
pub enum BranchError {
    #[error("failed to query GitHub API")]
    Fetch(#[source] WebError),
    #[error("GitHub API returned status {status}: {body}")]
    Status { status: u16, body: String },
    #[error("failed to parse GitHub API response")]
    Parse(#[source] serde_json::Error),
    #[error("the repository has no default branch")]
    None,
}

/// Where GitHub is.
#[derive(Debug, Clone)]
pub struct Endpoints {
    pub api: String,
    pub raw: String,
}

impl Default for Endpoints {
    fn default() -> Endpoints {
        Endpoints {
            api: "https://api.github.com".to_owned(),
            raw: "https://raw.githubusercontent.com".to_owned(),
        }
    }
}

/// GitHub as this user reaches it.
pub struct Hub<'a> {
    pub web: &'a dyn Web,
    pub endpoints: &'a Endpoints,
    /// For the question about the default branch, which is answered rarely without one.
    pub token: Option<&'a str>,
}

/// A file of a repository, `branch` definite.
struct File<'a> {
    org: &'a str,
    repo: &'a str,
    branch: &'a str,
    path: String,
}

impl Hub<'_> {
    /// The locator that `github:REST` stands for: an address, or another `github:` locator.
    pub fn resolve(&self, rest: &str) -> Result<String, GithubError> {
        let (place, wanted) = rest.split_once('@').unwrap_or((rest, ""));
        let wanted = wanted.trim_matches('/');
        let mut parts = place.splitn(3, '/');
        let org = parts.next().unwrap_or_default();
        if org.is_empty() {
            return Err(GithubError::NoOrg(place.to_owned()));
        }
        let repo = parts.next().filter(|repo| !repo.is_empty()).unwrap_or(org);
        let path = parts.next().unwrap_or_default();
        let url = || place.to_owned();
        if is_dots(org) || is_dots(repo) {
            return Err(GithubError::RepoEscapes { repo: repo.to_owned(), url: url() });
        }
        if escapes(path) {
            return Err(GithubError::PathEscapes { path: path.to_owned(), url: url() });
        }
        if escapes(wanted) {
            return Err(GithubError::BranchEscapes { branch: wanted.to_owned(), url: url() });
        }
        let branch = match wanted {
            "" => self.default_branch(org, repo).map_err(|source| GithubError::DefaultBranch {
                org: org.to_owned(),
                repo: repo.to_owned(),
                source,
            })?,
            wanted => wanted.to_owned(),
        };
        let file = File { org, repo, branch: &branch, path: full_name(path) };
        let lower = file.path.to_ascii_lowercase();
        if lower.ends_with(".yaml") || lower.ends_with(".yml") {
            self.follow(&file, wanted)
        } else {
            Ok(self.address(&file))
        }
    }

    fn address(&self, file: &File) -> String {
        let File { org, repo, branch, path } = file;
        let (branch, path) = (paths::clean(branch), paths::clean(path.trim_start_matches('/')));
        format!("{}/{org}/{repo}/{branch}/{path}", self.endpoints.raw)
    }

    fn default_branch(&self, org: &str, repo: &str) -> Result<String, BranchError> {
        let url = format!("{}/repos/{org}/{repo}", self.endpoints.api);
        let token = self.token.map(|token| format!("token {token}"));
        let mut headers = vec![("Accept", "application/vnd.github.v3+json")];
        headers.extend(token.as_deref().map(|token| ("Authorization", token)));
        let answer = self.web.get(&url, &headers, DESCRIPTION).map_err(BranchError::Fetch)?;
        if answer.status != 200 {
            let body: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
            return Err(BranchError::Status { status: answer.status, body });
        }
        let description: serde_json::Value =
            serde_json::from_slice(&answer.body).map_err(BranchError::Parse)?;
        let branch = description["default_branch"].as_str().unwrap_or_default();
        if branch.is_empty() { Err(BranchError::None) } else { Ok(branch.to_owned()) }
    }

    fn look(&self, file: &File) -> Result<(String, Answer), GithubError> {
        let url = self.address(file);
        match self.web.get(&url, &[], LOOK) {
            Ok(answer) => Ok((url, answer)),
            Err(source) => Err(GithubError::Fetch { url, source }),
        }
    }

    /// Looks whether a YAML file is a link or a redirect. `wanted` is the REF that was given, empty if none was.
    fn follow(&self, file: &File, wanted: &str) -> Result<String, GithubError> {
        let (url, answer) = self.look(file)?;
        let has_orgs_name = file.repo == file.org;
        if answer.status == 404 && has_orgs_name {
            // The REF may be one of the repository that the default branch sends us to.
            if let Ok(branch) = self.default_branch(file.org, file.repo) {
                return self.follow_on_default(file, &branch);
            }
        }
        if answer.status != 200 {
            return Err(GithubError::Absent { url, status: answer.status });
        }
        let text = String::from_utf8_lossy(&answer.body);
        if has_orgs_name && text.starts_with("github:") {
            return redirect(&text, file.org, wanted, &url);
        }
        let is_link = !text.is_empty() && !answer.is_cut && !text.contains(['\n', ' ', ':']);
        if !is_link {
            return Ok(url);
        }
        let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let target = paths::clean(format!("{directory}/{text}").trim_start_matches('/'));
        if escapes(&target) {
            return Err(GithubError::LinkEscapes { target: text.into_owned(), path: file.path.clone() });
        }
        Ok(self.address(&File { path: target, ..*file }))
    }

    fn follow_on_default(&self, file: &File, branch: &str) -> Result<String, GithubError> {
        let (url, answer) = self.look(&File { branch, path: file.path.clone(), ..*file })?;
        if answer.status != 200 {
            return Err(GithubError::Absent { url, status: answer.status });
        }
        redirect(&String::from_utf8_lossy(&answer.body), file.org, file.branch, &url)
    }
}

/// The first line of a text as the `github:` locator it must be, with the REF that was wanted.
fn redirect(text: &str, org: &str, wanted: &str, url: &str) -> Result<String, GithubError> {
    let line = text.lines().next().unwrap_or_default().trim();
    let (redirect, url) = (line.to_owned(), url.to_owned());
    if !line.starts_with(&format!("github:{org}/")) {
        return Err(GithubError::ForeignRedirect { redirect, org: org.to_owned(), url });
    }
    if line.contains('@') {
        return Err(GithubError::RedirectWithRef { redirect, url });
    }
    Ok(if wanted.is_empty() { redirect } else { format!("{redirect}@{wanted}") })
}

/// The file that PATH means: a directory has a default file, a name without an extension gets one.
fn full_name(path: &str) -> String {
    let mut path = match path {
        "" => DEFAULT_FILE.to_owned(),
        directory if directory.ends_with('/') => format!("{directory}{DEFAULT_FILE}"),
        path => path.to_owned(),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    // The dot of a hidden file begins no extension.
    if !name.chars().skip(1).any(|c| c == '.') {
        path.push_str(".yaml");
    }
    path
}

/// Whether a path climbs out of the directory that it starts in. A slash in front is none there, and a dot may be written in hexadecimal.
fn escapes(path: &str) -> bool {
    let path = plain_dots(path);
    let path = paths::clean(path.trim_start_matches('/'));
    path == ".." || path.starts_with("../")
}

/// Whether a name is one that servers take for this or the parent directory.
fn is_dots(name: &str) -> bool {
    matches!(plain_dots(name).as_str(), "." | "..")
}

fn plain_dots(path: &str) -> String {
    path.replace("%2e", ".").replace("%2E", ".")
}

#[cfg(test)]
#[path = "github_tests.rs"]
mod tests;
