//! Decoded manifest lists and manifests by path, bounded by bytes and shared by sessions.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use iceberg::spec::ManifestFile;

use super::manifest::DecodedManifest;

/// What one file was decoded to.
#[derive(Debug, Clone)]
pub(crate) enum Decoded {
    /// A manifest list's entries.
    List(Arc<Vec<ManifestFile>>),
    /// A manifest's entries.
    Manifest(Arc<DecodedManifest>),
}

/// Keeps what was used last, up to a number of bytes. Files of a table never change under their
/// path, so nothing in it can be outdated. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ManifestCache {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    by_path: HashMap<String, Entry>,
    /// Paths by when they were last used, oldest first.
    by_use: BTreeMap<u64, String>,
    uses: u64,
    bytes: u64,
    bytes_max: u64,
}

#[derive(Debug)]
struct Entry {
    decoded: Decoded,
    bytes: u64,
    used: u64,
}

impl ManifestCache {
    /// A cache of at most `bytes_max` bytes; with 0 nothing is kept.
    pub fn new(bytes_max: u64) -> Self {
        Self {
            entries: Arc::new(Mutex::new(Entries {
                bytes_max,
                ..Entries::default()
            })),
        }
    }

    /// Bytes that are kept, as estimated from the decoded values.
    pub fn size_bytes(&self) -> u64 {
        self.lock().bytes
    }

    pub(crate) fn get(&self, path: &str) -> Option<Decoded> {
        let mut entries = self.lock();
        let used = entries.next_use();
        let entry = entries.by_path.get_mut(path)?;
        let before = std::mem::replace(&mut entry.used, used);
        let decoded = entry.decoded.clone();
        if let Some(path) = entries.by_use.remove(&before) {
            entries.by_use.insert(used, path);
        }
        Some(decoded)
    }

    pub(crate) fn insert(&self, path: &str, decoded: Decoded, bytes: u64) {
        let bytes = bytes.saturating_add(2 * path.len() as u64);
        let mut entries = self.lock();
        entries.remove(path);
        if bytes > entries.bytes_max {
            return;
        }
        while entries.bytes.saturating_add(bytes) > entries.bytes_max {
            let Some((_, oldest)) = entries.by_use.pop_first() else {
                break;
            };
            entries.remove(&oldest);
        }
        let used = entries.next_use();
        entries.bytes += bytes;
        entries.by_use.insert(used, path.to_owned());
        let entry = Entry {
            decoded,
            bytes,
            used,
        };
        entries.by_path.insert(path.to_owned(), entry);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        // A panic elsewhere cannot leave the maps half-changed in a way that gives wrong values.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn remove(&mut self, path: &str) {
        if let Some(entry) = self.by_path.remove(path) {
            self.bytes -= entry.bytes;
            self.by_use.remove(&entry.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Decoded {
        Decoded::List(Arc::default())
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = ManifestCache::new(30);
        cache.insert("a", list(), 8);
        cache.insert("b", list(), 8);
        cache.insert("c", list(), 8);
        assert_eq!(cache.size_bytes(), 30);
        assert!(cache.get("a").is_some());
        cache.insert("d", list(), 8);
        assert!(cache.get("b").is_none());
        assert!(cache.get("a").is_some() && cache.get("c").is_some() && cache.get("d").is_some());
        cache.insert("e", list(), 28);
        assert!(cache.get("a").is_none() && cache.get("e").is_some());
        assert_eq!(cache.size_bytes(), 30);
    }

    #[test]
    fn what_is_larger_than_the_cache_is_not_kept() {
        let cache = ManifestCache::new(10);
        cache.insert("a", list(), 9);
        assert!(cache.get("a").is_none());
        assert_eq!(cache.size_bytes(), 0);
    }
}
