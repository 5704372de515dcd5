//! TLS with the certificate authorities of the system. The provider is given explicitly, so that no program has to install
//! one.

use crate::Error;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::sync::Arc;

pub fn settings() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    // Without certificates every https URL fails with an error about its issuer; http works.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Setup(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
