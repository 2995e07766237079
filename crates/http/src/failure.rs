//! From an error of the HTTP stack to its cause and a sentence. The innermost error has the cause;
//! the outer ones quote the URL, which may contain credentials.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Url;
use rustls::CertificateError;

use super::{proxy_for, tls, variable};
use coordinator_core::report::{Cause, CertificateFault};
use coordinator_core::sanitize::one_line;

const MAX_WHY_CHARS: usize = 300;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For verdict and advice.
    pub cause: Cause,
    /// For people: one line, without credentials.
    pub sentence: String,
    /// The part of it with the cause.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for Failure {}

impl Failure {
    fn new(cause: Cause, what: &str, why: &str) -> Self {
        let why = one_line(why, MAX_WHY_CHARS);
        Self { cause, sentence: format!("{what}: {why}"), why }
    }

    pub(super) fn of_proxy(why: &str) -> Self {
        Self::new(Cause::UnusableProxy, "no connection", why)
    }

    /// The URL is invalid.
    pub fn of_url() -> Self {
        Self::new(Cause::Other, "no connection", "invalid URL")
    }

    /// Why [`super::Client::send`] of a request to `url` failed.
    pub fn of(error: &(dyn Error + 'static), url: Option<&Url>) -> Self {
        if let Some(failure) = find::<Self>(error) {
            return failure.clone();
        }
        let is_connecting = is_connecting(error);
        let proxy =
            url.filter(|_| is_connecting).and_then(|url| proxy_for(url, &variable).ok().flatten());
        let what = if is_connecting { "no connection" } else { "no HTTP answer" };
        match (cause(error), proxy) {
            // TLS begins when the proxy has made its connection.
            (Cause::Certificate(fault), _) => {
                let why = certificate(error, fault, SystemTime::now());
                Self::new(Cause::Certificate(fault), what, &why)
            }
            (_, Some(proxy)) => {
                let why = format!("through the proxy {proxy}: {}", innermost(error));
                Self::new(Cause::Proxy(proxy.to_string()), what, &why)
            }
            (Cause::TooManyHeaders, None) => {
                let most = super::MAX_RESPONSE_HEADERS;
                let why = format!("it sent more than {most} headers, or more than 400 KiB of them");
                Self::new(Cause::TooManyHeaders, "an unreadable answer", &why)
            }
            (cause, None) => Self::new(cause, what, &innermost(error)),
        }
    }

    /// A request that timed out; see [`super::Attempt::is_connecting`].
    pub fn late(limit: Duration, is_connecting: bool) -> Self {
        let (cause, what) = if is_connecting {
            (Cause::Unreachable, "no connection")
        } else {
            (Cause::Timeout, "no answer")
        };
        let sentence = format!("{what} within {}", humantime::format_duration(limit));
        Self { cause, why: sentence.clone(), sentence }
    }
}

/// What kept a request of reqwest or kube from its answer.
pub fn cause(error: &(dyn Error + 'static)) -> Cause {
    if let Some(failure) = find::<Failure>(error) {
        return failure.cause.clone();
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return match tls {
            rustls::Error::InvalidCertificate(fault) => {
                Cause::Certificate(certificate_fault(fault))
            }
            rustls::Error::InvalidMessage(_) => Cause::NotHttp,
            _ => Cause::Other,
        };
    }
    if find::<reqwest::Error>(error).is_some_and(reqwest::Error::is_dns) {
        return Cause::Name;
    }
    // hyper-rustls wraps one in another.
    let io = chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
    if is_connecting(error) {
        return io.map_or(Cause::Other, of_connection);
    }
    match find::<hyper::Error>(error) {
        Some(error) if error.is_parse_too_large() => Cause::TooManyHeaders,
        Some(error) if error.is_parse() => Cause::NotHttp,
        Some(error) if error.is_user() => Cause::Other,
        Some(error) if error.is_timeout() => Cause::Timeout,
        // Otherwise the connection ended: hyper has several errors for that.
        Some(_) => Cause::Dropped,
        None => io.filter(|error| is_drop(error.kind())).map_or(Cause::Other, |_| Cause::Dropped),
    }
}

fn of_connection(error: &io::Error) -> Cause {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, InvalidData, InvalidInput,
        NetworkDown, NetworkUnreachable, Other, TimedOut,
    };
    match error.kind() {
        ConnectionRefused => Cause::Refused,
        HostUnreachable | NetworkUnreachable | NetworkDown | AddrNotAvailable | TimedOut => {
            Cause::Unreachable
        }
        kind if is_drop(kind) => Cause::Dropped,
        // Errors of TLS itself.
        Other | InvalidData | InvalidInput => Cause::Other,
        // The system's name lookup has no error numbers; everything else here has one.
        _ if error.raw_os_error().is_none() && error.get_ref().is_some() => Cause::Name,
        _ => Cause::Other,
    }
}

fn is_drop(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
    };
    matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected)
}

fn is_connecting(error: &(dyn Error + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

fn certificate_fault(error: &CertificateError) -> CertificateFault {
    let time = |time: rustls::pki_types::UnixTime| {
        UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()))
    };
    match error {
        CertificateError::Expired => CertificateFault::Expired(None),
        CertificateError::ExpiredContext { not_after, .. } => {
            CertificateFault::Expired(time(*not_after))
        }
        CertificateError::NotValidYet => CertificateFault::NotYetValid(None),
        CertificateError::NotValidYetContext { not_before, .. } => {
            CertificateFault::NotYetValid(time(*not_before))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::OtherName
        }
        CertificateError::UnknownIssuer if tls::is_without_roots() => CertificateFault::NoRoots,
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::Other(other) if is_authority(other.0.as_ref()) => {
            CertificateFault::OwnAuthority
        }
        _ => CertificateFault::Other,
    }
}

