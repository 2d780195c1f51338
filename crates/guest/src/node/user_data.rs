//! Finds the node's configuration in an instance's user data: a MIME multipart document, or the configuration alone.
//!
//! As much of RFC 2046 as user data has: parts that are text, as they stand or in base64. Nested documents are not known
//! to cloud-init's users either.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The content type of a NodeConfig.
const TYPE: &str = "application/node.eks.aws";

/// The texts of all node configurations in it, in their order.
///
/// # Errors
/// It is a multipart document that has no boundary, or a part that does not decode.
pub fn node_configs(user_data: &str) -> Result<Vec<String>> {
    let (headers, body) = split(user_data);
    let kind = header(&headers, "content-type").unwrap_or_default();
    if media_type(kind).starts_with("multipart/") {
        let boundary = parameter(kind, "boundary").context("the user data is multipart and has no boundary")?;
        let configs = parts(body, boundary).into_iter().map(config_of);
        return Ok(configs.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect());
    }
    if media_type(kind) == TYPE {
        return Ok(config_of(user_data)?.into_iter().collect());
    }
    let alone = user_data.contains("node.eks.aws/") && user_data.contains("NodeConfig");
    Ok(alone.then(|| user_data.to_owned()).into_iter().collect())
}

/// The configuration in a part, if that is what it holds.
fn config_of(part: &str) -> Result<Option<String>> {
    let (headers, body) = split(part);
    let header = |name| header(&headers, name).unwrap_or_default();
    if media_type(header("content-type")) != TYPE {
        return Ok(None);
    }
    let encoding = header("content-transfer-encoding").to_ascii_lowercase();
    match encoding.as_str() {
        "" | "7bit" | "8bit" | "binary" => Ok(Some(body.to_owned())),
        "base64" => {
            let digits: String = body.split_whitespace().collect();
            let bytes = STANDARD.decode(digits).context("a part of the user data is not the base64 that it says")?;
            Ok(Some(String::from_utf8(bytes).context("a NodeConfig in the user data is not text")?))
        }
        other => bail!("a NodeConfig in the user data has the encoding '{other}': leave it out, or use base64"),
    }
}

/// Headers by name in lower case, unfolded, and what follows the empty line. No headers: all of it.
fn split(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut headers, mut rest) = (Vec::<(String, String)>::new(), text);
    while let Some((line, after)) = rest.split_once('\n') {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            return (headers, after);
        }
        match (line.split_once(':'), headers.last_mut()) {
            (_, Some((_, value))) if line.starts_with([' ', '\t']) => value.push_str(line),
            (Some((name, value)), _) if is_token(name) => {
                headers.push((name.to_ascii_lowercase(), value.trim().into()))
            }
            _ => break,
        }
        rest = after;
    }
    (Vec::new(), text)
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn parameter<'a>(content_type: &'a str, name: &str) -> Option<&'a str> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|p| p.trim().split_once('='));
    let (_, value) = parameters.find(|(own, _)| own.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// The texts between the boundary's lines.
fn parts<'a>(body: &'a str, boundary: &str) -> Vec<&'a str> {
    let (between, end) = (format!("--{boundary}"), format!("--{boundary}--"));
    let (mut parts, mut start, mut at) = (Vec::new(), None, 0);
    for line in body.split_inclusive('\n') {
        let next = at + line.len();
        let word = line.trim_end();
        if word == between || word == end {
            parts.extend(start.map(|start: usize| &body[start..at]));
            if word == end {
                return parts;
            }
            start = Some(next);
        }
        at = next;
    }
    parts.extend(start.map(|start| &body[start..]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: {}\n";

    fn multipart(part: &str) -> String {
        format!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary=\"//\"\n\npreamble\n--//\nContent-Type: \
             text/x-shellscript; charset=\"us-ascii\"\n\n#!/bin/sh\necho --//x\n--//\n{part}--//--\nepilogue\n"
        )
    }

    #[test]
    fn a_configuration_is_found_among_other_parts() {
        let data = multipart(&format!("Content-Type: application/node.eks.aws\n\n{CONFIG}"));
        assert_eq!(node_configs(&data).unwrap(), [CONFIG]);
        let crlf = data.replace('\n', "\r\n");
        assert_eq!(node_configs(&crlf).unwrap(), [CONFIG.replace('\n', "\r\n")]);
    }

    #[test]
    fn a_configuration_may_be_in_base64() {
        let encoded = STANDARD.encode(CONFIG);
        let (one, two) = encoded.split_at(20);
        let headers = "Content-Type: application/node.eks.aws\nContent-Transfer-Encoding: BASE64";
        let data = multipart(&format!("{headers}\n\n{one}\n{two}\n"));
        assert_eq!(node_configs(&data).unwrap(), [CONFIG]);
        let broken = multipart(&format!("{headers}\n\n!\n"));
        assert!(node_configs(&broken).unwrap_err().to_string().contains("base64"));
    }

    #[test]
    fn several_configurations_keep_their_order() {
        let part = |n| format!("Content-Type: application/node.eks.aws\n\n{n}\n");
        let data = format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{}--b\n{}", part(1), part(2));
        assert_eq!(node_configs(&data).unwrap(), ["1\n", "2\n"]);
    }

    #[test]
    fn a_configuration_may_stand_alone() {
        assert_eq!(node_configs(CONFIG).unwrap(), [CONFIG]);
        let json = r#"{"apiVersion":"node.eks.aws/v1alpha1","kind":"NodeConfig","spec":{}}"#;
        assert_eq!(node_configs(json).unwrap(), [json]);
        let single = format!("MIME-Version: 1.0\nContent-Type: application/node.eks.aws\n\n{CONFIG}");
        assert_eq!(node_configs(&single).unwrap(), [CONFIG]);
    }

    #[test]
    fn other_user_data_has_none() {
        for data in
            ["", "#!/bin/sh\necho hi\n", "Content-Type: text/plain\n\nx", &multipart("Content-Type: x/y\n\nz\n")]
        {
            assert!(node_configs(data).unwrap().is_empty(), "{data}");
        }
        assert!(node_configs("Content-Type: multipart/mixed\n\n--x\n").is_err());
    }
}
