//! What the footer of every captured file says of its origin: the source, and under which key people have pseudonyms in it;
//! neither run nor clock.

use std::{collections::BTreeMap, fs::File};

use shared::lake::{LakeError, LakeKey, parquet_file::Reader};

const HIDDEN: &str = "wastewalk.pseudonyms";

/// The footer of files that were captured from `source`; `hidden` says [under which key](crate::personal::hidden_under) people
/// have pseudonyms in them, if they do.
pub fn footer(source: &str, hidden: Option<String>) -> BTreeMap<String, String> {
    let hidden = hidden.map(|hidden| (HIDDEN.to_owned(), hidden));
    hidden.into_iter().chain([("wastewalk.source".to_owned(), source.to_owned())]).collect()
}

/// Under which key people have pseudonyms in a captured file, as [`shared::lake::Lake::fetch`] gave it for `key`.
///
/// # Errors
/// If it is no Parquet file of ours.
pub fn hidden(key: &LakeKey, file: File) -> Result<Option<String>, LakeError> {
    Ok(Reader::open(key, file)?.metadata(HIDDEN).map(str::to_owned))
}
