//! Whether the ACL that a write states is what its object has: some servers have no ACLs, and others take them and do
//! nothing (SeaweedFS 4.48, measured). Seen at the first object that is stored with one for everybody, remembered with the
//! [`Probe`], and told in the same words by runs, `doctor` and `url`.

use std::sync::atomic::Ordering;

use super::keep::Acl;
use super::providers::Provider;
use super::{Inner, Probe, S3, S3Address};
use crate::replica::admin::{Canned, Who};
use crate::replica::{Ability, Error};

/// What to do where ACLs have no effect.
pub const PUBLIC_BY_BUCKET: &str = "If everybody is to read, let the bucket's policy allow it, or make the bucket public at \
                                    the provider (docs/permissions.md); where no ACL is stated (acl= in the DSN) this is \
                                    said no more";

impl S3Address {
    /// Why objects that are stored here do not get `acl`; `None` where nothing is known against it. `probe` is what was
    /// found out about the server, if it was met.
    pub fn without_effect(&self, acl: &str, probe: Option<&Probe>) -> Option<String> {
        let (limits, guess) = (self.said.limits(), Provider::of(self).guess());
        let known = probe.unwrap_or(&guess);
        let bucket = &self.bucket;
        if [limits.acl, known.acl].contains(&Ability::Missing) {
            return Some(format!(
                "the bucket {bucket} has no object ACLs: {acl} is not set on new objects, who may read them is decided by \
                 the bucket"
            ));
        }
        (known.upload_acl == Ability::Missing).then(|| {
            format!(
                "the server of the bucket {bucket} ignores the ACLs of uploads: new objects do not get {acl}, who may read \
                 them is decided by the bucket"
            )
        })
    }
}

impl S3 {
    /// See [`S3Address::without_effect`].
    pub fn without_effect(&self, acl: &str) -> Option<String> {
        self.inner.without_effect(acl)
    }
}

impl Inner {
    /// See [`S3Address::without_effect`].
    pub(super) fn without_effect(&self, acl: &str) -> Option<String> {
        self.wire.address().without_effect(acl, Some(&self.probe()))
    }

    /// What to tell of an ACL that is stated and has no effect, once.
    pub(super) fn effect_to_tell(&self, acl: &str) -> Option<String> {
        if self.effect_told.load(Ordering::Relaxed) {
            return None;
        }
        let told = self.without_effect(acl)?;
        self.effect_told.store(true, Ordering::Relaxed);
        Some(format!("{told}. {PUBLIC_BY_BUCKET}"))
    }

    /// Tells it.
    pub(super) fn tell_effect(&self, acl: &str) {
        if let Some(text) = self.effect_to_tell(acl) {
            self.notices.add(text);
        }
    }

    /// Whether an object that was just stored with an ACL for everybody has it: asked until it was seen, once a process.
    pub(super) async fn look_at_effect(&self, object: &str, sent: &Acl) {
        let Acl::Canned(sent) = sent else { return };
        let Some(canned) = Canned::named(sent.as_str()).filter(|canned| canned.is_public()) else { return };
        let is_known = self.ability(|probe| probe.upload_acl) == Ability::Proven;
        if is_known || self.effect_asked.swap(true, Ordering::Relaxed) {
            return;
        }
        // On the heap: the futures of requests are large.
        if Box::pin(self.learn_effect(object)).await.is_ok() {
            self.tell_effect(canned.name());
        }
    }

    /// Learns from an object that was stored with an ACL for everybody whether such an ACL has an effect. Which one it
    /// was does not matter: moto 5.2 shows only a part of some.
    pub(super) async fn learn_effect(&self, object: &str) -> Result<Ability, Error> {
        let acl = self.object_acl(object).await?;
        let is_heard = acl.grants.iter().any(|grant| matches!(grant.who, Who::Everybody | Who::SignedIn));
        let ability = if is_heard { Ability::Proven } else { Ability::Missing };
        self.learn(|probe| probe.upload_acl = ability);
        Ok(ability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::s3::Said;
    use crate::replica::s3::providers::Without;
    use crate::replica::s3::session::tests::address;

    #[test]
    fn why_an_acl_has_no_effect_is_known_by_the_probe_by_the_provider_or_by_what_somebody_said() {
        use Ability::{Missing, Proven, Unknown};
        let met = |acl, upload_acl| Probe { acl, upload_acl, ..Probe::default() };
        let here = address("media", None);
        let says = |address: &S3Address, probe: Option<&Probe>| address.without_effect("public-read", probe);
        for (probe, expected) in [
            (met(Proven, Proven), None),
            (met(Proven, Unknown), None),
            (met(Unknown, Unknown), None),
            (met(Missing, Unknown), Some("has no object ACLs")),
            (met(Proven, Missing), Some("ignores the ACLs of uploads")),
        ] {
            let told = says(&here, Some(&probe));
            assert_eq!(told.is_some(), expected.is_some(), "{probe:?}");
            assert!(told.is_none_or(|text| text.contains(expected.unwrap()) && text.contains("public-read")));
        }
        assert_eq!(says(&here, None), None);
        let r2 =
            S3Address { endpoint: Some("https://x.r2.cloudflarestorage.com".to_owned()), ..address("media", None) };
        assert!(says(&r2, None).is_some());
        let said = Said { without: vec![Without::Acls], ..Said::default() };
        let said = S3Address { said: Box::new(said), ..address("media", None) };
        assert!(says(&said, Some(&met(Proven, Proven))).is_some());
    }
}
