//! Where the embedded server may answer otherwise than the real one, and why.

/// Lines that are not compared, of both sides.
pub struct Difference {
    /// The area.
    pub area: &'static str,
    /// What the case's name contains; empty for all.
    pub case: &'static str,
    /// What the request contains; empty for all.
    pub request: &'static str,
    /// A regular expression for the lines of the answer; empty for all of them.
    pub lines: &'static str,
    /// Why that is well; of what is to be mended, what it is.
    pub why: &'static str,
}

const fn of(
    area: &'static str,
    case: &'static str,
    request: &'static str,
    lines: &'static str,
    why: &'static str,
) -> Difference {
    Difference {
        area,
        case,
        request,
        lines,
        why,
    }
}

const GO_ORDER: &str = "a quoted object has its fields in the order of Go's structs there";
const JSON_ALONE: &str = "the embedded server speaks JSON alone";
const PARSER: &str = "the parser's own words for broken JSON";
const GO_DIFF: &str = "the real server adds a diff of its internal Go structs";
const GATE: &str =
    "kept, as by a server whose gate CoordinatedLeaderElection is on: peers may write them";
const COLUMNS: &str = "the columns that kubectl prints";

/// Those that stay. Beyond these `metadata.managedFields` is never looked at: the embedded server
/// does not track who owns a field, which only server-side apply needs.
pub const DIFFERENCES: &[Difference] = &[
    of(
        "patches",
        "server-side apply",
        "",
        "",
        "it is refused, with words on what to do instead",
    ),
    of("patches", "", "", "nvalid value: .*apiVersion", GO_ORDER),
    of(
        "patches",
        "",
        r#"{"data":{"n":5}}"#,
        "nvalid value",
        "the words of a Go conversion",
    ),
    of(
        "metadata",
        "an owner that is an Event",
        "",
        "Invalid value",
        GO_ORDER,
    ),
    of(
        "pods",
        "changes of the spec",
        "",
        "pod updates may not change fields",
        GO_DIFF,
    ),
    of("kubectl", "patch", "kubectl patch pod p -p", "", GO_DIFF),
    of(
        "kubectl",
        "",
        "kubectl explain",
        "",
        "the OpenAPI document has no descriptions",
    ),
    of("creates", "no JSON", "", "json parse error", PARSER),
    of("creates", "YAML", "", "", JSON_ALONE),
    of(
        "creates",
        "a content type",
        "",
        "accepted media types",
        JSON_ALONE,
    ),
    of(
        "lists",
        "what nobody can answer in",
        "",
        "Available representations",
        JSON_ALONE,
    ),
    of(
        "deletes",
        "options that are refused",
        "{oops",
        "message",
        PARSER,
    ),
    of("leases", "candidates' fields", "", "spec", GATE),
    of("leases", "strategy", "", "spec", GATE),
    of(
        "discovery",
        "the version",
        "",
        "",
        "fields about emulated versions, which nobody reads",
    ),
    of("discovery", "the root", "", "", "the paths of the root"),
    of(
        "rights",
        "",
        "/selfsubjectreviews",
        "metadata|userInfo",
        "there are no credentials",
    ),
    of(
        "lists",
        "resourceVersions of a list",
        "continue=nonsense",
        "message",
        PARSER,
    ),
];

