//! Bodies of routes to config objects and back.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use novagate_kernel::RouteId;
use novagate_policies::{AuthRule, ConfigObject, LimitBy, RateLimit, RouteConfig, RouteLimit};
use novagate_ports_control::inbound::FieldFault;
use novagate_routing::{
    Condition, ConditionError, ConditionOn, EncodedSlashes, Expression, Forward, ForwardHost, ForwardPath, ForwardTo,
    HashOn, HostPattern, HostTemplate, Mirror, PathPattern, PathTemplate, Redirect, RedirectStatus, Route, RouteAction,
    RouteMatch, Scheme, Split, TargetUrl, ValueTest, WeightedService,
};
use uuid::Uuid;

use super::super::body::{AcceptWord, AuthBody, LimitByWord, RouteBody, RouteLimitBody, SlashesWord};
use super::super::content::{compression, decompression};
use super::super::route_body::{
    ConditionBody, MatchBody, MirrorBody, RedirectBody, RewriteBody, SchemeWord, ShareBody, SplitBody,
};
use super::{at_pointer, millis, name_at};

pub(in crate::config) fn route(id: Uuid, body: &RouteBody) -> Result<ConfigObject, FieldFault> {
    let matcher = matcher(&body.r#match)?;
    let route = Route {
        id: RouteId::from_uuid(id),
        name: name_at(&body.name, "/name")?,
        action: action(body, &matcher)?,
        matcher,
        encoded_slashes: match body.encoded_slashes {
            SlashesWord::Reject => EncodedSlashes::Reject,
            SlashesWord::Decode => EncodedSlashes::Decode,
            SlashesWord::Keep => EncodedSlashes::Keep,
        },
    };
    let auth = AuthRule {
        required: body.auth.required,
        accept_jwt: body.auth.accept.contains(&AcceptWord::Jwt),
        accept_key: body.auth.accept.contains(&AcceptWord::Key),
        accept_certificate: body.auth.accept.contains(&AcceptWord::Certificate),
    };
    let rate_limit = body.rate_limit.as_ref().map(|limit| RouteLimit {
        limit: RateLimit { max: limit.max, window: Duration::from_millis(limit.window_ms) },
        by: match limit.by {
            LimitByWord::Consumer => LimitBy::Consumer,
            LimitByWord::Subject => LimitBy::Subject,
            LimitByWord::Ip => LimitBy::Ip,
            LimitByWord::Route => LimitBy::Route,
        },
    });
    Ok(ConfigObject::Route(RouteConfig { route, auth, rate_limit }))
}

fn matcher(body: &MatchBody) -> Result<RouteMatch, FieldFault> {
    let host = |(at, host): (usize, &String)| at_pointer(HostPattern::parse(host), || format!("/match/hosts/{at}"));
    let method = |(at, method): (usize, &String)| {
        at_pointer(http::Method::from_bytes(method.as_bytes()), || format!("/match/methods/{at}"))
    };
    Ok(RouteMatch {
        hosts: body.hosts.iter().enumerate().map(host).collect::<Result<_, _>>()?,
        methods: body.methods.iter().enumerate().map(method).collect::<Result<_, _>>()?,
        path: at_pointer(PathPattern::parse(&body.path), || "/match/path".to_owned())?,
        conditions: conditions(body)?,
        priority: body.priority,
    })
}

fn conditions(body: &MatchBody) -> Result<Vec<Condition>, FieldFault> {
    let mut conditions = Vec::new();
    if let Some(text) = &body.path_regex {
        let expression = at_pointer(Expression::parse(text), || "/match/pathRegex".to_owned())?;
        conditions.push(Condition { on: ConditionOn::Path, test: ValueTest::Matches(expression) });
    }
    for (at, each) in body.headers.iter().enumerate() {
        conditions.push(condition(each, ConditionOn::header, &format!("/match/headers/{at}"))?);
    }
    for (at, each) in body.query.iter().enumerate() {
        conditions.push(condition(each, ConditionOn::query, &format!("/match/query/{at}"))?);
    }
    Ok(conditions)
}

fn condition(
    body: &ConditionBody,
    on: fn(&str) -> Result<ConditionOn, ConditionError>,
    pointer: &str,
) -> Result<Condition, FieldFault> {
    let on = at_pointer(on(&body.name), || format!("{pointer}/name"))?;
    let test = match (&body.value, &body.regex) {
        (None, None) => ValueTest::Present,
        (Some(value), None) => at_pointer(ValueTest::exact(value), || format!("{pointer}/value"))?,
        (None, Some(text)) => {
            at_pointer(Expression::parse(text), || format!("{pointer}/regex")).map(ValueTest::Matches)?
        }
        (Some(_), Some(_)) => return Err(not_allowed(format!("{pointer}/regex"), "is not allowed beside value")),
    };
    Ok(Condition { on, test })
}

fn action(body: &RouteBody, matcher: &RouteMatch) -> Result<RouteAction, FieldFault> {
    let to = match (&body.service, &body.split, &body.redirect) {
        (Some(service), None, None) => ForwardTo::Service(name_at(service, "/service")?),
        (None, Some(split), None) => ForwardTo::Split(self::split(split)?),
        (None, None, Some(redirect)) => return self::redirect(body, redirect, matcher),
        (None, None, None) => {
            return Err(FieldFault::new("/service", "required", "is required, or split, or redirect"));
        }
        (Some(_), Some(_), _) => return Err(not_allowed("/split", "is not allowed beside service")),
        (_, _, Some(_)) => return Err(not_allowed("/redirect", "is not allowed beside service and split")),
    };
    let rewrite = body.rewrite.as_ref();
    let path = match (body.strip_prefix, rewrite.and_then(|rewrite| rewrite.path.as_deref())) {
        (false, None) => ForwardPath::Matched,
        (true, None) => ForwardPath::Stripped,
        (false, Some(text)) => ForwardPath::Rewritten(template(text, matcher, "/rewrite/path")?),
        (true, Some(_)) => return Err(not_allowed("/rewrite/path", "is not allowed beside stripPrefix")),
    };
    let host = match (body.preserve_host, rewrite.and_then(|rewrite| rewrite.host.as_deref())) {
        (false, None) => ForwardHost::Target,
        (true, None) => ForwardHost::Client,
        (false, Some(text)) if HostTemplate::is_template(text) => {
            ForwardHost::Written(host_template(text, matcher)?.into())
        }
        (false, Some(host)) => ForwardHost::Fixed(authority(host)?),
        (true, Some(_)) => return Err(not_allowed("/rewrite/host", "is not allowed beside preserveHost")),
    };
    let mirror = body.mirror.as_ref().map(|mirror| {
        let service = name_at(&mirror.service, "/mirror/service")?;
        Ok(Mirror { service, percent: mirror.percent, max_body: mirror.max_body_bytes })
    });
    let mirror = mirror.transpose()?;
    Ok(RouteAction::from(Forward {
        to,
        path,
        host,
        timeout: body.timeout_ms.map(Duration::from_millis),
        total_timeout: body.total_timeout_ms.map(Duration::from_millis),
        max_body: body.max_body_bytes,
        mirror,
        client_cert: body.forward_client_cert,
        compression: body.compression.as_ref().map(compression).transpose()?.map(Box::new),
        decompression: body.decompression.as_ref().map(decompression),
    }))
}

fn split(body: &SplitBody) -> Result<Split, FieldFault> {
    let share = |(at, share): (usize, &ShareBody)| {
        let service = name_at(&share.service, &format!("/split/services/{at}/service"))?;
        Ok(WeightedService { service, weight: share.weight })
    };
    Ok(Split {
        on: at_pointer(HashOn::parse(&body.on), || "/split/on".to_owned())?,
        services: body.services.iter().enumerate().map(share).collect::<Result<_, FieldFault>>()?,
    })
}

fn redirect(route: &RouteBody, body: &RedirectBody, matcher: &RouteMatch) -> Result<RouteAction, FieldFault> {
    for (is_given, pointer) in [
        (route.strip_prefix, "/stripPrefix"),
        (route.preserve_host, "/preserveHost"),
        (route.rewrite.is_some(), "/rewrite"),
        (route.mirror.is_some(), "/mirror"),
        (route.timeout_ms.is_some(), "/timeoutMs"),
        (route.total_timeout_ms.is_some(), "/totalTimeoutMs"),
        (route.max_body_bytes.is_some(), "/maxBodyBytes"),
        (route.forward_client_cert, "/forwardClientCert"),
        (route.compression.is_some(), "/compression"),
        (route.decompression.is_some(), "/decompression"),
    ] {
        if is_given {
            return Err(not_allowed(pointer, "is of use only with service or split"));
        }
    }
    let status = RedirectStatus::ALL.into_iter().find(|status| status.code() == body.status);
    let path = body.path.as_deref().map(|text| template(text, matcher, "/redirect/path")).transpose()?;
    Ok(RouteAction::from(Redirect {
        status: status
            .ok_or_else(|| FieldFault::new("/redirect/status", "out_of_range", "must be 301, 302, 303, 307 or 308"))?,
        scheme: body.scheme.map(|word| match word {
            SchemeWord::Http => Scheme::Http,
            SchemeWord::Https => Scheme::Https,
        }),
        host: body.host.as_deref().map(redirect_host).transpose()?,
        port: body.port,
        path,
        drop_query: body.drop_query,
    }))
}

fn template(text: &str, matcher: &RouteMatch, pointer: &str) -> Result<PathTemplate, FieldFault> {
    at_pointer(PathTemplate::parse(text, matcher), || pointer.to_owned())
}

fn host_template(text: &str, matcher: &RouteMatch) -> Result<HostTemplate, FieldFault> {
    at_pointer(HostTemplate::parse(text, matcher), || "/rewrite/host".to_owned())
}

fn redirect_host(text: &str) -> Result<Arc<str>, FieldFault> {
    let host = at_pointer(HostPattern::parse(text), || "/redirect/host".to_owned())?;
    if host.is_wildcard() {
        return Err(FieldFault::new("/redirect/host", "invalid", "must be one host, not a wildcard"));
    }
    Ok(host.as_str().into())
}

/// A host with a port or without, as a target's URL has it.
fn authority(text: &str) -> Result<Arc<str>, FieldFault> {
    let url = at_pointer(TargetUrl::parse(&format!("http://{text}")), || "/rewrite/host".to_owned())?;
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.to_string() };
    Ok(if url.port == 80 { host.into() } else { format!("{host}:{}", url.port).into() })
}

