//! Who a request comes from: bearer tokens of the administrator and of ServiceAccounts.
//!
//! Tokens are random texts remembered here, not signed documents: nobody but this server checks
//! them. A ServiceAccount's token dies with the account (its uid) or with its own end of life.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::store::{Key, Objects};
use super::timestamp;

pub const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
}

impl User {
    pub fn anonymous() -> Self {
        Self {
            name: "system:anonymous".into(),
            uid: String::new(),
            groups: vec!["system:unauthenticated".into()],
        }
    }

    fn admin() -> Self {
        Self {
            name: "kubernetes-admin".into(),
            uid: "kubernetes-admin".into(),
            groups: vec![MASTERS.into(), AUTHENTICATED.into()],
        }
    }

    /// A user by name; a ServiceAccount's name brings its groups along.
    pub fn impersonated(name: String, mut groups: Vec<String>) -> Self {
        if let Some((namespace, _)) = name
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
        {
            groups.push("system:serviceaccounts".into());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        groups.push(AUTHENTICATED.into());
        Self {
            name,
            uid: String::new(),
            groups,
        }
    }

    fn service_account(claim: &Claim) -> Self {
        Self {
            name: format!("system:serviceaccount:{}:{}", claim.namespace, claim.name),
            uid: claim.uid.clone(),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{}", claim.namespace),
                AUTHENTICATED.into(),
            ],
        }
    }
}

/// Whose token it is and until when it holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claim {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub expires_unix_seconds: i64,
}

/// What a restart must find again for kubeconfigs to stay valid.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SavedTokens {
    pub admin: String,
    pub service_accounts: BTreeMap<String, Claim>,
}

#[derive(Debug)]
pub struct Tokens(Mutex<SavedTokens>);

impl Tokens {
    pub fn new(mut saved: SavedTokens) -> Self {
        if saved.admin.is_empty() {
            saved.admin = random_token();
        }
        Self(Mutex::new(saved))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, SavedTokens> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn saved(&self) -> SavedTokens {
        self.locked().clone()
    }

    pub fn admin(&self) -> String {
        self.locked().admin.clone()
    }

    /// A new token; ended ones are forgotten on the way, so the set stays bounded by use.
    pub fn mint(&self, claim: Claim) -> String {
        let now = timestamp::now_unix_seconds();
        let token = random_token();
        let mut saved = self.locked();
        saved
            .service_accounts
            .retain(|_, old| old.expires_unix_seconds > now);
        saved.service_accounts.insert(token.clone(), claim);
        token
    }

    /// The user of an `Authorization` header; `None` when it names nobody.
    pub fn user_of(&self, header: &str, objects: &Mutex<Objects>) -> Option<User> {
        if header.is_empty() {
            return Some(User::anonymous());
        }
        let token = header.strip_prefix("Bearer ").unwrap_or("").trim();
        self.user_of_token(token, objects)
    }

    pub fn user_of_token(&self, token: &str, objects: &Mutex<Objects>) -> Option<User> {
        let saved = self.locked();
        if token == saved.admin {
            return Some(User::admin());
        }
        let claim = saved.service_accounts.get(token)?.clone();
        drop(saved);
        if claim.expires_unix_seconds <= timestamp::now_unix_seconds() {
            return None;
        }
        let key = Key::new("serviceaccounts", &claim.namespace, &claim.name);
        let objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
        let account = objects.get(&key)?;
        (account["metadata"]["uid"] == claim.uid.as_str()).then(|| User::service_account(&claim))
    }
}

fn random_token() -> String {
    format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    )
}