/// Those that are to go. An entry that is not needed any more is to be removed.
pub const TO_MEND: &[Difference] = &[
    of(
        "lists",
        "label selectors",
        "n%3Ex",
        "",
        "the words for a bad number",
    ),
    of(
        "lists",
        "label selectors",
        "a%20b",
        "",
        "the words for a bad selector",
    ),
    of(
        "lists",
        "label selectors",
        "in%20(x",
        "",
        "the words for a bad selector",
    ),
    of(
        "lists",
        "label selectors",
        "=l,%3Dx",
        "",
        "the words for a bad selector",
    ),
    of(
        "lists",
        "label selectors",
        "app%3Dx,",
        "",
        "a comma at the end is refused",
    ),
    of(
        "lists",
        "label selectors",
        "=l,,",
        "",
        "an empty term is refused",
    ),
    of(
        "lists",
        "label selectors",
        "app%3D%3D%3Dx",
        "",
        "three equals signs are refused",
    ),
    of(
        "lists",
        "label selectors",
        "app%3Dx%20y",
        "",
        "a space in a value is refused",
    ),
    of(
        "lists",
        "resourceVersions of a list",
        "timeoutSeconds=x",
        "",
        "it is refused",
    ),
    of(
        "lists",
        "pages",
        "Selector=",
        "remaining",
        "no remainingItemCount with a selector",
    ),
    of(
        "lists",
        "LeaderLock",
        "",
        r"columnDefinitions\[1\].type|continue",
        COLUMNS,
    ),
    of("lists", "a table of no events", "", "", COLUMNS),
    of("lists", "a table of one service account", "", "", COLUMNS),
    of("lists", "a table of one definition", "", "", COLUMNS),
    of(
        "lists",
        "without its object",
        "",
        r"rows\[0\].object",
        "the object is null",
    ),
    of(
        "lists",
        "what nobody can answer in",
        "as=Nonsense",
        "",
        "406",
    ),
    of(
        "rights",
        "what it does not",
        "metadata.name%3Dmine",
        "name|message",
        "the selector's name",
    ),
    of(
        "rights",
        "what it does not",
        "GET /api/v1/namespaces/NS",
        "message",
        "in the namespace",
    ),
    of(
        "rights",
        "asking",
        "selfsubjectaccessreviews",
        "name: |group: |reason",
        "empty texts, the reason",
    ),
    of(
        "patches",
        "replaces what is not there",
        "PATCH",
        "",
        "it is added",
    ),
    of("patches", "JSON patches", "json-patch+json] {}", "", "400"),
    of(
        "patches",
        "merge patches",
        r#"] "x""#,
        "message",
        "cannot unmarshal string",
    ),
    of(
        "patches",
        "no patch",
        "PATCH",
        "message|details: ",
        "what types of patches there are",
    ),
    of(
        "patches",
        "a LeaderLock",
        "strategic",
        "message",
        "what types of patches there are",
    ),
    of("creates", "null", "", "", "as an empty object"),
    of("creates", "a field twice", "", "^->", "a warning"),
    of(
        "creates",
        "254 characters",
        "",
        "must be no more than",
        "characters, not bytes",
    ),
    of(
        "deletes",
        "options that are refused",
        r#"{"preconditions":"x"}"#,
        "message",
        "the words",
    ),
    of(
        "deletes",
        "options that are refused",
        " []",
        "message",
        "the words",
    ),
    of(
        "deletes",
        "LeaderLock: finalizers",
        "three",
        r"causes\[1\]",
        "a cause that stands twice",
    ),
    of("discovery", "groups", "v9", "", "a Status"),
    of(
        "discovery",
        "groups",
        "GET /apis",
        "groups",
        "the groups of the reviews",
    ),
    of(
        "discovery",
        "resources",
        "GET /apis/auth",
        "",
        "the groups of the reviews",
    ),
    of(
        "discovery",
        "resources",
        "GET /api/v1",
        "namespaces",
        "the verbs of namespaces",
    ),
    of(
        "watches",
        "parameters that are refused",
        "=Exact",
        "message|causes",
        "two causes",
    ),
    of(
        "kinds",
        "events of the new sort that",
        "",
        "",
        "what an event must have",
    ),
    of(
        "kinds",
        "roles",
        r#""rules":[{}]"#,
        "message|causes",
        "what a rule must have",
    ),
    of("kinds", "roles", "PATCH", "message", "the words"),
    of(
        "pods",
        "changes of the spec",
        "tolerations",
        "",
        "tolerations are only added",
    ),
    of("pods", "env", "", "fieldRef", "a default"),
    of("pods", "host", "", "hostPort", "a default"),
    of("pods", "a mirror Pod", "", "", "it needs a node"),
];
