//! `wastewalk up`: the whole way of a record on one machine, then the page.

use std::{
    collections::BTreeSet,
    io::IsTerminal,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use api::{
    Overview, Request,
    access::{
        Access, Caller, OpenId,
        settings::{AccessSettings, MINIMUM_GROUP},
    },
    answer::Answer,
    finding::reading,
};
use axum::{
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use chrono_tz::Tz;
use clap::Args;
use hyper::Uri;
use intake::{IntakeError, address::Address, mapping::Mapping, record::RunRecord};
use shared::{lake::LakeKey, settings::setting, telemetry::chain};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    demo,
    progress::{Progress, Reading, Show},
    s3::Credentials,
    said::{Format, say, shown},
    stack::{Ports, Settings, Stack, keep_time_zone, pseudonym_key},
};

/// The mapping of the demo organisation, and of whoever names none.
const REFERENCE: &str = "reference";

/// How often what is undone is announced again before it counts as stuck.
const ROUNDS: usize = 3;
/// How long answers under way may take after Ctrl-C.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs intake, annotators, aggregate and API on this machine, over a demo organisation or a source of yours.
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Stop after the work, print the result and exit
    #[arg(long)]
    once: bool,
    /// What --once prints
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".wastewalk")]
    data: PathBuf,
    /// The source, such as sqlite://team.db, postgres://user:password@host/database or mysql://… [default: a demo organisation]
    #[arg(long, value_name = "URL", env = "WASTEWALK_SOURCE", hide_env_values = true)]
    source: Option<String>,
    /// How the source is read: a file, or the name of a known product
    #[arg(long, value_name = "FILE", default_value = REFERENCE)]
    mapping: String,
    /// The organisation's time zone, such as Europe/Berlin [default: the mapping's, else the demo's, else UTC]
    #[arg(long, value_name = "ZONE", env = "ORGANISATION_TIME_ZONE")]
    time_zone: Option<Tz>,
    /// A classification.toml to go by instead of the one that was built in: another logic
    #[arg(long, value_name = "FILE", conflicts_with = "invoke")]
    classification: Option<PathBuf>,
    /// Where the page is served
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where the functions run, such as http://127.0.0.1:9000 of `make watch`, whose environment says what the source is
    /// [default: in this process]
    #[arg(long, value_name = "URL", conflicts_with_all = ["source", "mapping"])]
    invoke: Option<Uri>,
    /// Where the embedded S3 listens [default: a free port; 9001 with --invoke]
    #[arg(long, value_name = "PORT")]
    s3_port: Option<u16>,
    /// Where the embedded DynamoDB listens [default: a free port; 9002 with --invoke]
    #[arg(long, value_name = "PORT")]
    dynamodb_port: Option<u16>,
    /// Who looks at the page: analyst, who sees everything, or person:ID, who sees their own rows, their team and groups
    /// that are large enough
    #[arg(long = "as", value_name = "WHO", default_value = "analyst", conflicts_with = "sign_in")]
    viewer: Viewer,
    /// People sign in at the identity provider that OIDC_ISSUER and the other variables of the function say;
    /// OIDC_CLIENT_SECRET has the client's secret, if it needs one
    #[arg(long)]
    sign_in: bool,
    /// No progress, only the result
    #[arg(long, short)]
    quiet: bool,
}

/// Whoever looks at the page.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Viewer(Option<String>);

impl FromStr for Viewer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "analyst" => Ok(Self(None)),
            Some(("person", id)) if !id.is_empty() => Ok(Self(Some(id.to_owned()))),
            _ => Err("it is analyst, or person:ID with an id of the source"),
        }
    }
}

/// What a round of work came to.
#[derive(Debug)]
pub struct Work {
    /// The run record, or why the source could not be read while earlier captures can still be shown.
    pub run: Result<RunRecord, String>,
    /// Days that there was something to do for.
    pub days: usize,
    /// What could not be worked out, in words.
    pub undone: Option<String>,
}

