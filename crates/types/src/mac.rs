use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A MAC address, written `aa:bb:cc:dd:ee:ff`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = String;
    fn from_str(text: &str) -> Result<Mac, String> {
        let bytes: Option<Vec<u8>> = text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
        let mac: Option<[u8; 6]> = bytes.and_then(|bytes| bytes.try_into().ok());
        mac.map(Mac).ok_or_else(|| format!("'{text}' is not a MAC address (aa:bb:cc:dd:ee:ff)"))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl TryFrom<String> for Mac {
    type Error = String;
    fn try_from(text: String) -> Result<Mac, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Mac;

    #[test]
    fn mac_addresses_are_read_and_written() {
        assert_eq!("02:00:0a:ff:00:01".parse::<Mac>().unwrap().to_string(), "02:00:0a:ff:00:01");
        for text in ["", "02:00:00:00:00", "02:00:00:00:00:00:00", "02-00-00-00-00-00", "02:00:00:00:00:zz"] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
