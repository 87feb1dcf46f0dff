//! What a selection's answers are computed from, read once; everything after this module is pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    annotator::{Logic, Register, declaration::Insight},
    contribution::{Cell, CellKey, Contribution, LogicRecord, Pointer, Scope, Shown},
    time::LocalDay,
};

use crate::{
    Api, ApiError,
    access::{
        Sight, Veil,
        quorum::Quorum,
        sight::Member,
        suppression::{hidden_by, hidden_days},
        veil::{Landscape, TeamDays},
    },
    directory::Directory,
    figure::{Figure, Grounds},
    logics::{LogicRun, MissingDay, runs},
    selection::{Range, Request, Selection},
};

/// What each day of a range adds to one scope; days without rows are left out.
pub type Days = BTreeMap<LocalDay, Contribution>;

/// Teams whose contributions are read at the same time.
const READ_AT_ONCE: usize = 8;

/// The contributions to one selection, and what it takes to read them.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What was asked for.
    pub request: Request,
    /// Whose figures.
    pub scope: Scope,
    /// Which days; `None` while nothing is captured.
    pub range: Option<Range>,
    /// The logic that is preferred: the one asked for, else the program's own.
    pub logic: Logic,
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
    /// The columns that insights need as evidence and that are true of some row of the organisation in the range.
    pub evident: BTreeSet<String>,
    /// The partitions that the figures are of and the logics that computed them, by day.
    pub shown: Vec<Shown>,
    /// Days of the range that the lake knew better as of the time that was asked for.
    pub missing: Vec<MissingDay>,
    /// What an older logic says, where it was asked for.
    pub earlier: Option<Earlier>,
    /// What of it is hidden from whoever asks.
    pub veil: Veil,
    /// See [`Group::beside`].
    pub beside: Vec<(Days, Quorum)>,
}

/// What an older logic says of a range in which newer ones show days that it has, too.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The logic.
    pub logic: Arc<LogicRecord>,
    /// Every day of the range that it has, as it shows it.
    pub pointers: BTreeMap<LocalDay, Pointer>,
    /// What they add to the scope.
    pub days: Days,
    /// As [`Evidence::evident`], by this logic.
    pub evident: BTreeSet<String>,
}

/// Which partitions answer a request: enough to know whether an answer is still the same, before it is computed.
#[derive(Debug, Clone)]
pub struct Basis {
    request: Request,
    range: Option<Range>,
    /// The newest captured day, wherever the range ends.
    pub newest: Option<Pointer>,
    shown: Vec<Shown>,
    missing: Vec<MissingDay>,
    directory: Arc<Directory>,
    /// The logics that were looked at, the preferred one first.
    logics: Vec<Arc<LogicRecord>>,
    /// The older logic that is drawn beside what is shown, with the days that it has.
    earlier: Vec<Shown>,
}

impl Basis {
    /// Finds it: the logics, the pointers of the range, and once more per older logic while days are missing.
    ///
    /// # Errors
    /// [`ApiError::TooFewPeople`] of another person; otherwise if the table or the lake does not answer.
    pub async fn find(api: &Api, request: &Request) -> Result<Self, ApiError> {
        let sight = &api.caller.sight;
        // A sprint of a group is told in the list of its sprints, where it is hidden beside the others if need be.
        let narrowed = request.sprint.is_some() && !sight.is_all_of(&request.scope);
        if narrowed || sight.is_strange_to(&request.scope) {
            return Err(ApiError::TooFewPeople(request.scope.clone()));
        }
        let logics = api.logics(request.logic.as_ref()).await?;
        let directory = api.directory(request.as_of).await?;
        let newest = api.newest(&logics).await?;
        // Nobody can have known a day before it began.
        let then = request.as_of.map(|as_of| LocalDay(as_of.instant().with_timezone(&api.time_zone).date_naive()));
        let last =
            newest.as_ref().map(|newest| then.map_or(newest.partition.day, |then| then.min(newest.partition.day)));
        let range = request.resolve(last);
        let (mut shown, mut missing) = (Vec::new(), Vec::new());
        if let Some(range) = range.filter(|range| range.days() > 0) {
            shown = api.store.shown(&logics, range.from, range.last(), request.as_of).await?;
            if let Some(as_of) = request.as_of {
                missing = api.missing((range.from, range.last()), as_of, &shown).await?;
            }
        }
        Ok(Self { request: request.clone(), range, newest, shown, missing, directory, logics, earlier: Vec::new() })
    }

