//! Any figure is the sum of the activities that its drill-down lists, whatever the figure, the scope and the page's size.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use shared::annotator::declaration::{Denominator, Insight};
use wastewalk::stack::Stack;
use wastewalk_tests::{House, foreign, get, json};

/// Follows the pages from `query` on and gives the sum of the values, what the pages say it is, and how many there are.
async fn trace(stack: &Stack, insight: &str, query: &str) -> anyhow::Result<(i64, i64, usize)> {
    let address = format!("/v1/insights/{insight}/activities?{query}");
    let (mut sum, mut pages, mut seen) = (0, 0, BTreeSet::new());
    let mut next = address.clone();
    loop {
        let page = json(stack, &next).await?;
        let total = page["total"].as_i64().context("a total")?;
        pages += 1;
        for activity in page["activities"].as_array().context("a list")? {
            let id = activity["activity_id"].as_str().context("an id")?;
            ensure!(seen.insert(id.to_owned()), "{address} lists {id} twice");
            ensure!(activity["value"] != json!(0), "{address} lists {id}, which adds nothing");
            sum += activity["value"].as_i64().context("a value")?;
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("{address}&cursor={cursor}"),
            None => return Ok((sum, total, pages)),
        }
    }
}

/// Every number that an insight's answer shows, with the query that lists its activities.
fn numbers(insight: &Insight, answer: &Value) -> Vec<(String, Value)> {
    let sides = |figure: &Value, denominator: &Denominator, prefix: &str| {
        let mut sides = vec![(format!("{prefix}side=numerator"), figure["numerator"].clone())];
        if *denominator != Denominator::None {
            sides.push((format!("{prefix}side=denominator"), figure["denominator"].clone()));
        }
        sides
    };
    let mut numbers = sides(answer, &insight.denominator, "");
    for (beside, figure) in insight.beside.iter().zip(answer["beside"].as_array().into_iter().flatten()) {
        numbers.extend(sides(figure, &beside.denominator, &format!("figure={}&", beside.id)));
    }
    for part in answer["breakdown"].as_array().into_iter().flatten() {
        let label = part["label"].as_str().unwrap_or_default().replace(' ', "+");
        numbers.push((format!("part={label}"), part["value"].clone()));
    }
    for kind in answer["by_stereotype"].as_array().into_iter().flatten().take(3) {
        let code = kind["stereotype"].as_str().unwrap_or_default();
        numbers.push((format!("stereotype={code}"), kind["numerator"].clone()));
    }
    numbers.retain(|(_, number)| !number.is_null());
    numbers
}

/// Traces every number of some scopes; gives how many there were, and how many took more than one page.
async fn traced(stack: &Stack, scopes: &[&str], limit: usize) -> anyhow::Result<(usize, usize)> {
    let (mut traced, mut paged) = (0, 0);
    for scope in scopes {
        let answers = json(stack, &format!("/v1/insights?scope={scope}")).await?;
        for (insight, answer) in stack.register.insights().zip(answers["insights"].as_array().context("a list")?) {
            for (query, number) in numbers(insight, answer) {
                let query = format!("scope={scope}&limit={limit}&{query}");
                let (sum, total, pages) = trace(stack, &insight.id, &query).await?;
                ensure!(sum == total, "{} {query}: its activities add up to {sum}, not {total}", insight.id);
                ensure!(json!(total) == number, "{} {query}: {total} is not the figure's {number}", insight.id);
                (traced, paged) = (traced + 1, paged + usize::from(pages > 1));
            }
        }
    }
    Ok((traced, paged))
}

