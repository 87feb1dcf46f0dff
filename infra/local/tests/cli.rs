//! The command as a person runs it: what it prints, what it exits with, and what it survives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn wastewalk(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wastewalk"));
    command.env_remove("RUST_LOG").env_remove("WASTEWALK_SOURCE").arg("up").arg("--data").arg(data).args(arguments);
    command
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    wastewalk(data, arguments).stdin(Stdio::null()).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one line that a refused command prints.
fn refusal(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(output.stdout.is_empty());
    if code == 1 {
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    }
    error
}

#[test]
fn once_prints_the_result_and_a_line_per_day_and_again_finds_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), &["--once", "--format", "json"]);
    let result = json(&first);
    assert_eq!(result["overview"]["findings"][0]["headline"], "Platform team: 147.2 h a sprint automatable (23 %)");
    let counts = &result["run"]["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(count("read"), count("written") + count("unchanged") + count("quarantined") + count("open"));
    let lines: Vec<Value> = first.stderr.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(lines.len() as u64, result["days"].as_u64().unwrap());
    assert!(lines.iter().all(|line| line["day"].is_string() && line["of"] == result["days"]), "{lines:?}");

    let again = run(folder.path(), &["--once", "--quiet"]);
    assert!(again.status.success() && again.stderr.is_empty(), "{again:?}");
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(text.starts_with("Nothing new: every day is up to date.\n"), "{text}");
    assert!(text.contains("Platform team: 147.2 h a sprint automatable (23 %)"), "{text}");
}

#[test]
fn a_start_that_is_refused_leaves_the_folder_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wastewalk"));
        command.env_remove("RUST_LOG").env_remove("ORGANISATION_TIME_ZONE").args(arguments);
        command.arg("--data").arg(folder.path()).stdin(Stdio::null()).output().unwrap()
    };
    let dry = |arguments: &[&str]| {
        let output = command(&[&["rewind", "--dry-run"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let started = command(&["up", "--once", "--quiet"]);
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let before = dry(&[]);
    assert!(before.contains("Nothing to do"), "{before}");

    let another = format!("sqlite://{}", folder.path().join("demo.sqlite").display());
    let refused = command(&["up", "--once", "--quiet", "--time-zone", "Asia/Tokyo", "--source", &another]);
    assert!(refusal(&refused, 1).contains("keeps another source"));
    assert!(dry(&["--time-zone", "Asia/Tokyo"]).contains("65 objects"));
    assert_eq!(dry(&[]), before, "what only looks changes nothing, either");
}

#[test]
fn a_source_that_no_mapping_was_named_for_is_refused_with_how_to_find_one() {
    let folder = tempfile::tempdir().unwrap();
    // An empty file is a database without tables.
    let source = folder.path().join("team.db");
    std::fs::write(&source, "").unwrap();
    let source = format!("sqlite://{}", source.display());
    let data = folder.path().join("data");
    let message = refusal(&run(&data, &["--once", "--quiet", "--source", &source]), 1);
    assert!(message.contains("no --mapping") && message.contains("wastewalk check --source"), "{message}");
    let message = refusal(&run(&data, &["--once", "--quiet", "--source", &source, "--mapping", "kimai"]), 1);
    assert!(!message.contains("no --mapping"), "{message}");
}

#[test]
fn history_is_rewound_and_compared_from_the_command_line_without_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let wastewalk = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wastewalk"));
        command.env_remove("RUST_LOG").args(arguments).arg("--data").arg(folder.path()).stdin(Stdio::null());
        command.output().unwrap()
    };
    let said = |output: &Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout.clone()).unwrap()
    };
    let message = refusal(&wastewalk(&["rewind"]), 1);
    assert!(message.contains("run `wastewalk up` first"), "{message}");
    json(&run(folder.path(), &["--once", "--quiet", "--format", "json"]));
    std::fs::remove_file(folder.path().join("demo.sqlite")).unwrap();
    let message = refusal(&wastewalk(&["diff"]), 1);
    assert!(message.contains("there is no logic before"), "{message}");
    let message = refusal(&wastewalk(&["rewind", "--annotator", "clasify"]), 1);
    assert!(message.contains("use classify, scope"), "{message}");

    let file = folder.path().join("tests.toml");
    std::fs::write(&file, "[stereotypes.golf]\ncategory = \"sport\"\n").unwrap();
    let with = ["--classification", file.to_str().unwrap()];
    let message = refusal(&wastewalk(&[&["rewind"][..], &with].concat()), 1);
    assert!(message.contains("`golf` has the category `sport`; use coding"), "{message}");
    std::fs::write(&file, "[stereotypes.exploratory-test]\nautomatable = true\n").unwrap();
    let dry = said(&wastewalk(&[&["rewind", "--dry-run", "--from", "2026-10-26"][..], &with].concat()));
    assert!(dry.starts_with("2026-10-26  1 objects") && dry.contains("5 days under") && dry.contains("USD"), "{dry}");
    let done = wastewalk(&[&["rewind", "--from", "2026-10-26"][..], &with].concat());
    assert!(said(&done).starts_with("5 days computed by") && done.stderr.lines().count() == 5, "{done:?}");
    let again = said(&wastewalk(&[&["rewind", "--from", "2026-10-26"][..], &with].concat()));
    assert!(again.starts_with("Nothing to do: 5 days are there"), "{again}");
    let diff = said(&wastewalk(&[&["diff", "--insight", "automatable"][..], &with].concat()));
    assert!(diff.contains("classify: its configuration changed") && diff.contains("activities flipped"), "{diff}");
    assert!(diff.contains("60 days cannot be compared"), "{diff}");
    let kept = said(&wastewalk(&["retain"]));
    assert_eq!(kept, "0 generations forgotten: 0 items, 0 annotations.\n");
}

