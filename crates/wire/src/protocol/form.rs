//! Forms: `application/x-www-form-urlencoded` texts, and the trees that the dots in their names make.

use crate::ReadError;
use percent_encoding::percent_decode;
use std::collections::BTreeMap;

/// A form has at most so many parameters: EC2's largest calls name 1,000 resources with 50 tags in two parameters each
/// only in theory; none of its documented limits comes near.
const MAX_PARAMETERS: usize = 10_000;
/// A parameter's name is at most so long, bytes.
const MAX_NAME: usize = 1024;
/// A parameter's name has at most so many parts.
const MAX_DEPTH: usize = 32;

/// Names and values, decoded, in the order of the text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

/// A parameter and those whose names go on after its own.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Its value, if it is a parameter itself.
    pub text: Option<String>,
    /// What comes after the next dot.
    pub inner: BTreeMap<String, Node>,
}

impl Form {
    /// Reads texts, the query string's and the body's, as one form.
    pub fn read(texts: &[&[u8]]) -> Result<Form, ReadError> {
        let pairs = texts.iter().flat_map(|text| text.split(|b| *b == b'&')).filter(|pair| !pair.is_empty());
        let mut form = Form::default();
        for pair in pairs {
            if form.0.len() == MAX_PARAMETERS {
                return Err(ReadError::new(format!("The request has more than {MAX_PARAMETERS} parameters")));
            }
            let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let (name, value) = (&pair[..at], pair.get(at + 1..).unwrap_or_default());
            form.0.push((decode(name)?, decode(value)?));
        }
        Ok(form)
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The tree of its names.
    pub fn tree(&self) -> Result<Node, ReadError> {
        let mut root = Node::default();
        for (name, value) in &self.0 {
            if name.len() > MAX_NAME || name.split('.').count() > MAX_DEPTH {
                return Err(ReadError::new(format!(
                    "A parameter's name is longer than {MAX_NAME} bytes or has more than {MAX_DEPTH} parts"
                )));
            }
            let node = name.split('.').fold(&mut root, |node, part| node.inner.entry(part.to_owned()).or_default());
            node.text.get_or_insert_with(|| value.clone());
        }
        Ok(root)
    }
}

impl Node {
    /// The nodes whose names are numbers, in the order of the numbers.
    pub fn numbered(&self) -> Vec<&Node> {
        let mut nodes: Vec<(u32, &Node)> =
            self.inner.iter().filter_map(|(name, node)| Some((name.parse().ok()?, node))).collect();
        nodes.sort_by_key(|(number, _)| *number);
        nodes.into_iter().map(|(_, node)| node).collect()
    }
}

fn decode(text: &[u8]) -> Result<String, ReadError> {
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(bytes).map_err(|_| ReadError::new("A parameter is not UTF-8"))
}
