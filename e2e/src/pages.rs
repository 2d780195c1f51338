//! Lists, cut into pages in every way: what each list operation of AWS owes to whoever walks through it.

use crate::boto::{Answer, Call, call, merged};
use crate::region::Region;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A list operation, and what there is for it to show.
#[derive(Clone, Debug)]
pub struct List {
    service: &'static str,
    operation: &'static str,
    input: Value,
    other: Option<Value>,
    id: &'static str,
    sizes: (Option<u64>, Option<u64>),
    items: usize,
    times: u64,
}

/// `list("ec2", "describe_vpcs", 6)`: one that shows at least so many items now.
pub fn list(service: &'static str, operation: &'static str, items: usize) -> List {
    List { service, operation, input: json!({}), other: None, id: "", sizes: (None, None), items, times: 1 }
}

impl List {
    /// Asked so.
    #[must_use]
    pub fn of(mut self, input: Value) -> List {
        self.input = input;
        self
    }

    /// Asked with these members instead, or beside the others, it is another list.
    #[must_use]
    pub fn unlike(mut self, other: Value) -> List {
        self.other = Some(other);
        self
    }

    /// Its items are told apart by this member: the rest of them may change while they are read.
    #[must_use]
    pub fn by(mut self, id: &'static str) -> List {
        self.id = id;
        self
    }

    /// Each of its items is in so many lists of a page, and counts in each.
    #[must_use]
    pub fn listed(mut self, times: u64) -> List {
        self.times = times;
        self
    }

    /// The smallest page and the largest, where the model has no constraint and the API has one. Without a largest, a page
    /// that is asked to be larger than any is as large as they get.
    #[must_use]
    pub fn sized(mut self, least: u64, most: Option<u64>) -> List {
        self.sizes = (Some(least), most);
        self
    }

    /// `eks list_clusters`.
    pub fn name(&self) -> String {
        format!("{} {}", self.service, self.operation)
    }
}

/// A list operation as botocore describes it.
struct Model(Value);

impl Model {
    fn name(&self) -> String {
        format!("{} {}", self.text("service"), self.text("operation"))
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// The items of pages; of several lists that make one page, one after the other.
    fn items(&self, pages: &[Value], id: &str) -> Vec<Value> {
        let lists = self.0["results"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let items = lists
            .flat_map(|name| pages.iter().flat_map(move |page| page[name].as_array().cloned().unwrap_or_default()));
        items.map(|item| if id.is_empty() { item } else { item[id].clone() }).collect()
    }
}

fn models(region: &Region) -> Vec<Model> {
    let served = json!(include_str!("../../models/ops.toml"));
    let found = region.client().script("lists.py", &served);
    found.as_array().cloned().unwrap_or_default().into_iter().map(Model).collect()
}

/// The names of all list operations that are served.
#[track_caller]
pub fn all_lists(region: &Region) -> BTreeSet<String> {
    models(region).iter().map(Model::name).collect()
}

/// How a service refuses a page of a size that there is not, and a token that is none of the list's.
fn refusals(list: &List) -> (&'static str, &'static str) {
    match list.service {
        // Its model declares no InvalidMarkerException.
        "kms" if list.operation == "list_key_policies" => ("ValidationException", "ValidationException"),
        "eks" | "ecr" | "logs" => ("InvalidParameterException", "InvalidParameterException"),
        "iam" => ("ValidationError", "ValidationError"),
        "kms" => ("ValidationException", "InvalidMarkerException"),
        "ssm" => ("ValidationException", "InvalidNextToken"),
        "autoscaling" => ("ValidationError", "InvalidNextToken"),
        "ec2" => ("InvalidParameterValue", "InvalidParameterValue"),
        other => panic!("how does {other} refuse a token?"),
    }
}

/// A list that is swept: with its model, and what it got when it was walked through.
struct Swept<'a> {
    list: &'a List,
    model: &'a Model,
    least: u64,
    most: Option<u64>,
    token: Option<String>,
}

/// No page is larger, whatever is asked for.
const LARGEST: u64 = 1000;
/// No API gave this.
const INVENTED: &str = "invented";

impl Swept<'_> {
    fn asked(&self, more: Value) -> Call {
        call(self.list.service, self.list.operation, merged(self.list.input.clone(), &more))
    }

    fn of_size(&self, size: u64) -> Call {
        self.asked(json!({ self.model.text("size"): size }))
    }

    fn with_token(&self, token: &str) -> Call {
        self.asked(json!({ self.model.text("token"): token }))
    }

    /// All at once; in the smallest pages; in the largest; in one that is too small, and one that is too large; and from a
    /// token on that is made up.
    fn calls(&self) -> Vec<Call> {
        let small = u32::try_from(self.least).expect("the smallest page is small");
        vec![
            self.asked(json!({})),
            self.asked(json!({})).in_pages_of(small),
            self.of_size(self.most.unwrap_or(LARGEST)),
            self.of_size(self.least - 1),
            self.of_size(self.most.unwrap_or(LARGEST) + 1),
            self.with_token(INVENTED),
        ]
    }

