//! XML as EC2 answers it: elements with texts, nothing else matters.

use anyhow::{Context as _, Result, bail, ensure};
use quick_xml::Reader;
use quick_xml::events::Event;

/// Answers lie at most so deep.
const DEPTH: usize = 32;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document: its outermost element.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8]) -> Result<Element> {
        let text = std::str::from_utf8(bytes).context("it is not UTF-8")?;
        let mut reader = Reader::from_str(text);
        let mut open = vec![Element::default()];
        loop {
            let top = open.len() - 1;
            match reader.read_event()? {
                Event::Start(start) => {
                    ensure!(open.len() < DEPTH, "its elements lie deeper than {DEPTH}");
                    open.push(Element { name: start.local_name().as_ref().to_owned(), ..Element::default() });
                }
                Event::Empty(empty) => {
                    let name = empty.local_name().as_ref().to_owned();
                    open[top].children.push(Element { name, ..Element::default() });
                }
                Event::End(_) => {
                    let done = open.pop().context("an element ends that did not begin")?;
                    open.last_mut().context("an element ends that did not begin")?.children.push(done);
                }
                Event::Text(text) => open[top].text += &text.xml10_content(),
                Event::CData(text) => open[top].text += &text,
                Event::GeneralRef(reference) => open[top].text.push(match reference.resolve_char_ref()? {
                    Some(char) => char,
                    None => named(&reference)?,
                }),
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let root = (open.len() == 1).then(|| open.pop()).flatten().context("an element does not end")?;
        root.children.into_iter().next().context("there is no element")
    }

    /// The text at a path of names; empty if nothing is there.
    pub fn text(&self, path: &str) -> &str {
        let found = path.split('/').try_fold(self, |element, name| element.child(name));
        found.map_or("", |element| element.text.trim())
    }

    /// The element of that name in this one.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The elements of the list of that name: each is called `item`.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &Element> {
        let list = self.child(name).map(|list| list.children.as_slice()).unwrap_or_default();
        list.iter().filter(|child| child.name == "item")
    }
}

fn named(reference: &str) -> Result<char> {
    Ok(match reference {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        other => bail!("the entity &{other}; is unknown"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_their_path() {
        let document = "<?xml version=\"1.0\"?><R xmlns=\"u\"><a><b>1 &lt; 2 &#x26; 3</b></a><l><item><n>x</n></item><item/></l></R>";
        let root = Element::parse(document.as_bytes()).unwrap();
        assert_eq!(root.text("a/b"), "1 < 2 & 3");
        assert_eq!(root.text("a/c"), "");
        assert_eq!(root.list("l").map(|item| item.text("n")).collect::<Vec<_>>(), ["x", ""]);
        for bad in ["", "<a>", "<a></b>", "<a>&nbsp;</a>"] {
            assert!(Element::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
