use super::*;

fn load(text: &str, flags: Flags) -> Result<Config> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    Config::load(&Flags { config: Some(file.path().into()), components: Some("/c".into()), ..flags })
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let flags = Flags { region: Some("eu-west-1".into()), ..Flags::default() };
    let config = load("region = 'us-west-2'\naccount-id = '123456789012'\ndata-dir = '/srv/r'", flags).unwrap();
    assert_eq!((config.region.as_str(), config.account.as_str()), ("eu-west-1", "123456789012"));
    assert_eq!(config.zones, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
    assert_eq!(config.root_key, Path::new("/srv/r.root-key"));
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let bad = [
        ("account-id = '12'", "twelve digits"),
        ("region = 'Us'", "lower-case"),
        ("zones = ['us-east-1a', 'us-east-1a', 'us-east-1b']", "three different"),
        ("zones = ['a', 'b', 'c']", "not of region"),
        ("data-dir = '/d'\nroot-key = '/d/key'", "outside"),
        ("datadir = '/d'", "unknown field"),
        ("listen = 'here'", "socket address"),
        ("metrics-listen = '0.0.0.0:9100'", "loopback"),
    ];
    for (text, expected) in bad {
        let error = format!("{:#}", load(text, Flags::default()).unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
    }
}
