//! What a member finds out over HTTP about others, by every way to a figure, over the demo with one more team of three.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context, ensure};
use api::access::{Access, Caller, Sight, sight::Member};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower::ServiceExt;
use wastewalk::stack::Stack;
use wastewalk_tests::House;

/// A team of three, with a sprint and a day a week; one of them was a guest in a sprint of the first team, and one of that
/// team has a kind of work and a Saturday of their own.
const TINY: &str = "
    INSERT INTO teams VALUES (9, 'Tiny');
    INSERT INTO users VALUES (91, 9, 'Uma', 'UTC'), (92, 9, 'Vic', 'UTC'), (93, 9, 'Wen', 'UTC');
    INSERT INTO sprints VALUES (901, 9, 'Tiny 1', '2026-08-03T00:00:00Z', '2026-08-17T00:00:00Z', NULL);
    INSERT INTO activity_stereotypes VALUES ('therapy', 'Therapy', 'other', 0);
    INSERT INTO activities
        SELECT 900000 + u.id * 10 + d.value, u.id, 901, 'coding', '2026-08-' || d.value || 'T08:00:00Z', 3600, 1, NULL, NULL,
            '2026-08-20T00:00:00Z', '2026-08-20T00:00:00Z'
        FROM users u, json_each('[10, 11, 12]') d WHERE u.team_id = 9;
    INSERT INTO activities VALUES
        (990001, 12, 101, 'therapy', '2026-08-06T15:00:00Z', 1800, 1, NULL, NULL, '2026-08-20T00:00:00Z', '2026-08-20T00:00:00Z'),
        (990002, 12, 101, 'coding', '2026-08-08T09:00:00Z', 5400, 1, NULL, NULL, '2026-08-20T00:00:00Z', '2026-08-20T00:00:00Z'),
        (990003, 93, 101, 'coding', '2026-08-07T09:00:00Z', 600, 1, NULL, NULL, '2026-08-20T00:00:00Z', '2026-08-20T00:00:00Z');
";

fn member(person: &str) -> Caller {
    let member = Member { person: Some(person.to_owned()), teams: None, minimum: 5 };
    Caller { name: person.to_owned(), sight: Sight::Member(member), form_token: None, demo: false }
}

fn seen_by(stack: &Stack, caller: Caller) -> Router {
    api::router(stack.api.clone().admitting(Access::As(Arc::new(caller))))
}

struct Answered {
    status: u16,
    etag: Option<String>,
    body: String,
}

impl Answered {
    fn json(&self) -> anyhow::Result<Value> {
        ensure!(self.status == 200, "{}: {}", self.status, self.body);
        Ok(serde_json::from_str(&self.body)?)
    }
}

async fn ask(router: &Router, uri: &str, etag: Option<&str>) -> anyhow::Result<Answered> {
    let mut request = Request::builder().uri(uri);
    if let Some(etag) = etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    let response = router.clone().oneshot(request.body(Body::empty())?).await?;
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(to_bytes(body, 1 << 24).await?.to_vec())?;
    let etag = parts.headers.get(header::ETAG).map(|tag| tag.to_str().map(str::to_owned)).transpose()?;
    Ok(Answered { status: parts.status.as_u16(), etag, body })
}

async fn json_of(router: &Router, uri: &str) -> anyhow::Result<Value> {
    ask(router, uri, None).await?.json().with_context(|| uri.to_owned())
}

/// Every way to a figure of a scope.
fn ways(scope: &str) -> Vec<String> {
    let data = [
        "/v1/insights?",
        "/v1/insights?format=csv&",
        "/v1/insights/waste?",
        "/v1/insights/waste/trend?granularity=day&",
        "/v1/insights/waste/trend?format=csv&",
        "/v1/insights/waste/activities?",
        "/v1/insights/waste/activities?format=csv&side=denominator&",
        "/v1/findings?",
        "/v1/findings?format=csv&",
        "/v1/sprints?",
        "/v1/stereotypes?",
        "/v1/lineage?insight=waste&",
        "/?",
        "/insights/waste?",
        "/insights/waste/activities?",
        "/lineage?insight=waste&",
        "/quality?",
    ];
    data.iter().map(|way| format!("{way}scope={scope}")).collect()
}

