//! What template.yaml says, as far as the local stack does the same: which function reads which queue, which rule feeds
//! it, how batches and failures are handled, and how often intake runs. One file decides for AWS and for the laptop.

use std::{collections::BTreeMap, time::Duration};

use serde_yaml_ng::{Mapping, Value};

/// The template that is deployed.
const BUILT_IN: &str = include_str!("../../../template.yaml");

/// Why a template cannot be run locally.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is not YAML.
    #[error("template.yaml is not YAML")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// Something that the local stack needs is not there.
    #[error("template.yaml has no {at}")]
    Missing {
        /// Where, as a path of names.
        at: String,
    },
    /// Something is there but cannot be understood.
    #[error("template.yaml: {at} should be {expected}")]
    Unexpected {
        /// Where, as a path of names.
        at: String,
        /// What would be understood.
        expected: &'static str,
    },
}

/// What the local stack takes from a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Every function that reads a queue, by its logical id.
    pub consumers: Vec<Consumer>,
    /// Every rule that feeds those queues.
    pub rules: Vec<Rule>,
    /// How often each scheduled function runs, by the name of its binary.
    pub schedules: BTreeMap<String, Duration>,
}

/// A function that reads a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its name in the template.
    pub logical_id: String,
    /// The name of its binary, which is that of its package.
    pub binary: String,
    /// How long one batch may take.
    pub timeout: Duration,
    /// What it reads.
    pub queue: Queue,
    /// Messages in one batch at most.
    pub batch_size: usize,
    /// Batches at once at most.
    pub max_concurrency: usize,
    /// Whether it names the messages that failed; otherwise a batch succeeds or fails whole.
    pub partial_batches: bool,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name in the template.
    pub logical_id: String,
    /// After which a message that was neither done nor failed is handed out again.
    pub visibility_timeout: Duration,
    /// Tries of one message before it goes to `dead_letters`.
    pub max_receives: u32,
    /// The logical id of the queue for messages that failed for good.
    pub dead_letters: String,
}

/// An EventBridge rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name in the template.
    pub logical_id: String,
    /// Which events it takes.
    pub pattern: EventPattern,
    /// The logical ids of the queues that it feeds.
    pub queues: Vec<String>,
}

impl Template {
    /// The deployed template, where `bucket` is the name of the lake's bucket.
    ///
    /// # Errors
    /// If the template says something that the local stack does not do.
    pub fn built_in(bucket: &str) -> Result<Self, TemplateError> {
        Self::parse(BUILT_IN, bucket)
    }

    /// Any template, where `bucket` is the name of its only bucket. Parameters have their defaults.
    ///
    /// # Errors
    /// If the template says something that the local stack does not do.
    pub fn parse(yaml: &str, bucket: &str) -> Result<Self, TemplateError> {
        let root: Value = serde_yaml_ng::from_str(yaml)?;
        let document = Document { root: &root, bucket };
        let mut template = Self { consumers: Vec::new(), rules: Vec::new(), schedules: BTreeMap::new() };
        for (logical_id, resource) in document.resources()?.entries()? {
            match resource.get("Type")?.text()?.as_str() {
                "AWS::Serverless::Function" => template.add_function(logical_id, &resource)?,
                "AWS::Events::Rule" => template.rules.push(Rule::read(logical_id, &resource)?),
                _ => {}
            }
        }
        for rule in &template.rules {
            let unread = |queue: &&String| template.consumer_of(queue).is_none();
            if let Some(queue) = rule.queues.iter().find(unread) {
                return Err(TemplateError::Missing {
                    at: format!("function that reads {queue}, the target of {}", rule.logical_id),
                });
            }
        }
        Ok(template)
    }

    /// The function that reads `queue`, a logical id.
    pub fn consumer_of(&self, queue: &str) -> Option<&Consumer> {
        self.consumers.iter().find(|consumer| consumer.queue.logical_id == queue)
    }

