use super::canonical::{self, Sensitive};
use super::*;
use crate::fault::{Code, Common};
use roadstead_types::Millis;

static TEXT: Schema = Schema::string("Text");
static SECRET: Schema = Schema::string("Secret").sensitive().min(8);
static BLOB: Schema = Schema::new("Blob", Kind::Blob);
static DOUBLE: Schema = Schema::new("Double", Kind::Double);
static TIME: Schema = Schema::new("Time", Kind::Timestamp);
static TREES: Schema = Schema::list("Trees", &List::of(Member::new("member", &TREE))).max(2);
static BOOK: Schema = Schema::map("Book", &Map::of(Member::new("key", &TEXT), Member::new("value", &TEXT)).sparse());
static TREE: Schema = Schema::structure(
    "Tree",
    &Structure::new(&[
        Member::new("Name", &TEXT).named("theName"),
        Member::new("Secret", &SECRET),
        Member::new("Blob", &BLOB),
        Member::new("Double", &DOUBLE),
        Member::new("Time", &TIME),
        Member::new("Book", &BOOK),
        Member::new("Trees", &TREES),
    ]),
);
static SERVICE: Service = Service {
    name: "test",
    id: "Test",
    signing_name: "test",
    endpoint_prefix: "test",
    api_version: "2026-11-22",
    protocols: &[Protocol::RestJson1],
    target_prefix: None,
    namespace: None,
    scope: Scope::Regional,
    null_error_members: false,
    query_compatible: false,
};
static PLANT: AnyOperation = plant(&TREE);

const fn plant(input: &'static Schema) -> AnyOperation {
    AnyOperation {
        service: &SERVICE,
        name: "Plant",
        method: "POST",
        uri: "/",
        status: 200,
        input,
        output: &TREE,
        action: "test:Plant",
        open: false,
        resources: &["a/{Name}/{Book.x|none}"],
        pass_role: &[],
        errors: &[],
        invalid: Code::Common(Common::Validation),
        readonly: false,
        idempotency_token: None,
        pagination: None,
        waiter: false,
        unsigned: false,
    }
}

fn tree() -> Struct {
    Struct::new()
        .with("Time", Millis(1_000))
        .with("Name", "oak")
        .with("Secret", "hush-hush")
        .with("Blob", Value::Blob(vec![0, 255]))
        .with("Double", f64::INFINITY)
        .with("Book", Value::Map([("b".into(), Value::Null), ("a".into(), "1".into())].into()))
}

#[test]
fn one_value_has_one_canonical_text_that_reads_back() {
    let value = Value::Struct(tree().with("Trees", vec![Value::Struct(Struct::new())]));
    let text = canonical::write(&TREE, &value, Sensitive::Shown);
    assert_eq!(
        text,
        r#"{"Name":"oak","Secret":"hush-hush","Blob":"AP8=","Double":"Infinity","Time":"1970-01-01T00:00:01Z","Book":{"a":"1","b":null},"Trees":[{}]}"#
    );
    assert_eq!(canonical::read(&TREE, &text).unwrap(), value);
}

#[test]
fn a_secret_is_hidden_at_any_depth() {
    let value = Value::Struct(tree().with("Trees", vec![Value::Struct(tree())]));
    let text = canonical::write(&TREE, &value, Sensitive::Hidden);
    assert!(!text.contains("hush") && text.matches("HIDDEN_DUE_TO_SECURITY_REASONS").count() == 2, "{text}");
}

#[test]
fn a_refusal_shows_no_secret() {
    let short = Struct::new().with("Secret", "hush");
    let told = |value: Struct| PLANT.validate(&Value::Struct(value)).unwrap_err().message;
    assert_eq!(
        told(short.clone()),
        "1 validation error detected: Value at 'secret' failed to satisfy constraint: Member must have length greater \
         than or equal to 8"
    );
    let three = vec![Value::Struct(short.with("Secret", "hush-hush-hush")); 3];
    assert_eq!(
        told(Struct::new().with("Trees", three)),
        "1 validation error detected: Value '[{Secret=***}, {Secret=***}, {Secret=***}]' at 'trees' failed to satisfy \
         constraint: Member must have length less than or equal to 2"
    );
}

#[test]
fn violations_are_told_where_they_are() {
    let inner = Value::Struct(Struct::new().with("Secret", "hush"));
    let outer = Struct::new().with("Trees", vec![Value::Struct(tree()), inner]);
    let told = PLANT.validate(&Value::Struct(outer)).unwrap_err().message;
    assert!(told.contains("at 'trees.2.member.secret' failed"), "{told}");
}

#[test]
fn a_template_is_filled_from_members_of_members() {
    let targets = |value: Struct| PLANT.targets(&value.into(), &Origin { account: "1", region: "r", name: "ada" });
    let book = |text: &str| Value::Map([("x".to_owned(), Value::from(text))].into());
    assert_eq!(targets(Struct::new().with("Name", "n").with("Book", book("y"))), ["a/n/y"]);
    assert_eq!(targets(Struct::new()), ["a/*/none"]);
}

#[test]
fn patterns_are_javas_and_hold_for_the_whole() {
    static WORD: Schema = Schema::string("Word").pattern(r"[\w+=,.@-]+");
    static ONE: Schema = Schema::structure("One", &Structure::new(&[Member::new("word", &WORD)]));
    let operation = plant(&ONE);
    let fits = |text: &str| operation.validate(&Value::Struct(Struct::new().with("word", text))).is_ok();
    assert!(fits("a_1+b") && !fits("a b") && !fits("r\u{f6}le") && !fits("a\n") && !fits(""));
}
