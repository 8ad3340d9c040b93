//! `limactl list --format TEMPLATE`: Go's text templates over the record of an instance, with upstream's functions. Pure.

use std::sync::Arc;

use gotmpl::{Template, TemplateError, Value};
use thiserror::Error;

use super::yaml_text;
use crate::config::go_fields::{self, Fault};
use crate::config::go_value::{Converted, Shape};

/// Upstream's name for the template, which its error messages begin with.
const NAME: &str = "format";
const FUNCTIONS: [&str; 4] = ["indent", "json", "missing", "yaml"];

#[derive(Debug, Error)]
pub enum Error {
    #[error("invalid go template: {0}")]
    Syntax(TemplateError),
    #[error("invalid go template: {0}")]
    UnknownFunction(Fault),
    #[error("{0}")]
    UnknownField(Fault),
    #[error("template: {NAME}: executing \"{NAME}\": {0}")]
    Run(TemplateError),
}

/// A template that only asks for what there is.
pub struct Format<'a> {
    source: &'a str,
}

impl<'a> Format<'a> {
    /// Reads `source`, whose dot will have the shape `root`.
    pub fn new(source: &'a str, root: &Shape) -> Result<Format<'a>, Error> {
        let template = Template::new(NAME).parse(source).map_err(Error::Syntax)?;
        if let Some(tree) = template.lookup(NAME) {
            go_fields::check(NAME, source, tree, root, &FUNCTIONS).map_err(|fault| match fault {
                Fault::Field { .. } => Error::UnknownField(fault),
                Fault::Function { .. } => Error::UnknownFunction(fault),
            })?;
        }
        Ok(Format { source })
    }

    /// One instance's text, without a line feed of our own.
    pub fn render(&self, data: Converted) -> Result<String, Error> {
        let data = Arc::new(data);
        let (for_json, for_yaml) = (data.clone(), data.clone());
        let template = Template::new(NAME)
            .func("json", move |args| Ok(text(for_json.json(one("json", args)?).to_string())))
            .func("yaml", move |args| {
                let document = yaml_text::block(&for_yaml.json(one("yaml", args)?));
                Ok(text(format!("---\n{}", document.trim_end_matches('\n'))))
            })
            .func("indent", indent)
            .func("missing", missing)
            .parse(self.source)
            .map_err(Error::Syntax)?;
        template.execute_to_string(&data.value).map_err(Error::Run)
    }
}

fn text(text: String) -> Value {
    Value::String(text.into())
}

fn wrong_count(name: &str, expected: usize, got: usize) -> TemplateError {
    TemplateError::ArgCount { name: name.to_owned(), expected, got }
}

fn one<'v>(name: &str, args: &'v [Value]) -> Result<&'v Value, TemplateError> {
    match args {
        [value] => Ok(value),
        other => Err(wrong_count(name, 1, other.len())),
    }
}

/// `indent TEXT`, `indent WIDTH TEXT`: blanks in front of every line that is not empty; two unless said.
fn indent(args: &[Value]) -> Result<Value, TemplateError> {
    let (width, body) = match args {
        [body] => (2, body),
        [width, body] => {
            let width = width.as_int().and_then(|width| usize::try_from(width).ok());
            let expected = "int";
            (width.ok_or(TemplateError::TypeMismatch { expected, got: args[0].type_name() })?, body)
        }
        other => return Err(wrong_count("indent", 1, other.len())),
    };
    let blanks = " ".repeat(width.min(1024));
    let body = body.to_string();
    let lines = body.split('\n').map(|line| match line {
        "" => String::new(),
        line => format!("{blanks}{line}"),
    });
    Ok(text(lines.collect::<Vec<_>>().join("\n")))
}

/// `missing TEXT`, `missing MESSAGE TEXT`: the message in the place of an empty text.
fn missing(args: &[Value]) -> Result<Value, TemplateError> {
    let (message, body) = match args {
        [body] => ("<missing>".to_owned(), body),
        [message, body] => (message.to_string(), body),
        other => return Err(wrong_count("missing", 1, other.len())),
    };
    let body = if matches!(body, Value::Nil) { String::new() } else { body.to_string() };
    Ok(text(if body.is_empty() { message } else { body }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::Described;
    use crate::config::written::LimaYaml;
    use serde_json::json;

    fn rendered(source: &str) -> Result<String, String> {
        let shape = Shape::of(&LimaYaml::kind());
        let json = json!({"vmType": "qemu", "cpus": 2, "images": [{"location": "z", "arch": "a"}], "param": {"k": "<&>"}});
        let format = Format::new(source, &shape).map_err(|error| error.to_string())?;
        format.render(Converted::new(&json, &shape)).map_err(|error| error.to_string())
    }

    fn shown(source: &str) -> String {
        rendered(source).unwrap_or_else(|error| panic!("{source}: {error}"))
    }

    #[test]
    fn fields_are_reached_and_functions_work() {
        assert_eq!(shown("{{.VMType}}:{{.CPUs}}"), "qemu:2");
        assert_eq!(shown("unix://{{.OS}}/x"), "unix:///x");
        assert_eq!(
            shown("{{json .Images}} {{.Param | json}}"),
            r#"[{"location":"z","arch":"a"}] {"k":"<&>"}"#
        );
        assert_eq!(shown("{{yaml .Images}}"), "---\n- location: z\n  arch: a");
        assert_eq!(shown("{{indent 4 \"a\n\nb\"}}|{{indent \"c\"}}"), "    a\n\n    b|  c");
        assert_eq!(
            shown("{{missing .OS}} {{missing \"none\" .OS}} {{missing .VMType}}"),
            "<missing> none qemu"
        );
        assert_eq!(shown("{{.Param.nope}}{{range .Images}}{{.Location}}{{end}}"), "<no value>z");
    }

    #[test]
    fn mistakes_are_told_as_upstream_tells_them() {
        assert_eq!(
            rendered("{{.Nope}}").unwrap_err(),
            "template: format:1:2: executing \"format\" at <.Nope>: can't evaluate field Nope in type *limatype.LimaYAML"
        );
        let unclosed = rendered("{{").unwrap_err();
        assert!(unclosed.starts_with("invalid go template: template: format:1"), "{unclosed}");
        assert_eq!(
            rendered("{{.VMType | nope}}").unwrap_err(),
            "invalid go template: template: format:1: function \"nope\" not defined"
        );
        assert!(rendered("{{index .Images 7}}").unwrap_err().starts_with("template: format: executing"));
    }
}