    /// Also finds what the figure of `insight` was before its logic changed: the newest older logic that computes it
    /// otherwise and has days that a newer one shows. One query for each older logic that may be it, until one is.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn with_earlier(mut self, api: &Api, insight: &Insight) -> Result<Self, ApiError> {
        let Some(range) = self.range.filter(|_| !self.shown.is_empty()) else { return Ok(self) };
        let columns = || insight.ratio().columns();
        let by_day: BTreeMap<LocalDay, &LogicRecord> =
            self.shown.iter().map(|shown| (shown.pointer.partition.day, &*shown.logic)).collect();
        for logic in self.logics.iter().skip(1).filter(|logic| logic.folds(columns())) {
            let order = std::slice::from_ref(logic);
            let mut own = api.store.shown(order, range.from, range.last(), self.request.as_of).await?;
            own.retain(|own| by_day.contains_key(&own.pointer.partition.day));
            let otherwise = |own: &Shown| {
                let shown = by_day.get(&own.pointer.partition.day);
                shown.is_some_and(|shown| shown.logic != logic.logic && !shown.computes_alike(logic, columns()))
            };
            if own.iter().any(otherwise) {
                self.earlier = own;
                break;
            }
        }
        Ok(self)
    }

    /// All that an answer depends on besides the question, the program's logic, the settings and the program.
    pub fn identity(&self) -> String {
        let mut identity = format!("{:?} {} {:?}", self.range, self.directory.identity(), self.missing);
        let newest = self.newest.as_ref().map(|newest| newest.partition);
        identity.push_str(&format!(";{newest:?}"));
        for Shown { logic, pointer } in self.shown.iter().chain(&self.earlier) {
            let (day, generation) = (pointer.partition.day, pointer.partition.generation);
            identity.push_str(&format!(";{day} {generation} {}", logic.logic));
        }
        identity
    }
}

impl Evidence {
    /// Finds the basis of a request and reads it.
    ///
    /// # Errors
    /// See [`Evidence::of`].
    pub async fn read(api: &Api, request: &Request, with_teams: bool) -> Result<Self, ApiError> {
        Self::of(api, Basis::find(api, request).await?, with_teams).await
    }

    /// Reads it: ⌈days/100⌉ batches per scope. An organisation's teams are read if `with_teams`, or if there are no
    /// sprints by which the organisation's own contributions could be divided.
    ///
    /// # Errors
    /// [`ApiError::UnknownScope`] if the source does not have the scope and it has no rows either;
    /// [`ApiError::TooFewPeople`] if it is hidden from whoever asks.
    pub async fn of(api: &Api, basis: Basis, with_teams: bool) -> Result<Self, ApiError> {
        let Basis { request, range, newest, shown, missing, directory, logics: _, earlier } = basis;
        let days = contributions(api, &request.scope, &shown).await?;
        if days.is_empty() && !directory.knows(&request.scope) {
            return Err(ApiError::UnknownScope(request.scope));
        }
        let days = within(days, request.sprint.as_deref());
        let unknown = |id: &&String| days.is_empty() && !directory.knows(&Scope::Sprint((*id).clone()));
        if let Some(id) = request.sprint.as_ref().filter(unknown) {
            return Err(ApiError::UnknownScope(Scope::Sprint(id.clone())));
        }
        let mut evidence = Self {
            request: request.clone(),
            scope: request.scope.clone(),
            range,
            logic: request.logic.as_ref().unwrap_or_else(|| api.register.logic()).clone(),
            newest,
            days_captured: shown.len(),
            data_as_of: shown.iter().map(|shown| shown.pointer.partition.generation.instant()).max(),
            directory,
            days,
            teams: BTreeMap::new(),
            evident: shown.iter().flat_map(|shown| shown.pointer.evidence.iter().cloned()).collect(),
            shown,
            missing,
            earlier: Earlier::read(api, &request, earlier).await?,
            veil: Veil::default(),
            beside: Vec::new(),
        };
        if evidence.scope == Scope::Organisation && (with_teams || !evidence.group().has_sprints()) {
            evidence.teams = evidence.read_teams(api, &evidence.days).await?;
        }
        match &api.caller.sight {
            Sight::Member(member) if !api.caller.sight.is_all_of(&evidence.scope) => {
                (evidence.veil, evidence.beside) = evidence.veil_for(api, member).await?;
                // What two logics say of the same few people would tell them apart.
                evidence.earlier = None;
            }
            Sight::Member(_) | Sight::Everything => {}
        }
        Ok(evidence)
    }

