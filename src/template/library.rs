//! Where texts come from: schemes that stand for others are resolved, then the text is read. The edge of the room.

use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::github::{Endpoints, Hub};
use super::locator::scheme;
use super::{Error, Listed, Locator, MAX_TEXT, Store, Web, image};
use crate::config::HostFacts;
use crate::process;

/// The longest that a plugin may think about a locator.
const PLUGIN_PATIENCE: Duration = Duration::from_secs(300);

/// A text and where it is from.
#[derive(Debug, Clone)]
pub struct Template {
    /// What people typed, and what messages call it.
    pub typed: String,
    /// Where it was read, schemes resolved.
    pub locator: Locator,
    pub text: Vec<u8>,
}

/// Everything that locators can lead to.
pub struct Library<'a> {
    host: &'a HostFacts,
    store: Store,
    web: &'a dyn Web,
    endpoints: Endpoints,
    /// The paths by which this program is known.
    programs: Vec<PathBuf>,
}

impl<'a> Library<'a> {
    /// `programs` are the paths by which this program is known: as it was called, and with symbolic links resolved.
    pub fn new(host: &'a HostFacts, programs: Vec<PathBuf>, web: &'a dyn Web) -> Library<'a> {
        let store = Store::new(host, &programs);
        Library { host, store, web, endpoints: Endpoints::default(), programs }
    }

    /// The same library with another GitHub.
    pub fn with_endpoints(self, endpoints: Endpoints) -> Library<'a> {
        Library { endpoints, ..self }
    }

    pub fn host(&self) -> &'a HostFacts {
        self.host
    }

    /// Names that people use. Parts of templates, which begin with `_`, are none.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let names = self.list()?.into_iter().map(|listed| listed.name);
        Ok(names.filter(|name| !name.starts_with('_')).collect())
    }

    /// Every template that has a name, parts of templates included.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        self.store.list()
    }

    /// Replaces schemes that stand for other locators until nothing changes.
    pub fn resolve(&self, typed: &str) -> Result<String, Error> {
        let mut seen = Vec::new();
        let mut locator = typed.to_owned();
        let mut is_github = false;
        while !seen.contains(&locator) {
            is_github |= locator.starts_with("github:");
            let next = self.resolve_once(&locator)?;
            // A file that sends us back to itself is no end.
            if next == locator && !locator.starts_with("github:") {
                if is_github {
                    tracing::warn!("The github: scheme is still EXPERIMENTAL");
                }
                return Ok(locator);
            }
            tracing::debug!("Locator `{locator}` replaced with `{next}`");
            seen.push(std::mem::replace(&mut locator, next));
        }
        Err(Error::RedirectLoop(typed.to_owned()))
    }

    fn resolve_once(&self, locator: &str) -> Result<String, Error> {
        let Some((scheme, rest)) = scheme(locator) else {
            return Ok(locator.to_owned());
        };
        match scheme.to_ascii_lowercase().as_str() {
            "template" => {
                let next = Locator::parse(locator)?.absolute(self.host);
                if next != locator && rest.starts_with("//") {
                    tracing::warn!("Template locator `{locator}` should be written `{next}` since Lima v2.0");
                }
                Ok(next)
            }
            "github" => {
                let token = self.host.env("GH_TOKEN").or_else(|| self.host.env("GITHUB_TOKEN"));
                let hub = Hub { web: self.web, endpoints: &self.endpoints, token };
                Ok(hub.resolve(rest)?)
            }
            scheme => match self.plugin(scheme) {
                Some(plugin) => self.ask(&plugin, rest),
                None => Ok(locator.to_owned()),
            },
        }
    }

    /// Directories with programs, in the order in which a plugin is looked for: beside this program, `PATH`, what is installed with this program.
    fn program_directories(&self) -> Vec<PathBuf> {
        let own: Vec<_> = self.programs.iter().filter_map(|program| program.parent()).collect();
        let path = self.host.env("PATH").unwrap_or_default();
        let path = path.split(':').filter(|part| !part.is_empty()).map(PathBuf::from);
        let installed = own
            .iter()
            .filter_map(|directory| directory.parent())
            .flat_map(|prefix| [prefix.join("libexec/lima"), prefix.join("lib/lima")]);
        own.iter().map(PathBuf::from).chain(path).chain(installed).collect()
    }

    fn plugin(&self, scheme: &str) -> Option<PathBuf> {
        let name = format!("limactl-url-{scheme}");
        self.program_directories()
            .into_iter()
            .map(|directory| directory.join(&name))
            .find(|path| process::is_program(path))
    }

    /// What a plugin says instead of the locator; it finds the same programs as we do.
    fn ask(&self, plugin: &std::path::Path, rest: &str) -> Result<String, Error> {
        let directories = self.program_directories();
        let path = directories.iter().map(|directory| directory.display().to_string()).collect::<Vec<_>>();
        let mut command = Command::new(plugin);
        command.arg(rest).env("PATH", path.join(":")).current_dir(&self.host.cwd);
        let words = format!("{} {rest}", plugin.display());
        let finished = process::run(&mut command, b"", PLUGIN_PATIENCE)
            .map_err(|source| Error::PluginRun { command: words.clone(), source })?;
        if finished.status.success() {
            return Ok(String::from_utf8_lossy(&finished.stdout).trim().to_owned());
        }
        let stderr = match finished.stderr.trim() {
            "" => finished.status.to_string(),
            said => said.to_owned(),
        };
        Err(Error::Plugin { command: words, stderr })
    }

    /// Where the template is that a locator stands for; nothing is read yet.
    pub fn locate(&self, typed: &str) -> Result<Locator, Error> {
        Locator::parse(&self.resolve(typed)?)
    }

    /// Reads the template that a locator stands for. An empty text is none.
    pub fn read(&self, typed: &str) -> Result<Template, Error> {
        self.read_at(typed, self.locate(typed)?)
    }

    /// Reads the template at `locator`, which messages call what was typed.
    pub fn read_at(&self, typed: &str, locator: Locator) -> Result<Template, Error> {
        tracing::debug!("interpreting argument `{typed}` as {locator:?}");
        let text = self.fetch(&locator)?;
        if text.is_empty() {
            return Err(Error::Empty(typed.to_owned()));
        }
        Ok(Template { typed: typed.to_owned(), locator, text })
    }

    /// Reads a file that a template names, which may have any suffix and may be empty.
    pub fn read_file(&self, typed: &str) -> Result<Vec<u8>, Error> {
        let resolved = self.resolve(typed)?;
        self.fetch(&Locator::file(&resolved)?)
    }

    fn fetch(&self, locator: &Locator) -> Result<Vec<u8>, Error> {
        let name = || locator.absolute(self.host);
        match locator {
            Locator::Stdin => whole(&name(), std::io::stdin().lock()),
            Locator::Store(template) => whole(&name(), self.store.open(template)?),
            Locator::File(path) => {
                let path = self.typed_path(path)?;
                let file = std::fs::File::open(&path).map_err(|source| self.unopened(path, source))?;
                whole(&name(), file)
            }
            Locator::Web(url) => self.fetch_web(url),
            Locator::Image(location) => Ok(self.image_template(location).into_bytes()),
        }
    }

    /// A path that cannot be opened may have been meant as the locator of a scheme that nobody answers for.
    fn unopened(&self, path: PathBuf, source: std::io::Error) -> Error {
        let name = path.strip_prefix(&self.host.cwd).unwrap_or(&path).to_string_lossy().into_owned();
        match scheme(&name) {
            Some((scheme, _)) if source.kind() == std::io::ErrorKind::NotFound => {
                Error::NoPlugin { plugin: format!("limactl-url-{scheme}"), path }
            }
            _ => Error::Open { path, source },
        }
    }

    /// A path as it is opened. `~` is the shell's business, but a locator in a file has no shell.
    fn typed_path(&self, path: &std::path::Path) -> Result<PathBuf, Error> {
        let typed = path.to_string_lossy();
        if typed == "~" || typed.starts_with("~/") {
            return self.host.expand(&typed).ok_or_else(|| Error::NoHome(typed.into_owned()));
        }
        Ok(super::locator::full_path(path, self.host).into())
    }

    fn fetch_web(&self, url: &str) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::Fetch { url: url.to_owned(), source };
        let answer = self.web.get(url, &[], MAX_TEXT).map_err(failed)?;
        match answer.status {
            200 if answer.is_cut => Err(Error::TooLarge(url.to_owned())),
            200 => Ok(answer.body),
            status => Err(Error::Status { url: url.to_owned(), status }),
        }
    }

    fn image_template(&self, location: &str) -> String {
        let guess = image::guess(location);
        let arch = guess.arch.unwrap_or_else(|| {
            let arch = self.host.arch;
            tracing::warn!("cannot determine image arch from URL `{location}`; assuming `{arch}`");
            arch
        });
        let is_path = scheme(location).is_none() && !location.starts_with('~');
        let absolute = is_path.then(|| super::locator::full_path(location.as_ref(), self.host));
        image::template(absolute.as_deref().unwrap_or(location), guess.os, arch)
    }
}

/// Reads to the end, at most what a template may have.
fn whole(name: &str, reader: impl Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_TEXT + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::Read { locator: name.to_owned(), source })?;
    if bytes.len() as u64 > MAX_TEXT { Err(Error::TooLarge(name.to_owned())) } else { Ok(bytes) }
}

#[cfg(test)]
#[path = "library_tests.rs"]
pub(super) mod tests;