fn is_authority(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// What is wrong with the server's certificate, for people.
fn certificate(error: &(dyn Error + 'static), fault: CertificateFault, now: SystemTime) -> String {
    match fault {
        CertificateFault::Expired(Some(time)) => {
            let age = rough(now.duration_since(time).unwrap_or_default());
            format!("the server's certificate expired {age} ago ({})", date(time))
        }
        CertificateFault::Expired(None) => "the server's certificate has expired".to_owned(),
        CertificateFault::NotYetValid(Some(time)) => {
            let wait = rough(time.duration_since(now).unwrap_or_default());
            format!("the server's certificate becomes valid in {wait} ({})", date(time))
        }
        CertificateFault::NotYetValid(None) => {
            "the server's certificate is not valid yet".to_owned()
        }
        CertificateFault::OtherName => match find::<rustls::Error>(error) {
            Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                presented,
                ..
            })) if !presented.is_empty() => {
                let names = one_line(&names(presented), 200);
                format!("the server's certificate is for another name: {names}")
            }
            _ => "the server's certificate is for another name".to_owned(),
        },
        CertificateFault::UnknownIssuer => {
            "the issuer of the server's certificate is not trusted on this machine".to_owned()
        }
        CertificateFault::OwnAuthority => {
            "the server's certificate is that of a certificate authority (CA:TRUE)".to_owned()
        }
        CertificateFault::NoRoots => "this machine has no root certificates".to_owned(),
        CertificateFault::Other => {
            format!(
                "the server's certificate is not accepted: {}",
                one_line(&innermost(error), 200)
            )
        }
    }
}

/// The day in UTC, as certificates have it: `2026-01-01`.
fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}

/// Whole days, or minutes where it is less than a day.
fn rough(duration: Duration) -> String {
    match duration.as_secs() / 86_400 {
        0 => humantime::format_duration(Duration::from_secs(duration.as_secs() / 60 * 60))
            .to_string(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// webpki writes `DnsName("app.example")`.
fn names(presented: &[String]) -> String {
    let bare = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name));
    bare.collect::<Vec<_>>().join(", ")
}

/// The innermost cause in words for people.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = chain(error).last().unwrap_or(error);
    match last.downcast_ref::<io::Error>() {
        Some(error) if error.raw_os_error().is_some() => error.kind().to_string(),
        Some(error) => error.to_string(),
        None if last.is::<reqwest::Error>() => "the request could not be built".to_owned(),
        None => last.to_string(),
    }
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The error and its causes. What an [`io::Error`] wraps is not its source, and counts here too.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;
    use std::sync::Arc;

    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    /// As the HTTP stack wraps what TLS refuses.
    fn refused(fault: CertificateError) -> (CertificateFault, String) {
        let error =
            io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(fault));
        let Cause::Certificate(fault) = cause(&error) else {
            panic!("a certificate was refused: {error}")
        };
        // 2026-01-04.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_484_800);
        (fault, certificate(&error, fault, now))
    }

    #[test]
    fn a_refused_certificate_is_explained_in_plain_words_and_dates() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired =
            CertificateError::ExpiredContext { time: time(9), not_after: time(1_767_225_600) };
        let (fault, words) = refused(expired);
        assert_eq!(words, "the server's certificate expired 3 days ago (2026-01-01)");
        assert!(fault.remedy().contains("renew"));

        let early =
            CertificateError::NotValidYetContext { time: time(9), not_before: time(1_767_571_200) };
        let (fault, words) = refused(early);
        assert_eq!(words, "the server's certificate becomes valid in 1 day (2026-01-05)");
        assert!(fault.remedy().contains("clock"));

        let other = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("app.example").expect("a name"),
            presented: vec![
                "DnsName(\"www.example\")".to_owned(),
                "DnsName(\"b.example\")".to_owned(),
            ],
        };
        let words = refused(other).1;
        assert_eq!(words, "the server's certificate is for another name: www.example, b.example");

        let (fault, words) = refused(CertificateError::UnknownIssuer);
        assert!(words.contains("not trusted on this machine"), "{words}");
        assert!(fault.remedy().contains("SSL_CERT_FILE"));
    }

    #[test]
    fn the_certificate_of_an_authority_is_refused_in_plain_words_with_the_remedy() {
        let other = rustls::OtherError(Arc::new(webpki::Error::CaUsedAsEndEntity));
        let (fault, words) = refused(CertificateError::Other(other));
        assert_eq!(fault, CertificateFault::OwnAuthority);
        assert!(words.contains("certificate authority (CA:TRUE)"), "{words}");
        assert!(fault.remedy().contains("CA:FALSE"));
    }

    #[test]
    fn a_dropped_connection_is_distinguished_from_one_that_is_never_made() {
        let of = |kind: io::ErrorKind| of_connection(&io::Error::from(kind));
        assert_eq!(of(io::ErrorKind::ConnectionRefused), Cause::Refused);
        assert_eq!(of(io::ErrorKind::NetworkUnreachable), Cause::Unreachable);
        assert_eq!(of(io::ErrorKind::TimedOut), Cause::Unreachable);
        assert_eq!(of(io::ErrorKind::ConnectionReset), Cause::Dropped);
        assert_eq!(of_connection(&io::Error::other("odd")), Cause::Other);
        // Too long for a DNS query: it fails without the network.
        let looked_up = ("a".repeat(64) + ".invalid", 80).to_socket_addrs();
        assert_eq!(of_connection(&looked_up.expect_err("no such name")), Cause::Name);
        let late = |is_connecting| Failure::late(Duration::from_secs(1), is_connecting);
        assert_eq!((late(true).cause, late(false).cause), (Cause::Unreachable, Cause::Timeout));
    }
}
