//! Which proxy the environment names for a URL. reqwest reads the same variables, but does not
//! report which one it took, and ignores those that it cannot use.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use coordinator_core::sanitize::one_line;

/// A proxy that a variable of the environment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The variable, as it is spelt.
    pub variable: &'static str,
    /// Host and port, without credentials.
    pub address: String,
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.address, self.variable)
    }
}

/// The proxy for this URL, by the rules of curl: `HTTPS_PROXY` or `HTTP_PROXY`, else `ALL_PROXY`;
/// none for the hosts in `NO_PROXY`.
///
/// Fails, in one sentence with the remedy, where the proxy's URL or scheme cannot be used.
pub fn proxy_for(
    url: &Url,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, String> {
    // A server that runs CGI programs sets HTTP_PROXY from a header of its client.
    if variable("REQUEST_METHOD").is_some() {
        return Ok(None);
    }
    let first = |names: [&'static str; 2]| {
        let found = names.into_iter().find_map(|name| Some((name, variable(name)?)));
        found.filter(|(_, value)| !value.is_empty())
    };
    let own = match url.scheme() {
        "https" => first(["HTTPS_PROXY", "https_proxy"]),
        _ => first(["HTTP_PROXY", "http_proxy"]),
    };
    let Some((name, value)) = own.or_else(|| first(["ALL_PROXY", "all_proxy"])) else {
        return Ok(None);
    };
    if is_excluded(url, variable) {
        return Ok(None);
    }
    let host = url.host_str().unwrap_or_default();
    let instead = format!("name one that begins with http://, or list {host} in NO_PROXY");
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", &value));
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        let scheme = one_line(&scheme, 20);
        return Err(format!("{name} names a {scheme} proxy, which is not supported; {instead}"));
    }
    match Url::parse(&format!("{scheme}://{rest}")) {
        Ok(proxy) if proxy.host_str().is_some_and(|host| !host.is_empty()) => {
            let host = proxy.host_str().unwrap_or_default();
            let port = proxy.port_or_known_default().unwrap_or(80);
            Ok(Some(Proxy { variable: name, address: format!("{host}:{port}") }))
        }
        // The value may hold a password: it is not shown.
        Ok(_) | Err(_) => Err(format!("{name} is not a proxy URL; {instead}")),
    }
}

/// `NO_PROXY` as reqwest reads it: a proxy for everything is not taken for this URL.
fn is_excluded(url: &Url, variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let Some(hosts) = variable("NO_PROXY").or_else(|| variable("no_proxy")) else { return false };
    let Ok(uri) = url.as_str().parse() else { return false };
    Matcher::builder().all("http://localhost").no(hosts).build().intercept(&uri).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let url = Url::parse(url).expect("a URL");
        proxy_for(&url, &variable).map(|proxy| proxy.map(|proxy| proxy.to_string()))
    }

    #[test]
    fn the_variable_of_the_scheme_comes_before_the_one_for_all() {
        let both = [("ALL_PROXY", "all:1"), ("HTTPS_PROXY", "http://u:pw@secure.example:3128/x")];
        let secure = Ok(Some("secure.example:3128 (HTTPS_PROXY)".to_owned()));
        assert_eq!(found("https://app.example/", &both), secure);
        assert_eq!(found("http://app.example/", &both), Ok(Some("all:1 (ALL_PROXY)".to_owned())));
        assert_eq!(found("https://app.example/", &[("HTTP_PROXY", "http://p:1")]), Ok(None));
        let lower = found("https://app.example/", &[("https_proxy", "p")]);
        assert_eq!(lower, Ok(Some("p:80 (https_proxy)".to_owned())));
    }

    #[test]
    fn hosts_of_no_proxy_have_none() {
        for (hosts, excluded) in
            [("app.example", true), ("*", true), ("example", true), ("other", false)]
        {
            let variables = [("ALL_PROXY", "socks5://p:1"), ("NO_PROXY", hosts)];
            let found = found("https://app.example/", &variables);
            assert_eq!(found == Ok(None), excluded, "{hosts}: {found:?}");
        }
    }

    #[test]
    fn a_scheme_that_cannot_be_used_is_one_clear_sentence_without_the_password() {
        let refused = found("https://app.example/", &[("ALL_PROXY", "socks5://u:hunter22@p:1080")]);
        let sentence = "ALL_PROXY names a socks5 proxy, which is not supported; name one that \
            begins with http://, or list app.example in NO_PROXY";
        assert_eq!(refused, Err(sentence.to_owned()));
        let refused = found("https://app.example/", &[("HTTPS_PROXY", "http://u:hunter22@:x")]);
        assert!(
            refused.as_ref().is_err_and(|why| why.contains("is not a proxy URL")),
            "{refused:?}"
        );
        assert!(!format!("{refused:?}").contains("hunter22"));
    }

    #[test]
    fn a_cgi_program_takes_no_proxy_from_its_client() {
        assert_eq!(
            found("http://a/", &[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")]),
            Ok(None)
        );
    }
}
