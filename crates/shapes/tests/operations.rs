//! The generated operations over the wire: what botocore sends for them, what they answer, what they refuse.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use bytes::Bytes;
use http::{Request, Response};
use proptest::prelude::*;
use roadstead_shapes::{autoscaling, ec2, ecr, eks, iam, kms, logs, ssm, sts};
use roadstead_types::Millis;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::{AnyOperation, Data, Kind, Origin, Schema, Shape, Struct, Value, canonical, is_supported};
use roadstead_wire::{Call, Router};
use serde_json::{Value as J, json};
use std::collections::BTreeSet;

fn operations() -> impl Iterator<Item = &'static AnyOperation> {
    let services = [
        autoscaling::OPERATIONS,
        ec2::OPERATIONS,
        ecr::OPERATIONS,
        eks::OPERATIONS,
        iam::OPERATIONS,
        kms::OPERATIONS,
        logs::OPERATIONS,
        ssm::OPERATIONS,
        sts::OPERATIONS,
    ];
    services.into_iter().flatten().copied()
}

fn router() -> Router {
    Router::new(operations())
}

fn recorded() -> Vec<J> {
    let recorded: J = serde_json::from_str(include_str!("recorded/requests.json")).unwrap();
    recorded["requests"].as_array().unwrap().clone()
}

fn text<'j>(json: &'j J, key: &str) -> &'j str {
    json[key].as_str().unwrap()
}

fn request(recorded: &J) -> Request<Bytes> {
    let mut request = Request::builder()
        .method(text(recorded, "method"))
        .uri(text(recorded, "url"))
        .header("content-type", text(recorded, "content_type"));
    if let Some(target) = recorded["target"].as_str() {
        request = request.header("x-amz-target", target);
    }
    request.body(text(recorded, "body").to_owned().into()).unwrap()
}

fn form(body: &str) -> Request<Bytes> {
    let request = Request::post("/").header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    request.body(body.to_owned().into()).unwrap()
}

fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).unwrap()
}

fn body(answer: &Response<Bytes>) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

fn json(answer: &Response<Bytes>) -> J {
    serde_json::from_slice(answer.body()).unwrap()
}

fn header<'r>(answer: &'r Response<Bytes>, name: &str) -> &'r str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Routes and decodes.
fn receive(request: &Request<Bytes>) -> Result<(Call, Value), Fault> {
    let call = router().route(request).map_err(|e| e.fault().clone())?;
    let input = call.decode(request)?;
    call.operation().validate(&input)?;
    Ok((call, input))
}

fn refusal(request: &Request<Bytes>) -> String {
    receive(request).map(|(call, _)| call.operation().name).unwrap_err().message
}

#[test]
fn what_botocore_sends_for_every_operation_decodes_to_what_it_was_given() {
    for recorded in recorded() {
        let (call, input) = receive(&request(&recorded)).unwrap_or_else(|e| panic!("{}: {e}", recorded["operation"]));
        let operation = call.operation();
        assert_eq!(
            (operation.service.name, operation.name),
            (text(&recorded, "service"), text(&recorded, "operation"))
        );
        let given = canonical::read(operation.input, &recorded["params"].to_string()).unwrap();
        assert_eq!(given, input, "{operation:?}");
    }
}

#[test]
fn every_operation_is_recorded() {
    let recorded: BTreeSet<String> =
        recorded().iter().map(|r| format!("{}:{}", text(r, "service"), text(r, "operation"))).collect();
    let missing: Vec<_> = operations().map(|o| format!("{o:?}")).filter(|o| !recorded.contains(o)).collect();
    assert!(missing.is_empty(), "add these to tests/recorded/record.py and run it: {missing:?}");
}

/// Whether there is a member at the path, through lists.
fn reaches(schema: &'static Schema, path: &str) -> bool {
    if let Kind::List(list) = schema.kind {
        return reaches(list.member.schema, path);
    }
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    schema.member(name).is_some_and(|member| rest.is_none_or(|rest| reaches(member.schema, rest)))
}

#[test]
fn descriptions_name_members_that_exist() {
    for operation in operations() {
        let has = |schema: &'static Schema, name: &str| assert!(reaches(schema, name), "{operation:?} lacks {name}");
        for template in operation.resources {
            let names = template.split('{').skip(1).filter_map(|part| part.split(['}', '|']).next());
            names.filter(|name| !["account", "region"].contains(name)).for_each(|name| has(operation.input, name));
        }
        operation.pass_role.iter().chain(&operation.idempotency_token).for_each(|name| has(operation.input, name));
        if let Some(pages) = operation.pagination {
            has(operation.input, pages.input_token);
            has(operation.output, pages.output_token);
            pages.result_keys.iter().for_each(|name| has(operation.output, name));
        }
    }
}