    /// What of it is hidden from a member, and what its parts can be told apart by. Whatever is not their own team's is seen
    /// beside its siblings, so those are read.
    async fn veil_for(&self, api: &Api, member: &Member) -> Result<(Veil, Vec<(Days, Quorum)>), ApiError> {
        let present = api.directory(None).await?;
        let over = Veil::over(member, &self.scope, &self.directory, &present);
        let (organisation, teams) = match &self.scope {
            Scope::Organisation if !self.teams.is_empty() => (self.days.clone(), self.teams.clone()),
            Scope::Organisation => (self.days.clone(), self.read_teams(api, &self.days).await?),
            Scope::Team(team) if over.is_own(team) => Default::default(),
            Scope::Sprint(sprint) => {
                let team = self.directory.sprint(sprint).and_then(|sprint| sprint.team.clone());
                (Days::new(), self.read_each(api, team.filter(|team| over.is_own(team))).await?)
            }
            Scope::Team(_) | Scope::Person(_) => {
                let organisation = contributions(api, &Scope::Organisation, &self.shown).await?;
                let teams = self.read_teams(api, &organisation).await?;
                (organisation, teams)
            }
        };
        let veil = self.veil_among(over, &api.register, &organisation, &teams);
        let veil = veil.ok_or_else(|| ApiError::TooFewPeople(self.scope.clone()))?;
        let beside =
            if self.scope == Scope::Organisation { self.beside(&veil, &api.register, teams) } else { Vec::new() };
        Ok((veil, beside))
    }

    /// Of an organisation: the days of each team of one's own, and those of all others.
    pub(crate) fn beside(
        &self,
        veil: &Veil,
        register: &Register,
        mut teams: BTreeMap<String, Days>,
    ) -> Vec<(Days, Quorum)> {
        teams.retain(|team, _| veil.is_own(team));
        let others = less(&self.days, teams.values(), register);
        let own = teams.into_iter().map(|(team, days)| (days, veil.quorum_of(&team).clone()));
        own.chain([(others, veil.quorum.clone())]).collect()
    }

    /// The veil over the selection among all that `organisation` and `teams` add to its days, of a sprint its own team;
    /// `None` where it is hidden.
    pub(crate) fn veil_among(
        &self,
        over: Veil,
        register: &Register,
        organisation: &Days,
        teams: &BTreeMap<String, Days>,
    ) -> Option<Veil> {
        let veil = match &self.scope {
            Scope::Team(team) if over.is_own(team) => over,
            Scope::Sprint(sprint) => {
                let id = self.directory.sprint(sprint)?.team.as_deref()?;
                let team = TeamDays { id, days: teams.get(id)?, directory: &self.directory, range: self.range? };
                over.over_sprint(register, sprint, &self.days, &team)?
            }
            _ => Landscape { over, organisation, teams }.veil(register, &self.scope)?,
        };
        self.group_under(&veil).is_large_enough().then_some(veil)
    }

    async fn read_teams(&self, api: &Api, organisation: &Days) -> Result<BTreeMap<String, Days>, ApiError> {
        let guests = organisation.values().flat_map(|day| &day.by_sprint);
        let ids: BTreeSet<&String> =
            self.directory.teams().chain(guests.filter_map(|cell| cell.key.team.as_ref())).collect();
        // Owned, so that the future does not borrow from the set it walks through.
        self.read_each(api, ids.into_iter().cloned().collect::<Vec<_>>()).await
    }

    /// The days of some teams.
    async fn read_each(
        &self,
        api: &Api,
        ids: impl IntoIterator<Item = String>,
    ) -> Result<BTreeMap<String, Days>, ApiError> {
        let read = |id: String| async move {
            let scope = Scope::Team(id.clone());
            let days = contributions(api, &scope, &self.shown).await?;
            Ok::<_, ApiError>((id, days))
        };
        stream::iter(ids).map(read).buffered(READ_AT_ONCE).try_collect().await
    }

    /// Which logic each day has.
    pub fn logics(&self) -> Vec<LogicRun> {
        runs(&self.shown)
    }

    /// How the selection is echoed.
    pub fn selection(&self) -> Selection {
        Selection {
            scope: self.scope.clone(),
            name: self.directory.name(&self.scope),
            sprint: self.request.sprint.clone(),
            sprint_name: self.request.sprint.as_ref().map(|id| self.directory.name(&Scope::Sprint(id.clone()))),
            from: self.range.map(|range| range.from),
            to: self.range.map(|range| range.to),
            days_captured: self.days_captured,
            logic: self.request.logic.clone(),
            as_of: self.request.as_of,
        }
    }

