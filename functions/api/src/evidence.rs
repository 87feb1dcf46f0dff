//! What a selection's answers are computed from, read once; everything after this module is pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    contribution::{Cell, Contribution, Pointer, Scope},
    time::LocalDay,
};

use crate::{
    Api, ApiError,
    directory::Directory,
    selection::{Range, Request, Selection},
};

/// What each day of a range adds to one scope; days without rows are left out.
pub type Days = BTreeMap<LocalDay, Contribution>;

/// Teams whose contributions are read at the same time.
const READ_AT_ONCE: usize = 8;

/// The contributions to one selection, and what it takes to read them.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Whose figures.
    pub scope: Scope,
    /// Which days; `None` while nothing is captured.
    pub range: Option<Range>,
    /// The newest captured day, wherever the range ends.
    pub newest: Option<Pointer>,
    /// Days of the range that were captured.
    pub days_captured: usize,
    /// The newest generation among them.
    pub data_as_of: Option<DateTime<Utc>>,
    /// Names and sprints.
    pub directory: Arc<Directory>,
    /// The scope's own contributions.
    pub days: Days,
    /// Of an organisation, where they were asked for or are needed: those of its teams, by id.
    pub teams: BTreeMap<String, Days>,
}

impl Evidence {
    /// Reads it: the pointers of the range once, then ⌈days/100⌉ batches per scope. An organisation's teams are read
    /// if `with_teams`, or if there are no sprints by which the organisation's own contributions could be divided.
    ///
    /// # Errors
    /// [`ApiError::UnknownScope`] if the source does not have the scope and it has no rows either.
    pub async fn read(api: &Api, request: &Request, with_teams: bool) -> Result<Self, ApiError> {
        let (store, logic) = (&api.store, api.register.logic());
        let directory = api.directory().await?;
        let newest = store.newest(logic).await?;
        let range = request.resolve(newest.as_ref().map(|newest| newest.partition.day));
        let pointers = match range {
            Some(range) => store.pointers(logic, range.from, range.last()).await?,
            None => Vec::new(),
        };
        let days = store.contributions(logic, &request.scope, &pointers).await?;
        if days.is_empty() && !directory.knows(&request.scope) {
            return Err(ApiError::UnknownScope(request.scope.clone()));
        }
        let mut evidence = Self {
            scope: request.scope.clone(),
            range,
            newest,
            days_captured: pointers.len(),
            data_as_of: pointers.iter().map(|pointer| pointer.partition.generation.instant()).max(),
            directory,
            days,
            teams: BTreeMap::new(),
        };
        if evidence.scope == Scope::Organisation && (with_teams || !evidence.group().has_sprints()) {
            evidence.teams = evidence.read_teams(api, &pointers).await?;
        }
        Ok(evidence)
    }

    async fn read_teams(&self, api: &Api, pointers: &[Pointer]) -> Result<BTreeMap<String, Days>, ApiError> {
        let guests = self.days.values().flat_map(|day| &day.by_sprint);
        let ids: BTreeSet<&String> =
            self.directory.teams().chain(guests.filter_map(|cell| cell.key.team.as_ref())).collect();
        // Owned, so that the future does not borrow from the set it walks through.
        let ids: Vec<String> = ids.into_iter().cloned().collect();
        let read = |id: String| async move {
            let scope = Scope::Team(id.clone());
            let days = api.store.contributions(api.register.logic(), &scope, pointers).await?;
            Ok::<_, ApiError>((id, days))
        };
        stream::iter(ids).map(read).buffered(READ_AT_ONCE).try_collect().await
    }

    /// How the selection is echoed.
    pub fn selection(&self) -> Selection {
        Selection {
            scope: self.scope.clone(),
            name: self.directory.name(&self.scope),
            from: self.range.map(|range| range.from),
            to: self.range.map(|range| range.to),
            days_captured: self.days_captured,
        }
    }

    /// The group that the selection is about.
    pub fn group(&self) -> Group<'_> {
        Group {
            scope: self.scope.clone(),
            range: self.range,
            directory: &self.directory,
            days: &self.days,
            teams: self.teams.values().collect(),
        }
    }

    /// Each team of the organisation that has rows, as a group of its own.
    pub fn team_groups(&self) -> impl Iterator<Item = Group<'_>> {
        let teams = self.teams.iter().filter(|(_, days)| !days.is_empty());
        teams.map(|(id, days)| Group {
            scope: Scope::Team(id.clone()),
            range: self.range,
            directory: &self.directory,
            days,
            teams: Vec::new(),
        })
    }
}

/// Some people's days, and what it takes to read them.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// Who they are.
    pub scope: Scope,
    /// Which days; `None` while nothing is captured.
    pub range: Option<Range>,
    /// Names and sprints.
    pub directory: &'a Directory,
    /// What each day adds.
    pub days: &'a Days,
    /// Of an organisation: the days of its teams, where they were read.
    pub teams: Vec<&'a Days>,
}

impl<'a> Group<'a> {
    /// Every row once, by day, stereotype, and what else the scope divides by.
    pub fn cells(&self) -> impl Iterator<Item = &'a Cell> + use<'a> {
        self.days.values().flat_map(|day| &day.by_stereotype)
    }

    /// Whether the group works in sprints, complete or not, in the range.
    pub fn has_sprints(&self) -> bool {
        let any = |team| self.range.is_some_and(|range| self.directory.sprints_in(range, team).next().is_some());
        match &self.scope {
            Scope::Organisation => any(None),
            Scope::Team(id) => any(Some(id)),
            Scope::Sprint(id) => self.directory.sprint(id).is_some_and(|sprint| sprint.days.is_some()),
            Scope::Person(_) => {
                let mut sprints = self.cells().filter_map(|cell| self.directory.sprint(cell.key.sprint.as_ref()?));
                sprints.any(|sprint| sprint.days.is_some())
            }
        }
    }
}
