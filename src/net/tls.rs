//! TLS to a server: its certificate must be one that the system trusts, unless the user accepts any.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// Cause of a failed handshake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
}

/// Opens TLS on a connection. `host`: the name that the certificate must have. `insecure`: accepts any certificate.
pub(crate) async fn handshake(host: &str, stream: TcpStream, insecure: bool) -> Result<TlsStream<TcpStream>, TlsError> {
    TlsConnector::from(config(insecure)?).connect(server_name(host)?, stream).await.map_err(|error| cause(&error))
}

/// Opens TLS like [`handshake`] on a connection that blocks.
#[cfg(feature = "mqtt")]
pub(crate) fn blocking_handshake(
    host: &str,
    mut stream: std::net::TcpStream,
    insecure: bool,
) -> Result<rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>, TlsError> {
    let session = rustls::ClientConnection::new(config(insecure)?, server_name(host)?);
    let mut session = session.map_err(|error| TlsError::Handshake(error.to_string()))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(|error| cause(&error))?;
    }
    Ok(rustls::StreamOwned::new(session, stream))
}

fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    // Zones name interfaces of this host only.
    let host = host.split('%').next().unwrap_or_default().to_owned();
    ServerName::try_from(host).map_err(|error| TlsError::Handshake(error.to_string()))
}

fn cause(error: &io::Error) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => TlsError::Certificate(match why {
            CertificateError::UnknownIssuer => "its issuer is not known to this host".to_owned(),
            CertificateError::Other(why) if format!("{why:?}").contains("CaUsedAsEndEntity") => {
                "it is self-signed".to_owned()
            }
            why => why.to_string(),
        }),
        _ => TlsError::Handshake(error.to_string()),
    }
}

/// Returns the settings of TLS, which all sources share.
fn config(insecure: bool) -> Result<Arc<ClientConfig>, TlsError> {
    static TRUSTED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = |provider: &Arc<CryptoProvider>| {
        ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Handshake(error.to_string()))
    };
    if insecure {
        let any = Arc::new(AnyCertificate(Arc::clone(&provider)));
        let config = builder(&provider)?.dangerous().with_custom_certificate_verifier(any).with_no_client_auth();
        return Ok(Arc::new(config));
    }
    if let Some(config) = TRUSTED.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "certificates of the system");
    }
    roots.add_parsable_certificates(found.certs);
    let config = Arc::new(builder(&provider)?.with_root_certificates(roots).with_no_client_auth());
    Ok(Arc::clone(TRUSTED.get_or_init(|| config)))
}

/// Accepts every certificate, as the user asked with `#insecure`. The handshake's signatures are checked all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
