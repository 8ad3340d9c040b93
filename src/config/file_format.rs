//! Formats of the files that `provision` entries of mode `yq` edit in the guest.

/// A format that can be read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    Yaml,
    Json,
    Ini,
}

impl FileFormat {
    /// By the word in `format:`; `auto` and nothing go by the extension of the path, as yq does, where an unknown one means YAML. `None` for a
    /// format that this version cannot edit.
    pub fn of(word: &str, path: &str) -> Option<FileFormat> {
        match word {
            "" | "auto" | "a" => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
                match extension {
                    // Formats of yq's that would be taken for YAML.
                    "xml" | "toml" | "csv" | "tsv" | "props" | "properties" | "lua" | "hcl" | "tf" => None,
                    "json" => Some(FileFormat::Json),
                    "ini" => Some(FileFormat::Ini),
                    _ => Some(FileFormat::Yaml),
                }
            }
            "yaml" | "yml" | "y" => Some(FileFormat::Yaml),
            "json" | "j" => Some(FileFormat::Json),
            "ini" | "i" => Some(FileFormat::Ini),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_or_told_by_the_extension() {
        for (word, path, format) in [
            ("auto", "/etc/docker/daemon.json", Some(FileFormat::Json)),
            ("auto", "/etc/x.yml", Some(FileFormat::Yaml)),
            ("", "/etc/x", Some(FileFormat::Yaml)),
            ("auto", "/etc/x.ini", Some(FileFormat::Ini)),
            ("ini", "/etc/override.conf", Some(FileFormat::Ini)),
            ("json", "/etc/x.yaml", Some(FileFormat::Json)),
            ("auto", "/etc/x.toml", None),
            ("xml", "/etc/x.yaml", None),
        ] {
            assert_eq!(FileFormat::of(word, path), format, "{word} {path}");
        }
    }
}
