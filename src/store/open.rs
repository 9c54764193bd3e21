//! Opening: refuse what must not be touched, set aside what is damaged, make what is missing.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableError};

use super::DeliveryProgress;
use super::beside::{self, BESIDE};
use super::codec::{self, FastMap, Interner, Reader, Slot};
use super::dictionary::Dictionary;
use super::engine::{Engine, guarded};
use super::fold::{self, AgentKey, Said};
use super::journal;
use super::live::{Live, Position, Riding};
use super::overlay::Held;
use super::place::Place;
use super::rescue;
use super::rows::AgentRow;
use super::tables::{AGENT_STATES, DICTIONARY, JOURNAL, META, SEALED, body};
use super::upgrade::{self, Reformatted};
use super::walk;
use super::{OpenOrigin, Opened, PlantedBug, Store, StoreError, StoreOptions};
use crate::domain::ids::{BoxId, DestinationName, RecordSeq, StoreId};
use crate::domain::record::Record;
use crate::domain::timestamp::{Now, WallTime};

/// The format of the whole store: tables, keys, values.
pub const FORMAT: u32 = 3;

/// `meta`: the format, 4 bytes, written once.
pub(super) const KEY_FORMAT: &[u8] = b"format";
pub(super) const KEY_STORE_ID: &[u8] = b"store_id";
pub(super) const KEY_BOX_ID: &[u8] = b"box_id";
pub(super) const KEY_INSTALLED_AT: &[u8] = b"installed_at";
/// `meta`: there in a backup only; the store that is restored from it takes a new identity.
pub(super) const KEY_BACKUP: &[u8] = b"backup";

pub(super) fn open(
    place: Place,
    options: &StoreOptions,
    now: Now,
    planted: Option<PlantedBug>,
) -> Result<Opened, StoreError> {
    place.prepare()?;
    let existed = place.exists();
    let (loaded, origin) = match open_place(&place, options, now) {
        Ok(loaded) => {
            let origin = match (&loaded.upgraded, &loaded.copied, existed) {
                (Some(upgraded), ..) => OpenOrigin::Upgraded(upgraded.clone()),
                (None, Some((aside, reason)), _) => OpenOrigin::Copied {
                    aside: aside.clone(),
                    reason: reason.clone(),
                },
                (None, None, true) => OpenOrigin::Existing,
                (None, None, false) => OpenOrigin::New,
            };
            (loaded, origin)
        }
        Err(StoreError::Damaged(reason)) => {
            let aside = place.set_aside(now.wall, &reason)?;
            let loaded = open_place(&place, options, now)?;
            (loaded, OpenOrigin::Replaced { aside, reason })
        }
        Err(other) => return Err(other),
    };
    let engine = Engine::new(options.clone(), place, planted, loaded.db, loaded.live);
    engine.begin_ageing(now);
    Ok(Opened {
        store: Store::new(engine),
        origin,
    })
}

/// An open database and what the writer knows of it.
pub(super) struct Loaded {
    pub(super) db: Database,
    pub(super) live: Live,
    upgraded: Option<Reformatted>,
    copied: Option<Copied>,
}

/// Where the damaged file lies of which this is a copy, and what was wrong with it.
type Copied = (PathBuf, String);

/// Opens and loads what is there, or makes a new store.
pub(super) fn open_place(
    place: &Place,
    options: &StoreOptions,
    now: Now,
) -> Result<Loaded, StoreError> {
    let mut copied = None;
    let known = if place.exists() {
        let (db, held) = hold_or_copy(place, options, now, &mut copied)?;
        guarded(|| know(db, held, place))?
    } else {
        Known::Nothing
    };
    let (db, older) = match known {
        Known::Present(db) => (Some(db), None),
        Known::Older(from) => (None, Some(from)),
        Known::Nothing => (None, None),
    };
    let upgraded = match older {
        Some(from) => Some(Reformatted {
            from,
            to: FORMAT,
            backup: upgrade::keep_former(place, from)?,
        }),
        None => None,
    };
    guarded(|| {
        let db = match db {
            Some(db) => db,
            None => place.open(options)?,
        };
        if let Some(from) = older {
            upgrade::bring_up(&db, from)?;
        }
        if read_meta(&db.begin_read()?, KEY_FORMAT)?.is_none() {
            create(&db, place, options, now)?;
        }
        if read_meta(&db.begin_read()?, KEY_BACKUP)?.is_some() {
            restore(&db, place, now)?;
        }
        upgrade::sign(&db)?;
        let live = load(&db.begin_read()?, now)?;
        Ok(Loaded {
            db,
            live,
            upgraded,
            copied,
        })
    })
}

