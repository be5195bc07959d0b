//! The rules for single texts, each saying what it wants and never what it got.

use novagate_access::KeyDigest;
use novagate_kernel::{ConsumerId, Name};
use novagate_policies::CertificateName;
use novagate_routing::{
    ConditionOn, Expression, HashOn, HostPattern, HostTemplate, KeyPin, MAX_PATTERN_BYTES, MediaRange, PathPattern,
    StatusRange, TargetUrl, TlsFileName, TlsServerName, ValueTest, is_zone,
};

use crate::fault::Broken;

/// Longest path of a health check, in bytes.
const MAX_PROBE_PATH: usize = 1024;

/// Longest name of a gRPC service, in bytes.
const MAX_GRPC_SERVICE: usize = 255;

/// Longest method, in bytes.
const MAX_METHOD: usize = 32;

pub(super) fn name(text: &str) -> Result<(), Broken> {
    Name::parse(text).map(drop).map_err(|error| Broken::new("invalid_name", error.to_string()))
}

pub(super) fn url(text: &str) -> Result<(), Broken> {
    TargetUrl::parse(text).map(drop).map_err(|error| Broken::new("invalid_url", error.to_string()))
}

pub(super) fn hash_on(text: &str) -> Result<(), Broken> {
    HashOn::parse(text).map(drop).map_err(|error| Broken::new("invalid_hash_on", error.to_string()))
}

pub(super) fn host(text: &str) -> Result<(), Broken> {
    HostPattern::parse(text).map(drop).map_err(|error| Broken::new("invalid_host", error.to_string()))
}

pub(super) fn path(text: &str) -> Result<(), Broken> {
    PathPattern::parse(text).map(drop).map_err(|error| Broken::new("invalid_path", error.to_string()))
}

/// Methods are case-sensitive (RFC 9110, section 9.1) and every registered one is upper case: a lower-case one is a mistake
/// that would match nothing.
pub(super) fn method(text: &str) -> Result<(), Broken> {
    let fits = (1..=MAX_METHOD).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte.is_ascii_digit());
    if fits && http::Method::from_bytes(text.as_bytes()).is_ok() {
        Ok(())
    } else {
        Err(Broken::new("invalid_method", "must be a method in upper case, as GET"))
    }
}

pub(super) fn expression(text: &str) -> Result<(), Broken> {
    Expression::parse(text).map(drop).map_err(|error| Broken::new("invalid_regex", error.to_string()))
}

pub(super) fn header_name(text: &str) -> Result<(), Broken> {
    ConditionOn::header(text).map(drop).map_err(|error| Broken::new("invalid_name", error.to_string()))
}

pub(super) fn query_name(text: &str) -> Result<(), Broken> {
    ConditionOn::query(text).map(drop).map_err(|error| Broken::new("invalid_name", error.to_string()))
}

pub(super) fn condition_value(text: &str) -> Result<(), Broken> {
    ValueTest::exact(text).map(drop).map_err(|error| Broken::new("invalid_value", error.to_string()))
}

/// What of a template can be told without its pattern.
pub(super) fn template(text: &str) -> Result<(), Broken> {
    let fits = text.starts_with('/') && text.len() <= MAX_PATTERN_BYTES;
    let rule = format!("must begin with / and have at most {MAX_PATTERN_BYTES} bytes");
    if fits { Ok(()) } else { Err(Broken::new("invalid_path", rule)) }
}

pub(super) fn authority(text: &str) -> Result<(), Broken> {
    let rule = "must be a host, with a port or without";
    TargetUrl::parse(&format!("http://{text}")).map(drop).map_err(|_error| Broken::new("invalid_host", rule))
}

/// What of a host for a service can be told without its route.
pub(super) fn told_host(text: &str) -> Result<(), Broken> {
    if !HostTemplate::is_template(text) {
        return authority(text);
    }
    HostTemplate::check(text).map_err(|error| Broken::new("invalid_host", error.to_string()))
}

/// Origin-form (RFC 9112, section 3.2.1) in visible ASCII.
pub(super) fn probe_path(text: &str) -> Result<(), Broken> {
    let fits = text.starts_with('/')
        && text.len() <= MAX_PROBE_PATH
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let rule = format!("must begin with / and have at most {MAX_PROBE_PATH} visible ASCII characters, no #");
    if fits { Ok(()) } else { Err(Broken::new("invalid_path", rule)) }
}

pub(super) fn media_range(text: &str) -> Result<(), Broken> {
    MediaRange::parse(text).map(drop).map_err(|error| Broken::new("invalid_type", error.to_string()))
}

pub(super) fn tls_file(text: &str) -> Result<(), Broken> {
    TlsFileName::parse(text).map(drop).map_err(|error| Broken::new("invalid_file_name", error.to_string()))
}

pub(super) fn server_name(text: &str) -> Result<(), Broken> {
    TlsServerName::parse(text).map(drop).map_err(|error| Broken::new("invalid_server_name", error.to_string()))
}

pub(super) fn pin(text: &str) -> Result<(), Broken> {
    KeyPin::parse(text).map(drop).map_err(|error| Broken::new("invalid_digest", error.to_string()))
}

pub(super) fn certificate(text: &str) -> Result<(), Broken> {
    CertificateName::parse(text).map(drop).map_err(|error| Broken::new("invalid_certificate", error.to_string()))
}

pub(super) fn consumer_id(text: &str) -> Result<(), Broken> {
    ConsumerId::parse(text).map(drop).map_err(|error| Broken::new("invalid_id", error.to_string()))
}

pub(super) fn key_digest(text: &str) -> Result<(), Broken> {
    KeyDigest::parse(text).map(drop).map_err(|error| Broken::new("invalid_digest", error.to_string()))
}

pub(super) fn zone(text: &str) -> Result<(), Broken> {
    let rule = "must have 1 to 63 letters, digits, hyphens, dots and underscores";
    if is_zone(text) { Ok(()) } else { Err(Broken::new("invalid_zone", rule)) }
}

pub(super) fn status_range(text: &str) -> Result<(), Broken> {
    StatusRange::parse(text).map(drop).map_err(|error| Broken::new("invalid_status", error.to_string()))
}

pub(super) fn grpc_service(text: &str) -> Result<(), Broken> {
    let fits = (1..=MAX_GRPC_SERVICE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let rule = format!("must have 1 to {MAX_GRPC_SERVICE} visible ASCII characters");
    if fits { Ok(()) } else { Err(Broken::new("invalid_service", rule)) }
}