    fn add_function(&mut self, logical_id: &str, function: &Node) -> Result<(), TemplateError> {
        let properties = function.get("Properties")?;
        let binary = function.get("Metadata")?.get("BuildProperties")?.get("Binary")?.text()?;
        // Whoever answers requests is woken by nothing; the local stack itself serves them.
        let Some(events) = properties.find("Events") else { return Ok(()) };
        for (_, event) in events.entries()? {
            let source = event.get("Properties")?;
            match event.get("Type")?.text()?.as_str() {
                "SQS" => self.consumers.push(Consumer {
                    logical_id: logical_id.to_owned(),
                    binary: binary.clone(),
                    timeout: properties.get("Timeout")?.seconds()?,
                    queue: Queue::read(&source.get("Queue")?)?,
                    batch_size: source.get("BatchSize")?.count()?,
                    max_concurrency: source.get("ScalingConfig")?.get("MaximumConcurrency")?.count()?,
                    partial_batches: match source.find("FunctionResponseTypes") {
                        Some(types) => types.texts()?.iter().any(|kind| kind == "ReportBatchItemFailures"),
                        None => false,
                    },
                }),
                "ScheduleV2" => {
                    let every = source.get("ScheduleExpression")?.rate()?;
                    self.schedules.insert(binary.clone(), every);
                }
                _ => return Err(event.get("Type")?.unexpected("SQS or ScheduleV2")),
            }
        }
        Ok(())
    }
}

impl Queue {
    fn read(arn: &Node) -> Result<Self, TemplateError> {
        let logical_id = arn.arn()?;
        let properties = arn.document.resources()?.get(&logical_id)?.get("Properties")?;
        let redrive = properties.get("RedrivePolicy")?;
        Ok(Self {
            visibility_timeout: properties.get("VisibilityTimeout")?.seconds()?,
            max_receives: u32::try_from(redrive.get("maxReceiveCount")?.count()?).unwrap_or(u32::MAX),
            dead_letters: redrive.get("deadLetterTargetArn")?.arn()?,
            logical_id,
        })
    }
}

impl Rule {
    fn read(logical_id: &str, rule: &Node) -> Result<Self, TemplateError> {
        let properties = rule.get("Properties")?;
        let targets = properties.get("Targets")?.items()?;
        Ok(Self {
            logical_id: logical_id.to_owned(),
            pattern: EventPattern(Pattern::read(&properties.get("EventPattern")?)?),
            queues: targets.iter().map(|target| target.get("Arn")?.arn()).collect::<Result<_, _>>()?,
        })
    }
}

/// The subset of EventBridge's event patterns that the template uses: nested objects, and for each field a list of exact
/// texts, `prefix`, `suffix` or `wildcard`, of which one has to match.
/// Source: Amazon EventBridge user guide, "Comparison operators for use in event patterns".
#[derive(Debug, Clone, PartialEq)]
pub struct EventPattern(Pattern);

#[derive(Debug, Clone, PartialEq)]
enum Pattern {
    Fields(Vec<(String, Pattern)>),
    AnyOf(Vec<Matcher>),
}

#[derive(Debug, Clone, PartialEq)]
enum Matcher {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Wildcard(String),
}

impl EventPattern {
    /// Whether a rule with this pattern takes `event`: every field of the pattern is there and matches.
    pub fn matches(&self, event: &serde_json::Value) -> bool {
        self.0.matches(event)
    }
}

impl Pattern {
    fn read(node: &Node) -> Result<Self, TemplateError> {
        match node.value {
            Value::Mapping(_) => {
                let mut fields = Vec::new();
                for (name, field) in node.entries()? {
                    // `$or` and whatever comes after it would be read as a field that no event has.
                    if name.starts_with('$') {
                        return Err(field.unexpected("a field; operators such as $or are not supported"));
                    }
                    fields.push((name.to_owned(), Self::read(&field)?));
                }
                Ok(Self::Fields(fields))
            }
            Value::Sequence(_) => {
                let matchers: Vec<_> = node.items()?.iter().map(Matcher::read).collect::<Result<_, _>>()?;
                if matchers.is_empty() {
                    return Err(node.unexpected("a list that is not empty"));
                }
                Ok(Self::AnyOf(matchers))
            }
            _ => Err(node.unexpected("fields or a list of what may match")),
        }
    }

