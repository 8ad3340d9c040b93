//! Go templates in strings: the variables of the guest and of the host, and their expansion.

use std::collections::BTreeMap;

use gotmpl::{Template, Value};

/// What `{{.Name}}` and its like stand for in one context.
#[derive(Debug, Clone)]
pub struct Variables(Value);

impl Variables {
    /// `values` by name, and `params` under `Param`. A name that is missing prints as `<no value>` and counts as false.
    pub fn new(values: &[(&str, Value)], params: &BTreeMap<String, String>) -> Variables {
        let params: BTreeMap<_, _> =
            params.iter().map(|(key, value)| (key.as_str().into(), text(value))).collect();
        let mut map: BTreeMap<_, _> =
            values.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        map.insert("Param".into(), Value::Map(params.into()));
        Variables(Value::Map(map.into()))
    }

    /// Expands `template`; `Err` holds the engine's words. A text without `{{` comes back as it is.
    pub fn expand(&self, template: &str) -> Result<String, String> {
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        let parsed = Template::new("").parse(template).map_err(|error| error.to_string())?;
        parsed.execute_to_string(&self.0).map_err(|error| error.to_string())
    }
}

pub fn text(value: &str) -> Value {
    Value::String(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expand(template: &str) -> String {
        let params =
            BTreeMap::from([("on".to_owned(), "true".to_owned()), ("off".to_owned(), String::new())]);
        Variables::new(&[("Name", text("vm")), ("UID", Value::Int(501))], &params).expand(template).unwrap()
    }

    #[test]
    fn missing_names_print_no_value_and_are_false() {
        assert_eq!(expand("{{.Name}} {{.UID}} {{.Nope}} {{.Param.nope}}"), "vm 501 <no value> <no value>");
        assert_eq!(expand("{{if .Param.nope}}a{{else}}b{{end}}{{if .Nope}}a{{else}}b{{end}}"), "bb");
        assert_eq!(expand("{{if eq .Param.nope \"x\"}}a{{else}}b{{end}}"), "b");
    }

    #[test]
    fn what_shipped_templates_use_works() {
        assert_eq!(expand("{{if .Param.off}}y{{else}}n{{end}}{{if eq .Param.on \"true\"}}eq{{end}}"), "neq");
        assert_eq!(expand("{{if and .Param.on (not .Param.off)}}both{{end}}"), "both");
        assert_eq!(expand("a\n{{- if .Param.on }}\nb{{- end }}\nd   {{- /* note */ -}}   e"), "a\nb\nde");
        assert_eq!(expand("{{range $k, $v := .Param}}{{$k}}={{$v}};{{end}}"), "off=;on=true;");
        assert_eq!(expand("{{$x := .Name}}{{$x}}-{{$x}}"), "vm-vm");
    }

    #[test]
    fn a_template_that_does_not_parse_is_an_error() {
        let variables = Variables::new(&[], &BTreeMap::new());
        assert!(variables.expand("docker ps --format '{{json .}}'").is_err());
        assert!(variables.expand("{{if}}").is_err());
    }

    proptest! {
        #[test]
        fn no_template_panics(template in "(\\{\\{|\\}\\}|[.$a-z \"|()-]){0,24}") {
            let _ = Variables::new(&[], &BTreeMap::new()).expand(&template);
        }
    }
}
