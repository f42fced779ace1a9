//! Manifests of one spec gathered and cut anew, with the same files.

/// Rewrites the manifests of a branch's snapshot toward `commit.manifest.target-size-bytes`, data
/// and delete manifests apart. Files, their sequence numbers and their row ids stay.
///
/// How many manifests went and came is told by `manifests-replaced` and `manifests-created` of the
/// new snapshot's summary; when there is nothing to gain, nothing is committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RewriteManifests {
    /// The partition spec whose manifests are rewritten; the current one when unset.
    pub spec_id: Option<i32>,
    /// The partition fields to sort the files by, by name; all in the order of the spec when empty.
    pub sort_by: Vec<String>,
    /// The branch; `main` when unset.
    pub branch: Option<String>,
}
