//! Which process group runs which container, for those who signal it from outside.

use super::process::signal;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Key = (String, String, String);

/// (namespace, pod, container) to process group.
#[derive(Debug, Clone, Default)]
pub struct Processes(Arc<Mutex<BTreeMap<Key, Pid>>>);

impl Processes {
    fn map(&self) -> MutexGuard<'_, BTreeMap<Key, Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the process until the answer is dropped.
    pub fn list(&self, pod: &Pod, container: &str, group: Pid) -> Listed {
        let namespace = pod.namespace().unwrap_or_default();
        let key = (namespace, pod.name_any(), container.to_owned());
        self.map().insert(key.clone(), group);
        Listed {
            processes: self.clone(),
            key,
            group,
        }
    }

    /// The process groups of a pod's containers.
    pub fn of_pod(&self, namespace: &str, pod: &str) -> Vec<(String, Pid)> {
        let map = self.map();
        let own = map
            .iter()
            .filter(|((place, name, _), _)| place == namespace && name == pod);
        own.map(|((_, _, container), group)| (container.clone(), *group))
            .collect()
    }

    pub fn kill_all(&self) {
        for group in self.map().values() {
            signal(*group, Signal::KILL);
        }
    }
}

/// A process in the list.
#[derive(Debug)]
pub struct Listed {
    processes: Processes,
    key: Key,
    group: Pid,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut map = self.processes.map();
        // A pod of the same name may have taken the place already.
        if map.get(&self.key) == Some(&self.group) {
            map.remove(&self.key);
        }
    }
}