    fn matches(&self, value: &serde_json::Value) -> bool {
        match self {
            Self::Fields(fields) => {
                fields.iter().all(|(name, pattern)| value.get(name).is_some_and(|value| pattern.matches(value)))
            }
            Self::AnyOf(matchers) => match value {
                // As on AWS, a list matches if one of its elements does.
                serde_json::Value::Array(values) => values.iter().any(|value| self.matches(value)),
                serde_json::Value::String(text) => matchers.iter().any(|matcher| matcher.matches(text)),
                _ => false,
            },
        }
    }
}

impl Matcher {
    fn read(node: &Node) -> Result<Self, TemplateError> {
        const OPERATOR: &str = "a text, or one of prefix, suffix and wildcard with a text";
        let Value::Mapping(_) = node.value else {
            return Ok(Self::Exact(node.text()?));
        };
        let [(name, operand)] = &node.entries()?[..] else {
            return Err(node.unexpected(OPERATOR));
        };
        match *name {
            "prefix" => Ok(Self::Prefix(operand.text()?)),
            "suffix" => Ok(Self::Suffix(operand.text()?)),
            "wildcard" => {
                let pattern = operand.text()?;
                // EventBridge refuses the first and gives the second a meaning that we do not need.
                if pattern.contains("**") || pattern.contains('\\') {
                    return Err(operand.unexpected("a wildcard without ** and \\"));
                }
                Ok(Self::Wildcard(pattern))
            }
            _ => Err(operand.unexpected(OPERATOR)),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Wildcard(pattern) => wildcard(pattern, text),
        }
    }
}

/// Whether `text` is `pattern` with each `*` replaced by any characters, none included.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    // The leftmost place of each part leaves most for the parts after it.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[derive(Clone, Copy)]
struct Document<'a> {
    root: &'a Value,
    bucket: &'a str,
}

impl<'a> Document<'a> {
    fn node(self) -> Node<'a> {
        Node { value: self.root, at: String::new(), document: self }
    }

    fn resources(self) -> Result<Node<'a>, TemplateError> {
        self.node().get("Resources")
    }

    /// What `!Ref name` stands for.
    fn reference(self, name: &str) -> Result<String, TemplateError> {
        if let Some(parameter) = self.node().find("Parameters").and_then(|all| all.find(name)) {
            return parameter.get("Default")?.text();
        }
        match self.resources()?.get(name)?.get("Type")?.text()?.as_str() {
            "AWS::S3::Bucket" => Ok(self.bucket.to_owned()),
            _ => Ok(name.to_owned()),
        }
    }
}

/// A value and where it stands, so that errors can say it.
struct Node<'a> {
    value: &'a Value,
    at: String,
    document: Document<'a>,
}

