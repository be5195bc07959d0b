//! Request logs as JSON: the line a gateway writes, and the item that the REST API answers.

use novagate_kernel::{ConsumerId, Name};
use novagate_ports_control::outbound::LogRow;
use novagate_ports_edge::LoggedRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::{TimestampWriter, format_timestamp};

/// Stands for the template of a request that matched no route.
pub const UNMATCHED: &str = "unmatched";

/// One stored request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogItem {
    /// Its id.
    pub id: String,
    /// When its head had been read, RFC 3339.
    #[schema(example = "2026-01-02T03:04:05.678901Z")]
    pub at: String,
    /// Its `X-Request-ID`.
    pub request_id: String,
    /// The method, or `OTHER`.
    pub method: String,
    /// The route's template, or `unmatched`.
    #[schema(example = "/users/{id}")]
    pub path: String,
    /// The route's id.
    pub route_id: Option<String>,
    /// The name of the route's service.
    pub service: Option<String>,
    /// The status that was sent.
    pub status: u16,
    /// The whole exchange, microseconds.
    pub latency_us: u32,
    /// The upstream's share, microseconds.
    pub upstream_us: Option<u32>,
    /// The verified consumer's id.
    pub consumer_id: Option<String>,
    /// The gateway's id.
    pub node_id: String,
    /// The code, when the gateway answered by itself or the exchange broke.
    pub code: Option<String>,
}

impl From<&LogRow> for LogItem {
    fn from(row: &LogRow) -> Self {
        Self {
            id: row.id.to_string(),
            at: format_timestamp(row.at),
            request_id: row.request_id.to_string(),
            method: row.method.as_str().to_owned(),
            path: row.template.clone().unwrap_or_else(|| UNMATCHED.to_owned()),
            route_id: row.route.map(|id| id.to_string()),
            service: row.service.as_ref().map(ToString::to_string),
            status: row.status,
            latency_us: row.latency_us,
            upstream_us: row.upstream_us,
            consumer_id: row.consumer.map(|id| id.to_string()),
            node_id: row.node.to_string(),
            code: row.code.map(|code| code.as_str().to_owned()),
        }
    }
}

/// Writes requests as lines of JSON, line feed included. JSON escapes every control character, so a line is always one line.
/// Written by hand: every request of a gateway passes here.
#[derive(Debug, Default)]
pub struct LogLineWriter(TimestampWriter);

impl LogLineWriter {
    /// Appends one request.
    pub fn write(&mut self, request: &LoggedRequest<'_>, into: &mut Vec<u8>) {
        into.extend_from_slice(b"{\"at\":\"");
        self.0.push(into, request.at);
        into.extend_from_slice(b"\",\"requestId\":");
        push_plain(into, request.request_id.spelt());
        into.extend_from_slice(b",\"method\":");
        push_plain(into, request.method.as_str());
        into.extend_from_slice(b",\"path\":");
        push_text(into, request.path);
        into.extend_from_slice(b",\"route\":");
        push_or_null(into, request.route.map(Name::as_str), push_plain);
        into.extend_from_slice(b",\"service\":");
        push_or_null(into, request.service.map(Name::as_str), push_plain);
        into.extend_from_slice(b",\"status\":");
        push_number(into, u32::from(request.status));
        into.extend_from_slice(b",\"latencyUs\":");
        push_number(into, request.latency_us);
        into.extend_from_slice(b",\"upstreamUs\":");
        push_or_null(into, request.upstream_us, push_number);
        into.extend_from_slice(b",\"consumerId\":");
        push_or_null(into, request.consumer.map(ConsumerId::spelt), push_plain);
        into.extend_from_slice(b",\"code\":");
        push_or_null(into, request.code, |into, code| push_plain(into, code.as_str()));
        into.extend_from_slice(b"}\n");
    }
}

fn push_or_null<T>(into: &mut Vec<u8>, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => push(into, value),
        None => into.extend_from_slice(b"null"),
    }
}

