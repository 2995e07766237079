//! Why a server gave no answer, or not the expected one. Verdict and advice depend on it; the
//! sentence for people is in another field.

use std::time::SystemTime;

/// What kept a request from its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The name has no address.
    Name,
    /// Nothing listens at the address.
    Refused,
    /// No route, or no connection in time.
    Unreachable,
    /// The proxy, by address and variable, gave no connection.
    Proxy(String),
    /// The environment names a proxy that cannot be used.
    UnusableProxy,
    /// The server's certificate is refused.
    Certificate(CertificateFault),
    /// Connected, and no answer in time.
    Timeout,
    /// The connection ended before the answer.
    Dropped,
    /// What came is not HTTP, or not TLS where it should be.
    NotHttp,
    /// More headers than can be read.
    TooManyHeaders,
    /// A redirect that is not followed, or leads nowhere.
    Redirect,
    /// Anything else.
    Other,
}

impl Cause {
    /// No server was reached, by name or by route.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Name | Self::Refused | Self::Unreachable | Self::Proxy(_) => true,
            Self::UnusableProxy
            | Self::Certificate(_)
            | Self::Timeout
            | Self::Dropped
            | Self::NotHttp
            | Self::TooManyHeaders
            | Self::Redirect
            | Self::Other => false,
        }
    }
}

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// It is too old: since when, where that is known.
    Expired(Option<SystemTime>),
    /// It is not valid yet: from when, where that is known.
    NotYetValid(Option<SystemTime>),
    /// It is for other names.
    OtherName,
    /// Its issuer is not trusted here.
    UnknownIssuer,
    /// It is the certificate of a certificate authority.
    OwnAuthority,
    /// This machine has no root certificates.
    NoRoots,
    /// Anything else.
    Other,
}

impl CertificateFault {
    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Expired(_) => {
                "renew the server's certificate; if it is new, set this machine's clock"
            }
            Self::NotYetValid(_) => {
                "set this machine's clock, or wait until the certificate is valid"
            }
            Self::OtherName => {
                "use a name that the certificate is for, or have it issued for this one"
            }
            Self::UnknownIssuer => {
                "add the issuer's certificate to this machine's root certificates, or to the \
                 bundle that SSL_CERT_FILE names; the server must send intermediate certificates"
            }
            Self::OwnAuthority => {
                "issue a server certificate (CA:FALSE) from that authority, and name the \
                 authority's own in SSL_CERT_FILE"
            }
            Self::NoRoots => {
                "install its package ca-certificates, or name a bundle in SSL_CERT_FILE"
            }
            Self::Other => "renew the server's certificate",
        }
    }
}

/// Whether a server could be reached in this cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Contact {
    /// No request was sent to it.
    #[default]
    NotTried,
    /// It was there, whatever it answered.
    Reached,
    /// No request reached it, by name or by route: why the first did not.
    Unreachable(Cause),
}

impl Contact {
    /// Adds what became of one request.
    pub fn note(&mut self, failure: Option<&Cause>) {
        match (&self, failure) {
            (Self::Reached, _) => {}
            (Self::Unreachable(_), Some(cause)) if cause.is_unreachable() => {}
            (Self::NotTried, Some(cause)) if cause.is_unreachable() => {
                *self = Self::Unreachable(cause.clone());
            }
            (Self::NotTried | Self::Unreachable(_), _) => *self = Self::Reached,
        }
    }

    /// What is known of a server that two parties tried to reach.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Reached, _) | (_, Self::Reached) => Self::Reached,
            (Self::NotTried, other) => other,
            (unreachable, _) => unreachable,
        }
    }

    /// Why it could not be reached.
    pub fn failure(&self) -> Option<&Cause> {
        match self {
            Self::Unreachable(cause) => Some(cause),
            Self::NotTried | Self::Reached => None,
        }
    }
}

/// Which servers the steps reached; an endpoint of production carries this itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contacts {
    /// GitHub.
    pub github: Contact,
    /// The API server of the cluster.
    pub cluster: Contact,
    /// The server of the platform, whichever it is.
    pub platform: Access,
}

/// Whether the platform's server lets the coordinator in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// As far as is known: it answered, or was not needed.
    #[default]
    Granted,
    /// It refuses the credentials, or to list the sessions.
    Refused,
    /// No request was answered.
    NoAnswer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_answered_once_was_reached_whatever_came_before_and_after() {
        let noted = |failures: &[Option<Cause>]| {
            let mut contact = Contact::default();
            for failure in failures {
                contact.note(failure.as_ref());
            }
            contact
        };
        assert_eq!(noted(&[]), Contact::NotTried);
        assert_eq!(
            noted(&[Some(Cause::Name), Some(Cause::Refused)]),
            Contact::Unreachable(Cause::Name)
        );
        assert_eq!(noted(&[Some(Cause::Name), None]), Contact::Reached);
        assert_eq!(noted(&[None, Some(Cause::Name)]), Contact::Reached);
        assert_eq!(noted(&[Some(Cause::Name), Some(Cause::Timeout)]), Contact::Reached);
        assert_eq!(noted(&[Some(Cause::Timeout)]), Contact::Reached, "it took the connection");
    }

    #[test]
    fn of_two_looks_at_a_server_the_better_one_counts() {
        let unreachable = |cause| Contact::Unreachable(cause);
        for (first, second, expected) in [
            (Contact::NotTried, Contact::NotTried, Contact::NotTried),
            (Contact::NotTried, unreachable(Cause::Name), unreachable(Cause::Name)),
            (unreachable(Cause::Name), Contact::NotTried, unreachable(Cause::Name)),
            (unreachable(Cause::Name), unreachable(Cause::Refused), unreachable(Cause::Name)),
            (unreachable(Cause::Name), Contact::Reached, Contact::Reached),
            (Contact::Reached, unreachable(Cause::Name), Contact::Reached),
        ] {
            assert_eq!(first.or(second), expected);
        }
        assert_eq!(unreachable(Cause::Name).failure(), Some(&Cause::Name));
        assert_eq!((Contact::Reached.failure(), Contact::NotTried.failure()), (None, None));
    }
}
