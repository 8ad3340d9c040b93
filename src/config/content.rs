//! What a file of the guest is to contain, as `provision[].content` has it.

use serde::Serialize;

use super::decode::{Decode, Reader};
use super::node::{Kind, Node};
use super::scalar;
use super::schema::{self, Described};

/// A text, in which templates are expanded, or bytes that are no text and stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

impl Content {
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Content::Text(text) => text.into_bytes(),
            Content::Bytes(bytes) => bytes,
        }
    }

    /// The text; `None` for bytes.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Content::Text(text) => Some(text),
            Content::Bytes(_) => None,
        }
    }
}

impl Default for Content {
    fn default() -> Content {
        Content::Text(String::new())
    }
}

/// Bytes are printed with a replacement character for each that JSON cannot hold, as upstream prints them.
impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Text(text) => serializer.serialize_str(text),
            Content::Bytes(bytes) => serializer.serialize_str(&String::from_utf8_lossy(bytes)),
        }
    }
}

impl Decode for Content {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Content> {
        let binary = match &node.kind {
            Kind::Scalar(found) if found.tag.as_deref() == Some("binary") => scalar::base64(&found.text),
            _ => None,
        };
        match binary.map(String::from_utf8) {
            Some(Err(no_text)) => Some(Content::Bytes(no_text.into_bytes())),
            _ => String::decode(node, reader).map(Content::Text),
        }
    }
}

impl Described for Content {
    fn kind() -> schema::Kind {
        schema::Kind::Text
    }
}
