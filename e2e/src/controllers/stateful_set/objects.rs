//! The pods, claims and ControllerRevisions of a StatefulSet, built from its templates.
//!
//! Pure.

use super::super::ownership::{controller_reference, plain_reference};
use super::plan::REVISION_LABEL;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::json;

/// The pod of this ordinal.
pub fn pod(set: &StatefulSet, ordinal: i32, revision: &str, template: &PodTemplateSpec) -> Pod {
    let set_name = set.metadata.name.clone().unwrap_or_default();
    let name = format!("{set_name}-{ordinal}");
    let from_template = template.metadata.clone().unwrap_or_default();
    let mut labels = from_template.labels.unwrap_or_default();
    labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
    labels.insert(
        "statefulset.kubernetes.io/pod-name".to_owned(),
        name.clone(),
    );
    labels.insert(
        "apps.kubernetes.io/pod-index".to_owned(),
        ordinal.to_string(),
    );
    let mut spec = template.spec.clone().unwrap_or_default();
    spec.hostname = Some(name.clone());
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    let mut volumes = spec.volumes.take().unwrap_or_default();
    for claim in claims(set, ordinal) {
        let template = template_of(&claim, &name);
        volumes.retain(|volume| volume.name != template);
        volumes.push(claim_volume(
            template,
            claim.metadata.name.unwrap_or_default(),
        ));
    }
    spec.volumes = Some(volumes);
    Pod {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: from_template.annotations,
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// `data` of the claim `data-db-0` of the pod `db-0`.
fn template_of(claim: &PersistentVolumeClaim, pod_name: &str) -> String {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let template = name.strip_suffix(pod_name).unwrap_or(name);
    template.trim_end_matches('-').to_owned()
}

fn claim_volume(name: String, claim_name: String) -> Volume {
    Volume {
        name,
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name,
            read_only: None,
        }),
        ..Volume::default()
    }
}

/// The claims of this ordinal.
pub fn claims(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    let set_name = set.metadata.name.clone().unwrap_or_default();
    let delete_with_set = spec
        .persistent_volume_claim_retention_policy
        .as_ref()
        .and_then(|policy| policy.when_deleted.as_deref())
        == Some("Delete");
    let build = |template: &PersistentVolumeClaim| {
        let mut claim = template.clone();
        let template_name = claim.metadata.name.unwrap_or_default();
        let mut labels = claim.metadata.labels.unwrap_or_default();
        labels.extend(spec.selector.match_labels.clone().unwrap_or_default());
        claim.metadata = ObjectMeta {
            name: Some(format!("{template_name}-{set_name}-{ordinal}")),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: claim.metadata.annotations,
            owner_references: delete_with_set.then(|| vec![plain_reference(set)]),
            ..ObjectMeta::default()
        };
        claim.status = None;
        claim
    };
    let templates = spec.volume_claim_templates.as_deref().unwrap_or_default();
    templates.iter().map(build).collect()
}

/// The record of one version of the template.
pub fn revision(set: &StatefulSet, name: &str, number: i64) -> ControllerRevision {
    let spec = set.spec.clone().unwrap_or_default();
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: set.metadata.namespace.clone(),
            labels: spec.selector.match_labels,
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        revision: number,
        data: Some(RawExtension(json!({"spec": {"template": spec.template}}))),
    }
}

/// The template a ControllerRevision recorded.
pub fn template_in(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let data = &revision.data.as_ref()?.0;
    serde_json::from_value(data["spec"]["template"].clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "db", "namespace": "n", "uid": "u"},
            "spec": {
                "serviceName": "db-members",
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db", "tier": "x"}, "annotations": {"a": "b"}},
                    "spec": {"containers": [{"name": "c"}], "volumes": [{"name": "tmp"}]},
                },
                "volumeClaimTemplates": [{"metadata": {"name": "data"},
                    "spec": {"resources": {"requests": {"storage": "1Gi"}}}}],
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_carries_its_identity() {
        let set = set();
        let template = set.spec.clone().unwrap().template;
        let pod = serde_json::to_value(pod(&set, 2, "db-abc", &template)).unwrap();
        assert_eq!(pod["metadata"]["name"], "db-2");
        assert_eq!(
            pod["metadata"]["labels"],
            json!({
                "app": "db", "tier": "x", "apps.kubernetes.io/pod-index": "2",
                "controller-revision-hash": "db-abc",
                "statefulset.kubernetes.io/pod-name": "db-2",
            })
        );
        assert_eq!(pod["metadata"]["ownerReferences"][0]["controller"], true);
        assert_eq!(pod["spec"]["hostname"], "db-2");
        assert_eq!(pod["spec"]["subdomain"], "db-members");
        assert_eq!(
            pod["spec"]["volumes"],
            json!([{"name": "tmp"},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-2"}}])
        );
    }

    #[test]
    fn a_claim_belongs_to_its_ordinal_and_to_the_set_when_the_policy_says_so() {
        let claims = claims(&set(), 1);
        let claim = serde_json::to_value(&claims[0]).unwrap();
        assert_eq!(claim["metadata"]["name"], "data-db-1");
        assert_eq!(claim["metadata"]["labels"]["app"], "db");
        assert_eq!(claim["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    }

    #[test]
    fn a_revision_gives_its_template_back() {
        let set = set();
        let revision = revision(&set, "db-abc", 1);
        assert_eq!(template_in(&revision), set.spec.map(|spec| spec.template));
    }
}
