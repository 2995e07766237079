//! Which servers are believed to be who they say.

use std::fs;
use std::path::Path;

use rustls::CertificateError;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use super::*;

const ROOT: &[u8] = include_bytes!("../../../../tests/it/vouched/root.pem");
const SERVER: &[u8] = include_bytes!("../../../../tests/it/vouched/certificate.pem");
const STRANGER: &[u8] = include_bytes!("../../../../tests/it/self_signed/certificate.pem");

/// A bundle with this certificate, and a folder with that one.
fn roots(bundle: Option<&[u8]>, single: Option<&[u8]>) -> (TempDir, Roots) {
    let home = tempfile::tempdir().expect("a folder");
    let (file, folder) = (home.path().join("bundle.pem"), home.path().join("certs"));
    fs::create_dir(&folder).expect("create a folder");
    let write = |path: &Path, pem: Option<&[u8]>| pem.map(|pem| fs::write(path, pem).expect("write"));
    write(&folder.join("authority.pem"), single);
    let bundle = write(&file, bundle).map(|()| file);
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    (home, Roots::new(Places { bundle, folders: vec![folder] }, provider))
}

fn judge(roots: &Roots, server: &[u8], name: &str) -> Result<(), Error> {
    let certificate = CertificateDer::from_pem_slice(server).expect("a certificate");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    roots.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).map(drop)
}

#[test]
fn the_bundle_alone_is_read_for_a_server_that_it_vouches_for() {
    let (_home, roots) = roots(Some(ROOT), Some(STRANGER));
    assert_eq!(judge(&roots, SERVER, "127.0.0.1"), Ok(()));
    assert!(roots.everything.get().is_none());
}

#[test]
fn a_certificate_that_lies_in_the_folder_alone_vouches_as_well() {
    for bundle in [None, Some(STRANGER), Some(&b"no certificate"[..])] {
        let (_home, roots) = roots(bundle, Some(ROOT));
        assert_eq!(judge(&roots, SERVER, "127.0.0.1"), Ok(()), "{bundle:?}");
    }
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    let (_home, roots) = roots(Some(STRANGER), None);
    let refused = Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
    assert_eq!(judge(&roots, SERVER, "127.0.0.1"), refused);
}

#[test]
fn a_server_with_the_certificate_of_another_is_refused() {
    let (_home, roots) = roots(Some(ROOT), Some(ROOT));
    let judged = judge(&roots, SERVER, "example.com");
    assert!(
        matches!(
            judged,
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ))
        ),
        "{judged:?}"
    );
}

#[test]
fn a_machine_without_root_certificates_hears_what_to_install() {
    let (_home, roots) = roots(None, None);
    let problem = judge(&roots, SERVER, "127.0.0.1").expect_err("nobody vouches");
    assert!(problem.to_string().contains("ca-certificates"), "{problem}");
}