impl Up {
    /// Does the work and, unless `--once`, serves until Ctrl-C.
    ///
    /// # Errors
    /// Each says in one line what is wrong and what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        // Whatever can be refused is refused before the work begins.
        let mapping = Mapping::load(&self.mapping)?;
        let listener = if self.once { None } else { Some(self.listen().await?) };
        std::fs::create_dir_all(&self.data).with_context(|| {
            format!("the folder {} cannot be made; choose another one with --data DIR", self.data.display())
        })?;
        let time_zone = self.time_zone(&mapping)?;
        let source_url = self.source_url().await?;
        let address: Address = source_url.parse()?;
        let settings = Settings {
            classification: classification(self.classification.as_deref())?,
            ports: self.ports(),
            credentials: self.credentials(),
            invoke: self.invoke.clone(),
            ..Settings::over(self.data.clone(), source_url, mapping, time_zone)
        };
        let (access, who) = self.access(listener.as_ref())?;
        let mut stack = Stack::start(settings).await?;
        stack.api = stack.api.admitting(access);
        keep_to_one_source(&stack, &self.data, self.source.as_ref().map(|_| &address)).await?;
        keep_time_zone(&self.data, time_zone)?;
        let work = work(&stack, self.show()).await.map_err(|error| self.with_next_step(error))?;
        let overview = api::overview(&stack.api, &Request::default()).await?;
        match listener {
            None => self.print(&overview, &work)?,
            Some(listener) => {
                self.tell(&overview, &work);
                say!("{who}");
                say!("The page: http://{}/  (Ctrl-C stops)", listener.local_addr()?);
                let (stop, stopped) = watch::channel(false);
                let until = |mut stopped: watch::Receiver<bool>| async move {
                    // An error means that the sender is gone, and so is everything else.
                    let _ = stopped.wait_for(|stopped| *stopped).await;
                };
                let router = api::router(stack.api.clone()).layer(middleware::from_fn(only_this_machine));
                let page = axum::serve(listener, router).with_graceful_shutdown(until(stopped.clone()));
                tokio::select! {
                    served = async { page.await } => served?,
                    () = async {
                        let _ = tokio::signal::ctrl_c().await;
                        stop.send_replace(true);
                        // Whoever holds a request half-sent does not hold us.
                        tokio::time::sleep(LAST_ANSWERS).await;
                    } => {}
                    () = keep_reading(&stack) => {}
                }
            }
        }
        let failed = work.run.err().or(work.undone);
        stack.stop().await?;
        match failed {
            Some(reason) if self.once => bail!("{reason}"),
            _ => Ok(()),
        }
    }

    /// Whom the page lets in, and that in words.
    fn access(&self, listener: Option<&TcpListener>) -> anyhow::Result<(Access, String)> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let size = |size: &usize| *size >= 2;
        let minimum = setting(variable, "MINIMUM_GROUP_SIZE", "a number of people, 2 or more", size)?;
        let minimum = minimum.unwrap_or(MINIMUM_GROUP);
        if let Some(listener) = listener.filter(|_| self.sign_in) {
            let mut settings = AccessSettings::read(variable)?;
            let here = listener.local_addr()?;
            let who = format!("People sign in at {}.", settings.issuer);
            settings.public_url.get_or_insert_with(|| format!("http://{here}"));
            let open_id = OpenId::new(settings, variable("OIDC_CLIENT_SECRET"), None)?;
            return Ok((Access::OpenId(Box::new(open_id.with_pseudonyms(pseudonym_key()?))), who));
        }
        let Viewer(person) = &self.viewer;
        let caller = Caller::demo(person.clone(), minimum);
        let who = format!("Demo: whoever opens it is signed in as {}.", caller.name);
        Ok((Access::As(Arc::new(caller)), who))
    }

    /// Whoever is told a port, or a function that runs elsewhere, has to know the key before the stack starts; else it is
    /// nobody's business.
    fn credentials(&self) -> Option<Credentials> {
        let told = self.invoke.is_some() || self.s3_port.is_some() || self.dynamodb_port.is_some();
        let known = || Credentials { access_key: "wastewalk".to_owned(), secret_key: "wastewalk-local".to_owned() };
        told.then(known)
    }

    /// Functions that run elsewhere have to know where to find storage before they start.
    fn ports(&self) -> Ports {
        let default = if self.invoke.is_some() { Ports { s3: 9001, dynamodb: 9002 } } else { Ports::default() };
        Ports { s3: self.s3_port.unwrap_or(default.s3), dynamodb: self.dynamodb_port.unwrap_or(default.dynamodb) }
    }

    async fn listen(&self) -> anyhow::Result<TcpListener> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        TcpListener::bind(address).await.map_err(|error| {
            anyhow::anyhow!("port {} cannot be used ({error}); choose another one with --port N", self.port)
        })
    }

    fn time_zone(&self, mapping: &Mapping) -> anyhow::Result<Tz> {
        match (self.time_zone.or(mapping.time_zone), &self.source) {
            (Some(zone), _) => Ok(zone),
            (None, None) => demo::TIME_ZONE.parse().context("the demo's time zone"),
            (None, Some(_)) => Ok(Tz::UTC),
        }
    }

    async fn source_url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.source {
            return Ok(url.clone());
        }
        let file = self.data.join("demo.sqlite");
        if !file.exists() {
            demo::create(&file).await.with_context(|| {
                format!("the demo cannot be written to {}; choose another folder with --data DIR", self.data.display())
            })?;
        }
        // In an address these three mean something else.
        let path = file.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        Ok(format!("sqlite://{path}"))
    }

    /// Whoever names a source and no mapping may not know that there are some.
    fn with_next_step(&self, error: anyhow::Error) -> anyhow::Error {
        let does_not_fit = matches!(error.downcast_ref(), Some(IntakeError::Mapping(_)));
        if !does_not_fit || self.source.is_none() || self.mapping != REFERENCE {
            return error;
        }
        error.context(
            "there is no --mapping, so the source was read as `reference`; `wastewalk check --source URL` says which mapping fits",
        )
    }

    fn show(&self) -> Show {
        match (self.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bar,
            (false, false) => Show::Lines,
        }
    }

    fn tell(&self, overview: &Overview, work: &Work) {
        match &work.run {
            // With --once it is the error that the command ends with.
            Err(_) if self.once => {}
            Err(reason) => eprintln!("{reason}. Showing what was captured before."),
            Ok(run) if work.days == 0 && (run.counts.read > 0 || run.reading == intake::record::Reading::Changes) => {
                say!("Nothing new: every day is up to date.");
            }
            Ok(run) if run.reading == intake::record::Reading::Changes => say!(
                "{} rows read for what changed: {} days worked out, {} activities in quarantine.",
                run.source_rows,
                work.days,
                run.counts.quarantined
            ),
            Ok(run) => say!(
                "{} of {} activities captured, {} in quarantine, {} still running; {} days worked out.",
                run.counts.written + run.counts.unchanged,
                run.counts.read,
                run.counts.quarantined,
                run.counts.open,
                work.days
            ),
        }
        if let Some(undone) = work.undone.as_ref().filter(|_| !self.once) {
            eprintln!("{undone}.");
        }
        let older = overview.logics.iter().filter(|run| run.logic != overview.logic);
        let older: usize = older.map(|run| run.days).sum();
        if older > 0 {
            let captured = overview.selection.days_captured;
            say!(
                "{older} of {captured} days are shown by an older logic; `wastewalk rewind` applies {}.",
                overview.logic
            );
        }
        say!("{}", shown(&sentence(overview)));
    }

    fn print(&self, overview: &Overview, work: &Work) -> anyhow::Result<()> {
        match self.format {
            Format::Json => {
                let run = work.run.as_ref().ok();
                let result = serde_json::json!({ "run": run, "days": work.days, "overview": overview });
                say!("{}", serde_json::to_string_pretty(&result)?);
            }
            Format::Table => {
                self.tell(overview, work);
                say!("");
                say!("{:<29} {:<33} status", "insight", "figure");
                for Answer { title, figure, units, .. } in &overview.insights {
                    let ratio = figure.ratio.map_or("–".to_owned(), |ratio| reading(units, ratio));
                    let why = figure.why().map_or(String::new(), |why| format!(": {why}"));
                    let status = serde_json::to_value(figure.status)?;
                    say!("{title:<29} {ratio:<33} {}{why}", status.as_str().unwrap_or_default());
                }
                for finding in &overview.findings {
                    let (headline, next_step) = (shown(&finding.headline), shown(&finding.next_step));
                    say!("\n{headline}\n  {next_step}\n  {}", finding.confidence.words());
                }
            }
        }
        Ok(())
    }
}

