//! Where a secret comes from, and reading it.
//!
//! A secret is read again each time that it is needed, so that a replaced file is noticed at the
//! next login. One that cannot be read is no error of the configuration: it holds its connection
//! only, with a message that names key and file. No `Debug`, message or error ever holds it.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::{ExposeSecret as _, SecretString};

use super::section::{Finding, Section};
use super::surroundings::Surroundings;
use super::tree::Place;
use crate::thrio::PasswordProvider;

/// No password or token is longer; a larger file is the wrong one.
const SECRET_BYTES_MAX: u64 = 16 * 1024;
/// Permission bits by which somebody else than the owner may read. A file of root's for the
/// service's group is how an administrator hands a secret over.
const OTHERS_MAY_READ: u32 = 0o044;
const OTHERS_BUT_THE_GROUP: u32 = 0o004;

/// One secret of the configuration: where it is, not what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// The key that names it, for example `source.realtime.password_file (source "main")`.
    key: String,
    from: From,
}

#[derive(Clone)]
enum From {
    File(PathBuf),
    /// A systemd credential: its name, and its file where systemd said so.
    Credential(String, Option<PathBuf>),
    Variable(String, fn(&str) -> Option<String>),
    Inline(SecretString),
}

impl PartialEq for From {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a), Self::File(b)) => a == b,
            (Self::Credential(a, x), Self::Credential(b, y)) => a == b && x == y,
            (Self::Variable(a, _), Self::Variable(b, _)) => a == b,
            (Self::Inline(a), Self::Inline(b)) => a.expose_secret() == b.expose_secret(),
            _ => false,
        }
    }
}

impl Eq for From {}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl SecretSource {
    /// Reads it. The error says for a person which secret it is and why it cannot be read.
    pub fn read(&self) -> Result<SecretString, String> {
        let key = &self.key;
        match &self.from {
            From::Inline(secret) => Ok(secret.clone()),
            From::File(path) if is_nothing(path) => Err(format!("{key}: {}", names_nothing(path))),
            From::File(path) => {
                read_file(path).map_err(|why| format!("{key}: {} {why}", path.display()))
            }
            From::Credential(name, Some(path)) => {
                read_file(path).map_err(|why| format!("{key}: the credential \"{name}\" {why}"))
            }
            From::Credential(name, None) => Err(format!(
                "{key}: there is no credential \"{name}\", because $CREDENTIALS_DIRECTORY is not \
                 set: the unit needs LoadCredential={name}:FILE"
            )),
            From::Variable(name, read) => match read(name) {
                Some(text) if !text.is_empty() => Ok(SecretString::from(text)),
                Some(_) => Err(format!("{key}: the environment variable {name} is empty")),
                None => Err(format!("{key}: the environment variable {name} is not set")),
            },
        }
    }

    /// Whether it was handed over at the start (a systemd credential, an environment variable), so
    /// that another one is only seen after a restart.
    pub fn is_of_start(&self) -> bool {
        matches!(self.from, From::Credential(..) | From::Variable(..))
    }

    /// Where it is, for a person.
    pub fn place(&self) -> String {
        match &self.from {
            From::File(path) if is_nothing(path) => "file (not there, not shown)".to_owned(),
            From::File(path) => format!("file {}", path.display()),
            From::Credential(name, _) => format!("credential {name}"),
            From::Variable(name, _) => format!("variable {name}"),
            From::Inline(_) => "inline (not shown)".to_owned(),
        }
    }

    /// When its file was last written. The file of a credential is made at each start, so that it
    /// tells nothing; the other ways have no file of their own.
    pub fn changed_at(&self) -> Option<SystemTime> {
        let From::File(path) = &self.from else {
            return None;
        };
        std::fs::metadata(path).ok()?.modified().ok()
    }

    /// Reads it anew at each call.
    pub fn provider(&self) -> PasswordProvider {
        let secret = self.clone();
        Arc::new(move || secret.read())
    }

    fn names_nothing(&self) -> bool {
        matches!(&self.from, From::File(path) if is_nothing(path))
    }

    /// Who else may read its file, if anybody may.
    fn exposure(&self) -> Option<String> {
        let From::File(path) = &self.from else {
            return None;
        };
        let about = std::fs::metadata(path).ok()?;
        let mode = about.permissions().mode();
        let forbidden = match about.uid() {
            0 if about.gid() != 0 => OTHERS_BUT_THE_GROUP,
            _ => OTHERS_MAY_READ,
        };
        (about.is_file() && mode & forbidden != 0).then(|| {
            format!(
                "{} may be read by others than its owner (mode {:04o})",
                path.display(),
                mode & 0o7777
            )
        })
    }
}

fn is_nothing(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

/// People type the password itself where its file is asked for: what names no file is not shown.
fn names_nothing(path: &Path) -> String {
    const UNSHOWN: &str = "(what it says is not shown, in case it is the password itself: put \
                           that into a file and name the file here)";
    match path.parent().filter(|folder| folder.is_dir()) {
        Some(folder) => format!("no such file in {} {UNSHOWN}", folder.display()),
        None => format!("no such file, nor its folder {UNSHOWN}"),
    }
}

fn read_file(path: &Path) -> Result<SecretString, String> {
    let file = File::open(path).map_err(|error| format!("cannot be read: {}", plain(&error)))?;
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {}", plain(&error)))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("is longer than {SECRET_BYTES_MAX} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    // Editors and `echo` end a file with a line break that belongs to no password.
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err("is empty".to_owned());
    }
    if secret.contains(['\n', '\r']) {
        return Err("holds more than one line".to_owned());
    }
    Ok(SecretString::from(secret))
}

