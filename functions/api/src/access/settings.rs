//! What a deployment decides about access.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::settings::{InvalidSetting, setting};

use super::sight::{Caller, Member, Sight};

/// Whether somebody may see a group, when nobody says otherwise: from this many people on.
pub const MINIMUM_GROUP: usize = 5;

/// How people are let in, and what decides what they see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSettings {
    /// The provider's issuer, exactly as its tokens say. `OIDC_ISSUER`.
    pub issuer: String,
    /// Who we are to it. `OIDC_CLIENT_ID`.
    pub client_id: String,
    /// Whom a bearer token has to be for; without it none is taken. `OIDC_AUDIENCE`.
    pub audience: Option<String>,
    /// What is asked of the provider about somebody who signs in. `OIDC_SCOPES`, separated by spaces; `openid profile`.
    pub scopes: Vec<String>,
    /// Where people reach the pages, without a path; without it, at the host that they name, over HTTPS. `PUBLIC_URL`.
    pub public_url: Option<String>,
    /// The claim that says who somebody is in the source. `PERSON_CLAIM`; `sub`.
    pub person_claim: String,
    /// The claim that says their teams, by the source's ids; without it the source itself does. `TEAMS_CLAIM`.
    pub teams_claim: Option<String>,
    /// The claim that says their roles. `ROLES_CLAIM`; `roles`.
    pub roles_claim: String,
    /// Roles that see everything. `ORGANISATION_ROLES`, separated by commas; `analyst,admin`.
    pub organisation_roles: BTreeSet<String>,
    /// Roles that see what a member does. `MEMBER_ROLES`, separated by commas; `member`.
    pub member_roles: BTreeSet<String>,
    /// A group of fewer people is hidden from members who are not in it. `MINIMUM_GROUP_SIZE`; 5.
    pub minimum_group: usize,
}

/// A list of names, separated by commas.
struct Names(BTreeSet<String>);

impl std::str::FromStr for Names {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self(names.map(str::to_owned).collect()))
    }
}

/// Whether an address is one that secrets may be sent to: over TLS, or not over a network at all.
pub fn is_safe_address(address: &str) -> bool {
    let Ok(url) = oauth2::url::Url::parse(address) else { return false };
    let here = url.host_str().is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"));
    url.username().is_empty()
        && url.password().is_none()
        && (url.scheme() == "https" || (url.scheme() == "http" && here))
}

impl AccessSettings {
    /// Reads the environment; what is not set, or empty, has its default.
    ///
    /// # Errors
    /// If a variable is not what it should be, or one without a default is missing.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let address = "an https address, such as https://login.example.com";
        let safe = |text: &String| is_safe_address(text);
        let origin = |text: &String| {
            is_safe_address(text)
                && oauth2::url::Url::parse(text).is_ok_and(|url| url.path() == "/" && url.query().is_none())
        };
        let any = |_: &String| true;
        let names = |names: &Names| !names.0.is_empty();
        let required = |value: Option<String>, name: &'static str, expected: &'static str| {
            value.ok_or_else(|| InvalidSetting::missing(name, expected))
        };
        let text = "a name";
        let scopes =
            setting(&variable, "OIDC_SCOPES", "scopes, separated by spaces, openid among them", |scopes: &String| {
                scopes.split_whitespace().any(|scope| scope == "openid")
            })?;
        let roles = "roles, separated by commas";
        let size = |size: &usize| (2..=1_000).contains(size);
        let default = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self {
            issuer: required(setting(&variable, "OIDC_ISSUER", address, safe)?, "OIDC_ISSUER", address)?,
            client_id: required(setting(&variable, "OIDC_CLIENT_ID", text, any)?, "OIDC_CLIENT_ID", text)?,
            audience: setting(&variable, "OIDC_AUDIENCE", text, any)?,
            scopes: scopes
                .unwrap_or_else(|| "openid profile".to_owned())
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            public_url: setting(&variable, "PUBLIC_URL", "an https address without a path", origin)?
                .map(|url| url.trim_end_matches('/').to_owned()),
            person_claim: setting(&variable, "PERSON_CLAIM", text, any)?.unwrap_or_else(|| "sub".to_owned()),
            teams_claim: setting(&variable, "TEAMS_CLAIM", text, any)?,
            roles_claim: setting(&variable, "ROLES_CLAIM", text, any)?.unwrap_or_else(|| "roles".to_owned()),
            organisation_roles: setting(&variable, "ORGANISATION_ROLES", roles, names)?
                .map_or_else(|| default(&["analyst", "admin"]), |names: Names| names.0),
            member_roles: setting(&variable, "MEMBER_ROLES", roles, names)?
                .map_or_else(|| default(&["member"]), |names: Names| names.0),
            minimum_group: setting(&variable, "MINIMUM_GROUP_SIZE", "a number of people, 2 to 1000", size)?
                .unwrap_or(MINIMUM_GROUP),
        })
    }

    /// What verified claims grant; `None` to whoever has no role here.
    pub fn grant(&self, claims: &Map<String, Value>) -> Option<Grant> {
        let roles = texts(claim(claims, &self.roles_claim)?);
        let has = |known: &BTreeSet<String>| roles.iter().any(|role| known.contains(role));
        let everything = has(&self.organisation_roles);
        if !everything && !has(&self.member_roles) {
            return None;
        }
        let person = claim(claims, &self.person_claim).and_then(|person| texts(person).into_iter().next());
        let name = ["name", "preferred_username", "email", "sub"].iter().find_map(|name| claims.get(*name)?.as_str());
        let teams = self.teams_claim.as_ref();
        Some(Grant {
            name: name.unwrap_or("somebody").chars().take(80).collect(),
            everything,
            person,
            // Whoever has no such claim has no team: what the source says is not asked, then.
            teams: teams.map(|name| claim(claims, name).map(texts).unwrap_or_default().into_iter().collect()),
        })
    }

    /// Whom somebody is who has been granted this.
    pub fn caller(&self, grant: &Grant, form_token: Option<String>) -> Caller {
        let member = Member { person: grant.person.clone(), teams: grant.teams.clone(), minimum: self.minimum_group };
        let sight = if grant.everything { Sight::Everything } else { Sight::Member(member) };
        Caller { name: grant.name.clone(), sight, form_token, demo: false }
    }
}

