//! Whether a template asks only for fields and functions that exist. The engine takes a struct for a map, where nothing is missing, so this is
//! found out before it runs. Pure.
//!
//! The walk follows the shape of dot through `with`, `range` and variables. Where it cannot know a shape it asks for nothing.

use gotmpl::parse::{BranchNode, Expr, ListNode, Node, PipeNode, Pos};
use thiserror::Error;

use super::go_value::Shape;

/// In Go's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    #[error(
        "template: {template}:{line}:{column}: executing \"{template}\" at <{path}>: can't evaluate field {field} in type {type_name}"
    )]
    Field { template: String, line: usize, column: usize, path: String, field: String, type_name: String },
    #[error("template: {template}:{line}: function \"{name}\" not defined")]
    Function { template: String, line: usize, name: String },
}

/// The functions that every template has.
const BUILT_IN: [&str; 21] = [
    "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery",
    "call", "eq", "ne", "lt", "le", "gt", "ge", "break", "continue",
];

/// Looks through a template of that name, whose text is `source` and whose dot has the shape `root`. `functions` are those that it was given
/// beside the built-in ones.
pub fn check(
    name: &str,
    source: &str,
    tree: &ListNode,
    root: &Shape,
    functions: &[&str],
) -> Result<(), Fault> {
    let mut walk = Walk { name, source, functions, variables: vec![("$".to_owned(), root.clone())] };
    walk.list(tree, root)
}

struct Walk<'a> {
    name: &'a str,
    source: &'a str,
    functions: &'a [&'a str],
    variables: Vec<(String, Shape)>,
}

impl Walk<'_> {
    fn list(&mut self, list: &ListNode, dot: &Shape) -> Result<(), Fault> {
        list.nodes.iter().try_for_each(|node| self.node(node, dot))
    }

    fn node(&mut self, node: &Node, dot: &Shape) -> Result<(), Fault> {
        match node {
            Node::List(list) => self.list(list, dot),
            Node::Action(action) => self.pipe(&action.pipe, dot).map(|_| ()),
            Node::If(branch) => self.branch(branch, dot, |_, dot| dot.clone()),
            Node::With(branch) => self.branch(branch, dot, |value, _| value.clone()),
            Node::Range(branch) => self.branch(branch, dot, |value, _| item(value)),
            Node::Template(call) => match &call.pipe {
                Some(pipe) => self.pipe(pipe, dot).map(|_| ()),
                None => Ok(()),
            },
            // What a definition gets as dot is its caller's choice.
            Node::Define(definition) => self.list(&definition.body, &Shape::Any),
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
        }
    }

    fn branch(
        &mut self,
        branch: &BranchNode,
        dot: &Shape,
        inner: fn(&Shape, &Shape) -> Shape,
    ) -> Result<(), Fault> {
        let known = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let body_dot = inner(&value, dot);
        // `range $index, $item := …` and `range $item := …`: the last one is the item.
        if let Some((_, shape)) = self.variables[known..].last_mut() {
            *shape = body_dot.clone();
        }
        self.list(&branch.body, &body_dot)?;
        if let Some(otherwise) = &branch.else_body {
            self.list(otherwise, dot)?;
        }
        self.variables.truncate(known);
        Ok(())
    }

    /// The shape that a pipeline comes to.
    fn pipe(&mut self, pipe: &PipeNode, dot: &Shape) -> Result<Shape, Fault> {
        let mut result = Shape::Any;
        for (index, command) in pipe.commands.iter().enumerate() {
            let mut shapes = Vec::new();
            for arg in &command.args {
                shapes.push(self.expression(arg, dot)?);
            }
            // A field by itself is itself; whatever has arguments is a function's result.
            let is_plain = index == 0 && shapes.len() == 1;
            result = if is_plain { shapes.remove(0) } else { Shape::Any };
        }
        for (position, name) in pipe.decl.iter().enumerate() {
            let is_last = position + 1 == pipe.decl.len();
            let shape = if is_last { result.clone() } else { Shape::Any };
            self.variables.push((name.to_string(), shape));
        }
        Ok(result)
    }

    fn expression(&mut self, expression: &Expr, dot: &Shape) -> Result<Shape, Fault> {
        match expression {
            Expr::Dot(_) => Ok(dot.clone()),
            Expr::Field(pos, names) => self.fields(*pos, "", dot, names),
            Expr::Variable(pos, variable, names) => {
                let known = self.variables.iter().rev().find(|(name, _)| *name == variable.as_str());
                let shape = known.map_or(Shape::Any, |(_, shape)| shape.clone());
                self.fields(*pos, variable.as_str(), &shape, names)
            }
            Expr::Identifier(pos, name) => {
                if BUILT_IN.contains(&name.as_str()) || self.functions.contains(&name.as_str()) {
                    return Ok(Shape::Any);
                }
                let (template, name) = (self.name.to_owned(), name.to_string());
                Err(Fault::Function { template, line: pos.line, name })
            }
            Expr::Pipe(_, pipe) => {
                let known = self.variables.len();
                let shape = self.pipe(pipe, dot);
                self.variables.truncate(known);
                shape
            }
            Expr::Chain(pos, inner, names) => {
                let shape = self.expression(inner, dot)?;
                self.fields(*pos, "", &shape, names)
            }
            Expr::String(..) | Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) => Ok(Shape::Any),
        }
    }

    /// Follows `.A.B` from `shape`. `before` is what stands in front of the first dot.
    fn fields<Name: AsRef<str>>(
        &self,
        pos: Pos,
        before: &str,
        shape: &Shape,
        names: &[Name],
    ) -> Result<Shape, Fault> {
        let mut shape = shape.clone();
        for name in names {
            let name = name.as_ref();
            shape = match &shape {
                Shape::Map(inner) => (**inner).clone(),
                Shape::Struct(fields) => match fields.field(name) {
                    Some(field) => field.shape.clone(),
                    None => return Err(self.no_field(pos, before, names, name, &fields.type_name)),
                },
                Shape::List(_) | Shape::Text | Shape::Scalar | Shape::Any => Shape::Any,
            };
        }
        Ok(shape)
    }

    fn no_field<Name: AsRef<str>>(
        &self,
        pos: Pos,
        before: &str,
        names: &[Name],
        field: &str,
        type_name: &str,
    ) -> Fault {
        let path: String = names.iter().map(|name| format!(".{}", name.as_ref())).collect();
        // Go's parser gives a chain the place of its second member.
        let first = names.first().filter(|_| names.len() > 1).map_or(0, |name| 1 + name.as_ref().len());
        let offset = (pos.offset + if before.is_empty() { first } else { 0 }).min(self.source.len());
        let line_start =
            self.source.as_bytes()[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Fault::Field {
            template: self.name.to_owned(),
            line: pos.line,
            column: offset - line_start,
            path: format!("{before}{path}"),
            field: field.to_owned(),
            type_name: type_name.to_owned(),
        }
    }
}

