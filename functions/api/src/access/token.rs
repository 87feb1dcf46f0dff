//! Verifying what the provider has signed.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::provider::{Provider, ProviderError};

/// What a signature may be made by: private keys only, of which we know the public half. Not among them: `none`, and
/// HMAC, which anybody could make who takes our copy of a public key for a secret.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Clocks may differ by so many seconds.
const LEEWAY_SECONDS: u64 = 30;

/// Why a token is not believed. It says nothing of the token itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is no token.
    #[error("it is not a signed JSON Web Token")]
    Malformed,
    /// It is signed in a way that is not taken, or that does not fit its key.
    #[error("it is signed by an algorithm that is not taken")]
    Algorithm,
    /// It is of another kind than the one expected.
    #[error("it is a token of another kind")]
    Kind,
    /// The provider has no such key.
    #[error("it is signed by a key that the provider does not have")]
    UnknownKey,
    /// Its signature is wrong, or one of its claims.
    #[error("its signature, issuer, audience or time is wrong")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// Its issuer is not ours, or it is for somebody else as well.
    #[error("it is of another issuer, or for another client")]
    Foreign,
    /// It does not answer the request that was made for it.
    #[error("it answers another request")]
    Nonce,
    /// Its key could not be asked for.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// What a token has to say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// Whom it is for.
    pub audience: &'a str,
    /// Of a token for somebody who signs in: what was asked with.
    pub nonce: Option<&'a str>,
}

/// The claims of a token that is what it should be.
///
/// # Errors
/// If it is not.
pub async fn verify(
    provider: &Provider,
    token: &str,
    expected: Expected<'_>,
) -> Result<Map<String, Value>, TokenError> {
    let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
    // Before anybody is asked for a key.
    if !ALGORITHMS.contains(&header.alg) {
        return Err(TokenError::Algorithm);
    }
    let key = provider.key(header.kid.as_deref()).await?.ok_or(TokenError::UnknownKey)?;
    verify_by(&key, token, expected)
}

fn verify_by(jwk: &Jwk, token: &str, expected: Expected<'_>) -> Result<Map<String, Value>, TokenError> {
    let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
    let kind = header.typ.as_deref().map(str::to_ascii_lowercase);
    if kind.is_some_and(|kind| !matches!(kind.as_str(), "jwt" | "at+jwt" | "application/at+jwt")) {
        return Err(TokenError::Kind);
    }
    let named = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
    let other_use = jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature);
    if !ALGORITHMS.contains(&header.alg) || named.is_some_and(|named| named != format!("{:?}", header.alg)) || other_use
    {
        return Err(TokenError::Algorithm);
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| TokenError::Algorithm)?;
    if key.family() != header.alg.family() {
        return Err(TokenError::Algorithm);
    }
    let mut validation = Validation::new(header.alg);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.audience]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY_SECONDS;
    let claims = decode::<Map<String, Value>>(token, &key, &validation).map_err(TokenError::Invalid)?.claims;
    // One issuer, and not one among several.
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(TokenError::Foreign);
    }
    if let Some(nonce) = expected.nonce {
        if claims.get("nonce").and_then(Value::as_str) != Some(nonce) {
            return Err(TokenError::Nonce);
        }
        let several = claims.get("aud").and_then(Value::as_array).is_some_and(|audience| audience.len() > 1);
        let party = claims.get("azp").and_then(Value::as_str);
        if party.is_some_and(|party| party != expected.audience) || (several && party.is_none()) {
            return Err(TokenError::Foreign);
        }
    }
    Ok(claims)
}
