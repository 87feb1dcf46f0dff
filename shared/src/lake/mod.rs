//! The lake: immutable objects on S3, each named after the SHA-256 of its bytes.
//!
//! Writing is create-only (`If-None-Match: *`), reading verifies: bytes that do not match their key are refused.

mod digest;
mod key;
pub mod parquet_file;
pub mod siblings;

use std::{
    fs::File,
    io::{self, Seek, Write},
    path::PathBuf,
};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::{ByteStream, ByteStreamError},
    types::MetadataDirective,
};
use tempfile::NamedTempFile;

pub use digest::{HashingWriter, Sha256};
pub use key::{Entity, LakeKey, Partition};

use crate::{
    telemetry::{Traffic, said},
    time::Malformed,
};

/// No reader decodes an object larger than this, in bytes: more than a day of any organisation, less than a
/// function's disk.
pub const MAX_OBJECT_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// What can go wrong between a function and its lake.
#[allow(missing_docs, reason = "the message of each variant names its fields")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The object's bytes are not the ones its key names.
    #[error("{key} was changed: its bytes have SHA-256 {found}; restore the object from its earlier version")]
    Tampered { key: String, found: Sha256 },
    /// The object is larger than any reader accepts.
    #[error("{key} has {bytes} bytes, more than the {MAX_OBJECT_BYTES} that a reader accepts")]
    TooLarge { key: String, bytes: u64 },
    /// The bytes are right but they are not a file this reader can use.
    #[error("{key} cannot be read: {reason}")]
    Unreadable { key: String, reason: String },
    /// Two objects claim to be the same thing.
    #[error("{what} exists twice, as {first} and {second}; a generation is written once")]
    Ambiguous { what: String, first: String, second: String },
    /// A key that is none of ours.
    #[error(transparent)]
    Key(#[from] Malformed),
    /// S3 refused or did not answer. Trying again may help.
    #[error("S3 could not {action} {key}: {reason}")]
    Storage { action: &'static str, key: String, reason: String },
    /// The function's own disk.
    #[error("the temporary file could not be used")]
    Disk(#[from] io::Error),
}

impl LakeError {
    fn storage<E: ProvideErrorMetadata + std::error::Error + 'static>(
        action: &'static str,
        key: impl ToString,
        error: SdkError<E>,
    ) -> Self {
        Self::Storage { action, key: key.to_string(), reason: said(&error) }
    }
}

/// A finished file on disk, with what its key will say of it. The file goes when this is dropped.
#[derive(Debug)]
pub struct Sealed {
    file: NamedTempFile,
    /// Of its bytes.
    pub sha256: Sha256,
}

impl Sealed {
    /// Seals what `writer` wrote.
    pub fn new(writer: HashingWriter<NamedTempFile>) -> io::Result<Self> {
        let (mut file, sha256) = writer.finish();
        file.flush()?;
        Ok(Self { file, sha256 })
    }

    /// Seals bytes that are at hand.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let mut writer = HashingWriter::new(NamedTempFile::new()?);
        writer.write_all(bytes)?;
        Self::new(writer)
    }

    /// A fresh handle at the start of the file.
    pub fn reopen(&self) -> io::Result<File> {
        self.file.reopen()
    }

    fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.as_file().metadata()?.len())
    }
}

/// Whether a create-only PUT made the object or found it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// This call made it.
    New,
    /// It was there already, with the same bytes: a duplicate, or the lost answer to our own earlier try.
    Already,
}

/// An object as a LIST shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its parsed key.
    pub key: LakeKey,
    /// Its length in bytes.
    pub bytes: u64,
}

/// One bucket, reached through the real S3 protocol.
#[derive(Debug, Clone)]
pub struct Lake {
    client: Client,
    bucket: String,
    traffic: Traffic,
}

