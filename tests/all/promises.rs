//! Promises 1, 2, 5, 6 and 7 of the design. Each test is written to fail when its guard is removed.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::types::MetadataDirective;
use serde_json::{Value, json};
use shared::{
    annotator::Runner,
    contribution::{Cell, CellKey, Contribution, Extent, Pointer, Scope},
    event::{ObjectCreated, Request},
    lake::{Created, Entity, LakeError, LakeKey, Partition, Sealed, Sha256},
};
use wastewalk::{bus::Faults, progress::Show, stack::Stack, up};
use wastewalk_tests::{House, files, insight, json};

/// Every figure of the demo, over all days: per organisation, team and one person.
async fn figures(stack: &Stack) -> anyhow::Result<Vec<Value>> {
    let mut figures = Vec::new();
    for scope in ["org", "team:1", "team:2", "team:3", "team:4", "person:11", "person:24"] {
        let mut answer = json(stack, &format!("/v1/insights?scope={scope}&from=2026-01-01&to=2027-01-01")).await?;
        figures.push(answer["insights"].take());
    }
    Ok(figures)
}

/// The keys and digests of all annotations, without the generation, which differs between runs.
fn annotations(house: &House) -> anyhow::Result<BTreeMap<String, usize>> {
    let files = files(&house.lake())?;
    let annotations = files.iter().filter(|(name, _)| name.starts_with("annotations/"));
    Ok(annotations.map(|(name, bytes)| (without_generation(name), bytes.len())).collect())
}

