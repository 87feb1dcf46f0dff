//! A deployment that shall not know people by name: nothing of theirs reaches the lake, and every figure is the same.

use anyhow::Context;
use intake::{mapping::Mapping, quarantine, record::Reading};
use serde_json::{Value, json};
use shared::{
    dimension,
    lake::{Entity, LakeKey, parquet_file::Reader},
    pseudonym::{PseudonymKey, pseudonym},
};
use wastewalk::{progress::Show, stack::Stack, up};
use wastewalk_tests::{House, files, json};

use crate::live::{SMALL, alone, rows};

fn key(byte: u8) -> anyhow::Result<PseudonymKey> {
    Ok(PseudonymKey::new(&[byte; 32])?)
}

/// The figures of everybody, of two teams, and of one person.
async fn figures(stack: &Stack, person: &str) -> anyhow::Result<Vec<Value>> {
    let mut figures = Vec::new();
    for scope in ["org", "team:1", "team:3", &format!("person:{person}")] {
        let mut answer = json(stack, &format!("/v1/insights?scope={scope}&from=2026-01-01&to=2027-01-01")).await?;
        figures.push(answer["insights"].take());
    }
    Ok(figures)
}

/// Every text that the newest files of a lake hold.
async fn texts(stack: &Stack) -> anyhow::Result<String> {
    let mut texts = String::new();
    for key in stack.lake.newest_bases(None).await? {
        for batch in Reader::open(&key, stack.lake.fetch(&key).await?)?.batches(None)? {
            for activity in intake::base::activities(&key, &batch?)? {
                texts.push_str(&serde_json::to_string(&activity)?);
            }
        }
    }
    for entity in Entity::ALL {
        if entity != Entity::Activities {
            texts.push_str(&format!("{:?}", dimension::newest_whole(&stack.lake, entity).await?.1));
        }
        let refused: Option<LakeKey> =
            stack.lake.list(&format!("quarantine/{}/", entity.name()), None).await?.pop().map(|listed| listed.key);
        if let Some(key) = refused {
            for row in quarantine::rows(&key, stack.lake.fetch(&key).await?)? {
                texts.push_str(&format!("{:?}", row?));
            }
        }
    }
    Ok(texts)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_the_same_under_pseudonyms_and_nobody_can_be_named() -> anyhow::Result<()> {
    let source = House::demo().await?;
    // People whose ids, names and words are in nothing else.
    source
        .execute(
            "PRAGMA foreign_keys = OFF; UPDATE activities SET user_id = 1000011 WHERE user_id = 11; UPDATE users SET id = 1000011 WHERE id = 11;
             UPDATE users SET name = 'Zaphod ' || id; UPDATE activities SET note = 'Trillian said so';
             ALTER TABLE users ADD COLUMN email TEXT; UPDATE users SET email = 'zaphod' || id || '@example.org'",
        )
        .await?;
    let mapping = intake::mapping::BUILT_IN[0].1.replace("[users.columns]", "personal = [\"email\"]\n[users.columns]");
    let over_it = || House::at(source.source_url(), Mapping::parse("m.toml", &mapping)?);
    let (knew, never_knew) = (over_it()?, over_it()?);
    let (known, work) = knew.worked().await?;
    let plain = work.run.map_err(anyhow::Error::msg)?;
    let expected = figures(&known, "1000011").await?;
    assert!(expected.iter().all(|insights| insights.as_array().is_some_and(|all| !all.is_empty())));
    let named = texts(&known).await?;
    for said in ["Zaphod 1000011", "zaphod1000011@example.org", "Trillian", "\\\"user_id\\\":1000011"] {
        assert!(named.contains(said), "{said} is nowhere: the test proves nothing");
    }
    known.stop().await?;

    // A lake that knew people before, and one that never did: both end with the same.
    let mut lakes = Vec::new();
    for (house, because) in [(knew, "the key of the pseudonyms changed"), (never_knew, "there is no watermark")] {
        let mut stack = house.stack(None).await?;
        stack.intake.pace = intake::watermark::Pace::default();
        stack.intake.pseudonyms = Some(key(7)?);
        let work = up::work(&stack, Show::Nothing).await?;
        let run = work.run.map_err(anyhow::Error::msg)?;
        assert_eq!((run.counts.read, run.counts.quarantined), (plain.counts.read, plain.counts.quarantined));
        assert_eq!(run.because.as_deref(), Some(because));
        assert_eq!(run.days.written, plain.days.written);
        assert_eq!(figures(&stack, &pseudonym(&key(7)?, "1000011")).await?, expected);
        let hidden = texts(&stack).await?;
        for said in ["Zaphod", "zaphod", "Trillian", "1000011"] {
            assert!(!hidden.contains(said), "{said} is still there");
        }
        assert!(hidden.contains(&pseudonym(&key(7)?, "Zaphod 1000011")));
        assert!(hidden.contains(&pseudonym(&key(7)?, "zaphod1000011@example.org")));
        // What changes is hidden, too.
        let again = stack.read_source().await?;
        assert_eq!((again.reading, again.days.written), (Reading::Changes, 0));
        lakes.push(stack.lake.newest_bases(None).await?.iter().map(LakeKey::sha256).collect::<Vec<_>>());
        stack.stop().await?;
    }
    assert_eq!(lakes[0], lakes[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_gets_a_pseudonym_keeps_the_old_team_and_what_is_refused_can_be_replayed() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    let mut stack = alone(&house).await?;
    stack.intake.run("2026-03-04T10:00:00Z".parse()?).await?;
    house
        .execute(
            "UPDATE users SET team_id = 2 WHERE id = 1;
             INSERT INTO activities (id, user_id, stereotype_code, started_at, duration, note) VALUES
                (4, 1, 'code', '2026-03-05T08:00:00Z', 60, 'mine'), (5, 1, 'golf', '2026-03-05T09:00:00Z', 60, 'mine')",
        )
        .await?;
    stack.intake.run("2026-03-05T10:00:00Z".parse()?).await?;
    stack.intake.pseudonyms = Some(key(7)?);
    // What is in quarantine names people.
    let early = stack.intake.replay("2026-03-06T10:00:00Z".parse()?).await.unwrap_err();
    assert!(early.to_string().contains("read the source once"), "{early}");
    stack.intake.run("2026-03-07T10:00:00Z".parse()?).await?;
    let teams = |five: bool| {
        let [red, blue] = [json!({"team_id": "1", "note": null}), json!({"team_id": "2", "note": null})];
        let mut all = json!({"1": red, "2": red, "3": red, "4": blue});
        if five {
            all["5"] = blue;
        }
        all
    };
    assert_eq!(rows(&house, &["team_id", "note"])?, teams(false));
    let text = intake::mapping::BUILT_IN[0].1;
    let stereotypes =
        &text[text.find("[stereotypes]").context("there")?..text.find("[activities]").context("there")?];
    stack.intake.mapping = Mapping::parse("m.toml", &text.replace(stereotypes, ""))?;
    let before = files(&house.lake())?;
    let replayed = stack.intake.replay("2026-03-08T10:00:00Z".parse()?).await?;
    assert_eq!((replayed.counts.quarantined, replayed.days.written), (0, 1));
    assert_eq!(rows(&house, &["team_id", "note"])?, teams(true));
    assert!(files(&house.lake())?.len() > before.len());
    let again = stack.intake.run("2026-03-09T10:00:00Z".parse()?).await?;
    assert!(!texts(&stack).await?.contains("Ada") && again.counts.quarantined == 0);
    stack.intake.mapping =
        Mapping::parse("m.toml", &text.replace("[users.columns]", "personal = [\"mail\"]\n[users.columns]"))?;
    let misspelt = stack.intake.run("2026-03-10T10:00:00Z".parse()?).await.unwrap_err();
    assert!(misspelt.to_string().contains("names the column `mail`"), "{misspelt}");
    stack.stop().await
}
