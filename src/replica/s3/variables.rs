//! What the variables of the AWS tools say of credentials, for messages only: the SDK reads them itself. No secret is kept.

use super::error::Keys;

const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    /// The profile that is asked where nobody names one.
    pub(super) profile: Option<String>,
    /// Of a key and its secret, the one that is set and the one that is not.
    half: Option<(&'static str, &'static str)>,
}

impl Variables {
    /// Reads them.
    pub fn of(env: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let half = match (set(ACCESS_KEY), set(SECRET_KEY)) {
            (Some(_), None) => Some((ACCESS_KEY, SECRET_KEY)),
            (None, Some(_)) => Some((SECRET_KEY, ACCESS_KEY)),
            _ => None,
        };
        Self { profile: set("AWS_PROFILE"), half }
    }

    /// Who has the credentials, as far as variables say.
    pub(super) fn keys(&self) -> Keys<'_> {
        match (self.half, &self.profile) {
            (Some((has, lacks)), _) => Keys::Half(has, lacks),
            (None, Some(profile)) => Keys::Profile(profile),
            (None, None) => Keys::Aws,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_key_is_told_apart_from_none() {
        let of = |set: &[(&str, &str)]| {
            let found = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
            Variables::of(found)
        };
        assert_eq!(of(&[]).keys(), Keys::Aws);
        assert_eq!(of(&[(ACCESS_KEY, "a"), (SECRET_KEY, "b")]).keys(), Keys::Aws);
        assert_eq!(of(&[(ACCESS_KEY, "a"), (SECRET_KEY, " ")]).keys(), Keys::Half(ACCESS_KEY, SECRET_KEY));
        assert_eq!(of(&[(SECRET_KEY, "b"), ("AWS_PROFILE", "x")]).keys(), Keys::Half(SECRET_KEY, ACCESS_KEY));
        assert_eq!(of(&[("AWS_PROFILE", "x")]).keys(), Keys::Profile("x"));
        assert_eq!(of(&[("AWS_PROFILE", "")]).keys(), Keys::Aws);
    }
}
