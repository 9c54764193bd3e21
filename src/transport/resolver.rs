//! Addresses of hosts. The library starts a thread to look a name up, so that it can give up in time,
//! and does so with every call, also over a connection that is open already. An address that is
//! written as one needs none.

use std::net::SocketAddr;

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

#[derive(Debug, Default)]
pub(super) struct AddressFirst(DefaultResolver);

impl Resolver for AddressFirst {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let Some(address) = written_address(uri) else {
            return self.0.resolve(uri, config, timeout);
        };
        let mut only = self.empty();
        only.push(address);
        Ok(only)
    }
}

fn written_address(uri: &Uri) -> Option<SocketAddr> {
    let place = DefaultResolver::host_and_port(uri.scheme()?, uri.authority()?)?;
    place.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_it_is_written_and_a_name_is_none() {
        let address = |text: &str| {
            let found = written_address(&text.parse().expect("a URI"));
            found.map(|address| address.to_string())
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(address("http://127.0.0.1:8650/a?b"), is("127.0.0.1:8650"));
        assert_eq!(address("https://192.0.2.7/"), is("192.0.2.7:443"));
        assert_eq!(address("http://[::1]/"), is("[::1]:80"));
        assert_eq!(address("https://localhost:8650/"), None);
        assert_eq!(address("https://wfm.example.com/"), None);
    }
}