/// The text of a classification, if a file with one is named.
pub(crate) fn classification(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let read = |file: &Path| {
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        annotate_classify::Classify::parse(&text)
            .with_context(|| format!("{} is no classification", file.display()))?;
        Ok(text)
    };
    file.map(read).transpose()
}

/// A web page elsewhere can make a browser send requests here under a name of its own; those are refused.
async fn only_this_machine(request: axum::extract::Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    match name {
        "127.0.0.1" | "localhost" | "[::1]" => next.run(request).await,
        _ => (StatusCode::MISDIRECTED_REQUEST, "this page is for this machine only\n").into_response(),
    }
}

/// Does the work again as often as the template's schedule says. A failure is logged; the page says how old it is.
async fn keep_reading(stack: &Stack) {
    loop {
        tokio::time::sleep(stack.schedule).await;
        if let Err(error) = work(stack, Show::Nothing).await {
            tracing::error!(error = chain(error.as_ref()), "the scheduled work failed");
        }
    }
}

/// One intake run, then everything that follows from it, until nothing is left to do.
pub async fn work(stack: &Stack, show: Show) -> anyhow::Result<Work> {
    let reading = Reading::new(show);
    let run = match stack.read_source().await {
        Ok(record) => Ok(record),
        // The source may die: what was captured keeps being served. With nothing captured there is nothing to serve.
        Err(error) if stack.lake.newest_bases(None).await?.is_empty() => return Err(error),
        Err(error) => Err(chain(error.as_ref())),
    };
    drop(reading);
    settle(stack, show, run).await
}

