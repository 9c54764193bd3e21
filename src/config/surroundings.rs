//! What a configuration depends on beside its files: the machine's id, its time zones, the
//! environment.

use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;

use crate::domain::ids::BoxId;

/// The key under which the machine id is hashed. systemd asks for such a hash, because the id
/// itself must not leave the machine (machine-id(5)); another key would rename every box.
const MACHINE_ID_KEY: &[u8] = b"thrio-edge box id, version 1";
/// Eight bytes tell a few million boxes apart.
const BOX_ID_BYTES: usize = 8;

/// The machine around the configuration. Tests put their own in its place.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Files that may hold the machine's id, the first that can be read counts.
    pub machine_id: Vec<PathBuf>,
    /// The folder of the system's time zones.
    pub zoneinfo: PathBuf,
    /// Where systemd put the unit's credentials.
    pub credentials: Option<PathBuf>,
    /// Reads an environment variable.
    pub variable: fn(&str) -> Option<String>,
}

impl Surroundings {
    /// This machine.
    pub fn system() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        Self {
            machine_id: ["/etc/machine-id", "/var/lib/dbus/machine-id"]
                .map(PathBuf::from)
                .to_vec(),
            zoneinfo: PathBuf::from("/usr/share/zoneinfo"),
            credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            variable,
        }
    }

    /// A name for the box that stays the same and does not tell the machine's id.
    pub(super) fn derived_box_id(&self) -> Option<BoxId> {
        let id = self.machine_id.iter().find_map(|path| {
            let text = std::fs::read_to_string(path).ok()?;
            let text = text.trim();
            let is_id = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
            is_id.then(|| text.to_ascii_lowercase())
        })?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, MACHINE_ID_KEY);
        let tag = hmac::sign(&key, id.as_bytes());
        let (first, _) = tag
            .as_ref()
            .split_first_chunk::<BOX_ID_BYTES>()
            .expect("a SHA-256 tag has 32 bytes");
        let name = format!("box-{:016x}", u64::from_be_bytes(*first));
        Some(BoxId::new(&name).expect("twenty letters and digits are a box id"))
    }

    /// Whether the system knows this time zone. The error is what is wrong with the name.
    pub(super) fn check_zone(&self, name: &str) -> Result<(), String> {
        let is_name = !name.is_empty()
            && !name.starts_with(['/', '.'])
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b));
        if !is_name {
            return Err("is no name of a time zone".to_owned());
        }
        // UTC needs no file, and a slim container has none.
        if name == "UTC" || is_zone_file(&self.zoneinfo.join(name)) {
            return Ok(());
        }
        if self.zoneinfo.is_dir() {
            Err("is no time zone that this system knows".to_owned())
        } else {
            Err(format!(
                "cannot be looked up: {} is not there (install tzdata)",
                self.zoneinfo.display()
            ))
        }
    }
}

fn is_zone_file(path: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"TZif"
}