fn not_allowed(pointer: impl Into<String>, message: impl Display) -> FieldFault {
    FieldFault::new(pointer.into(), "not_allowed", message.to_string())
}

pub(super) fn route_body(config: &RouteConfig) -> RouteBody {
    let route = &config.route;
    let (forward, redirect) = match &route.action {
        RouteAction::Forward(forward) => (Some(&**forward), None),
        RouteAction::Redirect(redirect) => (None, Some(&**redirect)),
    };
    let (service, split) = match forward.map(|forward| &forward.to) {
        Some(ForwardTo::Service(service)) => (Some(service.to_string()), None),
        Some(ForwardTo::Split(split)) => (None, Some(split_body(split))),
        None => (None, None),
    };
    RouteBody {
        name: route.name.to_string(),
        r#match: match_body(&route.matcher),
        service,
        split,
        redirect: redirect.map(redirect_body),
        mirror: forward.and_then(|forward| forward.mirror.as_ref()).map(|mirror| MirrorBody {
            service: mirror.service.to_string(),
            percent: mirror.percent,
            max_body_bytes: mirror.max_body,
        }),
        strip_prefix: forward.is_some_and(|forward| forward.path == ForwardPath::Stripped),
        preserve_host: forward.is_some_and(|forward| forward.host == ForwardHost::Client),
        rewrite: forward.and_then(rewrite_body),
        timeout_ms: forward.and_then(|forward| forward.timeout).map(millis),
        total_timeout_ms: forward.and_then(|forward| forward.total_timeout).map(millis),
        max_body_bytes: forward.and_then(|forward| forward.max_body),
        forward_client_cert: forward.is_some_and(|forward| forward.client_cert),
        compression: forward.and_then(|forward| forward.compression.as_deref()).map(Into::into),
        decompression: forward.and_then(|forward| forward.decompression).map(Into::into),
        encoded_slashes: match route.encoded_slashes {
            EncodedSlashes::Reject => SlashesWord::Reject,
            EncodedSlashes::Decode => SlashesWord::Decode,
            EncodedSlashes::Keep => SlashesWord::Keep,
        },
        auth: auth_body(config.auth),
        rate_limit: config.rate_limit.map(|limit| RouteLimitBody {
            max: limit.limit.max,
            window_ms: millis(limit.limit.window),
            by: match limit.by {
                LimitBy::Consumer => LimitByWord::Consumer,
                LimitBy::Subject => LimitByWord::Subject,
                LimitBy::Ip => LimitByWord::Ip,
                LimitBy::Route => LimitByWord::Route,
            },
        }),
        policies: Vec::new(),
    }
}

