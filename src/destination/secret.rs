//! A secret that is read each time it is needed, so that a replaced file counts with the next
//! attempt.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

/// Reads the secret, or says for a person which one it is and why it cannot be read.
pub type ReadSecret = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// A secret that a destination logs in with.
#[derive(Clone)]
pub struct Secret(ReadSecret);

impl Secret {
    /// A secret that this reads.
    pub fn new(read: ReadSecret) -> Self {
        Self(read)
    }

    /// Its text now.
    pub fn read(&self) -> Result<SecretString, String> {
        (self.0)()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How the box proves who it is, where there is more than one way.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// A token.
    pub token: Option<Secret>,
    /// The password to the options' user name.
    pub password: Option<Secret>,
}
