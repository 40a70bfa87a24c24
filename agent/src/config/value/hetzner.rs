//! Values of `[[hetzner]]`.

use std::time::Duration;

use hyper::Uri;
use toml::de::DeValue;

use super::{span, text};
use crate::{client::parse_url, config::diagnostic::Fault};

/// Where an API is. It hears a secret with each request.
pub(in crate::config) fn endpoint(value: &DeValue<'_>) -> Result<Uri, Fault> {
    let remedy = r#"write it as in "https://api.hetzner.cloud/v1", or leave it out for Hetzner's own"#;
    let text = text(value, "https://api.hetzner.cloud/v1")?;
    let url = parse_url(text).map_err(|what| Fault::new(what, remedy))?;
    if url.scheme_str() != Some("https") {
        return Err(Fault::new("password or token would be sent over http:// for everybody to read", remedy));
    }
    if url.query().is_some() {
        return Err(Fault::new(format!("{text:?} has a query, to which no path can be added"), remedy));
    }
    Ok(url)
}

/// How often it is read where an address is routed.
pub(in crate::config) fn recheck(value: &DeValue<'_>) -> Result<Duration, Fault> {
    span(value, "60s", &(Duration::from_secs(1)..=Duration::from_hours(1)))
}