/// What somebody's claims come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What to call them.
    pub name: String,
    /// Whether they see everything.
    pub everything: bool,
    /// Who they are in the source.
    pub person: Option<String>,
    /// Their teams, where a claim says so.
    pub teams: Option<BTreeSet<String>>,
}

/// A claim by its name; else, where no claim has the whole name, by the path that its dots make.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        claim(claims.get(first)?.as_object()?, rest)
    })
}

/// The texts of a claim: it is one, a number, or a list of such.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if !text.is_empty() => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Settings with what has no default, and whatever else is given.
    pub fn settings(pairs: &[(&str, &str)]) -> Result<AccessSettings, InvalidSetting> {
        let known = [("OIDC_ISSUER", "https://login.example.com"), ("OIDC_CLIENT_ID", "wastewalk")];
        AccessSettings::read(|name| {
            let given = pairs.iter().rev().chain(&known).find(|(known, _)| *known == name);
            given.map(|(_, value)| (*value).to_owned())
        })
    }

    fn grant(pairs: &[(&str, &str)], claims: Value) -> Option<Grant> {
        settings(pairs).unwrap().grant(claims.as_object().unwrap())
    }

    #[test]
    fn what_has_no_default_must_be_there_and_what_is_unsafe_is_refused() {
        let plain = settings(&[]).unwrap();
        assert_eq!((plain.minimum_group, plain.audience, plain.person_claim.as_str()), (5, None, "sub"));
        for (name, value) in [
            ("OIDC_ISSUER", ""),
            ("OIDC_ISSUER", "http://login.example.com"),
            ("OIDC_ISSUER", "https://user:secret@login.example.com"),
            ("OIDC_CLIENT_ID", ""),
            ("OIDC_SCOPES", "profile"),
            ("PUBLIC_URL", "http://wastewalk.example.com"),
            ("PUBLIC_URL", "https://wastewalk.example.com/path"),
            ("MINIMUM_GROUP_SIZE", "1"),
            ("ORGANISATION_ROLES", ","),
        ] {
            assert!(settings(&[(name, value)]).unwrap_err().to_string().contains(name), "{name}={value}");
        }
        assert_eq!(
            settings(&[("PUBLIC_URL", "http://127.0.0.1:8080/")]).unwrap().public_url.unwrap(),
            "http://127.0.0.1:8080"
        );
    }

    #[test]
    fn whoever_has_no_role_is_granted_nothing() {
        for claims in [
            serde_json::json!({"sub": "11"}),
            serde_json::json!({"sub": "11", "roles": []}),
            serde_json::json!({"sub": "11", "roles": "Analyst"}),
            serde_json::json!({"sub": "11", "roles": "analyst,admin"}),
            serde_json::json!({"sub": "11", "roles": {"analyst": true}}),
        ] {
            assert_eq!(grant(&[], claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn claims_are_found_by_name_and_by_path_and_say_who_somebody_is() {
        let member = grant(&[], serde_json::json!({"sub": 11, "roles": ["x", "member"], "name": "Ada"})).unwrap();
        assert_eq!((member.everything, member.person.as_deref(), member.name.as_str()), (false, Some("11"), "Ada"));
        assert_eq!(member.teams, None, "the source says");
        let pairs = [
            ("PERSON_CLAIM", "https://example.com/person"),
            ("ROLES_CLAIM", "realm_access.roles"),
            ("TEAMS_CLAIM", "groups"),
            ("ORGANISATION_ROLES", "head"),
        ];
        let claims = serde_json::json!({
            "sub": "x", "https://example.com/person": "7", "realm_access": {"roles": ["head"]}, "groups": ["1", 2],
        });
        let head = grant(&pairs, claims).unwrap();
        assert!(head.everything);
        assert_eq!(head.person.as_deref(), Some("7"));
        assert_eq!(head.teams.unwrap().into_iter().collect::<Vec<_>>(), ["1", "2"]);
        let without = grant(&pairs, serde_json::json!({"realm_access": {"roles": "head"}})).unwrap();
        assert_eq!((without.person, without.teams), (None, Some(BTreeSet::new())), "and nobody's team by accident");
    }
}
