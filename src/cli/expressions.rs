//! `--yq` and `--filter`: expressions over JSON, and how their results are printed.

use serde_json::Value;

use super::paint::{self, Paint};
use super::yaml_text;
use crate::document::Node;
use crate::query::Query;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A line for each result on a pipe, an indent of four in colours on a terminal.
    Json,
    /// Always with an indent of four.
    IndentedJson,
    Yaml,
}

/// Expressions that were understood, each fed with what the one before gave.
pub struct Expressions {
    query: Query,
}

impl Expressions {
    /// Reads them.
    pub fn parse(expressions: &[String]) -> Result<Expressions, anyhow::Error> {
        Ok(Expressions { query: Query::parse(&expressions.join(" | "))? })
    }

    /// All results.
    pub fn run(&self, value: &Value) -> Result<Vec<Value>, anyhow::Error> {
        let results = self.query.run(&Node::from_json(value))?;
        Ok(results.iter().map(|node| node.resolved().to_json()).collect())
    }
}

/// Results as text. Texts by themselves are bare.
pub fn print(results: &[Value], output: Output, paint: Paint) -> String {
    let texts = results.iter().map(|result| match (result, output, paint) {
        (Value::String(text), ..) => format!("{text}\n"),
        (_, Output::Yaml, _) => yaml_text::painted(result, paint),
        (_, Output::Json, Paint::Plain) => format!("{result}\n"),
        (_, Output::Json | Output::IndentedJson, _) => format!("{}\n", paint::indented_json(result, paint)),
    });
    match (output, paint) {
        (Output::Yaml, Paint::Colored) => texts.map(|text| format!("---\n{text}")).collect(),
        (Output::Yaml, Paint::Plain) => texts.collect::<Vec<_>>().join("---\n"),
        _ => texts.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_are_lines_documents_or_bare_texts() {
        let results = [json!({"a": 1}), json!("text"), json!(null)];
        assert_eq!(print(&results, Output::Json, Paint::Plain), "{\"a\":1}\ntext\nnull\n");
        assert_eq!(print(&results, Output::Yaml, Paint::Plain), "a: 1\n---\ntext\n---\nnull\n");
        assert_eq!(print(&results[..1], Output::IndentedJson, Paint::Plain), "{\n    \"a\": 1\n}\n");
        assert!(print(&results[..1], Output::Yaml, Paint::Colored).starts_with("---\n\x1b[36ma\x1b[0m: "));
    }
}
