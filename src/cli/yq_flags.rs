//! The words behind `limactl yq` → what is asked for. Flags of yq that are not here are refused by name.

/// What the words ask for.
pub enum Request {
    Help,
    Version,
    Run(Box<Flags>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Json,
    Props,
}

/// The flags, as given.
#[derive(Debug, Default)]
pub struct Flags {
    /// The expression, as a rule, and files.
    pub words: Vec<String>,
    /// `eval-all`: all documents at once.
    pub together: bool,
    pub expression: Option<String>,
    pub from_file: Option<String>,
    pub null_input: bool,
    pub in_place: bool,
    /// `None` is `auto`.
    pub input: Option<Format>,
    pub output: Option<Format>,
    /// Blanks a level; JSON only.
    pub indent: usize,
    pub unwrap: Option<bool>,
    pub exit_status: bool,
    pub no_doc: bool,
    pub pretty: bool,
    pub compact: bool,
    pub disable_env: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unknown flag: {0}")]
    Unknown(String),
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    #[error("invalid argument \"{value}\" for \"{flag}\"")]
    BadValue { flag: String, value: String },
    #[error("unknown format '{0}', this yq has yaml, json and props")]
    Format(String),
    #[error("{0} is not in this version yet")]
    NotHere(String),
}

/// Flags of yq that this version does not have; those with a value have `=` behind them.
const NOT_HERE: [&str; 31] = [
    "colors",
    "csv-auto-parse",
    "csv-separator=",
    "debug-node-info",
    "front-matter=",
    "header-preprocess",
    "ini-preserve-quotes",
    "lua-globals",
    "lua-prefix=",
    "lua-suffix=",
    "lua-unquoted",
    "nul-output",
    "properties-array-brackets",
    "properties-separator=",
    "security-enable-system-operator",
    "shell-key-separator=",
    "split-exp=",
    "split-exp-file=",
    "string-interpolation",
    "tsv-auto-parse",
    "verbose",
    "xml-attribute-prefix=",
    "xml-content-name=",
    "xml-directive-name=",
    "xml-keep-namespace",
    "xml-proc-inst-prefix=",
    "xml-raw-token",
    "xml-skip-directives",
    "xml-skip-proc-inst",
    "xml-strict-mode",
    "yaml-fix-merge-anchor-to-spec",
];

const SHORT: [(char, &str); 18] = [
    ('C', "colors"),
    ('e', "exit-status"),
    ('f', "front-matter"),
    ('h', "help"),
    ('I', "indent"),
    ('i', "inplace"),
    ('p', "input-format"),
    ('M', "no-colors"),
    ('N', "no-doc"),
    ('0', "nul-output"),
    ('n', "null-input"),
    ('o', "output-format"),
    ('P', "prettyPrint"),
    ('s', "split-exp"),
    ('r', "unwrapScalar"),
    ('v', "verbose"),
    ('V', "version"),
    ('c', "yaml-compact-seq-indent"),
];

const WITH_VALUE: [&str; 5] = ["expression", "from-file", "indent", "input-format", "output-format"];

impl Flags {
    pub fn read(words: &[String]) -> Result<Request, Error> {
        let mut flags = Flags { indent: 2, ..Flags::default() };
        let mut rest = words.iter();
        let (mut help, mut version) = (false, false);
        while let Some(word) = rest.next() {
            if word == "--" {
                flags.words.extend(rest.by_ref().cloned());
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                flags.long(name, value, word, &mut rest, (&mut help, &mut version))?;
            } else if word.len() > 1 && word.starts_with('-') {
                flags.cluster(&word[1..], word, &mut rest, (&mut help, &mut version))?;
            } else {
                flags.word(word);
            }
        }
        Ok(match (help, version) {
            (true, _) => Request::Help,
            (_, true) => Request::Version,
            _ => Request::Run(Box::new(flags)),
        })
    }

