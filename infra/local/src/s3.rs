//! The embedded S3: the real wire protocol in front of a folder.
//!
//! [`s3s`] speaks the protocol and checks signatures; this backend is the dozen operations that wastewalk uses, over
//! [`LocalFileSystem`]. A bucket is a folder of the root and an object is a file, so a lake can be looked at, copied and
//! read by any engine. Every upload is written to a staging folder, verified there, and only then moved to its key:
//! nobody reads half an object, and of any number of create-only PUTs of one key exactly one wins.
//!
//! What S3 has and this has not: versions, metadata, multipart uploads, access control beyond one key pair, and keys
//! outside `A-Z a-z 0-9 / _ . = -`. A key cannot be both an object and a folder. What is not there answers
//! `NotImplemented` or `InvalidArgument`, never with a guess.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use object_store::{
    GetOptions, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, RenameOptions, RenameTargetMode,
    WriteMultipart, local::LocalFileSystem, path::Path as Location,
};
use s3s::{
    S3, S3Error, S3Request, S3Response, S3Result, TrailingHeaders,
    auth::SimpleAuth,
    checksum::ChecksumHasher,
    crypto::{Checksum, Md5, Sha1, Sha256},
    dto::{
        Bucket, CommonPrefix, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, CreateBucketInput,
        CreateBucketOutput, DeleteObjectInput, DeleteObjectOutput, ETag, GetObjectInput, GetObjectOutput,
        HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
        ListObjectsV2Input, ListObjectsV2Output, MetadataDirective, Object, PutObjectInput, PutObjectOutput, Range,
        StreamingBlob, Timestamp,
    },
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use shared::event::ObjectCreated;
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt, SeekFrom},
    net::TcpListener,
    sync::{mpsc::UnboundedSender, watch},
    task::{JoinHandle, JoinSet},
};

/// The largest object of one PUT, in bytes, as on S3.
const MAX_PUT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// How many bytes of an object are in memory at once, each way.
const CHUNK_BYTES: usize = 1024 * 1024;

/// S3 never lists more in one page.
const MAX_PAGE: usize = 1000;

/// No bucket can have this name, so staged uploads are in nobody's way.
const STAGING: &str = ".staging";

/// The longest folder or file name that every file system takes, in bytes.
const MAX_SEGMENT_BYTES: usize = 255;

/// The one key pair that may use the store; other programs on the machine do not have it.
#[derive(Clone)]
pub struct Credentials {
    /// The access key's id.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

/// A running store. It stops when this is dropped; [`S3Server::stop`] also waits for requests under way.
#[derive(Debug)]
pub struct S3Server {
    /// Where it listens: a free port of 127.0.0.1.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl S3Server {
    /// The endpoint to give to an SDK. Clients address buckets by path.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more requests and waits until those under way are answered.
    ///
    /// # Errors
    /// If the server had failed before.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.accepting.await.context("the S3 server failed")
    }
}

