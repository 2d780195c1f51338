//! Cases that are not run, each with its reason.

/// Cases with one reason.
struct Exclusion {
    direction: &'static str,
    reason: &'static str,
    cases: &'static [&'static str],
}

const EXCLUDED: &[Exclusion] = &[
    Exclusion {
        direction: "input",
        reason: "an empty collection is not sent, so nobody can tell it from none",
        cases: &[
            "Ec2EmptyQueryLists",
            "HttpPrefixHeadersAreNotPresent",
            "QueryEmptyQueryMaps",
            "RestJsonHttpPrefixHeadersAreNotPresent",
            "RestJsonOmitsEmptyListQueryValues",
        ],
    },
    Exclusion {
        direction: "input",
        reason: "the client invents the token, after the input that the case describes",
        cases: &[
            "Ec2ProtocolIdempotencyTokenAutoFill",
            "QueryIdempotencyTokenAutoFill",
            "QueryProtocolIdempotencyTokenAutoFill",
            "RestJsonQueryIdempotencyTokenAutoFill",
        ],
    },
    Exclusion {
        direction: "input",
        reason: "the client merges map and parameters; for a server the map has all of them (Smithy, httpQueryParams)",
        cases: &[
            "AllQueryStringTypes",
            "RestJsonQueryParamsStringListMap",
            "RestJsonQueryPrecedence",
            "RestXmlQueryParamsStringListMap",
            "RestXmlQueryPrecedence",
            "RestXmlQueryStringEscaping",
            "RestXmlSupportsInfinityFloatQueryValues",
            "RestXmlSupportsNaNFloatQueryValues",
            "RestXmlSupportsNegativeInfinityFloatQueryValues",
            "RestXmlZeroAndFalseQueryValues",
        ],
    },
    Exclusion {
        direction: "input",
        reason: "`{}` is sent for an absent structure, so nobody can tell it from an empty one",
        cases: &["RestJsonHttpWithEmptyStructurePayload", "RestJsonHttpWithHeadersButNoPayload"],
    },
    Exclusion {
        direction: "input",
        reason: "the case shows headers only, not the target and the body that say what is asked",
        cases: &[
            "AwsJson10EndpointTrait",
            "AwsJson10EndpointTraitWithHostLabel",
            "SDKAppliedContentEncoding_awsJson1_0",
            "SDKAppliedContentEncoding_awsJson1_1",
            "SDKAppliedContentEncoding_awsQuery",
            "SDKAppliedContentEncoding_ec2Query",
            "SDKAppliedContentEncoding_restJson1",
            "SDKAppliedContentEncoding_restXml",
            "SDKAppendedGzipAfterProvidedEncoding_restJson1",
            "SDKAppendedGzipAfterProvidedEncoding_restXml",
            "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0",
            "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1",
            "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery",
            "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query",
        ],
    },
    Exclusion {
        direction: "input",
        reason: "its checksum is of the same JSON without line breaks; botocore leaves it out, too",
        cases: &["RestJsonHttpChecksumRequired"],
    },
    Exclusion {
        direction: "input",
        reason: "for an endpoint below a path: ours stands at the root",
        cases: &["AwsJson10HostWithPath", "Ec2QueryHostWithPath", "QueryHostWithPath", "RestJsonHostWithPath"],
    },
    Exclusion {
        direction: "input",
        reason: "the members of a structure with an XML name of its own: botocore takes that for the members' and leaves \
                 the case out, too",
        cases: &["BodyWithXmlName"],
    },
    Exclusion {
        direction: "output",
        reason: "the members of a structure with an XML name of its own: botocore takes that for the members' and leaves \
                 the case out, too",
        cases: &["BodyWithXmlName"],
    },
    Exclusion {
        direction: "output",
        reason: "an empty collection is not sent, so nobody can tell it from none",
        cases: &["HttpPrefixHeadersAreNotPresent"],
    },
    Exclusion {
        direction: "input",
        reason: "JSON in a header, which botocore itself leaves out and no service of ours has",
        cases: &["MediaTypeHeaderInputBase64"],
    },
    Exclusion {
        direction: "output",
        reason: "JSON in a header, which botocore itself leaves out and no service of ours has",
        cases: &["MediaTypeHeaderOutputBase64"],
    },
    Exclusion {
        direction: "output",
        reason: "the answer has a message that the case does not describe; botocore leaves it out, too",
        cases: &["ComplexError", "Ec2ComplexError"],
    },
    Exclusion {
        direction: "output",
        reason: "a flattened list whose element has a name of its own: botocore reads that one, other clients the \
                 list's; no service of ours has it, and botocore leaves it out, too",
        cases: &["Ec2XmlLists", "QueryXmlLists", "XmlLists"],
    },
    Exclusion {
        direction: "output",
        reason: "headers without a prefix: the ones that every answer has are among them",
        cases: &["HttpPrefixHeadersResponse"],
    },
];

/// Why a case is not run.
pub fn reason(direction: &str, id: &str) -> Option<&'static str> {
    let excludes = |e: &&Exclusion| e.direction == direction && e.cases.contains(&id);
    EXCLUDED.iter().find(excludes).map(|e| e.reason)
}

/// All that are not run.
pub fn ids(direction: &str) -> impl Iterator<Item = &'static str> {
    EXCLUDED.iter().filter(move |e| e.direction == direction).flat_map(|e| e.cases).copied()
}