/// Everything that follows from a run, until nothing is left to do.
pub async fn settle(stack: &Stack, show: Show, run: Result<RunRecord, String>) -> anyhow::Result<Work> {
    // What this run captured, and what a process that was killed left behind.
    let captured = run.iter().flat_map(|record| &record.objects).filter_map(|key| key.parse().ok());
    let captured = captured.filter(|key: &LakeKey| key.partition().is_some());
    let due: BTreeSet<LakeKey> = captured.chain(stack.undone().await?).collect();
    let days = due.len();
    let mut progress = Progress::new(show, &due);
    progress.watch(stack).await?;
    for _ in 0..ROUNDS {
        let undone = stack.undone().await?;
        if undone.is_empty() {
            break;
        }
        stack.announce(&undone);
        progress.watch(stack).await?;
    }
    let undone = stack.undone().await?;
    let undone = undone.first().map(|first| {
        format!(
            "{} days could not be worked out, {first} first; {} messages are in the dead-letter queues and the log says why",
            undone.len(),
            stack.bus.dead_letters().len()
        )
    });
    Ok(Work { run, days, undone })
}

fn sentence(overview: &Overview) -> String {
    match overview.findings.first() {
        Some(finding) => finding.headline.clone(),
        None => overview.silence.to_owned(),
    }
}

/// One folder keeps one source: a second one would restate the days of the first. A note in the folder says which.
async fn keep_to_one_source(stack: &Stack, data: &Path, address: Option<&Address>) -> anyhow::Result<()> {
    let source = address.map_or("the demo organisation".to_owned(), identity);
    let (file, note) = (data.join("source"), format!("{} {source}", stack.intake.mapping.name));
    let before = std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
    if before != note && !before.is_empty() && !stack.lake.newest_bases(None).await?.is_empty() {
        bail!("the folder {} keeps another source ({before}); choose another one with --data DIR", data.display());
    }
    std::fs::write(&file, &note).with_context(|| format!("{} cannot be written", file.display()))
}

/// Which source an address means, however it is written and from wherever: a file by its whole path.
fn identity(address: &Address) -> String {
    let Address::Sqlite(options) = address else { return address.to_string() };
    let path = options.get_filename();
    // A file that is gone is still the same source: what is left of its path is settled by its folder.
    let settled = std::fs::canonicalize(path).ok().or_else(|| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(std::fs::canonicalize(folder).ok()?.join(path.file_name()?))
    });
    settled.map_or_else(|| address.to_string(), |path| path.display().to_string())
}