/// What the system said, without the number.
pub(super) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// The keys that name one kind of secret, and what a person calls it.
struct Keys {
    file: &'static str,
    credential: &'static str,
    env: &'static str,
    inline: &'static str,
}

const PASSWORD: Keys = Keys {
    file: "password_file",
    credential: "password_credential",
    env: "password_env",
    inline: "password",
};

const TOKEN: Keys = Keys {
    file: "token_file",
    credential: "token_credential",
    env: "token_env",
    inline: "token",
};

const WEBHOOK_TOKEN: Keys = Keys {
    file: "webhook_token_file",
    credential: "webhook_token_credential",
    env: "webhook_token_env",
    inline: "webhook_token",
};

impl Keys {
    const fn all(&self) -> [&'static str; 4] {
        [self.file, self.credential, self.env, self.inline]
    }
}

/// The password of a section: exactly one of `password_file`, `password_credential`,
/// `password_env`, `password`. The section's own keys win over those of its defaults as a group.
pub(super) fn password(section: &Section<'_>, around: &Surroundings) -> Option<SecretSource> {
    let password = password_if_given(section, around);
    let keys = PASSWORD.all();
    if !keys.iter().any(|key| section.entry(key).is_some()) {
        let message = format!("a password is missing in [{}]", section.path);
        let hint = "set password_file (or password_credential, password_env, password)";
        let finding = Finding::error(&section.place(), message);
        section.add("password_file", finding.hint(hint));
    }
    password
}

/// The same where none is needed.
pub(super) fn password_if_given(
    section: &Section<'_>,
    around: &Surroundings,
) -> Option<SecretSource> {
    secret_if_given(section, around, &PASSWORD)
}

/// A token, likewise: one of `token_file`, `token_credential`, `token_env`, `token`.
pub(super) fn token_if_given(section: &Section<'_>, around: &Surroundings) -> Option<SecretSource> {
    secret_if_given(section, around, &TOKEN)
}

/// The token of the alarms' webhook, likewise.
pub(super) fn webhook_token_if_given(
    section: &Section<'_>,
    around: &Surroundings,
) -> Option<SecretSource> {
    secret_if_given(section, around, &WEBHOOK_TOKEN)
}

fn secret_if_given(
    section: &Section<'_>,
    around: &Surroundings,
    keys: &Keys,
) -> Option<SecretSource> {
    let has_own = keys.all().iter().any(|key| section.has_own(key));
    let counts = |key: &str| section.has_own(key) || !has_own;
    let source = |key: &str, from: From| SecretSource {
        key: match &section.subject {
            Some(subject) => format!("{} ({subject})", section.field(key)),
            None => section.field(key),
        },
        from,
    };
    let mut found: Vec<(&str, Place, SecretSource)> = Vec::new();
    if let Some(path) = section.path(keys.file).optional() {
        let from = From::File(path.value);
        found.push((keys.file, path.place, source(keys.file, from)));
    }
    if let Some(name) = section.text(keys.credential).optional() {
        if name.value.contains('/') || name.value.starts_with('.') {
            let message = format!("`{}` is a credential's name, not a path", keys.credential);
            section.add(keys.credential, Finding::error(&name.place, message));
        }
        let path = around.credentials.as_ref().map(|at| at.join(&name.value));
        let from = From::Credential(name.value, path);
        found.push((keys.credential, name.place, source(keys.credential, from)));
    }
    if let Some(name) = section.text(keys.env).optional() {
        let from = From::Variable(name.value, around.variable);
        found.push((keys.env, name.place, source(keys.env, from)));
    }
    if let Some(secret) = section.secret_text(keys.inline) {
        let from = From::Inline(SecretString::from(secret.value));
        found.push((keys.inline, secret.place, source(keys.inline, from)));
    }
    found.retain(|(key, _, _)| counts(key));
    pick(section, found, keys.inline)
}

fn pick(
    section: &Section<'_>,
    found: Vec<(&str, Place, SecretSource)>,
    word: &str,
) -> Option<SecretSource> {
    if let [(first, ..), (second, place, _), ..] = found.as_slice() {
        let message = format!("both `{first}` and `{second}` are set");
        let hint = format!("keep the one that holds the {word}");
        section.add(second, Finding::error(place, message).hint(hint));
    }
    let (key, place, secret) = found.into_iter().next()?;
    if let Err(why) = secret.read() {
        // The key is named by the problem already.
        let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why);
        let message = if section.reader.document(&place).is_well_formed() {
            format!("the {word} cannot be read: {why}")
        } else {
            format!("the {word} cannot be read")
        };
        let finding = Finding {
            is_unshown: secret.names_nothing(),
            ..Finding::warning(&place, message)
        };
        section.add(
            key,
            finding.hint("this connection is held until it can; everything else runs"),
        );
    }
    if let Some(exposure) = secret.exposure()
        && section.reader.document(&place).is_well_formed()
    {
        let finding = Finding::warning(&place, exposure);
        section.add(
            key,
            finding.hint(
                "chmod 0600, owned by the service's user; or 0640, of root and the service's group",
            ),
        );
    }
    Some(secret)
}
