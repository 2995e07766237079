//! Whom we trust over TLS: the root certificates of the machine, read when a server first shows its own.
//!
//! Most machines keep them twice, in one bundle and each in a file of its own. Reading both takes as long as the rest of a
//! quiet cycle, so the single files are read only for a server that the bundle does not vouch for: what an administrator
//! laid into the folder alone is trusted as well.

use std::env;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_native_certs::load_certs_from_paths;

/// TLS that trusts the root certificates of this machine, and offers HTTP/2.
///
/// Fails where the cryptography does not support the versions of TLS that are safe.
pub(crate) fn tls() -> Result<ClientConfig, Error> {
    let roots = Arc::clone(&MACHINE);
    let config = ClientConfig::builder_with_provider(Arc::clone(&roots.provider));
    let config = config.with_safe_default_protocol_versions()?;
    // rustls calls every verifier of one's own dangerous; this one only chooses the roots for rustls' own.
    let mut config = config.dangerous().with_custom_certificate_verifier(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the bundle on a thread of its own while connections are made: a server shows its certificate after two round
/// trips, and needs not wait then.
pub(crate) fn read_ahead() {
    // Where there is no thread to be had, the first connection reads.
    let _ = thread::Builder::new().spawn(|| drop(MACHINE.bundle()));
}

static MACHINE: LazyLock<Arc<Roots>> = LazyLock::new(|| {
    Arc::new(Roots::new(Places::of_this_machine(), Arc::new(crypto::aws_lc_rs::default_provider())))
});

/// Where root certificates are.
#[derive(Debug)]
struct Places {
    bundle: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Places {
    /// Those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, and no others; without either, where OpenSSL would look.
    fn of_this_machine() -> Self {
        let bundle = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let folders = env::var_os("SSL_CERT_DIR").unwrap_or_default();
        let folders: Vec<PathBuf> =
            env::split_paths(&folders).filter(|it| !it.as_os_str().is_empty()).collect();
        if bundle.is_some() || !folders.is_empty() {
            return Self { bundle, folders };
        }
        let usual = openssl_probe::probe();
        Self { bundle: usual.cert_file, folders: usual.cert_dir }
    }
}

type Verifier = Result<Arc<WebPkiServerVerifier>, Error>;

/// Verifies as rustls does, by the bundle and, should that not do, by everything.
#[derive(Debug)]
struct Roots {
    places: Places,
    provider: Arc<CryptoProvider>,
    bundle: OnceLock<Verifier>,
    everything: OnceLock<Verifier>,
}

impl Roots {
    fn new(places: Places, provider: Arc<CryptoProvider>) -> Self {
        Self { places, provider, bundle: OnceLock::new(), everything: OnceLock::new() }
    }

    fn bundle(&self) -> Verifier {
        let read = || self.verifier(&Places { bundle: self.places.bundle.clone(), folders: Vec::new() });
        self.bundle.get_or_init(read).clone()
    }

    fn everything(&self) -> Verifier {
        self.everything.get_or_init(|| self.verifier(&self.places)).clone()
    }

    /// What cannot be read or parsed is left out: the other certificates are as good without it.
    fn verifier(&self, places: &Places) -> Verifier {
        let mut roots = RootCertStore::empty();
        let bundle = places.bundle.as_deref().map(|bundle| load_certs_from_paths(Some(bundle), None));
        let folders = places.folders.iter().map(|folder| load_certs_from_paths(None, Some(folder)));
        for read in bundle.into_iter().chain(folders) {
            for problem in read.errors {
                tracing::debug!("a root certificate is left out: {problem}");
            }
            roots.add_parsable_certificates(read.certs);
        }
        let built =
            WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&self.provider)).build();
        built.map_err(|_| {
            let why = "this machine has no root certificates: install its package ca-certificates, or name a bundle \
                       in SSL_CERT_FILE";
            Error::General(why.to_owned())
        })
    }
}

impl ServerCertVerifier for Roots {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify =
            |roots: Arc<WebPkiServerVerifier>| roots.verify_server_cert(certificate, chain, name, ocsp, now);
        self.bundle().and_then(verify).or_else(|_| self.everything().and_then(verify))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