    /// The group that the selection is about.
    pub fn group(&self) -> Group<'_> {
        self.group_under(&self.veil)
    }

    fn group_under<'a>(&'a self, veil: &'a Veil) -> Group<'a> {
        Group {
            scope: self.scope.clone(),
            sprint: self.request.sprint.as_deref(),
            range: self.range,
            directory: &self.directory,
            days: &self.days,
            teams: self.teams.values().collect(),
            evident: &self.evident,
            quorum: &veil.quorum,
            veil,
            beside: &self.beside,
            without_team: false,
        }
    }

    /// The same people's days as the older logic has them.
    pub fn earlier_group(&self) -> Option<Group<'_>> {
        let Earlier { days, evident, .. } = self.earlier.as_ref()?;
        Some(Group { days, evident, teams: Vec::new(), ..self.group() })
    }

    /// Each team of the organisation that has rows, as a group of its own; hidden ones included.
    pub fn team_groups(&self) -> impl Iterator<Item = Group<'_>> {
        let teams = self.teams.iter().filter(|(_, days)| !days.is_empty());
        teams.map(|(id, days)| Group {
            scope: Scope::Team(id.clone()),
            sprint: None,
            range: self.range,
            directory: &self.directory,
            days,
            teams: Vec::new(),
            evident: &self.evident,
            quorum: self.veil.quorum_of(id),
            veil: &self.veil,
            beside: &[],
            without_team: false,
        })
    }
}

impl Evidence {
    /// What the rows without a team add to an organisation whose teams were read: its days less theirs. `None` where no
    /// team has rows, and for whoever may not see all of the organisation, to whom it would tell of too few.
    pub fn days_without_team(&self, register: &Register) -> Option<Days> {
        let told = self.scope == Scope::Organisation && self.veil == Veil::default();
        if !told || self.teams.values().all(BTreeMap::is_empty) {
            return None;
        }
        Some(less(&self.days, self.teams.values(), register))
    }
}

/// What an organisation's days have besides those of some teams, by kind of activity. Of the people only those are known who
/// are in none of the teams.
fn less<'a>(whole: &Days, teams: impl Iterator<Item = &'a Days> + Clone, register: &Register) -> Days {
    let columns = register.folded_columns();
    let mut rest = Days::new();
    for (day, whole) in whole {
        let mut kinds: BTreeMap<&CellKey, (Vec<&Cell>, Vec<&Cell>)> = BTreeMap::new();
        for cell in &whole.by_stereotype {
            kinds.entry(&cell.key).or_default().0.push(cell);
        }
        for cell in teams.clone().filter_map(|days| days.get(day)).flat_map(|day| &day.by_stereotype) {
            let same = kinds.iter_mut().find(|(key, _)| key.stereotype == cell.key.stereotype);
            same.into_iter().for_each(|(_, (_, parts))| parts.push(cell));
        }
        let left = |(key, (whole, parts)): (&CellKey, (Vec<&Cell>, Vec<&Cell>))| {
            Cell::rest(key.clone(), &whole, &parts, columns.keys().copied())
        };
        let rows = |cells: &[&Cell]| cells.iter().map(|cell| cell.total.rows).sum::<i64>();
        // Of most kinds nothing is left, and to join the people of a thousand teams takes its time.
        let is_left = |(_, (whole, parts)): &(&CellKey, (Vec<&Cell>, Vec<&Cell>))| rows(whole) > rows(parts);
        let cells: Vec<Cell> = kinds.into_iter().filter(is_left).map(left).collect();
        if !cells.is_empty() {
            rest.insert(*day, Contribution { by_stereotype: cells, ..Contribution::default() });
        }
    }
    rest
}

impl Earlier {
    /// Reads it: ⌈days/100⌉ batches.
    async fn read(api: &Api, request: &Request, shown: Vec<Shown>) -> Result<Option<Self>, ApiError> {
        let Some(logic) = shown.first().map(|shown| shown.logic.clone()) else { return Ok(None) };
        let days = within(contributions(api, &request.scope, &shown).await?, request.sprint.as_deref());
        let pointers = shown.into_iter().map(|shown| (shown.pointer.partition.day, shown.pointer));
        let pointers: BTreeMap<LocalDay, Pointer> = pointers.collect();
        let evident = pointers.values().flat_map(|pointer| pointer.evidence.iter().cloned()).collect();
        Ok(Some(Self { logic, pointers, days, evident }))
    }
}