    /// A word that is no flag; the first may be the name of a command.
    fn word(&mut self, word: &str) {
        match word {
            "eval" | "e" if self.words.is_empty() && !self.together => {}
            "eval-all" | "ea" if self.words.is_empty() => self.together = true,
            word => self.words.push(word.to_owned()),
        }
    }

    /// `-nI0`
    fn cluster(
        &mut self,
        letters: &str,
        word: &str,
        rest: &mut std::slice::Iter<'_, String>,
        seen: (&mut bool, &mut bool),
    ) -> Result<(), Error> {
        let (help, version) = seen;
        for (at, letter) in letters.char_indices() {
            let Some((_, name)) = SHORT.iter().find(|(short, _)| *short == letter) else {
                return Err(Error::Unknown(format!("'{letter}' in {word}")));
            };
            let behind = &letters[at + letter.len_utf8()..];
            let takes_value = WITH_VALUE.contains(name) || NOT_HERE.contains(&format!("{name}=").as_str());
            if takes_value || behind.starts_with('=') {
                let value =
                    Some(behind.strip_prefix('=').unwrap_or(behind)).filter(|value| !value.is_empty());
                return self.long(name, value.map(str::to_owned), word, rest, (help, version));
            }
            self.long(name, None, word, rest, (help, version))?;
        }
        Ok(())
    }

    fn long(
        &mut self,
        name: &str,
        value: Option<String>,
        word: &str,
        rest: &mut std::slice::Iter<'_, String>,
        (help, version): (&mut bool, &mut bool),
    ) -> Result<(), Error> {
        if NOT_HERE.iter().any(|planned| planned.trim_end_matches('=') == name) {
            return Err(Error::NotHere(format!("flag --{name} of yq")));
        }
        if WITH_VALUE.contains(&name) {
            let value =
                value.or_else(|| rest.next().cloned()).ok_or_else(|| Error::NoValue(word.to_owned()))?;
            return self.valued(name, value);
        }
        let on = match value.as_deref() {
            None | Some("true" | "t" | "T" | "1" | "True" | "TRUE") => true,
            Some("false" | "f" | "F" | "0" | "False" | "FALSE") => false,
            Some(value) => {
                return Err(Error::BadValue { flag: format!("--{name}"), value: value.to_owned() });
            }
        };
        match name {
            "help" => *help = on,
            "version" => *version = on,
            "exit-status" => self.exit_status = on,
            "inplace" => self.in_place = on,
            "no-doc" => self.no_doc = on,
            "null-input" => self.null_input = on,
            "prettyPrint" => self.pretty = on,
            "unwrapScalar" => self.unwrap = Some(on),
            "yaml-compact-seq-indent" => self.compact = on,
            "security-disable-env-ops" => self.disable_env = on,
            // Nothing is coloured, and no file can be read by an expression: both are as if always given.
            "no-colors" | "security-disable-file-ops" => {}
            _ => return Err(Error::Unknown(word.to_owned())),
        }
        Ok(())
    }

    fn valued(&mut self, name: &str, value: String) -> Result<(), Error> {
        match name {
            "expression" => self.expression = Some(value),
            "from-file" => self.from_file = Some(value),
            "input-format" => self.input = format(&value)?,
            "output-format" => self.output = format(&value)?,
            _ => {
                let bad = Error::BadValue { flag: "-I, --indent".to_owned(), value: value.clone() };
                self.indent = value.parse().ok().filter(|indent| *indent <= 16).ok_or(bad)?;
            }
        }
        Ok(())
    }
}

/// `None` is `auto`.
fn format(name: &str) -> Result<Option<Format>, Error> {
    match name {
        "auto" | "a" => Ok(None),
        "yaml" | "y" | "yml" => Ok(Some(Format::Yaml)),
        "json" | "j" => Ok(Some(Format::Json)),
        "props" | "p" | "properties" => Ok(Some(Format::Props)),
        other => Err(Error::Format(other.to_owned())),
    }
}
