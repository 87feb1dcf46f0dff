//! The functions as separate processes behind Lambda's own API, served by `cargo lambda watch`: the binaries that are
//! deployed, their environment, the event files of `tests/events`.

use std::{
    fs::File,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use wastewalk::{invoke::Invoker, progress::Show, stack::Stack, up};
use wastewalk_tests::{House, binary, insight, json};

/// The functions behind a queue.
fn listeners(stack: &Stack) -> Vec<String> {
    let annotators = stack.register.annotators().iter();
    let mut names: Vec<String> =
        annotators.map(|annotator| format!("annotate-{}", annotator.declaration.name)).collect();
    names.push("aggregate".to_owned());
    names
}

/// Processes that end with the test.
struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Whoever has ended already cannot be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn watch(port: u16) -> anyhow::Result<Child> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tool = root.join(".tools/lambda/bin/cargo-lambda");
    let mut command = Command::new(&tool);
    command.args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1", "--invoke-port"]);
    command.arg(port.to_string()).current_dir(root).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| format!("{} is missing; `make tools` makes it", tool.display()))
}

/// Starts the binary of a function, which asks the Lambda API at `port` for work.
fn start(stack: &Stack, house: &House, function: &str, port: u16, logs: &Path) -> anyhow::Result<Child> {
    let child = Command::new(binary(function)?)
        .env_clear()
        .envs(stack.environment())
        .env("SOURCE_URL", house.source_url())
        .env("MAPPING", "reference")
        .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt/{function}"))
        .env("AWS_LAMBDA_FUNCTION_NAME", function)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
        .stderr(File::create(logs.join(function))?)
        .spawn();
    child.with_context(|| format!("{function} could not be started"))
}

fn event(function: &str) -> anyhow::Result<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(format!("{function}.json"));
    Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_binaries_do_the_whole_thread_behind_cargo_lambda_watch() -> anyhow::Result<()> {
    let port = free_port()?;
    let mut processes = Processes(vec![watch(port)?]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < deadline, "cargo lambda watch does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let address = format!("http://127.0.0.1:{port}");
    let house = House::demo().await?;
    let stack = house.stack_with(None, Some(address.parse()?)).await?;
    let (listeners, logs) = (listeners(&stack), tempfile::tempdir()?);
    for function in listeners.iter().map(String::as_str).chain(["intake", "api"]) {
        processes.0.push(start(&stack, &house, function, port, logs.path())?);
    }
    // A function that ended at once leaves its invocation waiting for ever.
    let work = tokio::time::timeout(Duration::from_secs(300), up::work(&stack, Show::Nothing));
    let work = work.await.context("the functions do not answer")??;
    assert_eq!(work.run.map_err(anyhow::Error::msg)?.counts.quarantined, 2);
    let answer = json(&stack, "/v1/insights?scope=team:1").await?;
    assert_eq!(insight(&answer, "automatable")?["hours_per_sprint"]["value"], json!(147.2));

    // Each function takes the event file that the documents show for it.
    let invoker = Invoker::new(&address.parse()?);
    for function in &listeners {
        let response: Value = invoker.invoke(function, &event(function)?).await?;
        assert_eq!(response, json!({ "batchItemFailures": [] }), "{function}");
    }
    let record: Value = invoker.invoke("intake", &event("intake")?).await?;
    assert_eq!(record["counts"]["written"], json!(0));
    let response: Value = invoker.invoke("api", &event("api")?).await?;
    assert_eq!(response["statusCode"], json!(200));
    let body: Value = serde_json::from_str(response["body"].as_str().context("a body")?)?;
    let direct = json(&stack, "/v1/insights").await?;
    assert_eq!(insight(&body, "automatable")?["numerator"], insight(&direct, "automatable")?["numerator"]);
    for function in listeners.iter().map(String::as_str).chain(["intake", "api"]) {
        check_log(function, &std::fs::read_to_string(logs.path().join(function))?)?;
    }
    stack.stop().await
}

/// Each invocation says in one line what it did, and no line has a value of a row in it.
fn check_log(function: &str, log: &str) -> anyhow::Result<()> {
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut summaries = lines.iter().filter(|line| line["fields"]["message"] == "summary");
    let first = summaries.next().with_context(|| format!("{function} left no summary: {log}"))?;
    for field in
        ["events", "failed", "rows_in", "rows_out", "rows_quarantined", "bytes_in", "bytes_out", "milliseconds"]
    {
        ensure!(first["fields"][field].is_u64(), "{function}: no {field} in {first}");
    }
    ensure!(first["fields"]["function"] == function && first["fields"]["logic"].is_string(), "{first}");
    for value in ["Third time this week", "Brandt", "Petersen", "manual-deployment", "2026-08-04T06:49:58"] {
        ensure!(!log.contains(value), "the log of {function} has a value of a row in it: {value}");
    }
    Ok(())
}