/// Opens what is there; where it is damaged, a copy of what can be read of it.
fn hold_or_copy(
    place: &Place,
    options: &StoreOptions,
    now: Now,
    copied: &mut Option<Copied>,
) -> Result<(Database, Option<Held>), StoreError> {
    let reason = match guarded(|| place.hold(options)) {
        Err(StoreError::Damaged(reason)) => reason,
        other => return other,
    };
    let Ok(aside) = rescue::copy_over(place, options, now.wall) else {
        return Err(StoreError::Damaged(reason));
    };
    *copied = Some((aside, reason));
    guarded(|| place.hold(options))
}

/// What is there.
enum Known {
    /// A store of the present format, or one that was begun and holds nothing yet.
    Present(Database),
    /// A store of an older format, closed again.
    Older(u32),
    Nothing,
}

/// Looks at the format without a trace in the file, and lets the present one through.
fn know(db: Database, held: Option<Held>, place: &Place) -> Result<Known, StoreError> {
    if let Some(older) = format_of(&db, place)?.filter(|found| *found < FORMAT) {
        return Ok(Known::Older(older));
    }
    held.map_or(Ok(()), Held::let_through)?;
    Ok(Known::Present(db))
}

/// The format of the file, of those that this program knows; none where nothing was written yet.
pub(super) fn found_format(
    place: &Place,
    options: &StoreOptions,
) -> Result<Option<u32>, StoreError> {
    format_of(&place.hold(options)?.0, place)
}

pub(super) fn format_of(
    db: &impl ReadableDatabase,
    place: &Place,
) -> Result<Option<u32>, StoreError> {
    let txn = db.begin_read()?;
    let Some(format) = read_meta(&txn, KEY_FORMAT)? else {
        return Ok(None);
    };
    let found = Reader::new(&format)
        .u32_fixed()
        .map_err(|error| META.damaged(KEY_FORMAT, error))?;
    match found {
        0 => Err(META.damaged(KEY_FORMAT, "there never was a format 0")),
        1..=FORMAT => Ok(Some(found)),
        _ => {
            // What a later format does with this key is not known here: it is shown, not trusted.
            let writer = read_meta(&txn, upgrade::KEY_WRITTEN_BY).ok().flatten();
            let writer = writer.map(|name| String::from_utf8_lossy(&name).into_owned());
            Err(StoreError::FromTheFuture {
                path: place.path(),
                found,
                known: FORMAT,
                written_by: writer.unwrap_or_else(|| "of an unknown version".to_owned()),
            })
        }
    }
}

pub(super) fn read_meta(txn: &ReadTransaction, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    META.read(txn)?.get(key)
}

/// The first transaction: every table, the identity, the position.
fn create(
    db: &Database,
    place: &Place,
    options: &StoreOptions,
    now: Now,
) -> Result<(), StoreError> {
    let installed_at = place.installed_at().unwrap_or(now.wall);
    let mut txn = db.begin_write()?;
    walk::make_durable(&mut txn, true);
    {
        beside::put_position(&mut txn.open_table(JOURNAL)?, &Position::START)?;
        for table in SEALED {
            table.write(&txn)?;
        }
        let mut meta = META.write(&txn)?;
        let store_id = place.new_store_id(now);
        meta.put(KEY_FORMAT, FORMAT.to_le_bytes().to_vec())?;
        meta.put(KEY_STORE_ID, store_id.bits().to_le_bytes().to_vec())?;
        meta.put(KEY_BOX_ID, options.box_id.as_str().as_bytes().to_vec())?;
        meta.put(KEY_INSTALLED_AT, body(|w| w.time(installed_at)))?;
    }
    upgrade::name_writer(&txn)?;
    txn.commit()?;
    place.remember_installed_at(installed_at);
    Ok(())
}

/// A restored backup is another store: destinations may hold what came after it (invariant 2).
fn restore(db: &Database, place: &Place, now: Now) -> Result<(), StoreError> {
    let mut txn = db.begin_write()?;
    walk::make_durable(&mut txn, true);
    {
        let mut meta = META.write(&txn)?;
        let store_id = place.new_store_id(now);
        meta.put(KEY_STORE_ID, store_id.bits().to_le_bytes().to_vec())?;
        meta.remove(KEY_BACKUP)?;
    }
    txn.commit()?;
    Ok(())
}

