//! Hosts and ports in addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Splits an address into its host and its port.
///
/// # Errors
/// The reason for which it is not valid.
pub(crate) fn host_and_port(address: &str, default_port: u16) -> Result<(&str, u16), String> {
    // Shows nothing of a password.
    if address.contains('@') {
        return Err("an address has no user name: remove all up to `@`, or begin with mqtt:// or http://".to_owned());
    }
    // A query may have a secret.
    let shown = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    if let Some((address, path)) = address.split_once('/') {
        return Err(format!("an address has no path: remove `/{}` after `{address}`", shown(path)));
    }
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("missing `]` after the IPv6 address")?;
        if !is_ipv6(host) {
            return Err(format!("`{host}` is not an IPv6 address"));
        }
        match port.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if port.is_empty() => (host, None),
            None => return Err(format!("expected `:PORT` after the address, found `{port}`")),
        }
    } else if is_ipv6(address) {
        (address, None)
    } else {
        match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    if host.is_empty() {
        return Err("missing host".to_owned());
    }
    let port = match port {
        None => default_port,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err(format!("expected a port from 1 to 65535, found `{}`", shown(port))),
        },
    };
    if !is_ipv6(host)
        && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && host.parse::<Ipv4Addr>().is_err()
    {
        return Err(format!("`{host}` is not an IPv4 address: expected four numbers from 0 to 255"));
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !is_ipv6(host)
        && let Some(invalid) = host.chars().find(|c| !allowed(*c))
    {
        return Err(format!("host names cannot contain `{}`", invalid.escape_default()));
    }
    Ok((host, port))
}

/// Returns whether the text is an IPv6 address, with or without a zone (`fe80::1%eth0`).
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "lo"));
    address.parse::<Ipv6Addr>().is_ok()
        && !zone.is_empty()
        && zone.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}