    /// What is wrong with the answers to these calls; and remembers a token that the list gave.
    fn judge(&mut self, answers: &[Answer]) -> Vec<String> {
        let [all, walk, largest, below, above, invented] = answers else { panic!("{}: six calls", self.list.name()) };
        let mut wrong = vec![];
        let mut owe = |holds: bool, what: &str, got: &dyn std::fmt::Debug| {
            if !holds {
                wrong.push(format!("{}: {what}: {got:?}", self.list.name()));
            }
        };
        for (answer, what) in [(all, "all at once"), (walk, "small pages"), (largest, "the largest page")] {
            owe(!answer.is_refusal(), what, answer);
        }
        let (size, token) = refusals(self.list);
        owe(below.code() == size, "a page that is too small", below);
        owe(above.code() == if self.most.is_some() { size } else { "OK" }, "a page that is too large", above);
        owe(invented.code() == token, "a token that is made up", invented);
        if all.is_refusal() || walk.is_refusal() || largest.is_refusal() {
            return wrong;
        }
        let items = self.model.items(&[all.clone().value()], self.list.id);
        owe(items.len() >= self.list.items, "items that there are", &items);
        owe(items == self.model.items(&[largest.clone().value()], self.list.id), "the largest page has all", largest);
        let pages = walk.clone().value();
        let pages = pages.as_array().cloned().unwrap_or_default();
        let sizes: Vec<usize> = pages.chunks(1).map(|page| self.model.items(page, "").len()).collect();
        let fits = |n: usize| u64::try_from(n).is_ok_and(|n| n <= self.least * self.list.times);
        owe(sizes.iter().all(|n| fits(*n)), "pages no larger than asked", &sizes);
        owe(fits(items.len()) || pages.len() > 1, "more pages than one", &sizes);
        let walked: Vec<Value> = self.model.items(&pages, self.list.id);
        owe(walked == items, "each item once, in order", &(&walked, &items));
        let mut apart: Vec<String> = walked.iter().map(Value::to_string).collect();
        apart.sort();
        apart.dedup();
        owe(apart.len() == walked.len(), "each item once", &walked);
        self.token = pages[0][self.model.text("next")].as_str().map(str::to_owned);
        wrong
    }

    /// With a token of its own it goes on; with one of another list it does not, be it the same operation's.
    fn calls_with(&self, foreign: &str) -> Vec<(&'static str, &'static str, Call)> {
        let refused = refusals(self.list).1;
        let mut calls = vec![("another operation's token", refused, self.with_token(foreign))];
        if let Some(own) = &self.token {
            calls.push(("its own token", "OK", self.with_token(own)));
            let other = self.list.other.iter().map(|other| {
                let more = merged(other.clone(), &json!({ self.model.text("token"): own }));
                ("the token of another list of the same operation", refused, self.asked(more))
            });
            calls.extend(other);
        }
        calls
    }
}

/// Walks through all of them in the smallest pages and in the largest, and asks for what there is not.
///
/// # Panics
/// If any of them does not do as lists of AWS do; says all that is wrong.
#[track_caller]
pub fn sweep(region: &Region, lists: &[List]) {
    let models = models(region);
    let mut swept: Vec<Swept<'_>> = lists.iter().map(|list| begin(list, &models)).collect();
    let calls: Vec<Call> = swept.iter().flat_map(Swept::calls).collect();
    let each = calls.len() / swept.len();
    let answers = region.boto_in_turns(&calls);
    let judged = swept.iter_mut().zip(answers.chunks(each));
    let mut wrong: Vec<String> = judged.flat_map(|(one, answers)| one.judge(answers)).collect();
    let (mut whats, mut calls) = (vec![], vec![]);
    for one in &swept {
        for (what, code, call) in one.calls_with(foreign(one, &swept)) {
            whats.push((one.list.name(), what, code));
            calls.push(call);
        }
    }
    for ((name, what, code), answer) in whats.into_iter().zip(region.boto_in_turns(&calls)) {
        if answer.code() != code {
            wrong.push(format!("{name}: {what}: {code}, not {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} faults of lists:\n{}", wrong.len(), wrong.join("\n"));
}

fn begin<'a>(list: &'a List, models: &'a [Model]) -> Swept<'a> {
    let model = models.iter().find(|model| model.name() == list.name());
    let model = model.unwrap_or_else(|| panic!("{} is no list operation that is served", list.name()));
    let (least, most) = list.sizes;
    let least = model.0["least"].as_u64().or(least);
    let least = least.unwrap_or_else(|| panic!("how small may a page of {} be?", list.name()));
    Swept { list, model, least, most: model.0["most"].as_u64().or(most), token: None }
}

/// A token that another operation gave, of the same service if there is one.
fn foreign<'a>(one: &Swept<'_>, all: &'a [Swept<'_>]) -> &'a str {
    let others = all.iter().filter(|other| other.list.operation != one.list.operation && other.token.is_some());
    let nearest = others.max_by_key(|other| other.list.service == one.list.service);
    nearest.and_then(|other| other.token.as_deref()).unwrap_or(INVENTED)
}