/// Serves the buckets under `root`, which is made if it is missing, on a port of 127.0.0.1 (0 is any free one), to whoever
/// signs with `credentials`.
/// Each object that was put or copied is announced to `events` before the request is answered.
///
/// # Errors
/// If `root` cannot be used, is in use by another process, or no port is free.
pub async fn serve(
    root: &Path,
    port: u16,
    credentials: &Credentials,
    events: UnboundedSender<ObjectCreated>,
) -> anyhow::Result<S3Server> {
    let backend = Backend::open(root, events)?;
    let mut service = S3ServiceBuilder::new(backend);
    service.set_auth(SimpleAuth::from_single(credentials.access_key.clone(), credentials.secret_key.clone()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.with_context(|| format!("port {port} cannot be used for S3"))?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(accept(listener, service.build(), stopped));
    Ok(S3Server { address, stop, accepting })
}

async fn accept(listener: TcpListener, service: S3Service, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // A failure only means small delays.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(converse(TokioIo::new(stream), service.clone(), stopped.clone()));
                }
                Err(error) => {
                    // Most likely too many open files: some will be closed soon.
                    tracing::warn!(%error, "the S3 server could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn converse(io: TokioIo<tokio::net::TcpStream>, service: S3Service, mut stopped: watch::Receiver<bool>) {
    let http = auto::Builder::new(TokioExecutor::new());
    let connection = http.serve_connection(io, service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        // Also when the server was dropped: then the channel is closed.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error, "an S3 connection ended early");
    }
}

/// The operations, on one root folder.
struct Backend {
    root: PathBuf,
    store: LocalFileSystem,
    staged: AtomicU64,
    events: UnboundedSender<ObjectCreated>,
    /// Held as long as the root is in use.
    _lock: fs::File,
}

impl Backend {
    fn open(root: &Path, events: UnboundedSender<ObjectCreated>) -> anyhow::Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot make the folder {}", root.display()))?;
        let root = root.canonicalize()?;
        let lock = fs::File::create(root.join(".lock"))?;
        lock.try_lock().with_context(|| format!("{} is in use by another process", root.display()))?;
        // What a lost process had begun to write belongs to nobody.
        let staging = root.join(STAGING);
        if staging.exists() {
            fs::remove_dir_all(&staging)?;
        }
        fs::create_dir(&staging)?;
        Ok(Self {
            store: LocalFileSystem::new_with_prefix(&root)?,
            root,
            staged: AtomicU64::new(0),
            events,
            _lock: lock,
        })
    }

    fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let folder = self.root.join(bucket);
        if folder.is_dir() { Ok(folder) } else { Err(s3_error!(NoSuchBucket, "there is no bucket {bucket}")) }
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Location> {
        self.bucket(bucket)?;
        if !is_key(key) {
            return Err(s3_error!(
                InvalidArgument,
                "this store takes keys of the characters A-Z a-z 0-9 / _ . = - without empty, . or .. segments"
            ));
        }
        Location::parse(format!("{bucket}/{key}"))
            .map_err(|error| s3_error!(error, InvalidArgument, "the key cannot be a path"))
    }

    /// Writes `body` where nobody reads it and shows each chunk to `see`.
    async fn stage<E: std::fmt::Display>(
        &self,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        mut see: impl FnMut(&[u8]),
    ) -> S3Result<Staged> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let location = Location::from_iter([STAGING, &number.to_string()]);
        let mut staged =
            Staged { file: self.store.path_to_filesystem(&location).map_err(storage)?, location, bytes: 0 };
        let upload = self.store.put_multipart(&staged.location).await.map_err(storage)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, CHUNK_BYTES);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| s3_error!(IncompleteBody, "the body could not be read: {error}"))?;
            staged.bytes += chunk.len() as u64;
            if staged.bytes > MAX_PUT_BYTES {
                return Err(s3_error!(EntityTooLarge, "an object has at most {MAX_PUT_BYTES} bytes"));
            }
            see(&chunk);
            writer.wait_for_capacity(1).await.map_err(storage)?;
            writer.put(chunk);
        }
        writer.finish().await.map_err(storage)?;
        Ok(staged)
    }

    /// Moves a staged object to its key, announces it, and says what it is now.
    async fn publish(
        &self,
        staged: Staged,
        (bucket, key): (&str, &str),
        mode: RenameTargetMode,
    ) -> S3Result<ObjectMeta> {
        let target = self.object(bucket, key)?;
        // Taken before the move: afterwards, another writer may have replaced it.
        let meta = self.store.head(&staged.location).await.map_err(storage)?;
        let options = RenameOptions::new().with_target_mode(mode);
        self.store.rename_opts(&staged.location, &target, options).await.map_err(storage)?;
        let event = ObjectCreated::new("aws.s3", bucket, key, staged.bytes);
        if self.events.send(event).is_err() {
            tracing::debug!(key, "nobody listens to the events of the S3 server");
        }
        Ok(meta)
    }
}

/// A whole object that no key names yet. Its file goes when this is dropped; after publishing there is none.
struct Staged {
    location: Location,
    file: PathBuf,
    bytes: u64,
}

impl Drop for Staged {
    fn drop(&mut self) {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a staged upload stays behind until the next start");
            }
            _ => {}
        }
    }
}

/// What a request promises of its body, by header or by trailer.
struct Promise {
    hasher: ChecksumHasher,
    md5: Option<Md5>,
    headers: Vec<(&'static str, Option<String>)>,
}

impl Promise {
    const ALGORITHMS: [&str; 5] = [
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc32c",
        "x-amz-checksum-crc64nvme",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
    ];

