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
        ("outside = '/run/netns/world'", "name both"),
        ("outside = '/run/netns/world'\noutside-addresses = '198.51.100.0'", "198.51.100.0"),
        ("outside = '/run/netns/world'\noutside-addresses = '127.43.0.0/24'", "nobody outside"),
        ("outside = '/run/netns/world'\noutside-addresses = '198.51.100.0/31'", "/30"),
    ];
    for (text, expected) in bad {
        let error = format!("{:#}", load(text, Flags::default()).unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn each_value_is_shown_with_where_it_comes_from() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "account-id = '123456789012'\nregion = 'us-west-2'").unwrap();
    let path = file.path().display().to_string();
    let words = ["roadstead", "--config", &path, "--region", "eu-west-1", "--components", "/c"];
    let given = Flags::augment_args(clap::Command::new("roadstead")).get_matches_from(words);
    let flags = <Flags as clap::FromArgMatches>::from_arg_matches(&given).unwrap();
    let shown = show(&Config::load(&flags).unwrap(), &flags, &given, false).unwrap();
    let from = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(from("region"), ["eu-west-1", "--region"]);
    assert_eq!(from("account-id"), ["123456789012", &path]);
    assert_eq!(from("listen"), ["127.0.0.1:7433", "default"]);
}

#[test]
fn a_part_of_the_region_is_told_the_whole_configuration() {
    let text = "region = 'us-west-2'\nmetrics-listen = '127.0.0.1:9100'\naccount-id = '123456789012'\n\
                outside = '/run/netns/world'\noutside-addresses = '198.51.100.0/24'";
    let config = load(text, Flags::default()).unwrap();
    let words = [vec!["roadstead".to_owned()], crate::supervise::arguments(&config)].concat();
    let given = Flags::augment_args(clap::Command::new("roadstead")).get_matches_from(words);
    let flags = <Flags as clap::FromArgMatches>::from_arg_matches(&given).unwrap();
    assert_eq!(Config::load(&flags).unwrap(), config);
    assert!(config.settings().iter().all(|(_, value)| value.is_some()), "one of each");
}