/// Where a list of sprints leads.
async fn links(router: &Router, list: &str) -> anyhow::Result<Vec<String>> {
    let listed = json_of(router, list).await?;
    let sprints = listed["sprints"].as_array().context("no sprints")?;
    ensure!(!sprints.is_empty(), "{list} would prove nothing");
    Ok(sprints.iter().filter_map(|sprint| Some(sprint["link"].as_str()?.to_owned())).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_finds_out_about_nobody_else_by_any_way() -> anyhow::Result<()> {
    let house = House::demo().await?;
    house.execute(TINY).await?;
    let (stack, _) = house.worked().await?;
    let analyst = seen_by(&stack, Caller::demo(None, 5));
    let ada = seen_by(&stack, member("11"));

    let logic = stack.register.logic();
    let compared = |scope: &str| {
        ["/v1/compare", "/compare"].map(|way| format!("{way}?logic={logic}&with={logic}&insight=waste&scope={scope}"))
    };
    // Another person, known or not, a team of three, the team that goes with it, and their sprints.
    for scope in ["person:12", "person:91", "person:nobody", "team:9", "team:4", "sprint:901", "sprint:101"] {
        for way in ways(scope).into_iter().chain(compared(scope)) {
            let answered = ask(&ada, &way, None).await?;
            ensure!(answered.status == 403, "{way}: {}", answered.status);
            let says = match way.starts_with("/v1") {
                true => ["urn:wastewalk:problem:too-few-people", "urn:wastewalk:problem:analysts-only"],
                false => ["too few people", "compared by analysts"],
            };
            ensure!(says.iter().any(|says| answered.body.contains(says)), "{way}: {}", answered.body);
        }
        let known = !scope.ends_with("nobody");
        ensure!(
            !known || ask(&analyst, &ways(scope)[0], None).await?.status == 200,
            "{scope} is there, for an analyst"
        );
    }
    // Their own rows and their own team, as everybody sees them who may.
    for scope in ["person:11", "team:1", "org"] {
        let (own, all) = (json_of(&ada, &ways(scope)[0]).await?, json_of(&analyst, &ways(scope)[0]).await?);
        for (own, all) in
            own["insights"].as_array().context("insights")?.iter().zip(all["insights"].as_array().context("insights")?)
        {
            assert_eq!((&own["numerator"], &own["denominator"]), (&all["numerator"], &all["denominator"]), "{scope}");
        }
    }
    assert_eq!(json_of(&ada, &ways("person:11")[0]).await?, json_of(&analyst, &ways("person:11")[0]).await?);
    // A sprint of a group is told in its list only; one of their own work is theirs.
    for link in links(&analyst, "/v1/sprints?scope=team:1").await? {
        assert_eq!(
            (ask(&analyst, &link, None).await?.status, ask(&ada, &link, None).await?.status),
            (200, 403),
            "{link}"
        );
    }
    assert!(links(&ada, "/v1/sprints?scope=team:1").await?.is_empty());
    for link in links(&ada, "/v1/sprints?scope=person:11").await? {
        assert_eq!(json_of(&ada, &link).await?, json_of(&analyst, &link).await?, "{link}");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_hide_what_is_small_and_enough_beside_it_and_never_say_0() -> anyhow::Result<()> {
    let house = House::demo().await?;
    house.execute(TINY).await?;
    let (stack, _) = house.worked().await?;
    let (analyst, ada) = (seen_by(&stack, Caller::demo(None, 5)), seen_by(&stack, member("11")));

    let teams = json_of(&ada, "/v1/teams").await?;
    let mut hidden = BTreeSet::new();
    for team in teams["teams"].as_array().context("no teams")? {
        let insights = team["insights"].as_object().context("no insights")?;
        if team["people"].is_null() {
            hidden.insert(team["scope"].as_str().context("a scope")?);
            assert_eq!(team["work_seconds"], Value::Null);
            for figure in insights.values() {
                assert_eq!((&figure["status"], &figure["reason"]), (&json!("hidden"), &json!("too_few_people")));
                for field in ["numerator", "denominator", "ratio", "rows", "people", "covered_share"] {
                    assert_eq!(figure[field], Value::Null, "{field}");
                }
            }
        } else {
            assert!(team["people"].as_i64() >= Some(5), "{team}");
        }
    }
    assert_eq!(hidden, BTreeSet::from(["team:4", "team:9"]), "the smallest other team goes with it");
    let all = json_of(&analyst, "/v1/teams").await?;
    assert!(all["teams"].as_array().context("no teams")?.iter().all(|team| team["people"].is_number()));
    let findings = json_of(&ada, "/v1/findings").await?;
    let scopes: Vec<&Value> =
        findings["findings"].as_array().context("no findings")?.iter().map(|f| &f["scope"]).collect();
    assert!(!scopes.is_empty() && !scopes.contains(&&json!("team:4")), "{scopes:?}");
    let page = ask(&ada, "/", None).await?.body;
    assert!(page.contains("too few to show") && page.contains("Signed in as <b>11</b>"));

    // One person's kind of work and one person's Saturday in their own team.
    let own = json_of(&ada, "/v1/insights/waste?scope=team:1").await?;
    let kinds = own["insights"][0]["by_stereotype"].as_array().context("no kinds")?;
    assert!(!kinds.iter().any(|kind| kind["stereotype"] == "therapy"));
    assert!(own["insights"][0]["hidden_kinds"].as_i64() >= Some(1));
    let kinds = json_of(&ada, "/v1/stereotypes?scope=team:1").await?;
    assert!(kinds["hidden"].as_i64() >= Some(1));
    assert!(!kinds["stereotypes"].as_array().context("no kinds")?.iter().any(|kind| kind["stereotype"] == "therapy"));
    let therapy =
        ask(&ada, "/v1/insights/waste/activities?scope=team:1&side=denominator&stereotype=therapy", None).await?;
    assert_eq!(therapy.status, 403);
    let saturday = ask(&ada, "/v1/insights?scope=team:1&from=2026-08-08&to=2026-08-09", None).await?;
    assert_eq!(saturday.status, 403);
    let days = json_of(&ada, "/v1/insights/waste/trend?scope=team:1&granularity=day").await?;
    let days = days["periods"].as_array().context("no days")?;
    let hidden: Vec<&Value> = days.iter().filter(|day| day["status"] == "hidden").collect();
    assert!(hidden.len() > 1 && hidden.iter().any(|day| day["from"] == "2026-08-08"), "the Saturday and another day");
    let lineage = json_of(&ada, "/v1/lineage?insight=waste&scope=team:1&from=2026-08-03&to=2026-08-17").await?;
    let of_saturday = lineage["days"].as_array().context("no days")?.iter().find(|day| day["day"] == "2026-08-08");
    let of_saturday = of_saturday.context("no Saturday")?;
    for field in ["numerator", "denominator", "rows"] {
        assert_eq!(of_saturday[field], Value::Null, "{field}");
    }
    assert_eq!(lineage["before"], Value::Null, "a running sum over hidden days would tell them");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_down_lists_no_row_of_few_and_still_adds_up() -> anyhow::Result<()> {
    let house = House::demo().await?;
    house.execute(TINY).await?;
    let (stack, _) = house.worked().await?;
    let (analyst, ada) = (seen_by(&stack, Caller::demo(None, 5)), seen_by(&stack, member("11")));
    for scope in ["org", "team:1"] {
        let (mut sum, mut cursor, mut withheld) = (0, String::new(), None);
        let mut places: Vec<(String, String, String)> = Vec::new();
        let (mut by_day, mut without_kind) = (BTreeMap::new(), 0);
        let first = format!(
            "/v1/insights/waste/activities?scope={scope}&side=denominator&limit=190&from=2026-08-03&to=2026-08-17"
        );
        let total = loop {
            let page = json_of(&ada, &format!("{first}{cursor}")).await?;
            assert_eq!(page["before"], json!(sum), "what the pages before list");
            for activity in page["activities"].as_array().context("no activities")? {
                sum += activity["value"].as_i64().context("a value")?;
                assert!(matches!(activity["team_id"].as_str(), None | Some("1")), "{activity}");
                places.push(["day", "started_at", "activity_id"].map(|name| activity[name].to_string()).into());
                assert!(
                    !matches!(activity["sprint_id"].as_str(), Some("901" | "101")) || scope == "team:1",
                    "{activity}"
                );
                assert_ne!(activity["stereotype"], "therapy");
                let day = activity["day"].as_str().context("a day")?.to_owned();
                *by_day.entry(day).or_insert(0) += activity["value"].as_i64().context("a value")?;
                without_kind += usize::from(activity["stereotype"].is_null());
                assert!(scope == "org" || activity["day"] != "2026-08-08", "{activity}");
                for secret in ["user_id", "person", "note", "source_row"] {
                    assert!(activity.get(secret).is_none(), "{secret}");
                }
            }
            withheld = page["withheld"].as_i64().or(withheld);
            match page["next"].as_str() {
                Some(next) => {
                    let said = URL_SAFE_NO_PAD.decode(next)?;
                    let said: Value = serde_json::from_slice(&said)?;
                    assert_eq!(
                        said["after"][1],
                        page["activities"].as_array().and_then(|all| all.last()).context("one")?["activity_id"]
                    );
                    assert_eq!(
                        said.as_object().map(serde_json::Map::len),
                        Some(3),
                        "a cursor says where a page ended: {said}"
                    );
                    cursor = format!("&cursor={next}");
                }
                None => break page["total"].as_i64().context("a total")?,
            }
        };
        assert!(
            places.is_sorted() && places.len() > 190,
            "people follow each other in the file, and nobody is to see where one ends"
        );
        assert_eq!(sum + withheld.context("nothing is withheld")?, total, "{scope}");
        // A day less its rows that are listed would be what few people did on it.
        let trend = format!("/v1/insights/waste/trend?scope={scope}&granularity=day&from=2026-08-03&to=2026-08-17");
        let trend = json_of(&ada, &trend).await?;
        for day in trend["periods"].as_array().context("no days")?.iter().filter(|day| day["numerator"].is_number()) {
            let listed = by_day.get(day["from"].as_str().context("a day")?).copied().unwrap_or(0);
            assert_eq!(day["denominator"], json!(listed), "{scope}: {day}");
        }
        assert!(without_kind > 0 && without_kind < places.len(), "{without_kind} of {}", places.len());
        let all = json_of(&analyst, &first).await?;
        assert_eq!(all["total"], json!(total));
        assert_eq!(all.get("withheld"), None, "nothing is withheld from an analyst");
    }
    // Of a team that is not one's own nothing is listed, and the figure is told all the same.
    let other = json_of(&ada, "/v1/insights/waste/activities?scope=team:2&side=denominator").await?;
    assert_eq!((other["activities"].as_array().map(Vec::len), &other["withheld"]), (Some(0), &other["total"]));
    for part in ["automatable", "late+planning"] {
        let part = format!("/v1/insights/waste/activities?part={part}&scope=");
        let statuses = (
            ask(&ada, &format!("{part}team:2"), None).await?.status,
            ask(&ada, &format!("{part}team:1"), None).await?.status,
        );
        assert_eq!(statuses, (403, 200), "{part}");
    }
    // Bins say nothing of how many people are behind them, and a change is that of days.
    let bins = "How many person-days had so many";
    let juggling = "/insights/juggling?scope=team:1";
    ensure!(ask(&analyst, juggling, None).await?.body.contains(bins), "{juggling} would prove nothing");
    ensure!(!ask(&ada, juggling, None).await?.body.contains(bins), "bins of {juggling}");
    ensure!(ask(&analyst, "/?scope=team:2", None).await?.body.contains(" since "), "a change would prove nothing");
    ensure!(!ask(&ada, "/?scope=team:2", None).await?.body.contains(" since "), "a change of another team");
    // Nor is it told which kinds there are.
    for (scope, kind) in [("team:2", "coding"), ("team:2", "nothing"), ("team:1", "therapy"), ("team:1", "nothing")] {
        let asked = format!("/v1/insights/waste/activities?scope={scope}&side=denominator&stereotype={kind}");
        assert_eq!(ask(&ada, &asked, None).await?.status, 403, "{scope}, {kind}");
    }
    let figure = json_of(&ada, "/v1/insights?scope=team:2").await?;
    let waste =
        figure["insights"].as_array().and_then(|all| all.iter().find(|one| one["id"] == "waste")).context("waste")?;
    ensure!(waste["denominator"] == other["total"] && waste["by_stereotype"] == json!([]), "{waste}");
    let days = json_of(&ada, "/v1/insights/waste/trend?scope=team:2&granularity=day").await?;
    ensure!(days["periods"].as_array().context("days")?.iter().all(|day| day["numerator"].is_null()), "{days}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_known_again_by_whoever_got_it_and_by_nobody_else() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let callers = [Caller::demo(None, 5), Caller::operator(), member("11"), member("21")];
    let routers = callers.map(|caller| seen_by(&stack, caller));
    for uri in ["/v1/insights", "/v1/teams", "/", "/v1/insights/waste/activities?limit=1"] {
        let mut tags = BTreeSet::new();
        for router in &routers {
            let answered = ask(router, uri, None).await?;
            assert_eq!(answered.status, 200, "{uri}: {}", answered.body);
            let tag = answered.etag.context("no tag")?;
            for (index, other) in routers.iter().enumerate() {
                let same = std::ptr::eq(router, other);
                let again = ask(other, uri, Some(&tag)).await?.status;
                assert_eq!(again, if same { 304 } else { 200 }, "{uri} by {index}");
            }
            tags.insert(tag);
        }
        assert_eq!(tags.len(), routers.len(), "{uri}");
    }
    stack.stop().await
}

/// Two teams, of six people and of one: the organisation less the first is what the one of the second did.
const PAIR: &str = "
    INSERT INTO teams VALUES (1, 'Many'), (2, 'One');
    INSERT INTO users VALUES (1, 1, 'A', 'UTC'), (2, 1, 'B', 'UTC'), (3, 1, 'C', 'UTC'), (4, 1, 'D', 'UTC'), (5, 1, 'E', 'UTC'),
        (6, 1, 'F', 'UTC'), (7, 2, 'G', 'UTC');
    INSERT INTO activity_stereotypes VALUES ('coding', 'Coding', 'development', 0);
    INSERT INTO activities
        SELECT u.id, u.id, NULL, 'coding', '2026-08-10T08:00:00Z', 3600, 1, NULL, NULL, '2026-08-20T00:00:00Z', '2026-08-20T00:00:00Z'
        FROM users u;
";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_see_the_organisation_is_led_to_what_they_may_see() -> anyhow::Result<()> {
    let house = House::of(wastewalk_tests::SCHEMA).await?;
    house.execute(PAIR).await?;
    let (stack, _) = house.worked().await?;
    let one = seen_by(&stack, member("1"));
    let alone = ask(&seen_by(&stack, member("7")), "/", None).await?;
    ensure!(alone.status == 200, "all of it less their own is of six: {}", alone.status);
    for way in ["/?", "/quality?", "/logics?", "/insights/waste?", "/lineage?insight=waste&"] {
        let request = Request::builder().uri(format!("{way}from=2026-08-01")).body(Body::empty())?;
        let response = one.clone().oneshot(request).await?;
        ensure!(response.status() == 303, "{way}: {}", response.status());
        let to = response.headers()[header::LOCATION].to_str()?;
        ensure!(to.contains("?scope=team:1&") && to.contains("from=2026-08-01"), "{way}: {to}");
        ensure!(ask(&one, to, None).await?.status == 200, "{to}");
        let said = format!("{way}scope=org");
        ensure!(ask(&one, &said, None).await?.status == 403, "whoever says whose is not led elsewhere");
    }
    ensure!(ask(&one, "/compare", None).await?.status == 303, "two logics are compared over one's own rows");
    let refused = ask(&one, "/v1/insights", None).await?;
    ensure!(refused.status == 403 && refused.body.contains("too-few-people"), "programs are told: {}", refused.body);
    let anything = ask(&one, "/v1/insights", Some("*")).await?;
    ensure!(anything.status == 403, "nor is it said that there is an answer: {}", anything.status);
    let mistyped = ask(&one, "//v1/insights", None).await?;
    ensure!(mistyped.status == 404 && mistyped.body.contains("urn:wastewalk:problem:not-found"), "{}", mistyped.body);
    // The day's file has seven rows; those of the team are what is told.
    let own = json_of(&one, "/v1/lineage?insight=automatable&scope=team:1").await?;
    assert_eq!(own["days"][0]["rows"], Value::Null);
    let all = json_of(&seen_by(&stack, Caller::demo(None, 5)), "/v1/lineage?insight=automatable&scope=team:1").await?;
    assert_eq!(all["days"][0]["rows"], json!(7));
    stack.stop().await?;

    // Two have worked in the whole organisation, and one of their team has not, so that not even they see it.
    let house = House::of(wastewalk_tests::SCHEMA).await?;
    house
        .execute(&PAIR.replace("(6, 1, 'F', 'UTC')", "(6, 1, 'F', 'UTC'), (8, 2, 'H', 'UTC'), (9, 2, 'I', 'UTC')"))
        .await?;
    house.execute("DELETE FROM activities WHERE id NOT IN (7, 8)").await?;
    let (stack, _) = house.worked().await?;
    let two = seen_by(&stack, member("7"));
    let request = Request::builder().uri("/").body(Body::empty())?;
    let response = two.clone().oneshot(request).await?;
    let to = response.headers().get(header::LOCATION).context("led elsewhere")?.to_str()?;
    assert_eq!((to, ask(&two, "/?scope=team:2", None).await?.status), ("/?scope=person:7", 403));
    ensure!(ask(&two, to, None).await?.status == 200, "{to}");
    stack.stop().await
}