fn match_body(matcher: &RouteMatch) -> MatchBody {
    let mut body = MatchBody {
        hosts: matcher.hosts.iter().map(ToString::to_string).collect(),
        methods: matcher.methods.iter().map(ToString::to_string).collect(),
        path: matcher.path.to_string(),
        path_regex: None,
        headers: Vec::new(),
        query: Vec::new(),
        priority: matcher.priority,
    };
    for condition in &matcher.conditions {
        let (value, regex) = match &condition.test {
            ValueTest::Present => (None, None),
            ValueTest::Exact(value) => (Some(value.to_string()), None),
            ValueTest::Matches(expression) => (None, Some(expression.as_str().to_owned())),
        };
        match &condition.on {
            ConditionOn::Path => body.path_regex = regex,
            ConditionOn::Header(name) => body.headers.push(ConditionBody { name: name.to_string(), value, regex }),
            ConditionOn::Query(name) => body.query.push(ConditionBody { name: name.to_string(), value, regex }),
        }
    }
    body
}

fn split_body(split: &Split) -> SplitBody {
    let share = |each: &WeightedService| ShareBody { service: each.service.to_string(), weight: each.weight };
    SplitBody { on: split.on.to_string(), services: split.services.iter().map(share).collect() }
}

fn rewrite_body(forward: &Forward) -> Option<RewriteBody> {
    let path = match &forward.path {
        ForwardPath::Rewritten(template) => Some(template.to_string()),
        ForwardPath::Matched | ForwardPath::Stripped => None,
    };
    let host = match &forward.host {
        ForwardHost::Fixed(host) => Some(host.to_string()),
        ForwardHost::Written(template) => Some(template.to_string()),
        ForwardHost::Target | ForwardHost::Client => None,
    };
    (path.is_some() || host.is_some()).then_some(RewriteBody { path, host })
}

fn redirect_body(redirect: &Redirect) -> RedirectBody {
    RedirectBody {
        status: redirect.status.code(),
        scheme: redirect.scheme.map(|scheme| match scheme {
            Scheme::Http => SchemeWord::Http,
            Scheme::Https => SchemeWord::Https,
        }),
        host: redirect.host.as_deref().map(str::to_owned),
        port: redirect.port,
        path: redirect.path.as_ref().map(ToString::to_string),
        drop_query: redirect.drop_query,
    }
}

fn auth_body(rule: AuthRule) -> AuthBody {
    let words = [
        (rule.accept_jwt, AcceptWord::Jwt),
        (rule.accept_key, AcceptWord::Key),
        (rule.accept_certificate, AcceptWord::Certificate),
    ];
    let accept = words.into_iter().filter_map(|(accepted, word)| accepted.then_some(word)).collect();
    AuthBody { required: rule.required, accept }
}

#[cfg(test)]
mod tests;
