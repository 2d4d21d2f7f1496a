//! A pod's volumes as directories, and the Secrets and ConfigMaps its variables refer to.

use super::environment::{Sources, field_value};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, PersistentVolume,
    PersistentVolumeClaim, Pod, Secret, Volume, VolumeProjection,
};
use kube::api::Api;
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Component, Path, PathBuf};

type Files = BTreeMap<String, Vec<u8>>;

/// Makes a pod's volumes below one directory.
pub struct Maker<'a> {
    pub client: &'a Client,
    pub pod: &'a Pod,
    pub directory: &'a Path,
    pub sources: &'a Sources,
}

impl Maker<'_> {
    /// Every volume's directory by name.
    ///
    /// # Errors
    /// A sentence for the event `FailedMount`; trying again later may succeed.
    pub async fn make(&self) -> Result<BTreeMap<String, PathBuf>, String> {
        let volumes = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.volumes.as_ref());
        let mut made = BTreeMap::new();
        for volume in volumes.into_iter().flatten() {
            made.insert(volume.name.clone(), self.make_one(volume).await?);
        }
        Ok(made)
    }

    async fn make_one(&self, volume: &Volume) -> Result<PathBuf, String> {
        if let Some(claim) = &volume.persistent_volume_claim {
            return self.claimed(&claim.claim_name).await;
        }
        if let Some(host) = &volume.host_path {
            return Ok(PathBuf::from(&host.path));
        }
        let directory = self.directory.join(&volume.name);
        let made = tokio::fs::create_dir_all(&directory).await;
        made.map_err(|error| format!("making volume {}: {error}", volume.name))?;
        if volume.empty_dir.is_none() {
            write_files(&directory, self.files(volume).await?).await?;
        }
        Ok(directory)
    }

    async fn files(&self, volume: &Volume) -> Result<Files, String> {
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            return self
                .secret(name, secret.items.as_deref(), secret.optional)
                .await;
        }
        if let Some(map) = &volume.config_map {
            return self
                .config_map(&map.name, map.items.as_deref(), map.optional)
                .await;
        }
        if let Some(downward) = &volume.downward_api {
            return self.downward(downward.items.as_deref());
        }
        if let Some(projected) = &volume.projected {
            let mut files = Files::new();
            for source in projected.sources.iter().flatten() {
                files.extend(self.projection(source).await?);
            }
            return Ok(files);
        }
        Err(format!(
            "volume {} is of a kind that is not supported here",
            volume.name
        ))
    }

    async fn projection(&self, source: &VolumeProjection) -> Result<Files, String> {
        if let Some(secret) = &source.secret {
            return self
                .secret(&secret.name, secret.items.as_deref(), secret.optional)
                .await;
        }
        if let Some(map) = &source.config_map {
            return self
                .config_map(&map.name, map.items.as_deref(), map.optional)
                .await;
        }
        if let Some(downward) = &source.downward_api {
            return self.downward(downward.items.as_deref());
        }
        Err("a projected volume has a source that is not supported here".to_owned())
    }

    async fn claimed(&self, name: &str) -> Result<PathBuf, String> {
        let claim: Option<PersistentVolumeClaim> = find(self.client, self.pod, name).await?;
        let claim = claim.ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found"))?;
        let is_bound = claim.status.and_then(|status| status.phase).as_deref() == Some("Bound");
        let volume = claim
            .spec
            .and_then(|spec| spec.volume_name)
            .filter(|_| is_bound);
        let unbound = || format!("persistentvolumeclaim \"{name}\" is not bound");
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let found = volumes.get(&volume.ok_or_else(unbound)?).await;
        let volume = found.map_err(|error| format!("reading the volume of {name}: {error}"))?;
        let path = volume
            .spec
            .and_then(|spec| spec.host_path)
            .map(|host| host.path);
        path.map(PathBuf::from)
            .ok_or_else(|| format!("the volume of {name} has no directory"))
    }

    async fn secret(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
    ) -> Result<Files, String> {
        match find::<Secret>(self.client, self.pod, name).await? {
            Some(secret) => {
                let data = secret.data.unwrap_or_default();
                chosen(
                    data.into_iter()
                        .map(|(key, bytes)| (key, bytes.0))
                        .collect(),
                    items,
                )
            }
            None if optional == Some(true) => Ok(Files::new()),
            None => Err(format!("secret \"{name}\" not found")),
        }
    }

    async fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
    ) -> Result<Files, String> {
        match find::<ConfigMap>(self.client, self.pod, name).await? {
            Some(map) => {
                let texts = map.data.unwrap_or_default().into_iter();
                let binary = map.binary_data.unwrap_or_default().into_iter();
                let files = texts.map(|(key, text)| (key, text.into_bytes()));
                chosen(
                    files
                        .chain(binary.map(|(key, bytes)| (key, bytes.0)))
                        .collect(),
                    items,
                )
            }
            None if optional == Some(true) => Ok(Files::new()),
            None => Err(format!("configmap \"{name}\" not found")),
        }
    }

    fn downward(&self, items: Option<&[DownwardAPIVolumeFile]>) -> Result<Files, String> {
        let mut files = Files::new();
        for item in items.unwrap_or_default() {
            let Some(field) = &item.field_ref else {
                return Err(format!("{}: only fields are supported here", item.path));
            };
            let value = field_value(self.pod, field, self.sources)?;
            files.insert(item.path.clone(), value.into_bytes());
        }
        Ok(files)
    }
}

