//! A tree as new text: block style, two blanks a level, lists not indented.

use super::node::Node;

/// The document of a tree; ends with a line break.
pub fn print(node: &Node) -> String {
    // Interim: the final layout comes with `rewrite`.
    serde_yaml::to_string(&node.to_json()).unwrap_or_default()
}