    fn of<T>(request: &S3Request<T>) -> Self {
        let header = |name: &str| Some(request.headers.get(name)?.to_str().ok()?.to_owned());
        let trailers = header("x-amz-trailer").unwrap_or_default();
        let promised = |name: &str| {
            header(name).is_some() || trailers.split(',').any(|trailer| trailer.trim().eq_ignore_ascii_case(name))
        };
        let [crc32, crc32c, crc64nvme, sha1, sha256] = Self::ALGORITHMS.map(promised);
        let mut headers: Vec<_> = Self::ALGORITHMS.map(|name| (name, header(name))).into();
        headers.push(("content-md5", header("content-md5")));
        Self {
            hasher: ChecksumHasher {
                crc32: crc32.then(Default::default),
                crc32c: crc32c.then(Default::default),
                crc64nvme: crc64nvme.then(Default::default),
                sha1: sha1.then(Sha1::new),
                sha256: sha256.then(Sha256::new),
            },
            md5: header("content-md5").map(|_| Md5::new()),
            headers,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// Compares the body with every promise that was made of it.
    fn keep(self, trailers: Option<TrailingHeaders>) -> S3Result<()> {
        let trailers = trailers.and_then(|trailers| trailers.take()).unwrap_or_default();
        let found = self.hasher.finalize();
        let found = [
            found.checksum_crc32,
            found.checksum_crc32c,
            found.checksum_crc64nvme,
            found.checksum_sha1,
            found.checksum_sha256,
            self.md5.map(|md5| STANDARD.encode(md5.finalize())),
        ];
        for ((name, header), found) in self.headers.into_iter().zip(found) {
            let Some(found) = found else { continue };
            let trailer = || Some(trailers.get(name)?.to_str().ok()?.to_owned());
            if header.or_else(trailer).as_ref() != Some(&found) {
                return Err(s3_error!(BadDigest, "the body's {name} is {found}"));
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        match tokio::fs::create_dir(self.root.join(&request.input.bucket)).await {
            Ok(()) => Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", request.input.bucket)) })),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(s3_error!(BucketAlreadyOwnedByYou)),
            Err(error) => Err(disk(error)),
        }
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(disk)? {
            let entry = entry.map_err(disk)?;
            let metadata = entry.metadata().map_err(disk)?;
            match entry.file_name().into_string() {
                Ok(name) if metadata.is_dir() && !name.starts_with('.') => buckets.push(Bucket {
                    name: Some(name),
                    creation_date: metadata.modified().ok().map(Timestamp::from),
                    ..Bucket::default()
                }),
                _ => {}
            }
        }
        buckets.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() }))
    }

    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mode = match &request.input.if_none_match {
            Some(condition) if condition.is_any() => RenameTargetMode::Create,
            Some(_) => return Err(s3_error!(NotImplemented, "If-None-Match takes * only")),
            None => RenameTargetMode::Overwrite,
        };
        if request.input.if_match.is_some() {
            return Err(s3_error!(NotImplemented, "If-Match is not supported"));
        }
        let mut promise = Promise::of(&request);
        let (bucket, key) = (&request.input.bucket, &request.input.key);
        self.object(bucket, key)?;
        let staged = match request.input.body.take() {
            Some(body) => self.stage(body, |chunk| promise.update(chunk)).await?,
            None => self.stage(stream::empty::<io::Result<Bytes>>(), |_| ()).await?,
        };
        promise.keep(request.trailing_headers)?;
        let meta = self.publish(staged, (bucket, key), mode).await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(etag(&meta)),
            checksum_sha256: request.input.checksum_sha256,
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        if input.if_match.is_some() || input.if_none_match.is_some() || input.version_id.is_some() {
            return Err(s3_error!(NotImplemented, "conditions and versions are not supported"));
        }
        let location = self.object(&input.bucket, &input.key)?;
        let (meta, file) = open(&self.store, &location).await?;
        let range = match input.range {
            Some(range) => Range::check(&range, meta.size)?,
            None => 0..meta.size,
        };
        let length = range.end - range.start;
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_range: input
                .range
                .map(|_| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), meta.size)),
            content_length: Some(signed(length)),
            e_tag: Some(etag(&meta)),
            last_modified: Some(modified(&meta)),
            body: Some(StreamingBlob::wrap(Box::pin(read(file, range.start, length)))),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        if input.if_match.is_some() || input.if_none_match.is_some() || input.version_id.is_some() {
            return Err(s3_error!(NotImplemented, "conditions and versions are not supported"));
        }
        let location = self.object(&input.bucket, &input.key)?;
        let meta = self.store.head(&location).await.map_err(storage)?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(meta.size)),
            e_tag: Some(etag(&meta)),
            last_modified: Some(modified(&meta)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        if input.delimiter.as_deref().is_some_and(|delimiter| delimiter != "/") {
            return Err(s3_error!(NotImplemented, "the delimiter can only be /"));
        }
        let after = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => Some(After::from_token(token)?),
            (None, Some(key)) => Some(After::Key(key.clone())),
            (None, None) => None,
        };
        let limit = input.max_keys.map_or(MAX_PAGE, |keys| usize::try_from(keys).unwrap_or_default().min(MAX_PAGE));
        let mut listing = Listing {
            prefix: input.prefix.clone().unwrap_or_default(),
            grouped: input.delimiter.is_some(),
            after,
            limit,
            found: Vec::new(),
            truncated: false,
        };
        let listing = tokio::task::spawn_blocking(move || {
            listing.run(&bucket)?;
            Ok::<_, io::Error>(listing)
        })
        .await
        .map_err(S3Error::internal_error)?
        .map_err(disk)?;

        let next = match listing.found.last() {
            Some(last) if listing.truncated => Some(last.token()),
            _ => None,
        };
        let (mut contents, mut common_prefixes) = (Vec::new(), Vec::new());
        let count = listing.found.len();
        for found in listing.found {
            match found {
                Found::Object(object) => contents.push(*object),
                Found::Group(prefix) => common_prefixes.push(CommonPrefix { prefix: Some(prefix) }),
            }
        }
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            max_keys: i32::try_from(limit).ok(),
            key_count: i32::try_from(count).ok(),
            is_truncated: Some(listing.truncated),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let CopySource::Bucket { bucket, key, version_id: None } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "the source can only be the latest object of a bucket"));
        };
        if input.copy_source_if_match.is_some() || input.copy_source_if_none_match.is_some() {
            return Err(s3_error!(NotImplemented, "conditions are not supported"));
        }
        let replaces =
            input.metadata_directive.as_ref().is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        if (&**bucket, &**key) == (&*input.bucket, &*input.key) && !replaces {
            return Err(s3_error!(InvalidRequest, "an object is copied onto itself only to replace its metadata"));
        }
        self.object(&input.bucket, &input.key)?;
        let source = self.object(bucket, key)?;
        let (meta, file) = open(&self.store, &source).await?;
        // The bytes are copied, not linked: damage to one file must not reach the other.
        let staged = self.stage(Box::pin(read(file, 0, meta.size)), |_| ()).await?;
        let target = (input.bucket.as_str(), input.key.as_str());
        let meta = self.publish(staged, target, RenameTargetMode::Overwrite).await?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(etag(&meta)),
                last_modified: Some(modified(&meta)),
                ..CopyObjectResult::default()
            }),
            ..CopyObjectOutput::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        if input.if_match.is_some() || input.version_id.is_some() {
            return Err(s3_error!(NotImplemented, "conditions and versions are not supported"));
        }
        let location = self.object(&input.bucket, &input.key)?;
        // As on S3: what is not there is deleted already. That a folder has the name makes no object of it.
        if self.store.path_to_filesystem(&location).map_err(storage)?.is_file() {
            match self.store.delete(&location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(storage(error)),
            }
        }
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }
}