/// A text in which nothing needs escaping.
fn push_plain(into: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    into.push(b'"');
    into.extend_from_slice(text.as_ref());
    into.push(b'"');
}

/// A text of a tenant's choice.
fn push_text(into: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        return push_plain(into, text);
    }
    let length = into.len();
    if serde_json::to_writer(&mut *into, text).is_err() {
        into.truncate(length);
        into.extend_from_slice(b"null");
    }
}

fn push_number(into: &mut Vec<u8>, number: u32) {
    into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use novagate_kernel::{ErrorCode, LogId, NodeId, RequestId, RouteId, Timestamp};
    use novagate_records::MethodLabel;

    use super::*;

    fn log_line(request: &LoggedRequest<'_>) -> String {
        let mut line = Vec::new();
        LogLineWriter::default().write(request, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_request_is_one_line_with_the_documented_fields() {
        let name = Name::parse("get-user").unwrap();
        let request = LoggedRequest {
            at: Timestamp::from_seconds(1_767_323_045),
            request_id: RequestId::from_u128(1),
            method: MethodLabel::Get,
            path: "/users/{id}\n",
            route: Some(&name),
            service: None,
            status: 503,
            latency_us: 12,
            upstream_us: None,
            consumer: Some(ConsumerId::from_u128(2)),
            code: Some(ErrorCode::NoHealthyTargets),
        };
        let want = concat!(
            r#"{"at":"2026-01-02T03:04:05.000000Z","requestId":"00000000-0000-0000-0000-000000000001","method":"GET","#,
            r#""path":"/users/{id}\n","route":"get-user","service":null,"status":503,"latencyUs":12,"upstreamUs":null,"#,
            r#""consumerId":"00000000-0000-0000-0000-000000000002","code":"NO_HEALTHY_TARGETS"}"#,
            "\n"
        );
        assert_eq!(log_line(&request), want);
    }

    #[test]
    fn whatever_a_text_holds_a_line_is_one_line_of_json() {
        let name = Name::parse("a-0").unwrap();
        for text in ["/plain", "/\"quoted\"", "/back\\slash", "/\u{1}\n\u{7f}\u{e9}\u{2028}", ""] {
            let request = LoggedRequest {
                at: Timestamp::UNIX_EPOCH,
                request_id: RequestId::from_u128(u128::MAX),
                method: MethodLabel::Other,
                path: text,
                route: Some(&name),
                service: Some(&name),
                status: 999,
                latency_us: u32::MAX,
                upstream_us: Some(0),
                consumer: None,
                code: None,
            };
            let line = log_line(&request);
            assert_eq!(line.matches('\n').count(), 1);
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&read["path"], &read["route"], &read["service"]), (&text.into(), &"a-0".into(), &"a-0".into()));
            assert_eq!((&read["latencyUs"], &read["upstreamUs"]), (&u32::MAX.into(), &0.into()));
        }
    }

    #[test]
    fn a_stored_request_has_exactly_the_fields_of_the_interface() {
        let row = LogRow {
            id: LogId::from_u128(1),
            at: Timestamp::UNIX_EPOCH,
            request_id: RequestId::from_u128(2),
            method: MethodLabel::Other,
            template: None,
            route: Some(RouteId::from_u128(3)),
            service: Some(Name::parse("users").unwrap()),
            status: 404,
            latency_us: 1,
            upstream_us: Some(2),
            consumer: None,
            node: NodeId::from_u128(4),
            code: Some(ErrorCode::RouteNotFound),
        };
        let item = LogItem::from(&row);
        assert_eq!(item.path, "unmatched");
        let text = serde_json::to_string(&item).unwrap();
        let fields = "id at requestId method path routeId service status latencyUs upstreamUs consumerId nodeId code";
        for field in fields.split(' ') {
            assert!(text.contains(&format!("\"{field}\":")), "{field}");
        }
        assert_eq!(text.matches("\":").count(), 13);
    }
}