/// The contributions of one scope to some days, each by the logic that shows it.
async fn contributions(api: &Api, scope: &Scope, shown: &[Shown]) -> Result<Days, ApiError> {
    let mut by_logic: BTreeMap<&Logic, (&LogicRecord, Vec<Pointer>)> = BTreeMap::new();
    for Shown { logic, pointer } in shown {
        by_logic.entry(&logic.logic).or_insert_with(|| (&**logic, Vec::new())).1.push(pointer.clone());
    }
    let folded = api.register.folded_columns();
    let mut days = Days::new();
    for (logic, (record, pointers)) in by_logic {
        let mut of_logic = api.store.contributions(logic, scope, &pointers).await?;
        // What the logic does not have is not 0, but not known.
        for column in folded.keys().filter(|column| !record.columns.contains_key(**column)) {
            let cells = of_logic.values_mut().flat_map(|day| day.by_stereotype.iter_mut().chain(&mut day.by_sprint));
            cells.for_each(|cell| cell.lack(column));
        }
        days.extend(of_logic);
    }
    Ok(days)
}

/// What of a team's or a person's days belongs to a sprint, if one is given.
pub(crate) fn within(mut days: Days, sprint: Option<&str>) -> Days {
    if let Some(sprint) = sprint {
        days.values_mut().for_each(|day| day.by_stereotype.retain(|cell| cell.key.sprint.as_deref() == Some(sprint)));
        days.retain(|_, day| !day.by_stereotype.is_empty());
    }
    days
}

/// Every cell of some days, by kind of activity, with its day.
pub(crate) fn by_day(days: &Days) -> impl Iterator<Item = (LocalDay, &Cell)> + Clone {
    days.iter().flat_map(|(day, adds)| adds.by_stereotype.iter().map(|cell| (*day, cell)))
}

/// Some people's days, and what it takes to read them.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// Who they are.
    pub scope: Scope,
    /// The sprint that all of it belongs to, where that was asked for.
    pub sprint: Option<&'a str>,
    /// Which days; `None` while nothing is captured.
    pub range: Option<Range>,
    /// Names and sprints.
    pub directory: &'a Directory,
    /// What each day adds.
    pub days: &'a Days,
    /// Of an organisation: the days of its teams, where they were read.
    pub teams: Vec<&'a Days>,
    /// See [`Evidence::evident`].
    pub evident: &'a BTreeSet<String>,
    /// Who has to be behind a figure of it.
    pub quorum: &'a Quorum,
    /// What else is hidden.
    pub veil: &'a Veil,
    /// Of an organisation, for a member: the days of each team of theirs and of all others, with who has to be behind a part
    /// of those. The parts of one's own team are told, and so those of the others follow.
    pub beside: &'a [(Days, Quorum)],
    /// Whether these are only those rows of the organisation that belong to no team.
    pub without_team: bool,
}

impl<'a> Group<'a> {
    /// Whether it has no rows, or enough people behind them.
    fn is_large_enough(&self) -> bool {
        let people = self.cells().map(|cell| &cell.people).collect();
        self.quorum.is_met_by(&people) || self.cells().all(|cell| cell.total.rows == 0)
    }

    /// Whether the group itself is hidden.
    pub fn is_hidden(&self) -> bool {
        matches!(&self.scope, Scope::Team(team) if self.veil.hides_team(team))
    }

    /// Whether anything of its parts is told: of teams and sprints that are not one's own team the parts would tell what
    /// they have in common with those of one's own, of the organisation, and of each other.
    pub fn tells_parts(&self) -> bool {
        match &self.scope {
            _ if self.quorum.asks_nothing() => true,
            Scope::Organisation | Scope::Person(_) => true,
            Scope::Team(team) => self.veil.is_own(team),
            Scope::Sprint(_) => false,
        }
    }

    /// Whether it is one's own, or one may see everything. Of anything else only the figures themselves are judged beside each
    /// other, so what goes with them is not told.
    pub fn is_own(&self) -> bool {
        self.quorum.asks_nothing() || (self.scope != Scope::Organisation && self.tells_parts())
    }