#[test]
fn killed_half_way_and_run_again_it_finishes_with_the_same_figures() {
    let whole = tempfile::tempdir().unwrap();
    let expected = json(&run(whole.path(), &["--once", "--format", "json"]))["overview"]["insights"].take();
    let folder = tempfile::tempdir().unwrap();
    let mut child = wastewalk(folder.path(), &["--once"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first_day = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first_day).unwrap();
    // On Unix this is SIGKILL: nothing is flushed, no lease is given back.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(first_day.contains("\"day\""), "{first_day}");
    let result = json(&run(folder.path(), &["--once", "--format", "json", "--quiet"]));
    assert_eq!(result["overview"]["insights"], expected);
}

#[test]
fn it_serves_the_page_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = wastewalk(folder.path(), &["--port", "0", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines.filter_map(|line| line.strip_prefix("The page: http://").map(str::to_owned)).next().unwrap();
    let address = url.split('/').next().unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("147.2 h a sprint automatable (23 %)"));

    // The same folder is taken meanwhile.
    let second = refusal(&run(folder.path(), &["--once"]), 1);
    assert!(second.contains("another wastewalk is using the folder"), "{second}");

    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_cannot_work_is_refused_in_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = refusal(&run(folder.path(), &["--port", &port]), 1);
    assert!(message.contains(&port) && message.contains("--port"), "{message}");

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let message = refusal(&run(&file.join("below"), &["--once"]), 1);
    assert!(message.contains("--data DIR"), "{message}");

    let nothing = folder.path().join("nothing.sqlite");
    let data = folder.path().join("data");
    let message = refusal(&run(&data, &["--once", "--source", &format!("sqlite://{}", nothing.display())]), 1);
    assert!(message.contains("the source cannot be opened"), "{message}");
    assert!(!nothing.exists(), "a source is never made");
    let message = refusal(&run(&data, &["--once", "--source", "oracle://ada:secret@nowhere/x"]), 1);
    assert!(message.contains("`oracle://…` is no database") && !message.contains("secret"), "{message}");
    let message = refusal(&run(&data, &["--once", "--source", "mysql://ada:secret@nowhere.invalid/x"]), 1);
    assert!(message.contains("nowhere.invalid:3306") && !message.contains("secret"), "{message}");
    let message = refusal(&run(&data, &["--once", "--source", "postgres://ada:secret@nowhere.invalid/x"]), 1);
    assert!(message.contains("nowhere.invalid:5432") && !message.contains("secret"), "{message}");

    let mapping = folder.path().join("m.toml");
    std::fs::write(&mapping, "[source]\nname = \"x\"\nzone = \"UTC\"\n").unwrap();
    let message = refusal(&run(&data, &["--once", "--mapping", mapping.to_str().unwrap()]), 1);
    assert!(message.contains("m.toml:3: `zone` is no key of [source]"), "{message}");

    let elsewhere = vec!["--invoke", "http://127.0.0.1:9", "--source", "sqlite://x"];
    for wrong in [vec!["--colour"], vec!["--port", "many"], vec!["--format", "xml"], elsewhere] {
        refusal(&run(folder.path(), &wrong), 2);
    }
}

#[test]
fn a_folder_keeps_one_source() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), &["--once", "--quiet"]).status.success());
    let other = folder.path().join("other.sqlite");
    std::fs::copy(folder.path().join("demo.sqlite"), &other).unwrap();
    let message = refusal(&run(folder.path(), &["--once", "--source", &format!("sqlite://{}", other.display())]), 1);
    assert!(message.contains("keeps another source"), "{message}");

    // The demo is the demo, and a file is a file, however they are written.
    let spelled = folder.path().join("..").join(folder.path().file_name().unwrap());
    assert!(run(&spelled, &["--once", "--quiet"]).status.success());
    let elsewhere = tempfile::tempdir().unwrap();
    let relative = |data: &Path| {
        let mut command = wastewalk(data, &["--once", "--quiet", "--source", "sqlite://other.sqlite"]);
        command.current_dir(folder.path()).output().unwrap()
    };
    assert!(relative(elsewhere.path()).status.success());
    let absolute = format!("sqlite:{}?mode=ro", other.display());
    assert!(run(elsewhere.path(), &["--once", "--quiet", "--source", &absolute]).status.success());

    // When the file is gone it is still that source: what was captured is shown, and the command says what is wrong.
    std::fs::remove_file(&other).unwrap();
    let gone = run(elsewhere.path(), &["--once", "--quiet", "--source", &absolute]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stdout).contains("147.2 h a sprint"), "{gone:?}");
    assert!(String::from_utf8_lossy(&gone.stderr).contains("the source cannot be opened"), "{gone:?}");
}

#[test]
fn whoever_looks_is_an_analyst_or_somebody_of_the_source_or_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    for who in ["planet:1", "person:", "person", "admin"] {
        let error = refusal(&run(folder.path(), &["--once", "--as", who]), 2);
        assert!(error.contains("person:ID"), "{error}");
    }
    let error = refusal(&run(folder.path(), &["--sign-in", "--as", "person:11"]), 2);
    assert!(error.contains("cannot be used with"), "{error}");
    let error = refusal(&run(folder.path(), &["--port", "0", "--sign-in"]), 1);
    assert!(error.contains("OIDC_ISSUER"), "{error}");
}
