//! TLS of the server: a certificate and its key, which are read again on request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{fs, io};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};

use crate::sync::locked;

const PEM_BEGIN: &str = "-----BEGIN ";

const CERTIFICATE: &str = "a certificate in PEM form (`-----BEGIN CERTIFICATE-----`)";

const KEY: &str = "a private key in PEM form without a password (`-----BEGIN PRIVATE KEY-----`)";

/// Reason for not using a certificate or its key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFileError {
    /// The system refuses a file.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// The error.
        source: io::Error,
    },
    /// A file has other content.
    #[error("{path} has {found}; expected {expected}")]
    Content {
        /// The file.
        path: String,
        /// Its content.
        found: String,
        /// The content that it must have.
        expected: &'static str,
    },
    /// The files do not belong together.
    #[error("the key in {key} is not the key of the certificate in {certificate}")]
    Mismatch {
        /// File of the certificate.
        certificate: String,
        /// File of the key.
        key: String,
    },
    /// TLS does not support the certificate or the key.
    #[error("cannot use the certificate in {certificate} with the key in {key}: {reason}")]
    Unsupported {
        /// File of the certificate.
        certificate: String,
        /// File of the key.
        key: String,
        /// Reason of the TLS library.
        reason: String,
    },
}

/// A certificate and its key. Clones share them.
#[derive(Clone, Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads a certificate, with those of its issuers if there are any, and its key. Both files are PEM.
    ///
    /// # Errors
    /// A file cannot be read, has other content, or the key is that of another certificate.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsFileError> {
        let config = Arc::new(Mutex::new(config(certificate, key)?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), config })
    }

    /// Reads the files again. Connections that are open keep the certificate that they have.
    ///
    /// # Errors
    /// As [`Self::read`]; the server then continues with the certificate that it has.
    pub fn reload(&self) -> Result<(), TlsFileError> {
        let config = config(&self.certificate, &self.key)?;
        *locked(&self.config) = config;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&locked(&self.config)).into()
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    fs::read(path).map_err(|source| TlsFileError::Read { path: path.display().to_string(), source })
}

/// Describes a file without a usable PEM section of this kind.
fn found(bytes: &[u8], kind: &str) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut labels = text.lines().filter_map(|line| line.trim().strip_prefix(PEM_BEGIN)?.strip_suffix("-----"));
    match labels.next() {
        None => "no PEM section".to_owned(),
        Some(label) if label == kind => format!("a damaged section `{kind}`"),
        Some(label) => format!("a section `{}`", label.escape_default()),
    }
}

fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsFileError> {
    let (certificate_bytes, key_bytes) = (read_file(certificate)?, read_file(key)?);
    let names = || (certificate.display().to_string(), key.display().to_string());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate_bytes).filter_map(Result::ok).collect();
    if chain.is_empty() {
        let found = found(&certificate_bytes, "CERTIFICATE");
        return Err(TlsFileError::Content { path: names().0, found, expected: CERTIFICATE });
    }
    let secret = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|_| {
        let found = found(&key_bytes, "PRIVATE KEY");
        TlsFileError::Content { path: names().1, found, expected: KEY }
    })?;
    let unsupported = |error: rustls::Error| {
        let (certificate, key) = names();
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsFileError::Mismatch { certificate, key }
            }
            error => TlsFileError::Unsupported { certificate, key, reason: error.to_string() },
        }
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unsupported)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(unsupported)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_files_are_described() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        for (name, text) in [
            ("certificate", pem("CERTIFICATE")),
            ("encrypted", pem("ENCRYPTED PRIVATE KEY")),
            ("damaged", "-----BEGIN PRIVATE KEY-----\n?\n".to_owned()),
            ("text", "hello".to_owned()),
        ] {
            std::fs::write(path(name), text).expect("a file");
        }
        for (certificate, key, expected) in [
            ("missing", "text", "cannot read"),
            ("text", "text", "text has no PEM section; expected a certificate"),
            ("encrypted", "text", "encrypted has a section `ENCRYPTED PRIVATE KEY`; expected a certificate"),
            ("certificate", "encrypted", "has a section `ENCRYPTED PRIVATE KEY`; expected a private key"),
            ("certificate", "certificate", "has a section `CERTIFICATE`; expected a private key"),
            ("certificate", "damaged", "has a damaged section `PRIVATE KEY`; expected a private key"),
        ] {
            let error = Tls::read(&path(certificate), &path(key)).expect_err(key).to_string();
            assert!(error.contains(expected), "{certificate}, {key}: {error}");
        }
    }
}
