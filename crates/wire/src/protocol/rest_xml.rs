//! restXml: REST with XML bodies.
//!
//! Source: the Smithy specification of the protocol.

use super::element::Element;
use super::rest::{self, Parts, payload};
use super::xml::{Xml, is_element};
use super::{answer, query};
use crate::ReadError;
use crate::fault::Fault;
use crate::schema::{AnyOperation, Kind, Member, Namespace, Service, Struct, Value};
use bytes::Bytes;
use http::Response;

const XML: &str = "application/xml";

/// An operation's input.
pub(crate) fn decode(operation: &AnyOperation, parts: &Parts<'_>, body: &Bytes) -> Result<Value, ReadError> {
    let members = operation.input.members();
    let mut values = match payload(operation.input) {
        Some(member) => Struct::new().with(member.name, read_payload(member, body)?),
        None if body.is_empty() => Struct::new(),
        None => Element::read(body)?.members(members)?,
    };
    parts.read(members, &mut values)?;
    Ok(Value::Struct(values))
}

fn read_payload(member: &Member, body: &Bytes) -> Result<Value, ReadError> {
    match &member.schema.kind {
        _ if body.is_empty() => Ok(Value::Null),
        Kind::Blob => Ok(Value::Blob(body.to_vec())),
        Kind::String => rest::text(body).map(Value::from),
        _ => Element::read(body)?.value(member),
    }
}

/// An operation's output.
pub(crate) fn respond(operation: &AnyOperation, output: &Value, request_id: &str) -> Response<Bytes> {
    let empty = Struct::new();
    let values = if let Value::Struct(values) = output { values } else { &empty };
    let members = operation.output.members();
    let (content_type, body) = match payload(operation.output) {
        Some(member) => write_payload(member, values.get(member.name)),
        None if !members.iter().any(is_element) => ("", Bytes::new()),
        None => (XML, write_whole(operation, output)),
    };
    rest::answer(operation, values, answer(operation.status, content_type, request_id, body))
}

fn write_payload(member: &Member, value: Option<&Value>) -> (&'static str, Bytes) {
    match rest::plain_payload(member, value) {
        Some(plain) => plain,
        None => (XML, write(member.wire.name.unwrap_or(member.schema.name), member, value.unwrap_or(&Value::Null))),
    }
}

/// The root goes by the structure's name.
fn write_whole(operation: &AnyOperation, output: &Value) -> Bytes {
    let mut root = Member::new(operation.output.name, operation.output);
    root.wire.namespace = operation.service.namespace.map(|uri| Namespace { uri, prefix: None });
    write(operation.output.name, &root, output)
}

fn write(name: &str, member: &Member, value: &Value) -> Bytes {
    let mut xml = Xml::default();
    xml.element(name, member, value);
    xml.finish().into()
}

/// A fault, as query services write it; members may stand in headers.
pub(crate) fn refuse(service: Option<&Service>, fault: &Fault, request_id: &str) -> Response<Bytes> {
    let namespace = service.and_then(|service| service.namespace);
    let mut response = query::Dialect::Aws.refuse(namespace, fault, request_id);
    rest::write(fault.schema().members(), &fault.members, response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use crate::Router;
    use crate::fault::{Code, Common, ErrorShape};
    use crate::schema::{
        AnyOperation, Kind, Location, Member, Protocol, Schema, Scope, Service, Struct, Structure, Value,
    };
    use bytes::Bytes;
    use http::Request;

    static SERVICE: Service = Service {
        name: "shelf",
        id: "Shelf",
        signing_name: "shelf",
        endpoint_prefix: "shelf",
        api_version: "2026-01-01",
        protocols: &[Protocol::RestXml],
        target_prefix: None,
        namespace: None,
        scope: Scope::Regional,
        null_error_members: false,
        query_compatible: false,
    };
    static TEXT: Schema = Schema::string("Text");
    static BYTES: Schema = Schema::new("Bytes", Kind::Blob);
    static BOOK: Schema = Schema::structure(
        "Book",
        &Structure::new(&[
            Member::new("Name", &TEXT).at(Location::Uri),
            Member::new("Coding", &TEXT).at(Location::Header).named("Content-Encoding"),
            Member::new("Pages", &BYTES).streaming(),
        ])
        .payload("Pages"),
    );
    static LENT: ErrorShape = ErrorShape {
        name: "BookLent",
        code: "BookLent",
        status: 409,
        sender: true,
        schema: &Schema::structure(
            "BookLent",
            &Structure::new(&[
                Member::new("Message", &TEXT),
                Member::new("Until", &TEXT).at(Location::Header).named("x-until"),
                Member::new("Reader", &TEXT),
            ]),
        ),
    };
    static PUT: AnyOperation = AnyOperation {
        service: &SERVICE,
        name: "PutBook",
        method: "PUT",
        uri: "/{Name}",
        status: 200,
        input: &BOOK,
        output: &BOOK,
        action: "shelf:PutBook",
        open: false,
        resources: &[],
        pass_role: &[],
        errors: &[&LENT],
        invalid: Code::Common(Common::Validation),
        readonly: false,
        idempotency_token: None,
        pagination: None,
        waiter: false,
        unsigned: false,
    };

    fn put() -> Request<Bytes> {
        Request::put("/b").header("content-encoding", "gzip").body("as it is".into()).unwrap()
    }

    #[test]
    fn a_stream_is_taken_as_it_is_coded() {
        let request = put();
        let input = Router::new([&PUT]).route(&request).unwrap().decode(&request).unwrap();
        let wanted = Struct::new().with("Name", "b").with("Coding", "gzip");
        assert_eq!(input, Value::Struct(wanted.with("Pages", Value::Blob(b"as it is".into()))));
    }

    #[test]
    fn an_error_s_members_stand_where_its_model_says() {
        let fault = LENT.fault("Come back.").with("Until", "tomorrow").with("Reader", "ada");
        let answer = Router::new([&PUT]).route(&put()).unwrap().refuse(&fault, "id");
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-until"]), (409, &"tomorrow".parse().unwrap()));
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>BookLent</Code><Message>Come back.</Message>\
            <Reader>ada</Reader></Error><RequestId>id</RequestId></ErrorResponse>";
        assert_eq!(answer.body(), body);
    }
}