/// What `range` puts into dot.
fn item(shape: &Shape) -> Shape {
    match shape {
        Shape::List(inner) | Shape::Map(inner) => (**inner).clone(),
        _ => Shape::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::Described;
    use super::super::written::LimaYaml;
    use super::*;

    fn told(source: &str) -> String {
        let template = gotmpl::Template::new("format").parse(source).unwrap();
        let shape = Shape::of(&LimaYaml::kind());
        let tree = template.lookup("format").unwrap();
        check("format", source, tree, &shape, &["json"])
            .err()
            .map_or_else(String::new, |fault| fault.to_string())
    }

    #[test]
    fn unknown_fields_are_told_in_gos_words() {
        assert_eq!(
            told("{{.Nope}}"),
            "template: format:1:2: executing \"format\" at <.Nope>: can't evaluate field Nope in type *limatype.LimaYAML"
        );
        assert_eq!(
            told("x\n  {{.SSH.Nope}}"),
            "template: format:2:8: executing \"format\" at <.SSH.Nope>: can't evaluate field Nope in type limatype.SSH"
        );
        assert!(told("{{range .Images}}{{.Nope}}{{end}}").ends_with("in type limatype.Image"));
        assert!(told("{{with .User}}{{$.Nope}}{{end}}").contains("at <$.Nope>"));
        assert!(told("{{$u := .User}}{{$u.Nope}}").ends_with("in type limatype.User"));
        assert!(told("{{range $i, $m := .Mounts}}{{$m.Nope}}{{end}}").ends_with("in type limatype.Mount"));
    }

    #[test]
    fn what_exists_and_what_cannot_be_known_is_left_alone() {
        for source in [
            "{{.CPUs}} {{json .Images}} {{.Param.anything}} {{.Env.x}}",
            "{{range .Images}}{{.Location}}{{else}}{{.CPUs}}{{end}}",
            "{{range $k, $v := .Param}}{{$k}}{{$v}}{{end}}{{(index .Images 0).Whatever}}",
            "{{if .SSH.LocalPort}}{{.SSH.LocalPort}}{{end}}{{.Memory | printf \"%s\"}}",
        ] {
            assert_eq!(told(source), "", "{source}");
        }
    }

    #[test]
    fn unknown_functions_are_told() {
        assert_eq!(told("{{.OS | nope}}"), "template: format:1: function \"nope\" not defined");
    }
}