    /// Which of the parts that `part` divides its rows into, by day and cell, are hidden from whoever asks, as far as they have
    /// to do with some columns.
    pub fn hidden_parts<K: Ord + Clone>(
        &self,
        part: impl Fn(LocalDay, &'a Cell) -> Option<K>,
        columns: &[String],
    ) -> BTreeSet<K> {
        if self.quorum.asks_nothing() {
            return BTreeSet::new();
        }
        let keyed = |days: &'a Days| -> Vec<(K, &'a Cell)> {
            by_day(days).filter_map(|(day, cell)| Some((part(day, cell)?, cell))).collect()
        };
        let own = keyed(self.days);
        if !self.tells_parts() {
            return own.into_iter().map(|(part, _)| part).collect();
        }
        let mut hidden = hidden_by(own.into_iter(), columns, self.quorum);
        for (days, quorum) in self.beside {
            hidden.extend(hidden_by(keyed(days).into_iter(), columns, quorum));
        }
        hidden
    }

    /// Its days that are hidden from whoever asks, as far as they have to do with some columns.
    pub fn hidden_days(&self, columns: &[String]) -> BTreeSet<LocalDay> {
        if self.quorum.asks_nothing() {
            return BTreeSet::new();
        }
        if !self.tells_parts() {
            return self.days.keys().copied().collect();
        }
        let mut hidden = hidden_days(by_day(self.days), columns, self.quorum);
        for (days, quorum) in self.beside {
            hidden.extend(hidden_days(by_day(days), columns, quorum));
        }
        hidden
    }

    /// The same as [`Group::hidden_parts`] of the longer periods or sprints that `part` divides it into: days are told as well,
    /// and with them what the hidden ones of a part come to.
    pub fn hidden_parts_beside_days<K: Ord + Clone>(
        &self,
        part: impl Fn(LocalDay, &'a Cell) -> Option<K>,
        columns: &[String],
    ) -> BTreeSet<K> {
        let days = self.hidden_days(columns);
        let mut hidden = self.hidden_parts(&part, columns);
        hidden.extend(self.hidden_parts(|day, cell| part(day, cell).filter(|_| days.contains(&day)), columns));
        hidden
    }

    /// Whether figures of each of the parts that `part` divides it into may be told, beside its days.
    pub fn tells_of_each<K: Ord + Clone>(
        &self,
        part: impl Fn(LocalDay, &'a Cell) -> Option<K>,
        insight: &Insight,
    ) -> bool {
        let columns: Vec<String> = insight.ratio().columns().cloned().collect();
        self.is_own() && self.hidden_parts_beside_days(part, &columns).is_empty()
    }

    /// What an insight says of some of its rows; hidden where all of the figure is.
    pub fn figure(&self, insight: &Insight, cells: impl Iterator<Item = &'a Cell>) -> Figure {
        if self.is_hidden() || self.veil.hides_figure(&insight.id, &self.scope) {
            return Figure::hidden();
        }
        Figure::of(insight.ratio(), insight.evidence.as_ref(), self.grounds_of(cells))
    }

    /// What a figure of the whole group is computed from.
    pub fn grounds(&self) -> Grounds<'a, impl Iterator<Item = &'a Cell> + use<'a>> {
        self.grounds_of(self.cells())
    }

    /// What a figure of some of its rows is computed from.
    pub fn grounds_of<I: Iterator<Item = &'a Cell>>(&self, cells: I) -> Grounds<'a, I> {
        Grounds { cells, evident: self.evident, quorum: self.quorum }
    }

    /// Every row once, by day, stereotype, and what else the scope divides by.
    pub fn cells(&self) -> impl Iterator<Item = &'a Cell> + Clone + use<'a> {
        self.days.values().flat_map(|day| &day.by_stereotype)
    }

    /// Whether the group works in sprints, complete or not, in the range.
    pub fn has_sprints(&self) -> bool {
        let any = |team| self.range.is_some_and(|range| self.directory.sprints_in(range, team).next().is_some());
        let has_days = |id: &str| self.directory.sprint(id).is_some_and(|sprint| sprint.days.is_some());
        match (&self.scope, self.sprint) {
            // A sprint is a team's, or every team's.
            _ if self.without_team => false,
            (_, Some(id)) => has_days(id),
            (Scope::Organisation, None) => any(None),
            (Scope::Team(id), None) => any(Some(id)),
            (Scope::Sprint(id), None) => has_days(id),
            (Scope::Person(_), None) => {
                let mut sprints = self.cells().filter_map(|cell| self.directory.sprint(cell.key.sprint.as_ref()?));
                sprints.any(|sprint| sprint.days.is_some())
            }
        }
    }
}
