//! Cookies: who has signed in, and what somebody who is about to sign in will have to answer. Both are encrypted and
//! authenticated under the deployment's key, each under its own name, so that nothing has to be kept on a server.

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, TimeDelta, Utc};
use cookie::{Cookie, CookieJar, Key, SameSite};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::settings::Grant;

/// A working day; after it somebody signs in again, and whoever was let go in the meantime cannot.
pub const SESSION_HOURS: i64 = 8;
/// How long somebody may take to sign in.
const ATTEMPT_MINUTES: i64 = 15;

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What they may see.
    pub grant: Grant,
    /// What their forms bring along.
    pub form_token: String,
    /// The issuer and client that they signed in by.
    pub by: String,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
}

/// Somebody who is about to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What the provider sends back.
    pub state: String,
    /// What its token says.
    pub nonce: String,
    /// What proves to it that the code came back to who asked for it.
    pub verifier: String,
    /// The page that was asked for.
    pub to: String,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
}

impl Session {
    /// A session from now on.
    pub fn begin(grant: Grant, form_token: String, by: String, now: DateTime<Utc>) -> Self {
        Self { grant, form_token, by, ends_at: now + TimeDelta::hours(SESSION_HOURS) }
    }
}

impl Attempt {
    /// When an attempt that begins now ends.
    pub fn end(now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::minutes(ATTEMPT_MINUTES)
    }
}

/// What is kept in a cookie.
pub trait Kept: Serialize + DeserializeOwned {
    /// The cookie's name.
    const NAME: &str;
    /// Until when it counts.
    fn ends_at(&self) -> DateTime<Utc>;
}

impl Kept for Session {
    const NAME: &str = "wastewalk";

    fn ends_at(&self) -> DateTime<Utc> {
        self.ends_at
    }
}

impl Kept for Attempt {
    const NAME: &str = "wastewalk-sign-in";

    fn ends_at(&self) -> DateTime<Utc> {
        self.ends_at
    }
}

/// Writes and reads cookies.
#[derive(Clone)]
pub struct Cookies {
    key: Key,
    /// Whether they travel over HTTPS only.
    secure: bool,
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cookies").field("secure", &self.secure).finish_non_exhaustive()
    }
}

impl Cookies {
    /// Cookies under `key`; not `secure` ones only where nothing leaves the machine.
    pub fn new(key: Key, secure: bool) -> Self {
        Self { key, secure }
    }

    /// A browser takes a name with this prefix only from this host, over HTTPS and for every path.
    fn name<T: Kept>(&self) -> String {
        format!("{}{}", if self.secure { "__Host-" } else { "" }, T::NAME)
    }

    /// What a request brings along; `None` if it brings nothing, something else, or something that has ended.
    pub fn read<T: Kept>(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<T> {
        let mut jar = CookieJar::new();
        for line in headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()) {
            for cookie in Cookie::split_parse(line.to_owned()).filter_map(Result::ok) {
                jar.add_original(cookie);
            }
        }
        let kept = jar.private(&self.key).get(&self.name::<T>())?;
        let kept: T = serde_json::from_str(kept.value()).ok()?;
        (now < kept.ends_at()).then_some(kept)
    }

    /// The header that keeps it, in a browser that shows it to nobody else.
    pub fn keep<T: Kept>(&self, kept: &T, now: DateTime<Utc>) -> Option<HeaderValue> {
        let seconds = (kept.ends_at() - now).num_seconds();
        self.header(self.cookie::<T>(serde_json::to_string(kept).ok()?, seconds), true)
    }

    /// The header that forgets it.
    pub fn forget<T: Kept>(&self) -> Option<HeaderValue> {
        self.header(self.cookie::<T>(String::new(), 0), false)
    }

    fn cookie<T: Kept>(&self, value: String, seconds: i64) -> Cookie<'static> {
        Cookie::build((self.name::<T>(), value))
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax)
            .max_age(cookie::time::Duration::seconds(seconds))
            .build()
    }

    fn header(&self, cookie: Cookie<'static>, encrypted: bool) -> Option<HeaderValue> {
        let mut jar = CookieJar::new();
        if encrypted {
            jar.private_mut(&self.key).add(cookie);
        } else {
            jar.add(cookie);
        }
        let written = jar.delta().next()?.to_string();
        HeaderValue::try_from(written).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(ends_at: DateTime<Utc>) -> Session {
        let grant =
            Grant { name: "Ada; Domain=evil".into(), everything: false, person: Some("11".into()), teams: None };
        Session { grant, form_token: "token".into(), by: "issuer".into(), ends_at }
    }

    fn brought(header: &HeaderValue) -> HeaderMap {
        let pair = header.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).unwrap())])
    }

    #[test]
    fn a_session_comes_back_whole_until_it_ends_and_is_hidden_from_everybody() {
        let now = Utc::now();
        let cookies = Cookies::new(Key::from(&[7; 64]), true);
        let session = session(now + TimeDelta::minutes(1));
        let header = cookies.keep(&session, now).unwrap();
        let text = header.to_str().unwrap();
        assert!(text.starts_with("__Host-wastewalk="), "{text}");
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=60"] {
            assert!(text.split("; ").any(|part| part == attribute), "{attribute}: {text}");
        }
        assert!(!text.contains("Domain") && !text.contains("Ada") && !text.contains("11\""), "{text}");
        assert_eq!(cookies.read::<Session>(&brought(&header), now), Some(session));
        assert_eq!(cookies.read::<Session>(&brought(&header), now + TimeDelta::minutes(1)), None, "it has ended");
        let here = Cookies::new(Key::from(&[7; 64]), false).forget::<Session>().unwrap();
        assert_eq!(here.to_str().unwrap(), "wastewalk=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    }

    #[test]
    fn a_cookie_that_was_touched_or_renamed_or_is_under_another_key_is_none() {
        let now = Utc::now();
        let cookies = Cookies::new(Key::from(&[7; 64]), false);
        let header = cookies.keep(&session(now + TimeDelta::minutes(1)), now).unwrap();
        let pair = header.to_str().unwrap().split(';').next().unwrap().to_owned();
        let read = |pair: &str| {
            cookies
                .read::<Session>(&HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).unwrap())]), now)
        };
        assert!(read(&pair).is_some());
        for index in "wastewalk=".len()..pair.len() {
            let mut touched = pair.clone().into_bytes();
            touched[index] = if touched[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(std::str::from_utf8(&touched).unwrap()), None, "byte {index}");
        }
        let other = Cookies::new(Key::from(&[8; 64]), false);
        assert_eq!(other.read::<Session>(&brought(&header), now), None);
        // An attempt to sign in is no session, although both are ours.
        let attempt = pair.replace("wastewalk=", "wastewalk-sign-in=");
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&attempt).unwrap())]);
        assert_eq!(cookies.read::<Attempt>(&headers, now), None);
        let plain = serde_json::to_string(&session(now + TimeDelta::minutes(1))).unwrap().replace('"', "'");
        assert_eq!(read(&format!("wastewalk={plain}")), None);
    }
}
