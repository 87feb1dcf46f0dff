//! The API: figures from contributions, as JSON and as a page.
//!
//! A request flows through the modules in this order: [`selection`] says what is asked for, [`evidence`] reads what
//! answers it, by which of the [`logics`], [`figure`], [`hours`], [`answer`] and [`finding`] compute from that alone, [`activities`] lists the rows behind a figure, [`compare`] two logics, [`lineage`] where it comes from, [`freshness`] says how old it is, and
//! `routes`, [`page`] and [`problem`] turn it into responses. Nothing here knows an annotator by name: which figures
//! there are, and what they mean, is what the register's declarations say.

pub mod access;
pub mod activities;
pub mod answer;
pub mod compare;
pub mod directory;
pub mod division;
mod etag;
pub mod evidence;
pub mod figure;
pub mod finding;
pub mod freshness;
pub mod hours;
pub mod lineage;
pub mod logics;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod quality;
mod routes;
mod rows;
#[cfg(test)]
mod sample;
pub mod selection;
pub mod settings;
pub mod spreadsheet;
pub mod text;
pub mod trend;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use shared::{
    annotator::{Logic, Register},
    contribution::ContributionStore,
    lake::{Lake, LakeError},
    time::Generation,
};
use tokio::sync::RwLock;

pub use problem::ApiError;
pub use routes::router;
pub use selection::Request;

use crate::{
    access::{Access, Caller},
    answer::Answer,
    directory::Directory,
    evidence::Evidence,
    finding::Finding,
    logics::LogicRun,
    selection::Selection,
    settings::Settings,
};

/// Names and sprints are read again after this long.
const DIRECTORY_LIFETIME: Duration = Duration::from_secs(60);

/// What every request needs. Cheap to clone; clones share the directory.
#[derive(Debug, Clone)]
pub struct Api {
    lake: Lake,
    store: ContributionStore,
    register: Arc<Register>,
    settings: Arc<Settings>,
    time_zone: Tz,
    directory: Arc<RwLock<Option<ReadDirectory>>>,
    /// Whom it answers: the operator, until a request comes from somebody else.
    caller: Arc<Caller>,
    /// Who is let in where requests come from elsewhere.
    access: Arc<Access>,
}

/// A directory and when it was read.
type ReadDirectory = (Instant, Arc<Directory>);

impl Api {
    /// Answers from `lake` and `store` what `register` declares; `time_zone` is the organisation's, which decides the
    /// local days of its sprints. It answers the operator who has made it; its router answers nobody until [`Api::admitting`].
    pub fn new(
        lake: Lake,
        store: ContributionStore,
        register: Arc<Register>,
        settings: Settings,
        time_zone: Tz,
    ) -> Self {
        Self {
            lake,
            store,
            register,
            settings: Arc::new(settings),
            time_zone,
            directory: Arc::default(),
            caller: Arc::new(Caller::operator()),
            access: Arc::default(),
        }
    }

    /// The same, whose router lets in whom `access` says. Without it nobody is.
    pub fn admitting(self, access: Access) -> Self {
        Self { access: Arc::new(access), ..self }
    }

    /// The same for somebody else.
    pub fn answering(self, caller: Arc<Caller>) -> Self {
        Self { caller, ..self }
    }

    /// Names and sprints, as they are or as they were known `as_of` then.
    async fn directory(&self, as_of: Option<Generation>) -> Result<Arc<Directory>, LakeError> {
        if as_of.is_some() {
            return Ok(Arc::new(Directory::read(&self.lake, self.time_zone, as_of).await?));
        }
        let young = |cached: &Option<ReadDirectory>| {
            let young = cached.as_ref().filter(|(read, _)| read.elapsed() < DIRECTORY_LIFETIME);
            young.map(|(_, directory)| Arc::clone(directory))
        };
        if let Some(directory) = young(&*self.directory.read().await) {
            return Ok(directory);
        }
        // Whoever waited here for another request's reading uses it.
        let mut cached = self.directory.write().await;
        if let Some(directory) = young(&cached) {
            return Ok(directory);
        }
        let directory = Arc::new(Directory::read(&self.lake, self.time_zone, None).await?);
        *cached = Some((Instant::now(), Arc::clone(&directory)));
        Ok(directory)
    }
}

/// Everything there is to say about a selection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// What it is about, as it was resolved.
    pub selection: Selection,
    /// The logic that is preferred: the one asked for, else the program's own.
    pub logic: Logic,
    /// Which logic each day has, in runs of days.
    pub logics: Vec<LogicRun>,
    /// The newest generation among the days used; null without any.
    pub data_as_of: Option<DateTime<Utc>>,
    /// Every declared insight, in the register's order.
    pub insights: Vec<Answer>,
    /// What stands out, most recoverable hours first.
    pub findings: Vec<Finding>,
    /// Why there is nothing, if so, in a sentence.
    #[serde(skip)]
    pub silence: &'static str,
}

impl Overview {
    /// Computes it.
    pub fn of(register: &Register, settings: &Settings, evidence: &Evidence) -> Self {
        let group = evidence.group();
        let (findings, silence) = finding::findings_or_why_not(register, settings, evidence);
        Self {
            selection: evidence.selection(),
            logic: evidence.logic.clone(),
            logics: evidence.logics(),
            data_as_of: evidence.data_as_of,
            insights: register.insights().map(|insight| Answer::of(register, insight, &group)).collect(),
            findings,
            silence,
        }
    }
}

/// Insights and findings of a selection, an organisation's teams included.
///
/// # Errors
/// [`ApiError::UnknownScope`] if nobody knows the scope; otherwise if the table or the lake does not answer.
pub async fn overview(api: &Api, request: &Request) -> Result<Overview, ApiError> {
    let evidence = Evidence::read(api, request, true).await?;
    Ok(Overview::of(&api.register, &api.settings, &evidence))
}