impl Lake {
    /// The lake in `bucket`.
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self { client, bucket: bucket.into(), traffic: Traffic::default() }
    }

    /// The same lake, whose bytes are counted by `traffic`.
    pub fn counted_by(&self, traffic: &Traffic) -> Self {
        Self { traffic: traffic.clone(), ..self.clone() }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Publishes `sealed` under `key`, create-only: of any number of attempts one wins, and nothing is ever replaced.
    ///
    /// # Errors
    /// [`LakeError::Tampered`] if the key is taken by other bytes.
    pub async fn create(&self, key: &LakeKey, sealed: &Sealed) -> Result<Created, LakeError> {
        const ATTEMPTS: usize = 5;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let body = ByteStream::from_path(sealed.path()).await.map_err(disk)?;
            let put = self.client.put_object().bucket(&self.bucket).key(key.to_string()).if_none_match("*");
            match put.checksum_sha256(sealed.sha256.base64()).body(body).send().await {
                Ok(_) => {
                    self.traffic.written(sealed.bytes()?);
                    return Ok(Created::New);
                }
                Err(error) => match status(&error) {
                    // 409: another conditional write of this key is under way; its outcome decides ours.
                    Some(409) if attempt < ATTEMPTS => continue,
                    // 412: the key is taken. By the same bytes, if nobody tampered with it.
                    Some(412) => {
                        let found = self.digest(key).await?;
                        return if found == sealed.sha256 {
                            Ok(Created::Already)
                        } else {
                            Err(LakeError::Tampered { key: key.to_string(), found })
                        };
                    }
                    _ => return Err(LakeError::storage("create", key, error)),
                },
            }
        }
    }

    /// Fetches an object to a temporary file and verifies it against its key.
    ///
    /// # Errors
    /// [`LakeError::Tampered`] if the bytes are not those that the key names.
    pub async fn fetch(&self, key: &LakeKey) -> Result<File, LakeError> {
        let (mut file, found) = self.download(key).await?;
        match key.sha256() {
            Some(expected) if expected != found => Err(LakeError::Tampered { key: key.to_string(), found }),
            _ => {
                file.rewind()?;
                Ok(file)
            }
        }
    }

    async fn digest(&self, key: &LakeKey) -> Result<Sha256, LakeError> {
        Ok(self.download(key).await?.1)
    }

    async fn download(&self, key: &LakeKey) -> Result<(File, Sha256), LakeError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key.to_string());
        let mut object = request.send().await.map_err(|error| LakeError::storage("read", key, error))?;
        let bytes = object.content_length().unwrap_or_default().unsigned_abs();
        if bytes > MAX_OBJECT_BYTES {
            return Err(LakeError::TooLarge { key: key.to_string(), bytes });
        }
        let mut writer = HashingWriter::new(tempfile::tempfile()?);
        while let Some(chunk) = object.body.try_next().await.map_err(disk)? {
            writer.write_all(&chunk)?;
            self.traffic.read(chunk.len() as u64);
        }
        Ok(writer.finish())
    }

    /// Uploads an object onto itself, as an operator does: its bytes stay, its metadata is replaced, and it is announced
    /// again to every function that it is for. No function is allowed to.
    pub async fn upload_again(&self, key: &LakeKey) -> Result<(), LakeError> {
        let copy = self.client.copy_object().bucket(&self.bucket).key(key.to_string());
        let copy = copy.copy_source(format!("{}/{key}", self.bucket)).metadata_directive(MetadataDirective::Replace);
        copy.send().await.map_err(|error| LakeError::storage("upload again", key, error))?;
        Ok(())
    }

    /// Deletes every annotation of a partition, whoever wrote it: they can be made again. Says how many there were. No
    /// function is allowed to.
    pub async fn delete_annotations(&self, partition: Partition) -> Result<usize, LakeError> {
        let annotations = self.list(&partition.annotations_prefix(), None).await?;
        for Listed { key, .. } in &annotations {
            let delete = self.client.delete_object().bucket(&self.bucket).key(key.to_string());
            delete.send().await.map_err(|error| LakeError::storage("delete", key, error))?;
        }
        Ok(annotations.len())
    }

    /// Every object under `prefix` whose key is after `start_after`, in key order. Objects that are not the lake's are
    /// reported in the log and left out.
    pub async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, LakeError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let mut pages = request.set_start_after(start_after.map(str::to_owned)).into_paginator().send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page.map_err(|error| LakeError::storage("list", prefix, error))?.contents() {
                let key = object.key().unwrap_or_default();
                match key.parse() {
                    Ok(key) => listed.push(Listed { key, bytes: object.size().unwrap_or_default().unsigned_abs() }),
                    Err(error) => tracing::warn!(%error, "an object that is not the lake's was left alone"),
                }
            }
        }
        Ok(listed)
    }

    /// The base object of a partition, or `None` if nothing was captured there.
    ///
    /// # Errors
    /// [`LakeError::Ambiguous`] if there are two.
    pub async fn base(&self, partition: Partition) -> Result<Option<LakeKey>, LakeError> {
        let mut keys = self.list(&partition.activities_prefix(), None).await?.into_iter().map(|listed| listed.key);
        match (keys.next(), keys.next()) {
            (Some(first), Some(second)) => Err(LakeError::Ambiguous {
                what: format!("the base of {partition}"),
                first: first.to_string(),
                second: second.to_string(),
            }),
            (base, _) => Ok(base),
        }
    }

    /// Every base object of the days from `from` to `to`, both included, by day and then oldest first, with its length.
    pub async fn bases(
        &self,
        from: crate::time::LocalDay,
        to: crate::time::LocalDay,
    ) -> Result<Vec<Listed>, LakeError> {
        let (start, end) = (format!("activities/date={from}/"), format!("activities/date={to}/~"));
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix("activities/").start_after(start);
        let mut pages = request.into_paginator().send();
        let mut bases = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page.map_err(|error| LakeError::storage("list", "activities/", error))?.contents() {
                let key = object.key().unwrap_or_default();
                if key > end.as_str() {
                    return Ok(bases);
                }
                let bytes = object.size().unwrap_or_default().unsigned_abs();
                bases.extend(key.parse().ok().map(|key| Listed { key, bytes }));
            }
        }
        Ok(bases)
    }

    /// The newest base object of each captured day from `from` on (all of history when `None`), in day order.
    pub async fn newest_bases(&self, from: Option<crate::time::LocalDay>) -> Result<Vec<LakeKey>, LakeError> {
        let start = from.map(|day| format!("activities/date={day}/"));
        let mut newest: Vec<LakeKey> = Vec::new();
        for Listed { key, .. } in self.list("activities/", start.as_deref()).await? {
            let Some(partition) = key.partition() else { continue };
            match newest.last_mut() {
                // Keys come in order, so a later generation of the same day replaces the one before.
                Some(last) if last.partition().is_some_and(|last| last.day == partition.day) => *last = key,
                _ => newest.push(key),
            }
        }
        Ok(newest)
    }
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn disk(error: ByteStreamError) -> LakeError {
    LakeError::Disk(error.into())
}
