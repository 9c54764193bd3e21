//! The admin token: 256 random bits, shown once when it is made, kept as its SHA-256 only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The file's name in the state folder.
pub const FILE: &str = "admin-token";
/// What a token begins with, so that one that strays can be told for what it is.
const PREFIX: &str = "te-";
/// A hash in its file is 64 digits and a line break.
const FILE_BYTES_MAX: usize = 128;

/// The SHA-256 of a secret.
pub(super) type Hash = [u8; 32];

/// Where a box keeps the hash of its admin token. It is read at each use, so that a new token
/// counts at once, and ends the sessions of the former one.
#[derive(Debug, Clone)]
pub struct AdminToken {
    file: PathBuf,
}

impl AdminToken {
    /// That of this state folder.
    pub fn of(state_dir: &Path) -> Self {
        Self {
            file: state_dir.join(FILE),
        }
    }

    /// Whether one was made.
    pub fn exists(&self) -> bool {
        self.stored().is_some()
    }

    /// Makes a new one, which replaces the former, and returns it for the only time. Its file
    /// belongs to the folder's owner, so that an installer may make it for the service.
    pub fn make(&self) -> io::Result<String> {
        let token = format!("{PREFIX}{}", random()?);
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let fresh = self.file.with_extension("new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        writeln!(file, "{}", hexadecimal(&hash(&token)))?;
        let (mine, owner) = (file.metadata()?, fs::metadata(folder)?);
        if mine.uid() != owner.uid() {
            chown(&fresh, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.sync_all()?;
        fs::rename(&fresh, &self.file)?;
        Ok(token)
    }

    /// The hash of the token that counts now.
    pub(super) fn stored(&self) -> Option<Hash> {
        let text = fs::read_to_string(&self.file).ok()?;
        (text.len() <= FILE_BYTES_MAX).then_some(())?;
        from_hexadecimal(text.trim())
    }
}

/// 256 random bits as text.
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash under which a secret is kept.
pub(super) fn hash(secret: &str) -> Hash {
    let digest = digest(&SHA256, secret.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Whether they are equal, in a time that does not tell where they differ.
pub(super) fn is_same(a: &Hash, b: &Hash) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

fn hexadecimal(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hexadecimal(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_kept_as_its_hash_and_a_new_one_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = AdminToken::of(folder.path());
        assert!(!place.exists());
        let first = place.make().unwrap();
        assert_eq!(first.len(), PREFIX.len() + 43, "256 bits");
        let file = folder.path().join(FILE);
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(&first));
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(is_same(&place.stored().unwrap(), &hash(&first)));
        let second = place.make().unwrap();
        assert!(!is_same(&place.stored().unwrap(), &hash(&first)));
        assert!(is_same(&place.stored().unwrap(), &hash(&second)));
    }

    #[test]
    fn a_file_that_holds_no_hash_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let place = AdminToken::of(folder.path());
        for text in ["", "zz", &"g".repeat(64), &"a".repeat(66)] {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert!(!place.exists(), "{text}");
        }
    }
}