/// The first selection of a team or a person that is narrowed to a sprint, without the parameter's name.
async fn narrowed(stack: &Stack, kind: &str) -> anyhow::Result<Option<String>> {
    for number in 1..=20 {
        let sprints = get(stack, &format!("/v1/sprints?scope={kind}{number}")).await?;
        if sprints.status().as_u16() == 200 {
            let sprints = json(stack, &format!("/v1/sprints?scope={kind}{number}")).await?;
            let link = sprints["sprints"][0]["link"].as_str().and_then(|link| link.strip_prefix("/v1/insights?scope="));
            if let Some(link) = link {
                ensure!(link.contains("&sprint="), "{link} is not narrowed");
                return Ok(Some(link.to_owned()));
            }
        }
    }
    Ok(None)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_of_hostile_organisations_is_the_sum_of_its_activities() -> anyhow::Result<()> {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
    for (seed, scopes) in [("3", ["org", "team:t1"]), ("12", ["org", "person:10"])] {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("organisation.sqlite");
        let arguments = [seed, "hostile", source.to_str().context("the path is not UTF-8")?];
        foreign("../oracle/organisation.py", &arguments)?;
        let house = House::over(&source, &oracle.join("mapping.toml"))?;
        let (stack, _) = house.worked().await?;
        // And what of the team or the person belongs to a sprint.
        let mut scopes = scopes.map(str::to_owned).to_vec();
        for kind in ["team:t", "person:"] {
            scopes.push(narrowed(&stack, kind).await?.with_context(|| format!("no {kind} has a sprint"))?);
        }
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let (traced, paged) = traced(&stack, &scopes, 17).await.with_context(|| format!("seed {seed}"))?;
        assert!(traced > 60 && paged > 5, "{traced} numbers, {paged} of them over several pages");
        stack.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_down_shows_nobody_and_its_cursor_ends_with_the_generations_it_was_given_for() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let address = "/v1/insights/late-planning/activities?scope=team:4&from=2026-10-01&to=2026-11-01&limit=2";
    let page = json(&stack, address).await?;
    let activity = page["activities"][0].as_object().context("an activity")?;
    let names: Vec<&str> = activity.keys().map(String::as_str).collect();
    assert!(!names.iter().any(|name| ["user_id", "person", "note", "source_row"].contains(name)), "{names:?}");
    let cursor = page["next"].as_str().context("a second page")?.to_owned();
    let with = |address: &str| format!("{address}&cursor={cursor}");
    assert!(json(&stack, &with(address)).await?["activities"][0] != page["activities"][0]);

    // Another question, and the same one after a day was captured again.
    let other = address.replace("team:4", "org");
    assert_eq!(get(&stack, &with(&other)).await?.status().as_u16(), 410);
    house.execute("UPDATE activities SET duration = duration + 1 WHERE started_at LIKE '2026-10-07%'").await?;
    wastewalk::up::work(&stack, wastewalk::progress::Show::Nothing).await?;
    assert_eq!(get(&stack, &with(address)).await?.status().as_u16(), 410);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_a_selection_leads_to_the_numbers_that_it_shows() -> anyhow::Result<()> {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("organisation.sqlite");
    foreign("../oracle/organisation.py", &["3", "hostile", source.to_str().context("the path is not UTF-8")?])?;
    let house = House::over(&source, &oracle.join("mapping.toml"))?;
    let (stack, _) = house.worked().await?;
    let (mut compared, mut otherwise) = (0, 0);
    let mut addresses = vec![("teams", "/v1/teams?scope=org".to_owned())];
    for sprint in json(&stack, "/v1/sprints?scope=org").await?["sprints"].as_array().context("a list")?.iter().take(4) {
        addresses.push(("teams", sprint["link"].as_str().context("a link")?.replace("/v1/insights", "/v1/teams")));
    }
    for number in 1..=4 {
        for address in [format!("/v1/sprints?scope=team:t{number}"), format!("/v1/sprints?scope=person:{number}")] {
            if get(&stack, &address).await?.status().as_u16() == 200 {
                addresses.push(("sprints", address));
            }
        }
    }
    for (name, address) in addresses {
        for part in json(&stack, &address).await?[name].as_array().context("a list")? {
            let link = part["link"].as_str().context("a link")?;
            let answers = json(&stack, link).await?;
            let whole: Vec<&str> = link.split('&').filter(|pair| !pair.starts_with("sprint=")).collect();
            let all = json(&stack, &whole.join("&")).await?;
            for (answer, all) in answers["insights"]
                .as_array()
                .into_iter()
                .flatten()
                .zip(all["insights"].as_array().into_iter().flatten())
            {
                let shown = &part["insights"][answer["id"].as_str().context("an id")?];
                for field in ["status", "numerator", "denominator", "rows", "people"] {
                    ensure!(shown[field] == answer[field], "{address}: {shown} leads by {link} to {answer}");
                    (compared, otherwise) = (compared + 1, otherwise + usize::from(shown[field] != all[field]));
                }
            }
        }
    }
    assert!(
        compared > 100 && otherwise > 10,
        "{compared} numbers, of which {otherwise} are not those of all of the part"
    );
    let unknown = get(&stack, "/v1/insights?scope=team:t1&sprint=nowhere").await?;
    assert_eq!(unknown.status().as_u16(), 404);
    stack.stop().await
}