impl<'a> Node<'a> {
    fn below(&self, name: &str, value: &'a Value) -> Node<'a> {
        let at = if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) };
        Node { value, at, document: self.document }
    }

    fn unexpected(&self, expected: &'static str) -> TemplateError {
        TemplateError::Unexpected { at: self.at.clone(), expected }
    }

    fn mapping(&self) -> Result<&'a Mapping, TemplateError> {
        self.value.as_mapping().ok_or_else(|| self.unexpected("a mapping"))
    }

    fn find(&self, name: &str) -> Option<Node<'a>> {
        let value = self.value.as_mapping()?.get(name)?;
        Some(self.below(name, value))
    }

    fn get(&self, name: &str) -> Result<Node<'a>, TemplateError> {
        match self.mapping()?.get(name) {
            Some(value) => Ok(self.below(name, value)),
            None => Err(TemplateError::Missing { at: self.below(name, self.value).at }),
        }
    }

    fn entries(&self) -> Result<Vec<(&'a str, Node<'a>)>, TemplateError> {
        let entry = |(name, value): (&'a Value, &'a Value)| {
            let name = name.as_str().ok_or_else(|| self.unexpected("a mapping of names"))?;
            Ok((name, self.below(name, value)))
        };
        self.mapping()?.iter().map(entry).collect()
    }

    fn items(&self) -> Result<Vec<Node<'a>>, TemplateError> {
        let items = self.value.as_sequence().ok_or_else(|| self.unexpected("a list"))?;
        let item = |(index, value): (usize, &'a Value)| self.below(&index.to_string(), value);
        Ok(items.iter().enumerate().map(item).collect())
    }

    fn texts(&self) -> Result<Vec<String>, TemplateError> {
        self.items()?.iter().map(Node::text).collect()
    }

    /// A text, also where it is given by `!Ref`.
    fn text(&self) -> Result<String, TemplateError> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Tagged(tagged) if tagged.tag == "Ref" => match tagged.value.as_str() {
                Some(name) => self.document.reference(name),
                None => Err(self.unexpected("!Ref and a name")),
            },
            _ => Err(self.unexpected("a text, a number or !Ref")),
        }
    }

    fn count(&self) -> Result<usize, TemplateError> {
        match self.text()?.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(self.unexpected("a whole number above 0")),
        }
    }

    fn seconds(&self) -> Result<Duration, TemplateError> {
        Ok(Duration::from_secs(self.count()? as u64))
    }

    /// The logical id in `!GetAtt id.Arn`.
    fn arn(&self) -> Result<String, TemplateError> {
        let id = match self.value {
            Value::Tagged(tagged) if tagged.tag == "GetAtt" => {
                tagged.value.as_str().and_then(|id| id.strip_suffix(".Arn"))
            }
            _ => None,
        };
        id.map(str::to_owned).ok_or_else(|| self.unexpected("!GetAtt <resource>.Arn"))
    }

    /// `rate(1 hour)` and the like.
    fn rate(&self) -> Result<Duration, TemplateError> {
        let text = self.text()?;
        let parsed = || -> Option<Duration> {
            let (count, unit) = text.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
            let unit = match unit.trim_end_matches('s') {
                "minute" => 60,
                "hour" => 60 * 60,
                "day" => 24 * 60 * 60,
                _ => return None,
            };
            count.parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_secs)
        };
        parsed().filter(|every| !every.is_zero()).ok_or_else(|| self.unexpected("rate(<count> minutes, hours or days)"))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use serde_json::json;
    use shared::{
        annotator::{Register, declaration::Declaration},
        event::ObjectCreated,
        lake::{Entity, LakeKey, Partition, Sha256},
        settings::LogicSettings,
    };

    use super::*;

    const BUCKET: &str = "the-lake";

    fn pattern(yaml: &str) -> Result<EventPattern, TemplateError> {
        let root: Value = serde_yaml_ng::from_str(yaml).unwrap();
        let document = Document { root: &root, bucket: BUCKET };
        Pattern::read(&document.node()).map(EventPattern)
    }

    /// The binaries whose queues an object with `key` reaches.
    fn reached(template: &Template, source: &str, bucket: &str, key: &str) -> BTreeSet<String> {
        let event = serde_json::to_value(ObjectCreated::new(source, bucket, key, 1)).unwrap();
        let rules = template.rules.iter().filter(|rule| rule.pattern.matches(&event));
        let consumers = rules.flat_map(|rule| rule.queues.iter().filter_map(|queue| template.consumer_of(queue)));
        consumers.map(|consumer| consumer.binary.clone()).collect()
    }

    fn annotation(annotator: &str) -> LakeKey {
        LakeKey::Annotation {
            partition: partition(),
            annotator: annotator.into(),
            version: "1-0a1b2c3d".into(),
            sha256: Sha256::of("x"),
        }
    }

    fn partition() -> Partition {
        Partition { day: "2026-01-30".parse().unwrap(), generation: "20260131T060000Z".parse().unwrap() }
    }

    /// What the annotators of the logic register declare.
    fn declared() -> Vec<Declaration> {
        let register = Register::built_in(&LogicSettings::default()).unwrap();
        register.annotators().iter().map(|annotator| annotator.declaration.clone()).collect()
    }

    /// The binaries of the annotators that `are`, and the aggregator.
    fn aggregate_and(are: impl Fn(&Declaration) -> bool) -> BTreeSet<String> {
        let annotators = declared().into_iter().filter(are).map(|annotator| format!("annotate-{}", annotator.name));
        annotators.chain(["aggregate".to_owned()]).collect()
    }

    /// What the role of one function lets it do.
    #[derive(Default)]
    struct Permitted {
        /// The patterns of the keys that it may create.
        writes: Vec<String>,
        /// Whether it may send events of its own.
        announces: bool,
    }

    /// The statements of a role, those under a condition of the template included.
    fn statements<'a>(role: &Node<'a>) -> Vec<Node<'a>> {
        let mut statements = Vec::new();
        for policy in role.get("Policies").unwrap().items().unwrap() {
            for statement in policy.get("PolicyDocument").unwrap().get("Statement").unwrap().items().unwrap() {
                if statement.find("Effect").is_some() {
                    statements.push(statement);
                    continue;
                }
                let [_, then, _] = <[Node; 3]>::try_from(statement.items().unwrap()).ok().unwrap();
                assert!(then.find("Effect").is_some(), "{}", then.at);
                statements.push(then);
            }
        }
        statements
    }

    /// For every function, by binary: what its role lets it do.
    fn permitted(document: Document) -> BTreeMap<String, Permitted> {
        let resources = document.resources().unwrap();
        let mut all = BTreeMap::new();
        for (_, function) in resources.entries().unwrap() {
            if function.get("Type").unwrap().text().unwrap() != "AWS::Serverless::Function" {
                continue;
            }
            let properties = function.get("Properties").unwrap();
            // Another way to give a permission would be out of sight of this proof.
            assert!(properties.find("Policies").is_none());
            let role = resources.get(&properties.get("Role").unwrap().arn().unwrap()).unwrap();
            let role = role.get("Properties").unwrap();
            assert!(role.find("ManagedPolicyArns").is_none());
            let mut permitted = Permitted::default();
            for statement in statements(&role) {
                if statement.get("Effect").unwrap().text().unwrap() == "Deny" {
                    continue;
                }
                let many = |name: &str| {
                    let node = statement.get(name).unwrap();
                    node.items().unwrap_or_else(|_| vec![node])
                };
                let actions: Vec<_> = many("Action").iter().map(|action| action.text().unwrap()).collect();
                assert!(actions.iter().all(|action| !action.contains('*')), "{actions:?}");
                permitted.announces |= actions.iter().any(|action| action == "events:PutEvents");
                if !actions.iter().any(|action| action == "s3:PutObject") {
                    continue;
                }
                for resource in many("Resource") {
                    let Value::Tagged(tagged) = resource.value else { panic!("{}", resource.at) };
                    let key = tagged.value.as_str().unwrap().strip_prefix("${LakeBucket.Arn}/").unwrap();
                    assert!(!key.contains(['?', '$']), "{key}");
                    permitted.writes.push(key.to_owned());
                }
            }
            let binary = function.get("Metadata").unwrap().get("BuildProperties").unwrap();
            all.insert(binary.get("Binary").unwrap().text().unwrap(), permitted);
        }
        all
    }

    /// The key patterns of a rule, as wildcards.
    fn listens(rule: &Rule) -> Vec<String> {
        let field = |pattern: &Pattern, name: &str| match pattern {
            Pattern::Fields(fields) => fields.iter().find(|(field, _)| field == name).unwrap().1.clone(),
            Pattern::AnyOf(_) => panic!("{name}"),
        };
        let Pattern::AnyOf(matchers) = field(&field(&field(&rule.pattern.0, "detail"), "object"), "key") else {
            panic!("{}", rule.logical_id);
        };
        let wildcard = |matcher| match matcher {
            Matcher::Exact(text) | Matcher::Wildcard(text) => text,
            Matcher::Prefix(prefix) => format!("{prefix}*"),
            Matcher::Suffix(suffix) => format!("*{suffix}"),
        };
        matchers.into_iter().map(wildcard).collect()
    }

    /// Whether any text at all matches both wildcards.
    fn overlap(one: &[u8], other: &[u8]) -> bool {
        match (one, other) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => overlap(rest, other) || (!other.is_empty() && overlap(one, &other[1..])),
            (_, [b'*', ..]) => overlap(other, one),
            ([a, one @ ..], [b, other @ ..]) => a == b && overlap(one, other),
            _ => false,
        }
    }

    #[test]
    fn the_deployed_template_runs_locally() {
        let template = Template::built_in(BUCKET).unwrap();
        let binaries: BTreeSet<_> = template.consumers.iter().map(|consumer| consumer.binary.clone()).collect();
        assert_eq!(binaries, aggregate_and(|_| true));
        for consumer in &template.consumers {
            assert!(consumer.partial_batches, "{consumer:?}");
            assert!(consumer.queue.visibility_timeout >= 6 * consumer.timeout, "{consumer:?}");
            assert!(consumer.queue.max_receives >= 3, "{consumer:?}");
            assert_ne!(consumer.queue.dead_letters, consumer.queue.logical_id);
        }
        let hourly = |binary: &str| (binary.to_owned(), Duration::from_secs(3600));
        assert_eq!(template.schedules, BTreeMap::from(["intake", "reconcile"].map(hourly)));
    }

    #[test]
    fn every_function_is_a_package_of_that_name() {
        let root: Value = serde_yaml_ng::from_str(BUILT_IN).unwrap();
        let document = Document { root: &root, bucket: BUCKET };
        let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
        let packages: BTreeSet<_> = std::fs::read_dir(functions)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(permitted(document).into_keys().collect::<BTreeSet<_>>(), packages);
    }

    #[test]
    fn each_kind_of_object_wakes_exactly_the_functions_it_is_for() {
        let template = Template::built_in(BUCKET).unwrap();
        let sha256 = Sha256::of("x");
        let generation = partition().generation;
        let base = LakeKey::Activities { partition: partition(), sha256 };
        // A base object is for everyone, an annotation for those who say that they read it.
        let mut expected = vec![
            (base, aggregate_and(|_| true)),
            (LakeKey::Dimension { entity: Entity::Teams, generation, sha256 }, BTreeSet::new()),
            (LakeKey::Quarantine { entity: Entity::Activities, generation, sha256 }, BTreeSet::new()),
            (LakeKey::Run { generation }, BTreeSet::new()),
            (LakeKey::Rewind { generation }, BTreeSet::new()),
        ];
        for Declaration { name, .. } in declared() {
            expected.push((annotation(&name), aggregate_and(|annotator| annotator.inputs.contains(&name))));
        }
        for (key, functions) in expected {
            for source in ["aws.s3", "wastewalk"] {
                assert_eq!(reached(&template, source, BUCKET, &key.to_string()), functions, "{key}");
            }
            assert_eq!(reached(&template, "someone", BUCKET, &key.to_string()), BTreeSet::new());
            assert_eq!(reached(&template, "aws.s3", "another-bucket", &key.to_string()), BTreeSet::new());
        }
    }

    #[test]
    fn no_function_can_wake_itself() {
        let template = Template::built_in(BUCKET).unwrap();
        let root: Value = serde_yaml_ng::from_str(BUILT_IN).unwrap();
        let permitted = permitted(Document { root: &root, bucket: BUCKET });
        for binary in ["aggregate", "api", "reconcile"] {
            assert_eq!(permitted[binary].writes, Vec::<String>::new(), "{binary}");
        }
        let wakes = |from: &str, to: &str| {
            let rules = template.rules.iter().filter(|rule| {
                let mut consumers = rule.queues.iter().filter_map(|queue| template.consumer_of(queue));
                consumers.any(|consumer| consumer.binary == to)
            });
            // Whoever may send events may announce anything.
            rules.flat_map(listens).any(|heard| {
                let mut written = permitted[from].writes.iter();
                permitted[from].announces || written.any(|written| overlap(written.as_bytes(), heard.as_bytes()))
            })
        };
        // The proof sees what is there: these do wake each other.
        assert!(wakes("intake", "annotate-classify"));
        assert!(wakes("annotate-classify", "annotate-scope"));
        assert!(wakes("annotate-scope", "aggregate"));
        assert!(wakes("reconcile", "annotate-classify"));
        // Neither itself nor, through others, in a circle: whoever is woken by nobody who is left can be taken away,
        // until nobody is left.
        let mut left: BTreeSet<&str> = permitted.keys().map(String::as_str).collect();
        while !left.is_empty() {
            let free: Vec<&str> = left.iter().copied().filter(|&to| !left.iter().any(|from| wakes(from, to))).collect();
            assert!(!free.is_empty(), "these functions wake each other in a circle: {left:?}");
            left.retain(|function| !free.contains(function));
        }
        // What an annotator writes is what its role lets it write.
        for annotator in declared() {
            let own = &permitted[&format!("annotate-{}", annotator.name)].writes;
            for other in declared() {
                let key = annotation(&other.name).to_string();
                assert_eq!(own.iter().any(|pattern| wildcard(pattern, &key)), annotator.name == other.name, "{key}");
            }
        }
    }

    #[test]
    fn the_bucket_policy_names_every_role_of_a_function_and_the_api_is_closed() {
        let root: Value = serde_yaml_ng::from_str(BUILT_IN).unwrap();
        let document = Document { root: &root, bucket: BUCKET };
        let resources = document.resources().unwrap();
        let policy = resources.get("LakeBucketPolicy").unwrap().get("Properties").unwrap();
        let statements = policy.get("PolicyDocument").unwrap().get("Statement").unwrap().items().unwrap();
        let create_only = statements
            .iter()
            .find(|statement| statement.get("Sid").unwrap().text().unwrap() == "FunctionsCreateOnly")
            .unwrap();
        let named = create_only.get("Condition").unwrap().get("ArnEquals").unwrap();
        let named = named.get("aws:PrincipalArn").unwrap().items().unwrap();
        let named: BTreeSet<_> = named.iter().map(|role| role.arn().unwrap()).collect();
        let functions = resources.entries().unwrap().into_iter().filter_map(|(_, resource)| {
            let function = resource.get("Type").unwrap().text().unwrap() == "AWS::Serverless::Function";
            function.then(|| resource.get("Properties").unwrap().get("Role").unwrap().arn().unwrap())
        });
        assert_eq!(named, functions.collect());
    }

    #[test]
    fn every_route_is_closed_unless_people_sign_in_and_then_the_function_asks_who_they_are() {
        let root: Value = serde_yaml_ng::from_str(BUILT_IN).unwrap();
        let either = |open: &str, closed: &str| {
            let texts = ["PeopleSignIn", open, closed].map(|text| Value::String(text.to_owned()));
            Value::Sequence(texts.into())
        };
        let chosen = |value: &Value| match value {
            Value::Tagged(tagged) if tagged.tag == "If" => tagged.value.clone(),
            other => other.clone(),
        };
        let resources = root["Resources"].as_mapping().unwrap();
        let routes = resources.values().filter(|resource| resource["Type"] == "AWS::ApiGatewayV2::Route");
        let routes: Vec<&Value> = routes.map(|route| &route["Properties"]).collect();
        assert_eq!(routes.len(), 3);
        for route in routes {
            assert_eq!(chosen(&route["AuthorizationType"]), either("NONE", "AWS_IAM"), "{:?}", route["RouteKey"]);
        }
        let environment = &root["Resources"]["Api"]["Properties"]["Environment"]["Variables"];
        assert_eq!(chosen(&environment["ACCESS"]), either("openid", "iam"));
    }

    #[test]
    fn patterns_match_as_on_eventbridge() {
        let pattern = pattern(
            "source: [aws.s3, wastewalk]\n\
             detail: {object: {key: [exact, {prefix: a/}, {suffix: .csv}, {wildcard: 'x/*/y*z'}]}}",
        )
        .unwrap();
        let matches = |key: &str| pattern.matches(&json!({"source": "aws.s3", "detail": {"object": {"key": key}}}));
        for key in ["exact", "a/", "a/b", "b.csv", "x//yz", "x/1/2/y3z", "x/y/yzz", "x/1/yz/yz"] {
            assert!(matches(key), "{key}");
        }
        for key in ["exactly", "a", "b.csvx", "x/yz", "x/1/y", "x/1/zy", "", "X/1/yz"] {
            assert!(!matches(key), "{key}");
        }
        assert!(!pattern.matches(&json!({"source": "aws.s3"})));
        assert!(!pattern.matches(&json!({"source": "aws.ec2", "detail": {"object": {"key": "exact"}}})));
        assert!(!pattern.matches(&json!({"source": "aws.s3", "detail": {"object": {"key": 7}}})));
        assert!(pattern.matches(&json!({"source": ["other", "wastewalk"], "detail": {"object": {"key": ["exact"]}}})));
    }

    #[test]
    fn a_pattern_that_is_not_understood_is_refused() {
        for yaml in [
            "source: [{anything-but: aws.s3}]",
            "source: [{prefix: a, suffix: b}]",
            "source: [{prefix: {equals-ignore-case: a}}]",
            "source: [{exists: true}]",
            "source: [true]",
            "source: []",
            "source: aws.s3",
            "source: [{wildcard: 'a**b'}]",
            "$or: [{source: [a]}]",
        ] {
            let error = pattern(yaml).unwrap_err().to_string();
            assert!(error.contains("should be"), "{yaml}: {error}");
        }
    }

    #[test]
    fn an_error_says_where() {
        let broken = |from: &str, to: &str| {
            assert!(BUILT_IN.contains(from), "{from}");
            Template::parse(&BUILT_IN.replace(from, to), BUCKET).unwrap_err().to_string()
        };
        assert_eq!(
            broken("maxReceiveCount: 5", "maxReceives: 5"),
            "template.yaml has no Resources.AnnotateClassifyQueue.Properties.RedrivePolicy.maxReceiveCount"
        );
        assert_eq!(
            broken("BatchSize: 10", "BatchSize: many"),
            "template.yaml: Resources.AnnotateClassify.Properties.Events.Objects.Properties.BatchSize should be a whole \
             number above 0"
        );
        assert_eq!(
            broken("Default: rate(1 hour)", "Default: cron(0 * * * ? *)"),
            "template.yaml: Resources.Intake.Properties.Events.Tick.Properties.ScheduleExpression should be \
             rate(<count> minutes, hours or days)"
        );
        assert_eq!(
            broken("Arn: !GetAtt AggregateQueue.Arn", "Arn: !GetAtt AggregateDeadLetters.Arn"),
            "template.yaml has no function that reads AggregateDeadLetters, the target of AggregateRule"
        );
    }
}