/// Everything that the writer knows, from the tables and the records after the checkpoint.
fn load(txn: &ReadTransaction, now: Now) -> Result<Live, StoreError> {
    let meta = META.read(txn)?;
    let required = |key: &[u8]| {
        meta.get(key)?
            .ok_or_else(|| META.damaged(key, "it is missing"))
    };
    let store_id = Reader::new(&required(KEY_STORE_ID)?)
        .u128_fixed()
        .map_err(|error| META.damaged(KEY_STORE_ID, error))?;
    let box_id = String::from_utf8(required(KEY_BOX_ID)?)
        .ok()
        .and_then(|text| BoxId::new(&text).ok())
        .ok_or_else(|| META.damaged(KEY_BOX_ID, "it is no box id"))?;
    let installed_at: WallTime = Reader::new(&required(KEY_INSTALLED_AT)?)
        .time()
        .map_err(|error| META.damaged(KEY_INSTALLED_AT, error))?;
    let table = match txn.open_table(JOURNAL) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => {
            return Err(StoreError::Damaged("there is no journal".to_owned()));
        }
        Err(other) => return Err(other.into()),
    };
    let mut live = Live {
        store_id: StoreId::from_bits(store_id),
        box_id,
        installed_at,
        position: beside::position_in(&table)?,
        dictionary: Dictionary::load(&DICTIONARY.read(txn)?)?,
        agents: FastMap::default(),
        checkpoint_at: now.mono,
        checkpoint_wanted: false,
        feed_states: HashMap::new(),
        feed_keys: HashMap::new(),
        cursors: HashMap::new(),
        cursor_keys: HashMap::new(),
        riding: Riding::default(),
        hours: HashSet::new(),
        unsettled: Vec::new(),
    };
    for (key, state) in beside::feed_states(&table)? {
        let feed = (state.source.clone(), state.feed);
        live.feed_keys.insert(feed.clone(), key);
        live.feed_states.insert(feed, state);
    }
    for (key, name, cursor) in beside::cursors(&table)? {
        live.cursor_keys.insert(name.clone(), key);
        live.cursors.insert(name, cursor);
    }
    check_position(&table, live.position.last)?;
    replay(txn, &mut live)?;
    Ok(live)
}

/// What the destinations of a store had acknowledged; the file may be of any format.
pub(super) fn read_cursors(
    txn: &ReadTransaction,
) -> Result<Vec<(DestinationName, DeliveryProgress)>, StoreError> {
    let cursors = beside::cursors(&txn.open_table(JOURNAL)?)?.into_iter();
    let former = upgrade::former_cursors(txn)?.into_iter();
    Ok(cursors
        .map(|(_, name, cursor)| (name, cursor))
        .chain(former)
        .map(|(name, cursor)| (name, cursor.progress))
        .collect())
}

/// The journal's last block must end where the position says, unless its header is damaged: then
/// the position is believed, and the block is set aside when it is read.
fn check_position(
    table: &impl ReadableTable<u64, &'static [u8]>,
    last: RecordSeq,
) -> Result<(), StoreError> {
    let Some((key, value)) = table.range(..BESIDE)?.next_back().transpose()? else {
        return Ok(());
    };
    let header = codec::Header::check(value.value());
    let fits = match header {
        Ok(header) => header.first.get() == key.value() && header.range().last == last,
        Err(_) => key.value() <= last.get(),
    };
    if fits {
        Ok(())
    } else {
        Err(StoreError::Damaged(format!(
            "the journal does not end at seq {last}"
        )))
    }
}

/// Folds the transactions after the checkpoint.
fn replay(txn: &ReadTransaction, live: &mut Live) -> Result<(), StoreError> {
    let from = live.position.checkpoint.next();
    let mut interner = Interner::default();
    journal::for_each_block(txn, from, live.position.last, |found| {
        // A damaged block is set aside when a reader comes by; the states in it are lost.
        if let Some(block) = found.decode(&mut interner) {
            for (slot, n) in block.slots.iter().zip(0..) {
                let seq = block.header.first.plus(n);
                if let Slot::Record(Record::Transaction(change)) = slot
                    && seq >= from
                {
                    let key = (
                        live.dictionary.source(&change.source),
                        live.dictionary.agent(&change.agent),
                    );
                    fold::take_state(&mut live.agents, key, fold::agent_row(change, seq));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Writes the agents that changed since the checkpoint into the table; the later state wins.
pub(super) fn write_checkpoint(
    txn: &redb::WriteTransaction,
    live: &mut Live,
    said: Vec<Said>,
) -> Result<i64, StoreError> {
    let mut table = AGENT_STATES.write(txn)?;
    let mut grown = 0;
    let fresh: Vec<(AgentKey, AgentRow)> = said
        .into_iter()
        .map(|said| ((said.source, live.dictionary.agent(&said.agent)), said.row))
        .collect();
    let known = live.agents.iter();
    let mut rows: Vec<(&AgentKey, &AgentRow)> = known
        .chain(fresh.iter().map(|(key, row)| (key, row)))
        .collect();
    // By key, so that neighbours in the table come together; of one agent the later word last.
    rows.sort_by_key(|(key, row)| (**key, row.since));
    for same in rows.chunk_by(|a, b| a.0 == b.0) {
        let Some(&(&(source, agent), row)) = same.last() else {
            continue;
        };
        let key = super::tables::agent_key(source, agent);
        let stored = table.get(&key)?;
        let stored = stored
            .map(|value| AgentRow::read(&value, |n| live.dictionary.state_name(n).ok()))
            .transpose()
            .map_err(|error| AGENT_STATES.damaged(&key, error))?;
        if stored.is_some_and(|stored| stored.since > row.since) {
            continue;
        }
        let state = live.dictionary.state(&row.state);
        grown += table.put(&key, body(|w| row.write(w, state)))?;
    }
    Ok(grown)
}