/// All keys under their names, or the chosen ones under their paths.
fn chosen(mut files: Files, items: Option<&[KeyToPath]>) -> Result<Files, String> {
    let Some(items) = items else { return Ok(files) };
    let take = |item: &KeyToPath| {
        let missing = || format!("references non-existent key: {}", item.key);
        Ok((
            item.path.clone(),
            files.remove(&item.key).ok_or_else(missing)?,
        ))
    };
    items.iter().map(take).collect()
}

/// Writes the files and removes what is not among them any more.
async fn write_files(directory: &Path, files: Files) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("writing {}: {error}", directory.display());
    for (name, bytes) in &files {
        let path = Path::new(name);
        if path
            .components()
            .any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(format!("the path {name:?} leaves its volume"));
        }
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        // Readers see the old or the new content, never half of it.
        let draft = path.with_extension("draft");
        tokio::fs::write(&draft, bytes).await.map_err(failed)?;
        tokio::fs::rename(&draft, &path).await.map_err(failed)?;
    }
    let mut entries = tokio::fs::read_dir(directory).await.map_err(failed)?;
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().await.map_err(failed)?.is_file();
        if is_file && !files.contains_key(&name) {
            tokio::fs::remove_file(entry.path()).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// An object beside the pod.
pub async fn find<K>(client: &Client, pod: &Pod, name: &str) -> Result<Option<K>, String>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug,
{
    let namespace = pod.namespace().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let found = api.get_opt(name).await;
    found.map_err(|error| format!("reading {} {name}: {error}", K::kind(&())))
}

/// The Secrets and ConfigMaps a container's variables refer to.
pub async fn sources(
    client: &Client,
    pod: &Pod,
    container: &Container,
    (pod_ip, host_ip): (&str, &str),
) -> Result<Sources, String> {
    let mut sources = Sources {
        pod_ip: pod_ip.to_owned(),
        host_ip: host_ip.to_owned(),
        ..Sources::default()
    };
    let from = container
        .env
        .iter()
        .flatten()
        .filter_map(|variable| variable.value_from.as_ref());
    let whole = || container.env_from.iter().flatten();
    let secrets = from
        .clone()
        .filter_map(|from| Some(&from.secret_key_ref.as_ref()?.name));
    for name in secrets.chain(whole().filter_map(|from| Some(&from.secret_ref.as_ref()?.name))) {
        if let Some(secret) = find::<Secret>(client, pod, name).await? {
            let data = secret.data.unwrap_or_default().into_iter();
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let texts = data.map(|(key, bytes)| (key, text(bytes.0))).collect();
            sources.secrets.insert(name.clone(), texts);
        }
    }
    let maps = from.filter_map(|from| Some(&from.config_map_key_ref.as_ref()?.name));
    for name in maps.chain(whole().filter_map(|from| Some(&from.config_map_ref.as_ref()?.name))) {
        if let Some(map) = find::<ConfigMap>(client, pod, name).await? {
            sources
                .config_maps
                .insert(name.clone(), map.data.unwrap_or_default());
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Files {
        names
            .iter()
            .map(|name| ((*name).to_owned(), name.as_bytes().to_vec()))
            .collect()
    }

    #[tokio::test]
    async fn files_that_are_gone_from_the_source_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        write_files(directory.path(), files(&["a", "b"]))
            .await
            .unwrap();
        write_files(directory.path(), files(&["b"])).await.unwrap();
        assert!(!directory.path().join("a").exists());
        assert_eq!(std::fs::read(directory.path().join("b")).unwrap(), b"b");
    }

    #[tokio::test]
    async fn a_path_cannot_leave_its_volume() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["../x", "/x", "a/../../x"] {
            assert!(
                write_files(directory.path(), files(&[path])).await.is_err(),
                "{path}"
            );
        }
    }

    #[test]
    fn chosen_keys_get_their_paths() {
        let items = [KeyToPath {
            key: "a".to_owned(),
            path: "dir/x".to_owned(),
            mode: None,
        }];
        let found = chosen(files(&["a", "b"]), Some(&items)).unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), ["dir/x"]);
        assert!(chosen(files(&["b"]), Some(&items)).is_err());
    }
}