fn without_generation(key: &str) -> String {
    key.split('/').filter(|segment| !segment.starts_with("gen=")).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_reordered_and_lost_events_leave_the_same_figures() -> anyhow::Result<()> {
    let quiet = House::demo().await?;
    let (stack, _) = quiet.worked().await?;
    let expected = figures(&stack).await?;
    stack.stop().await?;

    let noisy = House::demo().await?;
    let faults = Faults {
        seed: 7,
        lost_percent: 20,
        duplicate_percent: 30,
        delay_up_to: std::time::Duration::from_millis(50),
        shuffle: true,
    };
    let stack = noisy.stack(Some(faults)).await?;
    stack.intake.handle().await?;
    stack.bus.idle().await;
    assert!(!stack.undone().await?.is_empty(), "no event was lost: the test proves nothing");
    // The reconciler's own announcements meet the same faults, so it may take several looks.
    for _ in 0..30 {
        let undone = stack.undone().await?;
        stack.announce(&undone);
        stack.bus.idle().await;
    }
    assert!(stack.undone().await?.is_empty(), "the reconciler did not heal everything");
    assert!(stack.bus.dead_letters().is_empty());
    assert_eq!(figures(&stack).await?, expected);
    assert_eq!(annotations(&noisy)?, annotations(&quiet)?);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_is_killed_half_way_finishes_when_it_starts_again() -> anyhow::Result<()> {
    let whole = House::demo().await?;
    let (stack, _) = whole.worked().await?;
    let expected = figures(&stack).await?;
    stack.stop().await?;

    let house = House::demo().await?;
    let stack = house.stack(None).await?;
    stack.intake.handle().await?;
    // Nobody waits for the queues: what they hold is lost with the process.
    stack.stop().await?;
    let (stack, work) = house.worked().await?;
    assert!(work.days > 0, "the first stack had finished: the test proves nothing");
    assert_eq!(figures(&stack).await?, expected);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_and_table_can_be_lost_and_come_back_byte_for_byte() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let expected = figures(&stack).await?;
    stack.stop().await?;
    let before = files(&house.lake())?;

    house.lose_table()?;
    std::fs::remove_dir_all(house.lake().join("annotations"))?;
    let (stack, _) = house.worked().await?;
    assert_eq!(figures(&stack).await?, expected);
    stack.stop().await?;
    let after = files(&house.lake())?;
    let captured = |files: &BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
        let kept = files.iter().filter(|(name, _)| !name.starts_with("runs/"));
        kept.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
    };
    assert!(captured(&before) == captured(&after), "an annotation came back different");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_bytes_are_refused_by_every_reader_and_change_no_figure() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let expected = figures(&stack).await?;
    let bases = stack.lake.newest_bases(None).await?;
    let (victim, other) = (bases[3].clone(), bases[4].clone());
    let forge = |key: &LakeKey, with: &LakeKey| {
        std::fs::copy(house.lake().join(with.to_string()), house.lake().join(key.to_string())).map(|_| ())
    };

    // A base that is not the one its key names: a well-formed file, even.
    forge(&victim, &other)?;
    let partition = victim.partition().expect("a base has a partition");
    let refused = |error: LakeError| matches!(error, LakeError::Tampered { key, .. } if key == victim.to_string());
    assert!(refused(stack.lake.fetch(&victim).await.expect_err("it was changed")));
    let runner = Runner::new(stack.lake.clone(), &stack.register, annotate_scope::Scope)?;
    let error = runner.run(Request { partition, again: true }).await.expect_err("the annotator read changed bytes");
    assert!(error.to_string().contains("was changed"), "{error}");
    stack.announce(std::slice::from_ref(&victim));
    stack.bus.idle().await;
    // Every annotator and aggregate each refused it, again and again, and gave it up for a person to see.
    assert_eq!(stack.bus.dead_letters().len(), stack.register.annotators().len() + 1);
    assert_eq!(figures(&stack).await?, expected);

    // A create-only PUT over it says so too, and does not mend it silently.
    let sealed = Sealed::from_bytes(b"something else")?;
    let over = stack.lake.create(&victim, &sealed).await;
    assert!(matches!(over, Err(LakeError::Tampered { .. })), "{over:?}");

    // The API reads dimensions: with one changed, it answers with a problem rather than with wrong names.
    let (key, _) = shared::dimension::newest(&stack.lake, Entity::Teams).await?;
    forge(&key.expect("teams were captured"), &other)?;
    stack.stop().await?;
    let stack = house.stack(None).await?;
    let response = wastewalk_tests::get(&stack, "/v1/insights").await?;
    assert_eq!(response.status().as_u16(), 503);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_create_only_writers_one_wins_and_the_others_find_its_bytes() -> anyhow::Result<()> {
    let house = House::of(SCHEMA).await?;
    let stack = house.stack(None).await?;
    let sealed = Sealed::from_bytes(b"the same bytes")?;
    let partition = Partition { day: "2026-01-01".parse()?, generation: "20260101T000000Z".parse()? };
    let key = LakeKey::Activities { partition, sha256: sealed.sha256 };
    let writers = (0..32).map(|_| stack.lake.create(&key, &sealed));
    let outcomes = futures::future::join_all(writers).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Created::New).count(), 1);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_event_goes_to_the_dead_letters_and_its_neighbours_pass() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let stack = house.stack(None).await?;
    stack.bus.publish(&ObjectCreated::new("aws.s3", stack.lake.bucket(), "activities/x/activities.parquet", 1));
    let work = up::work(&stack, Show::Nothing).await?;
    assert!(work.days > 0);
    let listeners = stack.register.annotators().len() + 1;
    assert_eq!(stack.bus.dead_letters().len(), listeners, "one in each queue that listens to base objects");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_uploaded_again_is_worked_out_again() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let before = files(&house.lake())?;
    let base = stack.lake.newest_bases(None).await?[7].clone();
    let partition = base.partition().expect("a base has a partition");
    std::fs::remove_dir_all(house.lake().join(partition.annotations_prefix()))?;

    // As `aws s3 cp` does it onto itself: the same bytes under the same key, with other metadata.
    let (bucket, key) = (stack.lake.bucket(), base.to_string());
    let copy = stack.s3_client.copy_object().bucket(bucket).key(&key).copy_source(format!("{bucket}/{key}"));
    copy.metadata_directive(MetadataDirective::Replace).metadata("again", "yes").send().await?;
    stack.bus.idle().await;
    assert!(stack.bus.dead_letters().is_empty());
    assert!(files(&house.lake())? == before, "the annotations did not come back, or came back different");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_worker_never_moves_a_day_back() -> anyhow::Result<()> {
    let house = House::of(SCHEMA).await?;
    let stack = house.stack(None).await?;
    let (logic, day) = (stack.register.logic(), "2026-01-01".parse()?);
    let pointer = |generation: &str| -> anyhow::Result<Pointer> {
        let partition = Partition { day, generation: generation.parse()? };
        Ok(Pointer {
            partition,
            base: Sha256::of(generation),
            total: Extent::default(),
            evidence: BTreeSet::from(["is_x".to_owned()]),
        })
    };
    let (old, new) = (pointer("20260102T000000Z")?, pointer("20260103T000000Z")?);
    let nothing = BTreeMap::new();
    assert!(stack.store.publish(logic, &new, &nothing).await?);
    assert!(!stack.store.publish(logic, &old, &nothing).await?, "an older generation replaced a newer one");
    assert!(stack.store.publish(logic, &new, &nothing).await?, "a retry repeats itself");
    assert_eq!(stack.store.pointers(logic, day, day).await?, [new]);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contribution_larger_than_an_item_is_stored_in_parts_and_read_whole() -> anyhow::Result<()> {
    let house = House::of(SCHEMA).await?;
    let stack = house.stack(None).await?;
    let (logic, day) = (stack.register.logic(), "2026-01-01".parse()?);
    let partition = Partition { day, generation: "20260102T000000Z".parse()? };
    let pointer = Pointer { partition, base: Sha256::of("x"), total: Extent::default(), evidence: BTreeSet::new() };
    // Digests do not compress, so this is more than the 400 KB that DynamoDB takes in one item.
    let people: Vec<String> = (0..20_000).map(|person| Sha256::of(person.to_string()).to_string()).collect();
    let people = people.iter().map(String::as_str).collect();
    let cell = Cell::new(CellKey::default(), Extent::default(), Extent::default(), people);
    let contribution = Contribution { by_stereotype: vec![cell], by_sprint: Vec::new() };
    let large = BTreeMap::from([(Scope::Organisation, contribution)]);
    stack.store.publish(logic, &pointer, &large).await?;
    let read = stack.store.contributions(logic, &Scope::Organisation, &[pointer]).await?;
    assert!(read == BTreeMap::from([(day, large[&Scope::Organisation].clone())]));
    stack.stop().await
}

pub use wastewalk_tests::SCHEMA;

pub const SMALL: &str = "
    INSERT INTO teams VALUES (1, 'Team');
    INSERT INTO users VALUES (1, 1, 'Ada', 'Europe/Berlin'), (2, 1, 'Bo', 'America/New_York');
    INSERT INTO sprints VALUES (1, 1, 'S1', '2026-03-01T23:00:00Z', '2026-03-15T23:00:00Z', NULL);
    INSERT INTO activity_stereotypes VALUES ('code', 'Coding', 'coding', 0), ('deploy', 'Deploying', 'deployment', 1);
    INSERT INTO activities VALUES
        (1, 1, NULL, 'code', '2026-03-02T08:00:00Z', 3600, 1, NULL, NULL, NULL, NULL),
        (2, 1, NULL, 'deploy', '2026-03-02T23:30:00Z', 60, NULL, NULL, NULL, NULL, NULL),
        (3, 2, NULL, 'deploy', '2026-03-03T03:30:00Z', 7, 0, 5, 'x', NULL, NULL);
";

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_follows_the_source_through_edits_moves_and_deletes_and_forgets_nothing() -> anyhow::Result<()> {
    let house = House::of(&format!("{SCHEMA}{SMALL}")).await?;
    let (stack, work) = house.worked().await?;
    // Local days: half past midnight in Berlin is the next day, half past ten in New York is not.
    assert_eq!(work.run.expect("a run").days.written, 2);
    let first = files(&house.lake())?;
    let of_day = |files: &BTreeMap<String, Vec<u8>>, day: &str| {
        files.keys().filter(|name| name.starts_with(&format!("activities/date={day}/"))).count()
    };
    assert_eq!((of_day(&first, "2026-03-02"), of_day(&first, "2026-03-03")), (1, 1));
    let answer = json(&stack, "/v1/insights").await?;
    let scope = insight(&answer, "out-of-sprint")?;
    assert_eq!(
        (&scope["numerator"], &scope["denominator"], &scope["status"]),
        (&json!(7), &json!(3667), &json!("measured"))
    );

    // An edit, and a row that moves to another day, in one run: both days are restated whole.
    house.execute("UPDATE activities SET rating = 2 WHERE id = 1; UPDATE activities SET started_at = '2026-03-05T09:00:00Z' WHERE id = 2").await?;
    let run = up::work(&stack, Show::Nothing).await?.run.expect("a run");
    assert_eq!((run.days.written, run.days.emptied, run.days.unchanged), (2, 1, 0));
    assert_eq!((run.counts.read, run.counts.written), (3, 3));

    // The second day lost its only row, the first one too now: empty generations, and figures without them.
    house.execute("DELETE FROM activities WHERE id <> 2").await?;
    let run = up::work(&stack, Show::Nothing).await?.run.expect("a run");
    assert_eq!((run.days.written, run.days.emptied, run.days.unchanged), (0, 1, 1));
    let answer = json(&stack, "/v1/insights?from=2026-03-01&to=2026-04-01").await?;
    let scope = insight(&answer, "out-of-sprint")?;
    assert_eq!((&scope["numerator"], &scope["denominator"]), (&json!(0), &json!(60)));

    // A typing mistake puts a row into the far future, and is mended: the newest day is again one that has rows.
    house.execute("UPDATE activities SET started_at = '2062-03-05T09:00:00Z'").await?;
    up::work(&stack, Show::Nothing).await?.run.expect("a run");
    house.execute("UPDATE activities SET started_at = '2026-03-06T09:00:00Z'").await?;
    up::work(&stack, Show::Nothing).await?.run.expect("a run");
    assert_eq!(json(&stack, "/v1/insights").await?["selection"]["to"], json!("2026-03-07"));

    // History as we knew it: every earlier object is still there, byte for byte.
    let last = files(&house.lake())?;
    assert!(first.iter().all(|(name, bytes)| last.get(name) == Some(bytes)));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_translated_is_quarantined_whole_with_a_reason() -> anyhow::Result<()> {
    let house = House::of(&format!("{SCHEMA}{SMALL}")).await?;
    house
        .execute(
            "INSERT INTO activities VALUES
                (10, 1, NULL, 'golf', '2026-03-02T08:00:00Z', 1, 1, NULL, NULL, NULL, NULL),
                (11, 99, NULL, 'code', '2026-03-02T08:00:00Z', 1, 1, NULL, NULL, NULL, NULL),
                (12, 1, 77, 'code', '2026-03-02T08:00:00Z', 1, 1, NULL, NULL, NULL, NULL),
                (13, 1, NULL, 'code', 'yesterday', 1, 1, NULL, NULL, NULL, NULL),
                (14, 1, NULL, 'code', '0016-01-11T16:22:26Z', 1, 1, NULL, NULL, NULL, NULL),
                (15, 1, NULL, 'code', NULL, 1, 1, NULL, NULL, NULL, NULL),
                (16, 1, NULL, 'code', '2026-03-02T08:00:00Z', -1, 1, NULL, NULL, NULL, NULL),
                (17, 1, NULL, 'code', '2026-03-02T08:00:00Z', 'long', 1, NULL, NULL, NULL, NULL),
                (18, 1, NULL, 'code', '2026-03-02T08:00:00Z', 1, 'maybe', NULL, NULL, NULL, NULL),
                (19, 1, NULL, 'code', '2026-03-02T08:00:00Z', 1, 1, 6, NULL, NULL, NULL),
                (20, 1, NULL, x'ff', '2026-03-02T08:00:00Z', 1, 1, NULL, NULL, NULL, NULL),
                (21, 1, NULL, 'code', '2026-03-02T08:00:00Z', NULL, 1, NULL, NULL, NULL, NULL),
                (22, 'x' || hex(zeroblob(300)), NULL, 'code', '2026-03-02T08:00:00Z', 1, 1, NULL, NULL, NULL, NULL)",
        )
        .await?;
    let (stack, work) = house.worked().await?;
    let run = work.run.expect("a run");
    assert_eq!((run.counts.read, run.counts.written, run.counts.quarantined, run.counts.open), (16, 3, 12, 1));
    let read = wastewalk_tests::foreign("quarantine.py", &[house.lake().to_str().expect("UTF-8")])?;
    let by_key = |key: &str| {
        let rows = read.as_array().expect("rows");
        let row = rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("{key} is not in quarantine"));
        (row["reason"].as_str().map(str::to_owned), row["field"].as_str().map(str::to_owned), row["source_id"].clone())
    };
    for (key, reason, field) in [
        ("10", "unknown_stereotype", "stereotype_code"),
        ("11", "unknown_user", "user_id"),
        ("12", "unknown_sprint", "sprint_id"),
        ("13", "unreadable", "started_at"),
        ("14", "out_of_range", "started_at"),
        ("15", "missing", "started_at"),
        ("16", "negative", "duration_seconds"),
        ("17", "unreadable", "duration_seconds"),
        ("18", "unreadable", "marked_in_sprint"),
        ("19", "out_of_range", "rating"),
        ("20", "unreadable", "stereotype_code"),
        ("22", "too_long", "user_id"),
    ] {
        assert_eq!(by_key(key), (Some(reason.to_owned()), Some(field.to_owned()), json!(key)), "{key}");
    }

    // Mended in the source, they come in, and quarantine says that it is empty.
    house.execute("DELETE FROM activities WHERE id > 10; INSERT INTO activity_stereotypes VALUES ('golf', 'Golf', 'other', 0)").await?;
    let run = up::work(&stack, Show::Nothing).await?.run.expect("a run");
    assert_eq!((run.counts.written + run.counts.unchanged, run.counts.quarantined), (4, 0));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_twice_on_a_day_lands_once_and_people_are_those_who_worked() -> anyhow::Result<()> {
    let house = House::of(&SCHEMA.replace("activities (id INTEGER PRIMARY KEY", "activities (id INTEGER")).await?;
    house.execute(SMALL).await?;
    house
        .execute(
            "INSERT INTO activity_stereotypes VALUES ('off', 'Day off', 'pto', NULL);
             INSERT INTO activities VALUES
                (1, 2, NULL, 'code', '2026-03-02T15:00:00Z', 60, 1, NULL, NULL, NULL, NULL),
                (9, 2, NULL, 'off', '2026-03-03T15:00:00Z', 60, 1, NULL, NULL, NULL, NULL);
             DELETE FROM activities WHERE id = 3",
        )
        .await?;
    let (stack, work) = house.worked().await?;
    let run = work.run.expect("a run");
    assert_eq!((run.counts.read, run.counts.written, run.counts.quarantined), (4, 3, 1));
    assert_eq!(run.quarantined_by_reason, [("repeated_key".to_owned(), 1)].into());
    let answer = json(&stack, "/v1/insights").await?;
    let automatable = insight(&answer, "automatable")?;
    // The one with the day off has rows, but none of work.
    assert_eq!((&automatable["rows"], &automatable["people"]), (&json!(2), &json!(1)));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_dies_or_drifts_leaves_the_answers_and_the_run_says_why() -> anyhow::Result<()> {
    let house = House::of(&format!("{SCHEMA}{SMALL}")).await?;
    let (stack, _) = house.worked().await?;
    let before = json(&stack, "/v1/insights").await?;
    house.execute("ALTER TABLE activities RENAME COLUMN duration TO durations").await?;
    let work = up::work(&stack, Show::Nothing).await?;
    let reason = work.run.expect_err("the column is gone");
    assert!(reason.contains("activities.duration_seconds reads the column `duration`"), "{reason}");
    assert!(reason.contains("did you mean `durations`?"), "{reason}");
    assert_eq!(json(&stack, "/v1/insights").await?, before);
    house
        .execute("ALTER TABLE activities RENAME COLUMN durations TO duration; ALTER TABLE users RENAME TO userz")
        .await?;
    let reason = up::work(&stack, Show::Nothing).await?.run.expect_err("the table is gone");
    assert!(reason.starts_with("sources/reference.toml:") && reason.contains("did you mean `userz`?"), "{reason}");
    let health = json(&stack, "/v1/health").await?;
    assert_eq!(health["status"], "failing");
    assert!(health["last_run"]["failed"].as_str().is_some_and(|failed| failed.contains("users")), "{health}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_intakes_at_once_one_runs() -> anyhow::Result<()> {
    let house = House::of(&format!("{SCHEMA}{SMALL}")).await?;
    let stack = house.stack(None).await?;
    let now = chrono::Utc::now();
    let lease = stack.intake.leases.acquire(None, now).await?;
    let second = stack.intake.run(now).await;
    assert!(second.as_ref().is_err_and(|error| error.to_string().contains("another intake is running")), "{second:?}");
    let generation = lease.generation;
    lease.release().await?;
    assert!(stack.intake.run(now).await?.generation > generation);
    stack.stop().await
}