/// One page of a LIST: the files of a folder in key order, from where the page before ended.
struct Listing {
    prefix: String,
    /// Whether keys with a `/` after the prefix are shown as one common prefix.
    grouped: bool,
    after: Option<After>,
    limit: usize,
    found: Vec<Found>,
    truncated: bool,
}

enum Found {
    Object(Box<Object>),
    Group(String),
}

impl Found {
    /// Where the next page begins. Tokens are opaque to clients, so they are not written as keys.
    fn token(&self) -> String {
        hex::encode(match self {
            Found::Object(object) => object.key.as_deref().unwrap_or_default(),
            Found::Group(prefix) => prefix,
        })
    }
}

/// After what a page begins.
#[derive(Clone)]
enum After {
    /// After one key, which need not exist.
    Key(String),
    /// After every key that begins with this.
    Group(String),
}

impl After {
    fn from_token(token: &str) -> S3Result<Self> {
        let bytes = hex::decode(token).map_err(|_| s3_error!(InvalidArgument, "the continuation token is not ours"))?;
        let key =
            String::from_utf8(bytes).map_err(|_| s3_error!(InvalidArgument, "the continuation token is not ours"))?;
        // Objects never end with a slash.
        Ok(if key.ends_with('/') { After::Group(key) } else { After::Key(key) })
    }

    /// Whether `key` comes before the page.
    fn excludes(&self, key: &str) -> bool {
        match self {
            After::Key(after) => key <= after.as_str(),
            After::Group(after) => key <= after.as_str() || key.starts_with(after.as_str()),
        }
    }

    /// Whether everything in `folder`, which ends with a slash, comes before the page.
    fn excludes_all(&self, folder: &str) -> bool {
        match self {
            After::Key(after) => folder < after.as_str() && !after.starts_with(folder),
            After::Group(after) => {
                folder.starts_with(after.as_str()) || (folder < after.as_str() && !after.starts_with(folder))
            }
        }
    }
}

impl Listing {
    fn run(&mut self, bucket: &Path) -> io::Result<()> {
        // Only the deepest folder that the prefix implies is looked into.
        let folder = match self.prefix.rfind('/') {
            Some(slash) => self.prefix[..=slash].to_owned(),
            None => String::new(),
        };
        // No key begins with what could not be a key; above all not with a way out of the bucket.
        if self.limit == 0 || !(folder.is_empty() || is_key(folder.trim_end_matches('/')) && !folder.ends_with("//")) {
            return Ok(());
        }
        self.folder(bucket, &folder).map(|_| ())
    }

