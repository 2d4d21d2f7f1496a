//! Names for versions of a pod template: a stable hash, written so that no word can arise from it.
//!
//! Pure. The hash must not change between builds: objects outlive the program in a state directory.

use k8s_openapi::api::core::v1::PodTemplateSpec;

/// Letters and digits without vowels and without what is easily confused.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// 27^8 is more than 32 bits.
const HASH_DIGITS: usize = 8;

/// A short stable name of the template's content.
pub fn template_hash(template: &PodTemplateSpec) -> String {
    let text = serde_json::to_vec(template).unwrap_or_default();
    spell(fnv1a(&text))
}

/// A short stable name of any text.
pub fn text_hash(text: &str) -> String {
    spell(fnv1a(text.as_bytes()))
}

/// Five random characters, as `generateName` appends.
pub fn random_suffix() -> String {
    let random = uuid::Uuid::new_v4();
    let pick = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    random.as_bytes().iter().take(5).map(pick).collect()
}

fn spell(mut hash: u32) -> String {
    let mut digits = Vec::with_capacity(HASH_DIGITS);
    while hash > 0 || digits.is_empty() {
        digits.push(ALPHABET[(hash % 27) as usize]);
        hash /= 27;
    }
    digits.into_iter().map(char::from).collect()
}

/// FNV-1a, 32 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_fnv1a() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_changed_template_gets_another_name() {
        let plain = PodTemplateSpec::default();
        let mut labelled = plain.clone();
        labelled.metadata = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            name: Some("x".to_owned()),
            ..Default::default()
        });
        assert_eq!(template_hash(&plain), template_hash(&plain.clone()));
        assert_ne!(template_hash(&plain), template_hash(&labelled));
    }
}
