//! The templates that are compiled in, so that the program works without any other file. `docs/templates.md` lists them.

macro_rules! table {
    ($($name:literal = $file:literal)*) => {
        /// Names and texts, in byte order of the names. Names that start with `_` are parts of others; some names stand for the newest version.
        pub const TEMPLATES: &[(&str, &str)] = &[$(($name, include_str!(concat!("builtin/", $file, ".yaml"))),)*];
    };
}

table! {
    "_default/mounts" = "_default/mounts"
    "_images/alpine-3.23" = "_images/alpine-3.23"
    "_images/debian-12" = "_images/debian-12"
    "_images/debian-13" = "_images/debian-13"
    "_images/fedora" = "_images/fedora-44"
    "_images/fedora-44" = "_images/fedora-44"
    "_images/ubuntu" = "_images/ubuntu-26.04"
    "_images/ubuntu-24.04" = "_images/ubuntu-24.04"
    "_images/ubuntu-26.04" = "_images/ubuntu-26.04"
    "_images/ubuntu-lts" = "_images/ubuntu-26.04"
    "alpine" = "alpine-3.23"
    "alpine-3.23" = "alpine-3.23"
    "debian" = "debian-13"
    "debian-12" = "debian-12"
    "debian-13" = "debian-13"
    "default" = "default"
    "fedora" = "fedora-44"
    "fedora-44" = "fedora-44"
    "ubuntu" = "ubuntu-26.04"
    "ubuntu-24.04" = "ubuntu-24.04"
    "ubuntu-26.04" = "ubuntu-26.04"
    "ubuntu-lts" = "ubuntu-26.04"
}

/// The text of a compiled-in template, by its name without `.yaml`.
pub fn text(name: &str) -> Option<&'static str> {
    TEMPLATES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
#[path = "builtin_tests.rs"]
mod tests;