#[test]
fn every_pattern_can_be_checked() {
    fn walk(schema: &'static Schema, seen: &mut BTreeSet<*const Schema>) {
        if !seen.insert(schema) {
            return;
        }
        assert!(schema.pattern.is_none_or(is_supported), "{}: {:?}", schema.name, schema.pattern);
        match schema.kind {
            Kind::List(list) => walk(list.member.schema, seen),
            Kind::Map(map) => [map.key, map.value].iter().for_each(|part| walk(part.schema, seen)),
            _ => schema.members().iter().for_each(|member| walk(member.schema, seen)),
        }
    }
    let mut seen = BTreeSet::new();
    operations().flat_map(|o| [o.input, o.output]).for_each(|schema| walk(schema, &mut seen));
    assert!(seen.len() > 100);
}

#[test]
fn a_shape_becomes_a_value_and_comes_back() {
    let cluster = eks::Cluster {
        name: Some("demo".into()),
        created_at: Some(Millis(1_700_000_000_123)),
        status: Some(eks::ClusterStatus::Active),
        tags: Some([("a".to_owned(), "b".to_owned())].into()),
        ..Default::default()
    };
    assert_eq!(eks::Cluster::from_value(cluster.clone().into_value()).unwrap(), cluster);
    let text = serde_json::to_string(&cluster).unwrap();
    assert_eq!(text, r#"{"name":"demo","createdAt":"2023-11-14T22:13:20.123Z","status":"ACTIVE","tags":{"a":"b"}}"#);
    assert_eq!(serde_json::from_str::<eks::Cluster>(&text).unwrap(), cluster);
    let unknown = Value::Struct(Struct::new().with("status", "SLEEPING"));
    let error = eks::Cluster::from_value(unknown).unwrap_err();
    assert_eq!(error.to_string(), "at 'status': expected ClusterStatus, found \"SLEEPING\"");
}

#[test]
fn a_secret_is_sent_and_never_shown() {
    let key = iam::AccessKey {
        user_name: "ada".into(),
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        status: iam::StatusType::Active,
        secret_access_key: "hush".into(),
        create_date: None,
    };
    let output = iam::CreateAccessKeyResponse { access_key: key };
    let shown = format!("{output:?}");
    assert!(shown.contains("AKIAIOSFODNN7EXAMPLE") && !shown.contains("hush"), "{shown}");
    let call = router().route(&form("Action=CreateAccessKey&Version=2010-05-08")).unwrap();
    let answer = call.respond(&output.into_value(), "an-id");
    assert!(body(&answer).contains("<SecretAccessKey>hush</SecretAccessKey>"));
}

#[test]
fn arns_are_made_of_the_input() {
    let origin = Origin { account: "111122223333", region: "us-east-1", name: "ada" };
    let targets = |operation: &AnyOperation, input: Struct| operation.targets(&input.into(), &origin);
    assert_eq!(
        targets(&eks::CREATE_CLUSTER, Struct::new().with("name", "demo")),
        ["arn:aws:eks:us-east-1:111122223333:cluster/demo"]
    );
    assert_eq!(targets(&eks::TAG_RESOURCE, Struct::new().with("resourceArn", "arn:x")), ["arn:x"]);
    assert_eq!(targets(&iam::CREATE_ROLE, Struct::new().with("RoleName", "r")), ["arn:aws:iam::111122223333:role/r"]);
    let with_path = Struct::new().with("RoleName", "r").with("Path", "/a/b/");
    assert_eq!(targets(&iam::CREATE_ROLE, with_path), ["arn:aws:iam::111122223333:role/a/b/r"]);
    assert_eq!(
        targets(&ec2::CREATE_SUBNET, Struct::new().with("VpcId", "vpc-1")),
        ["arn:aws:ec2:us-east-1:111122223333:subnet/*", "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-1"]
    );
    assert_eq!(targets(&iam::GET_USER, Struct::new()), ["arn:aws:iam::111122223333:user/ada"]);
    assert_eq!(targets(&sts::GET_CALLER_IDENTITY, Struct::new()), ["*"]);
}

#[test]
fn the_callers_identity_is_told_in_xml_and_in_json_to_post_and_get() {
    let output = sts::GetCallerIdentityResponse {
        user_id: Some("AIDA".into()),
        account: Some("111122223333".into()),
        arn: Some("arn:aws:iam::111122223333:user/a&b".into()),
    };
    let presigned =
        get("/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60&X-Amz-Credential=A%2F1%2Fr%2Fsts");
    for request in [form("Action=GetCallerIdentity&Version=2011-06-15"), presigned] {
        let answer = receive(&request).unwrap().0.respond(&output.clone().into_value(), "an-id");
        assert_eq!(header(&answer, "content-type"), "text/xml");
        assert_eq!(
            body(&answer),
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <UserId>AIDA</UserId><Account>111122223333</Account><Arn>arn:aws:iam::111122223333:user/a&amp;b</Arn>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>an-id</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
    }
    let mut request = get("/?Action=GetCallerIdentity&Version=2011-06-15");
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    let call = receive(&request).unwrap().0;
    assert_eq!(
        json(&call.respond(&output.into_value(), "an-id")),
        json!({"GetCallerIdentityResponse": {
            "GetCallerIdentityResult": {
                "UserId": "AIDA", "Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/a&b",
            },
            "ResponseMetadata": {"RequestId": "an-id"},
        }})
    );
    let refused = call.refuse(&Common::UnknownClient.fault("no"), "an-id");
    assert_eq!((refused.status().as_u16(), header(&refused, "content-type")), (403, "application/json"));
    assert_eq!(
        json(&refused),
        json!({"Error": {"Code": "InvalidClientTokenId", "Message": "no", "Type": "Sender"}, "RequestId": "an-id"})
    );
}

#[test]
fn an_eks_error_names_all_its_members() {
    let call = router().route(&get("/clusters/x")).unwrap();
    let fault = eks::RESOURCE_NOT_FOUND_EXCEPTION.fault("No cluster found for name: x.").with("clusterName", "x");
    let answer = call.refuse(&fault, "an-id");
    assert_eq!(answer.status(), 404);
    assert_eq!(header(&answer, "x-amzn-errortype"), "ResourceNotFoundException");
    assert_eq!(header(&answer, "x-amzn-requestid"), "an-id");
    assert_eq!(
        json(&answer),
        json!({
            "clusterName": "x", "nodegroupName": null, "fargateProfileName": null, "addonName": null,
            "subscriptionId": null, "message": "No cluster found for name: x.",
        })
    );
}

#[test]
fn services_spell_one_fault_in_their_own_ways() {
    let fault = Common::AccessDenied.fault("<no> & \"never\"");
    let refuse = |request: &Request<Bytes>| router().route(request).unwrap().refuse(&fault, "an-id");
    let eks = refuse(&get("/clusters"));
    assert_eq!((eks.status().as_u16(), header(&eks, "x-amzn-errortype")), (403, "AccessDeniedException"));
    assert_eq!(json(&eks), json!({"message": "<no> & \"never\""}));
    let iam = refuse(&form("Action=ListRoles&Version=2010-05-08"));
    assert_eq!(
        (iam.status().as_u16(), body(&iam)),
        (
            403,
            "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
             <Code>AccessDenied</Code><Message>&lt;no&gt; &amp; &quot;never&quot;</Message></Error>\
             <RequestId>an-id</RequestId></ErrorResponse>"
        )
    );
    let ec2 = refuse(&form("Action=DescribeVpcs&Version=2016-11-15"));
    assert_eq!(
        (ec2.status().as_u16(), body(&ec2)),
        (
            403,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>UnauthorizedOperation</Code>\
             <Message>&lt;no&gt; &amp; &quot;never&quot;</Message></Error></Errors><RequestID>an-id</RequestID></Response>"
        )
    );
}

#[test]
fn ec2_answers_what_its_clients_look_for() {
    let call = router().route(&form("Action=DeleteVpc&Version=2016-11-15&VpcId=vpc-1")).unwrap();
    assert_eq!(
        body(&call.respond(&().into_value(), "an-id")),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteVpcResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>an-id</requestId><return>true</return>\
         </DeleteVpcResponse>"
    );
    let call = router().route(&form("Action=DescribeVpcs&Version=2016-11-15")).unwrap();
    let vpc = ec2::Vpc { vpc_id: Some("vpc-1".into()), is_default: Some(false), ..Default::default() };
    let output = ec2::DescribeVpcsResult { vpcs: Some(vec![vpc]), next_token: None };
    assert!(
        body(&call.respond(&output.into_value(), "an-id"))
            .contains("<vpcSet><item><isDefault>false</isDefault><vpcId>vpc-1</vpcId></item></vpcSet>")
    );
}

#[test]
fn a_result_without_members_is_not_the_same_as_none() {
    let answer = |action: &str, name: &str| {
        let text = format!("Action={action}&Version=2010-05-08&RoleName={name}");
        let answer = router().route(&form(&text)).unwrap().respond(&().into_value(), "an-id");
        body(&answer).to_owned()
    };
    assert!(answer("UpdateRole", "a").contains("<UpdateRoleResult></UpdateRoleResult><ResponseMetadata>"));
    assert!(!answer("DeleteRole", "a").contains("Result"));
}

#[test]
fn what_breaks_the_model_is_told_in_each_services_words() {
    let bad = |json: J| Request::post("/clusters").body(json.to_string().into()).unwrap();
    let vpc = json!({"subnetIds": ["subnet-1"]});
    let fault = |request| receive(&request).map(|_| ()).unwrap_err();
    let missing = fault(bad(json!({"name": "demo", "resourcesVpcConfig": vpc})));
    assert!(missing.code.is(&eks::INVALID_PARAMETER_EXCEPTION));
    assert_eq!(
        missing.message,
        "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null"
    );
    let name = bad(json!({"name": "-", "roleArn": "r", "resourcesVpcConfig": vpc, "tags": {"": "x"}}));
    assert_eq!(
        refusal(&name),
        "2 validation errors detected: Value '-' at 'name' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: ^[0-9A-Za-z][A-Za-z0-9\\-_]*; Value '{=x}' at 'tags' failed to satisfy constraint: Map \
         keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length \
         greater than or equal to 1]"
    );
    let unknown = bad(json!({"name": "d", "roleArn": "r", "resourcesVpcConfig": vpc,
        "logging": {"clusterLogging": [{"types": ["sound"]}]}}));
    assert_eq!(
        refusal(&unknown),
        "1 validation error detected: Value '[sound]' at 'logging.clusterLogging.1.member.types' failed to satisfy \
         constraint: Member must satisfy constraint: [Member must satisfy enum value set: [api, audit, authenticator, \
         controllerManager, scheduler]]"
    );
    assert_eq!(
        refusal(&get("/clusters?maxResults=101")),
        "1 validation error detected: Value '101' at 'maxResults' failed to satisfy constraint: Member must have value \
         less than or equal to 100"
    );
    let role = form("Action=GetRole&Version=2010-05-08&RoleName=r%C3%B6le");
    assert_eq!(
        refusal(&role),
        "1 validation error detected: Value 'röle' at 'roleName' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: [\\w+=,.@-]+"
    );
    let ec2 = |parameters: &str| form(&format!("Version=2016-11-15&{parameters}"));
    assert_eq!(refusal(&ec2("Action=DeleteVpc")), "The request must contain the parameter vpcId");
    assert_eq!(
        refusal(&ec2("Action=DescribeVpcs&MaxResults=3")),
        "Value (3) for parameter maxResults is invalid. Expecting a value greater than or equal to 5."
    );
}

#[test]
fn what_cannot_be_read_is_refused_and_breaks_nothing() {
    let post = |body: String| Request::post("/clusters").body(body.into()).unwrap();
    let refusals = [
        (post("{".into()), "The body is not JSON: EOF while parsing an object at line 1 column 1"),
        (post("[]".into()), "Expected a JSON object."),
        (post(r#"{"name": 1}"#.into()), "NUMBER_VALUE can not be converted to a String"),
        (post(r#"{"tags": []}"#.into()), "Start of list found where not expected."),
        (post("[".repeat(100_000)), "The body is not JSON: recursion limit exceeded at line 1 column 128"),
        (get("/clusters?maxResults=many"), "'many' can not be converted to a Integer"),
        (form("Action=ListRoles&MaxItems=many"), "'many' can not be converted to a Integer"),
        (form("Action=ListRoles&PathPrefix=%ff"), "A parameter is not UTF-8"),
    ];
    for (request, why) in refusals {
        assert_eq!(refusal(&request), why);
    }
    let names = |name: String| form(&format!("Action=CreateRole&Version=2010-05-08&{name}=1"));
    assert!(refusal(&names("a.".repeat(40))).contains("more than 32 parts"));
    assert!(refusal(&names("a".repeat(2000))).contains("longer than 1024 bytes"));
    assert!(refusal(&form(&"a=1&".repeat(10_001))).contains("more than 10000 parameters"));
    assert!(refusal(&post("x".repeat(roadstead_wire::MAX_BODY + 1))).contains("at most"));
}

#[test]
fn what_does_not_exist_is_refused_in_the_likeliest_protocol() {
    let unrouted = |request: &Request<Bytes>| router().route(request).unwrap_err().respond("an-id");
    let path = unrouted(&get("/nothing/here"));
    assert_eq!((path.status().as_u16(), header(&path, "x-amzn-errortype")), (404, "UnknownOperationException"));
    let mut target = form("");
    target.headers_mut().insert("x-amz-target", "TrentService.Dance".parse().unwrap());
    target.headers_mut().insert("content-type", "application/x-amz-json-1.1".parse().unwrap());
    let target = unrouted(&target);
    assert_eq!(target.status(), 400);
    assert_eq!(json(&target)["__type"], "UnknownOperationException");
    let action = unrouted(&form("Action=Dance&Version=2010-05-08"));
    assert!(body(&action).contains("<Code>InvalidAction</Code>"), "{}", body(&action));
    assert!(body(&action).contains("Could not find operation Dance for version 2010-05-08"));
    let mut ec2 = form("Action=Dance&Version=2016-11-15");
    let scope = "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/ec2/aws4_request, SignedHeaders=host";
    ec2.headers_mut().insert("authorization", scope.parse().unwrap());
    assert!(body(&unrouted(&ec2)).contains("<Errors><Error><Code>InvalidAction</Code>"));
    let wrong_version = form("Action=ListRoles&Version=2011-06-15");
    assert!(router().route(&wrong_version).is_err());
}

#[test]
fn labels_are_cut_before_they_are_decoded() {
    let arn = "arn%3Aaws%3Aeks%3Aus-east-1%3A1%3Acluster%2Fdemo";
    let (_, input) = receive(&get(&format!("/tags/{arn}"))).unwrap();
    assert_eq!(input.at("resourceArn"), Some(&Value::from("arn:aws:eks:us-east-1:1:cluster/demo")));
    // The signature is of the path in normal form, so that is what is routed.
    let (call, input) = receive(&get("/clusters/x/../demo")).unwrap();
    assert_eq!((call.operation().name, input.at("name")), ("DescribeCluster", Some(&Value::from("demo"))));
    assert!(router().route(&get("/clusters/a/b")).is_err());
}

#[test]
fn inputs_and_outputs_are_those_of_the_types() {
    assert!(std::ptr::eq(eks::CREATE_CLUSTER.input, eks::CreateClusterRequest::SCHEMA));
    assert!(std::ptr::eq(ec2::DELETE_VPC.output, <()>::SCHEMA));
}

/// What validation passes, its type takes: the kernel relies on it.
fn converts(operation: &AnyOperation, input: Value) -> bool {
    fn into<I: Shape>(input: Value) -> bool {
        I::from_value(input).is_ok()
    }
    match operation.name {
        "CreateCluster" => into::<eks::CreateClusterRequest>(input),
        "DescribeClusterVersions" => into::<eks::DescribeClusterVersionsRequest>(input),
        "CreateRole" => into::<iam::CreateRoleRequest>(input),
        "CreateVpc" => into::<ec2::CreateVpcRequest>(input),
        "DescribeVpcs" => into::<ec2::DescribeVpcsRequest>(input),
        _ => true,
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_is_an_input_of_its_type_or_a_fault(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..6),
    ) {
        let recorded = recorded();
        let recorded = which.get(&recorded);
        let mut body = text(recorded, "body").as_bytes().to_vec();
        let mut url = text(recorded, "url").as_bytes().to_vec();
        for (at, byte, in_body) in changes {
            let bytes = if in_body && !body.is_empty() { &mut body } else { &mut url };
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let request = Request::builder()
            .method(text(recorded, "method"))
            .uri(url.as_slice())
            .header("content-type", text(recorded, "content_type"))
            .body(Bytes::from(body));
        if let Ok(request) = request
            && let Ok((call, input)) = receive(&request)
        {
            prop_assert!(converts(call.operation(), input));
        }
    }
}