    /// Adds what `folder` (empty, or ending with a slash) holds, until the page is full.
    fn folder(&mut self, bucket: &Path, folder: &str) -> io::Result<ControlFlow<()>> {
        let entries = match fs::read_dir(bucket.join(folder)) {
            Ok(entries) => entries,
            // Never there, or gone meanwhile, or an object of that name.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(ControlFlow::Continue(()));
            }
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            // A name that is no key was not put here through S3.
            let Some(name) = entry.file_name().into_string().ok().filter(|name| is_key(name)) else {
                continue;
            };
            if kind.is_dir() {
                names.push(format!("{folder}{name}/"));
            } else if kind.is_file() {
                names.push(format!("{folder}{name}"));
            }
        }
        // A folder sorts by its name with the slash: that is how the keys in it sort among their neighbours.
        names.sort_unstable();
        for name in names {
            let flow = if name.ends_with('/') { self.subfolder(bucket, name)? } else { self.object(bucket, name)? };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn subfolder(&mut self, bucket: &Path, folder: String) -> io::Result<ControlFlow<()>> {
        let beside = !folder.starts_with(&self.prefix) && !self.prefix.starts_with(&folder);
        if beside || self.after.as_ref().is_some_and(|after| after.excludes_all(&folder)) {
            return Ok(ControlFlow::Continue(()));
        }
        if !self.grouped || folder.len() <= self.prefix.len() {
            return self.folder(bucket, &folder);
        }
        // A common prefix stands for keys of this page; a folder may have none.
        let mut inside = Listing {
            prefix: folder.clone(),
            grouped: false,
            after: self.after.clone(),
            limit: 1,
            found: Vec::new(),
            truncated: false,
        };
        inside.run(bucket)?;
        if inside.found.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(self.add(Found::Group(folder)))
    }

    fn object(&mut self, bucket: &Path, key: String) -> io::Result<ControlFlow<()>> {
        let before = self.after.as_ref().is_some_and(|after| after.excludes(&key));
        if before || !key.starts_with(&self.prefix) {
            return Ok(ControlFlow::Continue(()));
        }
        let metadata = match fs::metadata(bucket.join(&key)) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
            Err(error) => return Err(error),
        };
        let modified = metadata.modified()?;
        Ok(self.add(Found::Object(Box::new(Object {
            key: Some(key),
            size: Some(signed(metadata.len())),
            e_tag: Some(etag_of(modified, metadata.len())),
            last_modified: Some(Timestamp::from(modified)),
            ..Object::default()
        }))))
    }

    /// Takes one more, unless the page is full: then this one tells that there are more.
    fn add(&mut self, found: Found) -> ControlFlow<()> {
        if self.found.len() == self.limit {
            self.truncated = true;
            return ControlFlow::Break(());
        }
        self.found.push(found);
        ControlFlow::Continue(())
    }
}

/// Whether `key` is one this store takes: it means the same path on every file system and stays in its bucket.
fn is_key(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.=-".contains(&byte);
    key.split('/').all(|segment| {
        !matches!(segment, "" | "." | "..") && segment.len() <= MAX_SEGMENT_BYTES && segment.bytes().all(allowed)
    })
}

async fn open(store: &LocalFileSystem, location: &Location) -> S3Result<(ObjectMeta, fs::File)> {
    let object = store.get_opts(location, GetOptions::default()).await.map_err(storage)?;
    match object.payload {
        GetResultPayload::File(file, _) => Ok((object.meta, file)),
        _ => Err(s3_error!(InternalError, "the local store gave no file")),
    }
}

/// `length` bytes of `file` from `start`, in chunks. A file that ends before is an error, so that no client takes a part
/// for the whole.
fn read(file: fs::File, start: u64, length: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let file = tokio::fs::File::from_std(file);
    stream::try_unfold((file, Some(start), length), |(mut file, seek, left)| async move {
        if let Some(start) = seek {
            file.seek(SeekFrom::Start(start)).await?;
        }
        if left == 0 {
            return Ok(None);
        }
        let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut buffer = BytesMut::with_capacity(wanted);
        let mut limited = file.take(wanted as u64);
        let count = limited.read_buf(&mut buffer).await? as u64;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some((buffer.freeze(), (limited.into_inner(), None, left - count))))
    })
}

/// Not a hash of the content, as on S3: it changes whenever the object is written.
fn etag(meta: &ObjectMeta) -> ETag {
    etag_of(meta.last_modified.into(), meta.size)
}

fn etag_of(modified: SystemTime, size: u64) -> ETag {
    let nanoseconds = modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    ETag::Strong(format!("{nanoseconds:x}-{size:x}"))
}

fn modified(meta: &ObjectMeta) -> Timestamp {
    SystemTime::from(meta.last_modified).into()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn storage(error: object_store::Error) -> S3Error {
    match error {
        object_store::Error::NotFound { .. } => s3_error!(NoSuchKey, "there is no such object"),
        object_store::Error::AlreadyExists { .. } => s3_error!(PreconditionFailed, "the object exists"),
        // An object has the name of a folder of the key, or the other way round: the key cannot be an object's.
        error if matches!(cause(&error), Some(io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)) => {
            s3_error!(NoSuchKey, "there is no such object, and there cannot be one beside what is there")
        }
        error => {
            tracing::error!(%error, "the S3 server could not use its folder");
            S3Error::internal_error(error)
        }
    }
}

/// What the file system said, where an error comes from there.
fn cause(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>())
        .map(io::Error::kind)
}

