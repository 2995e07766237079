//! TLS that trusts the root certificates of the machine, as rustls itself verifies them.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// Trusts the root certificates of the machine, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR`
/// name. The first call reads them, which takes milliseconds.
pub(super) fn trusting_the_machine() -> ClientConfig {
    config(Arc::clone(ROOTS.get_or_init(|| Arc::new(read()))))
}

/// Trusts no server: for addresses without TLS.
pub(super) fn trusting_none() -> ClientConfig {
    config(Arc::new(RootCertStore::empty()))
}

/// Whether the root certificates were read and there are none.
pub(super) fn is_without_roots() -> bool {
    ROOTS.get().is_some_and(|roots| roots.is_empty())
}

/// Skips certificates that cannot be read or parsed.
fn read() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for problem in found.errors {
        tracing::debug!("skipped a root certificate: {problem}");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

/// Offers HTTP/2.
fn config(roots: Arc<RootCertStore>) -> ClientConfig {
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}
