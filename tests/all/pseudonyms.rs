//! A deployment that shall not know people by name: nothing of theirs reaches the lake, and every figure is the same.

use anyhow::{Context, ensure};
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

pub fn key(byte: u8) -> anyhow::Result<PseudonymKey> {
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

/// Every text that the newest files of a lake hold, and what its runs say.
pub async fn texts(stack: &Stack) -> anyhow::Result<String> {
    let mut texts = String::new();
    for run in stack.lake.list("runs/", None).await? {
        let mut file = stack.lake.fetch(&run.key).await?;
        std::io::Read::read_to_string(&mut file, &mut texts)?;
    }
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
             ALTER TABLE users ADD COLUMN email TEXT; UPDATE users SET email = 'zaphod' || id || '@example.org';
             ALTER TABLE users ADD COLUMN nickname TEXT; UPDATE users SET nickname = 'Beeblebrox';
             ALTER TABLE activities ADD COLUMN told TEXT; UPDATE activities SET told = 'by Beeblebrox';
             INSERT INTO activities (id, user_id, stereotype_code, started_at, told, created_at, updated_at) VALUES
                (999999, 1, 'code', 'when Beeblebrox came', 'by Beeblebrox', '2026-03-02T08:00:00Z', '2026-03-02T08:00:00Z')",
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
    for said in ["Zaphod 1000011", "zaphod1000011@example.org", "Trillian", "Beeblebrox", "\\\"user_id\\\":1000011"] {
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
        for said in ["Zaphod", "zaphod", "Trillian", "by Beeblebrox", "Beeblebrox\\\"", "1000011"] {
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_under_pseudonyms_is_replayed_without_source_cursor_and_table_but_under_its_own_key_alone()
-> anyhow::Result<()> {
    let mut house = House::of(SMALL).await?;
    house
        .execute(
            "ALTER TABLE activities ADD COLUMN told TEXT;
             INSERT INTO activities (id, user_id, stereotype_code, started_at, duration, note, told) VALUES
                (4, 1, 'code', '05.03.2026', 60, 'Trillian', 'Trillian'), (5, 1, NULL, 'never', 60, 'Trillian', 'Trillian')",
        )
        .await?;
    let text =
        intake::mapping::BUILT_IN[0].1.replace("cursor = { column = \"updated_at\", format = \"rfc3339\" }\n", "");
    house.read_by(Mapping::parse(
        "m.toml",
        &text.replace("[activities.columns]", "keep = [\"told\"]\n[activities.columns]"),
    )?);
    let mut stack = alone(&house).await?;
    stack.intake.pseudonyms = Some(key(7)?);
    let run = stack.intake.run("2026-03-06T10:00:00Z".parse()?).await?;
    assert_eq!((run.counts.quarantined, run.because), (2, None));
    assert!(texts(&stack).await?.contains("Trillian"), "`keep` keeps nothing");
    stack.stop().await?;

    house.lose_source()?;
    house.lose_table()?;
    let started = "started_at = { column = \"started_at\", format = \"";
    let (before, after) = text.split_once("[activities]").context("activities")?;
    let after = after.replacen(&format!("{started}rfc3339\""), &format!("{started}%d.%m.%Y\", zone = \"UTC\""), 1);
    let mended = format!("{before}[activities]{after}");
    house.read_by(Mapping::parse("m.toml", &mended)?);
    let mut stack = alone(&house).await?;
    let before = files(&house.lake())?;
    stack.intake.pseudonyms = Some(key(8)?);
    let refused = stack.intake.replay("2026-03-07T10:00:00Z".parse()?).await.unwrap_err();
    assert!(refused.to_string().contains("under this key of the pseudonyms"), "{refused}");
    stack.intake.pseudonyms = Some(key(7)?);
    stack.intake.mapping =
        Mapping::parse("m.toml", &mended.replacen("[users.columns]", "personal = [\"team_id\"]\n[users.columns]", 1))?;
    let refused = stack.intake.replay("2026-03-07T11:00:00Z".parse()?).await.unwrap_err();
    assert!(refused.to_string().contains("the mapping hides other columns now"), "{refused}");
    crate::live::nothing_changed(&before, &house)?;

    // What the mapping lets through no longer is not let through any more.
    stack.intake.mapping = Mapping::parse("m.toml", &mended)?;
    let run = stack.intake.replay("2026-03-07T12:00:00Z".parse()?).await?;
    assert_eq!((run.counts.quarantined, run.days.written), (1, 1));
    let landed = rows(&house, &["user_id", "note", "source_row"])?;
    assert_eq!((&landed["4"]["user_id"], &landed["4"]["note"]), (&json!(pseudonym(&key(7)?, "1")), &json!(null)));
    assert!(landed["4"]["source_row"].as_str().is_some_and(|row| row.contains("05.03.2026")), "{landed}");
    assert!(!texts(&stack).await?.contains("Trillian"));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_the_same_with_and_without_the_mark_that_a_file_began_with() -> anyhow::Result<()> {
    let house = House::of(&SMALL.replace("users (id INTEGER PRIMARY KEY", "users (id TEXT PRIMARY KEY")).await?;
    house.execute("UPDATE users SET id = char(65279) || id WHERE id = '1'").await?;
    let mut stack = alone(&house).await?;
    stack.intake.pseudonyms = Some(key(7)?);
    let run = stack.intake.run("2026-03-05T10:00:00Z".parse()?).await?;
    assert_eq!((run.counts.written, run.counts.quarantined), (3, 0));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_with_pseudonyms_is_not_written_without_their_key_whatever_the_table_knows() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    let captured = || -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        Ok(files(&house.lake())?.into_iter().filter(|(name, _)| !name.starts_with("runs/")).collect())
    };
    let refused = async |stack: &Stack, hour: u32| -> anyhow::Result<()> {
        let (before, now) = (captured()?, format!("2026-03-09T{hour:02}:00:00Z").parse()?);
        for error in [
            stack.intake.run(now).await.unwrap_err(),
            stack.intake.replay(now + chrono::TimeDelta::minutes(1)).await.unwrap_err(),
            stack.intake.rehearse(|_| true, now).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains("there is no key for them now"), "{error}");
        }
        ensure!(captured()? == before, "a refused run wrote");
        Ok(())
    };
    let mut stack = alone(&house).await?;
    stack.intake.pseudonyms = Some(key(7)?);
    stack.intake.run("2026-03-08T10:00:00Z".parse()?).await?;
    house.execute("UPDATE activities SET note = 'Trillian', updated_at = '2026-03-08T11:00:00Z' WHERE id = 1").await?;
    stack.intake.pseudonyms = None;
    // The watermark knows; then the lake alone.
    refused(&stack, 8).await?;
    stack.stop().await?;
    house.lose_table()?;
    let mut stack = alone(&house).await?;
    refused(&stack, 9).await?;
    assert!(!texts(&stack).await?.contains("Trillian"));
    // Another key makes other pseudonyms, and no names.
    stack.intake.pseudonyms = Some(key(8)?);
    stack.intake.run("2026-03-10T10:00:00Z".parse()?).await?;
    stack.stop().await
}