fn disk(error: io::Error) -> S3Error {
    tracing::error!(%error, "the S3 server could not use its folder");
    S3Error::internal_error(error)
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::{
        Client,
        config::{BehaviorVersion, Credentials as Keys, Region},
        error::{ProvideErrorMetadata, SdkError},
        operation::get_object::GetObjectOutput,
        primitives::ByteStream,
        types,
    };
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    const BUCKET: &str = "lake-for-tests";

    struct Fixture {
        root: tempfile::TempDir,
        server: S3Server,
        client: Client,
        events: UnboundedReceiver<ObjectCreated>,
    }

    fn credentials() -> Credentials {
        Credentials { access_key: "local".into(), secret_key: "not a secret".into() }
    }

    fn client(server: &S3Server, secret: &str) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(server.endpoint())
            .region(Region::new("us-east-1"))
            .credentials_provider(Keys::new("local", secret, None, None, "test"))
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .force_path_style(true);
        Client::from_conf(config.build())
    }

    async fn fixture() -> Fixture {
        let root = tempfile::tempdir().unwrap();
        let (sender, events) = unbounded_channel();
        let server = serve(root.path(), 0, &credentials(), sender).await.unwrap();
        let client = client(&server, &credentials().secret_key);
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        Fixture { root, server, client, events }
    }

    impl Fixture {
        async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
            let put = self.client.put_object().bucket(BUCKET).key(key);
            put.body(ByteStream::from(body.into())).send().await.unwrap();
        }

        async fn get(&self, key: &str) -> Result<Vec<u8>, String> {
            let got = self.client.get_object().bucket(BUCKET).key(key).send().await;
            match got {
                Ok(GetObjectOutput { body, .. }) => Ok(body.collect().await.unwrap().to_vec()),
                Err(error) => Err(code(&error)),
            }
        }

        async fn keys(&self, prefix: &str) -> Vec<String> {
            let pages = self.client.list_objects_v2().bucket(BUCKET).prefix(prefix);
            let mut pages = pages.into_paginator().send();
            let mut keys = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.unwrap();
                assert!(page.contents().len() <= 1000);
                keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
            }
            keys
        }

        fn announced(&mut self) -> Vec<String> {
            let mut keys = Vec::new();
            while let Ok(event) = self.events.try_recv() {
                assert_eq!(event.source, "aws.s3");
                assert_eq!(event.detail.bucket.name, BUCKET);
                keys.push(event.detail.object.key);
            }
            keys
        }

        /// Every file under the root but the lock.
        fn files(&self) -> usize {
            fn count(folder: &Path) -> usize {
                let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
                entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
            }
            count(self.root.path()) - 1
        }
    }

    fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
        let status = error.raw_response().map(|response| response.status().as_u16());
        format!("{} {}", status.unwrap_or_default(), error.code().unwrap_or_default())
    }

    fn sha256(bytes: &[u8]) -> String {
        shared::lake::Sha256::of(bytes).base64()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_create_only_puts_of_one_key_exactly_one_wins() {
        let mut s3 = fixture().await;
        let mut puts = JoinSet::new();
        for number in 0..32 {
            let put = s3.client.put_object().bucket(BUCKET).key("runs/gen=1/run.json");
            let body = format!("body {number}");
            let put = put.if_none_match("*").checksum_sha256(sha256(body.as_bytes()));
            let put = put.body(ByteStream::from(body.clone().into_bytes()));
            puts.spawn(async move { put.send().await.map(|_| body).map_err(|error| code(&error)) });
        }
        let (won, lost): (Vec<_>, Vec<_>) = puts.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|put| put == &Err("412 PreconditionFailed".into())), "{lost:?}");
        assert_eq!(s3.get("runs/gen=1/run.json").await.unwrap(), won[0].clone().unwrap().into_bytes());
        assert_eq!(s3.announced().len(), 1);
        assert_eq!(s3.files(), 1);
    }

    #[tokio::test]
    async fn a_put_with_a_wrong_digest_changes_nothing() {
        let mut s3 = fixture().await;
        s3.put("kept", "before").await;
        s3.announced();
        for key in ["kept", "fresh"] {
            let put = s3.client.put_object().bucket(BUCKET).key(key);
            let put = put.checksum_sha256(sha256(b"what was meant"));
            let error = put.body(ByteStream::from_static(b"what arrived")).send().await.unwrap_err();
            assert_eq!(code(&error), "400 BadDigest");
        }
        assert_eq!(s3.get("kept").await.unwrap(), b"before");
        assert_eq!(s3.get("fresh").await, Err("404 NoSuchKey".into()));
        assert_eq!(s3.announced(), Vec::<String>::new());
        assert_eq!(s3.files(), 1);
    }

    #[tokio::test]
    async fn a_list_pages_in_key_order_and_takes_prefixes_that_end_within_a_segment() {
        let s3 = fixture().await;
        let bucket = s3.root.path().join(BUCKET);
        let mut expected = Vec::new();
        for day in 1..=28 {
            for part in 0..50 {
                let folder = format!("activities/date=2026-01-{day:02}/gen={part:02}");
                fs::create_dir_all(bucket.join(&folder)).unwrap();
                fs::write(bucket.join(&folder).join("activities.parquet"), "x").unwrap();
                expected.push(format!("{folder}/activities.parquet"));
            }
        }
        // `-` and `.` sort before `/`, `0` after it.
        for key in ["a/x", "a-b", "a.b", "a0", "a/x.y/z", "a/x/y"] {
            if key != "a/x/y" {
                s3.put(key, "x").await;
            }
        }
        assert_eq!(s3.keys("activities/").await, expected);
        assert_eq!(s3.keys("a").await.len(), 1405);
        assert_eq!(s3.keys("activities/date=2026-01-0").await, expected[..450]);
        assert_eq!(s3.keys("activities/date=2026-01-03/gen=1").await, expected[110..120]);
        let mut sorted = s3.keys("").await;
        assert_eq!(&sorted[..5], ["a-b", "a.b", "a/x", "a/x.y/z", "a0"]);
        let listed = sorted.clone();
        sorted.sort();
        assert_eq!(listed, sorted);
        for nothing in ["activities/date=2027", "nowhere/", "../", "a/../a/", "/", "a//", "a/x/"] {
            assert_eq!(s3.keys(nothing).await, Vec::<String>::new(), "{nothing}");
        }
    }

    #[tokio::test]
    async fn a_list_begins_after_a_key_and_groups_by_folder() {
        let s3 = fixture().await;
        for key in ["d/1/x", "d/1/y", "d/2/x", "d/3", "d/4/x", "e"] {
            s3.put(key, "x").await;
        }
        s3.put("d/0/gone", "x").await;
        let delete = s3.client.delete_object().bucket(BUCKET).key("d/0/gone");
        delete.send().await.unwrap();
        let list = |after: Option<&str>| {
            let list = s3.client.list_objects_v2().bucket(BUCKET).prefix("d/").delimiter("/");
            let list = list.max_keys(1).set_start_after(after.map(str::to_owned));
            async move {
                let mut seen = Vec::new();
                let mut pages = list.into_paginator().send();
                while let Some(page) = pages.next().await {
                    let page = page.unwrap();
                    assert_eq!(page.key_count(), Some(1));
                    seen.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
                    let groups = page.common_prefixes().iter();
                    seen.extend(groups.filter_map(|group: &types::CommonPrefix| group.prefix().map(str::to_owned)));
                }
                seen
            }
        };
        assert_eq!(list(None).await, ["d/1/", "d/2/", "d/3", "d/4/"]);
        assert_eq!(list(Some("d/1/x")).await, ["d/1/", "d/2/", "d/3", "d/4/"]);
        assert_eq!(list(Some("d/1/y")).await, ["d/2/", "d/3", "d/4/"]);
        let flat = s3.client.list_objects_v2().bucket(BUCKET).start_after("d/2/x").send().await.unwrap();
        let flat: Vec<_> = flat.contents().iter().filter_map(|object| object.key()).collect();
        assert_eq!(flat, ["d/3", "d/4/x", "e"]);
    }

    #[tokio::test]
    async fn a_copy_onto_itself_announces_the_object_again() {
        let mut s3 = fixture().await;
        let key = "activities/date=2026-01-30/gen=20260131T060000Z/sha256=0/activities.parquet";
        s3.put(key, "rows").await;
        let copy = s3.client.copy_object().bucket(BUCKET).key(key);
        let copy = copy.copy_source(format!("{BUCKET}/{key}"));
        let refused = copy.clone().send().await.unwrap_err();
        assert_eq!(code(&refused), "400 InvalidRequest");
        copy.metadata_directive(types::MetadataDirective::Replace).send().await.unwrap();
        assert_eq!(s3.announced(), [key, key]);
        assert_eq!(s3.get(key).await.unwrap(), b"rows");
        assert_eq!(s3.files(), 1);
        let copy = s3.client.copy_object().bucket(BUCKET).key("other");
        let missing = copy.copy_source(format!("{BUCKET}/missing")).send().await.unwrap_err();
        assert_eq!(code(&missing), "404 NoSuchKey");
    }

    #[tokio::test]
    async fn what_is_missing_is_not_found() {
        let s3 = fixture().await;
        s3.put("a/b", "x").await;
        for key in ["missing", "a", "a/b/c"] {
            assert_eq!(s3.get(key).await, Err("404 NoSuchKey".into()), "{key}");
            let head = s3.client.head_object().bucket(BUCKET).key(key).send().await.unwrap_err();
            assert!(code(&head).starts_with("404"), "{key}: {}", code(&head));
            s3.client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
        }
        for key in ["a", "a/b/c"] {
            let put = s3.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"x"));
            assert_eq!(code(&put.send().await.unwrap_err()), "404 NoSuchKey", "{key}");
        }
        assert_eq!(s3.files(), 1);
        let get = s3.client.get_object().bucket("no-such-bucket").key("a").send().await;
        assert_eq!(code(&get.unwrap_err()), "404 NoSuchBucket");
        let head = s3.client.head_bucket().bucket("no-such-bucket").send().await.unwrap_err();
        assert!(code(&head).starts_with("404"));
        let again = s3.client.create_bucket().bucket(BUCKET).send().await.unwrap_err();
        assert_eq!(code(&again), "409 BucketAlreadyOwnedByYou");
        let buckets = s3.client.list_buckets().send().await.unwrap();
        let buckets: Vec<_> = buckets.buckets().iter().filter_map(|bucket| bucket.name()).collect();
        assert_eq!(buckets, [BUCKET]);
    }

    #[tokio::test]
    async fn a_key_cannot_leave_its_bucket() {
        let mut s3 = fixture().await;
        for key in ["../x", "a/../../x", "a/..", "./a", "a//b", "a/", "a#1", "a b", "a%2Fb", "\u{e9}"] {
            let put = s3.client.put_object().bucket(BUCKET).key(key);
            let error = put.body(ByteStream::from_static(b"x")).send().await.unwrap_err();
            assert!(code(&error).starts_with('4'), "{key}: {}", code(&error));
            assert!(s3.get(key).await.is_err(), "{key}");
        }
        assert_eq!(s3.files(), 0);
        assert_eq!(s3.announced(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_range_and_a_large_object_come_back_as_they_were() {
        let s3 = fixture().await;
        let body: Vec<u8> = (0..3 * CHUNK_BYTES + 17).map(|index| (index % 251) as u8).collect();
        s3.put("large", body.clone()).await;
        assert_eq!(s3.get("large").await.unwrap(), body);
        s3.put("empty", "").await;
        assert_eq!(s3.get("empty").await.unwrap(), b"");
        for (range, expected) in
            [("bytes=5-9", 5..10), ("bytes=-3", body.len() - 3..body.len()), ("bytes=7-", 7..body.len())]
        {
            let get = s3.client.get_object().bucket(BUCKET).key("large").range(range).send().await.unwrap();
            assert_eq!(get.content_length(), Some(expected.len() as i64));
            assert_eq!(get.body.collect().await.unwrap().to_vec(), body[expected]);
        }
        let beyond = s3.client.get_object().bucket(BUCKET).key("empty").range("bytes=1-").send().await.unwrap_err();
        assert_eq!(code(&beyond), "416 InvalidRange");
    }

    #[tokio::test]
    async fn strangers_are_refused() {
        let mut s3 = fixture().await;
        let stranger = client(&s3.server, "guessed");
        let put = stranger.put_object().bucket(BUCKET).key("a").body(ByteStream::from_static(b"x"));
        assert_eq!(code(&put.send().await.unwrap_err()), "403 SignatureDoesNotMatch");
        let anonymous = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(s3.server.endpoint())
            .region(Region::new("us-east-1"))
            .allow_no_auth()
            .force_path_style(true);
        let anonymous = Client::from_conf(anonymous.build());
        assert_eq!(code(&anonymous.list_objects_v2().bucket(BUCKET).send().await.unwrap_err()), "403 AccessDenied");
        assert_eq!(s3.announced(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn objects_outlive_the_server_and_a_root_has_one_server() {
        let s3 = fixture().await;
        s3.put("kept", "x").await;
        fs::write(s3.root.path().join(STAGING).join("9"), "half an upl").unwrap();
        let second = serve(s3.root.path(), 0, &credentials(), unbounded_channel().0).await;
        assert!(format!("{:#}", second.unwrap_err()).contains("in use"));
        let Fixture { root, server, .. } = s3;
        server.stop().await.unwrap();
        let server = serve(root.path(), 0, &credentials(), unbounded_channel().0).await.unwrap();
        let client = client(&server, &credentials().secret_key);
        let kept = client.get_object().bucket(BUCKET).key("kept").send().await.unwrap();
        assert_eq!(kept.body.collect().await.unwrap().to_vec(), b"x");
        assert_eq!(fs::read_dir(root.path().join(STAGING)).unwrap().count(), 0);
    }
}
