//! Names of routes in metrics.

use crate::{HostPattern, PathPattern};

/// The label `route`: the host or `*`, then the template, as `api.example.com/users/{id}` or `*/users/{id}`. Made of
/// configuration alone, so the number of labels is bounded by the number of routes.
pub fn label(host: Option<&HostPattern>, path: &PathPattern) -> String {
    [host.map_or("*", HostPattern::as_str), path.as_str()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_host_or_a_star_and_the_template() {
        let host = HostPattern::parse("api.example.com").unwrap();
        let path = PathPattern::parse("/users/{id}").unwrap();
        assert_eq!(label(Some(&host), &path), "api.example.com/users/{id}");
        assert_eq!(label(None, &path), "*/users/{id}");
    }
}
