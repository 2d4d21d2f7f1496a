//! The newest known version of a KVCluster: what the watch cache has, or what the last write
//! returned while the cache has not caught up. Versions are compared for equality only.

use crate::crd::{KVCluster, KVClusterStatus};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use std::collections::BTreeSet;

/// Read-your-writes over a watch cache.
#[derive(Default)]
pub struct Newest {
    own: Option<KVCluster>,
    /// Versions that a write of ours has replaced; a cache that shows one is behind.
    replaced: BTreeSet<String>,
}

/// How a status write ended.
pub enum Written {
    Done,
    /// Somebody else changed the object; look again.
    Conflict,
}

impl Newest {
    /// The newest of the cached object and our own.
    pub fn of(&mut self, cached: &KVCluster) -> KVCluster {
        let version = cached.resource_version().unwrap_or_default();
        let other = self
            .own
            .as_ref()
            .is_some_and(|own| own.uid() != cached.uid());
        match &self.own {
            Some(own) if self.replaced.contains(&version) && !other => own.clone(),
            _ => {
                self.own = None;
                self.replaced.clear();
                cached.clone()
            }
        }
    }

    /// Writes the status if the object is still the version `base` is.
    pub async fn write(
        &mut self,
        client: &Client,
        base: &KVCluster,
        status: KVClusterStatus,
    ) -> Result<Written, kube::Error> {
        let namespace = base.namespace().unwrap_or_default();
        let clusters: Api<KVCluster> = Api::namespaced(client.clone(), &namespace);
        let version = base.resource_version().unwrap_or_default();
        let object = KVCluster {
            status: Some(status),
            ..base.clone()
        };
        let name = base.name_any();
        match clusters
            .replace_status(&name, &PostParams::default(), &object)
            .await
        {
            Ok(written) => {
                if written.resource_version().as_ref() != Some(&version) {
                    self.replaced.insert(version);
                }
                self.own = Some(written);
                Ok(Written::Done)
            }
            Err(kube::Error::Api(error)) if error.code == 409 => {
                let newest = clusters.get(&name).await?;
                if newest.resource_version().as_ref() != Some(&version) {
                    self.replaced.insert(version);
                }
                self.own = Some(newest);
                Ok(Written::Conflict)
            }
            Err(error) => Err(error),
        }
    }
}
