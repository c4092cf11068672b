//! What rules of a job say an object is to carry besides its bytes: headers, metadata, storage class, ACL.
//!
//! Rules are applied in order, by the globs of [`super::Filter`]; for each field the last rule that matches and says
//! something wins. The outcome for a key is its [`Style`]; its [`StyleMark`] is what is remembered of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use globset::{Candidate, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::filter::{Pattern, glob};
use super::{BadPattern, Key};

/// What an object is to carry. Of what is `None` the rules say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Style {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// Metadata by lower-case name; other metadata stays.
    pub metadata: BTreeMap<String, String>,
    /// Storage class, or access tier.
    pub storage_class: Option<String>,
    /// A canned ACL.
    pub acl: Option<String>,
}

impl Style {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it says something about headers or metadata, which a copy takes from its source otherwise.
    pub fn names_headers(&self) -> bool {
        let Self { storage_class, acl, .. } = self;
        *self != Self { storage_class: storage_class.clone(), acl: acl.clone(), ..Self::default() }
    }

    /// What a later rule says wins.
    fn lay(&mut self, over: &Self) {
        for (mine, theirs) in [
            (&mut self.content_type, &over.content_type),
            (&mut self.cache_control, &over.cache_control),
            (&mut self.content_disposition, &over.content_disposition),
            (&mut self.content_encoding, &over.content_encoding),
            (&mut self.content_language, &over.content_language),
            (&mut self.storage_class, &over.storage_class),
            (&mut self.acl, &over.acl),
        ] {
            if theirs.is_some() {
                mine.clone_from(theirs);
            }
        }
        self.metadata.extend(over.metadata.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// What is remembered of the style that an object has: a hash, and whether a rule named its content type. Or that it can't be
/// given one: of which rules that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StyleMark(Box<str>);

impl StyleMark {
    /// The end of a mark of a style that names the content type.
    const TYPED: char = 't';
    /// The begin of a mark of what can't be changed.
    const STUCK: char = '!';

    /// `None` for a style that says nothing.
    pub fn of(style: &Style) -> Option<Self> {
        if style.is_empty() {
            return None;
        }
        let Style { content_type, cache_control, content_disposition, content_encoding, content_language, .. } = style;
        let Style { metadata, storage_class, acl, .. } = style;
        // No names of fields of ours: to rename one must not restyle everything.
        let text = format!(
            "{content_type:?} {cache_control:?} {content_disposition:?} {content_encoding:?} {content_language:?} \
             {metadata:?} {storage_class:?} {acl:?}"
        );
        let mut mark = blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
        if content_type.is_some() {
            mark.push(Self::TYPED);
        }
        Some(Self(mark.into()))
    }

    /// As it was written down.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of an object that can't be given what rules with this mark say.
    pub fn stuck(mark: Option<&Self>) -> Self {
        Self(format!("{}{}", Self::STUCK, mark.map_or("", Self::as_str)).into())
    }

    /// Whether a rule named the content type.
    pub fn is_typed(&self) -> bool {
        self.0.ends_with(Self::TYPED) && !self.0.starts_with(Self::STUCK)
    }

    /// Whether it was found out that the object can't be given what rules with this mark say.
    fn is_stuck_at(&self, mark: Option<&Self>) -> bool {
        self.0.strip_prefix(Self::STUCK) == Some(mark.map_or("", Self::as_str))
    }
}

/// Where the content type of an object comes from of which no rule names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retype {
    /// It stays.
    Keep,
    /// An earlier rule named it: it goes back to what the name says.
    ByName,
}

/// One rule: what objects are to carry whose keys match the glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyleRule {
    /// A pattern as those of filters.
    pub glob: String,
    /// What it says.
    pub style: Style,
}

impl StyleRule {
    /// Whether its pattern can be used.
    ///
    /// # Errors
    /// It can't.
    pub fn check(&self) -> Result<(), BadPattern> {
        Styles::new(std::slice::from_ref(self)).map(drop)
    }
}

/// The compiled rules of a job.
#[derive(Debug, Default)]
pub struct Styles {
    rules: Vec<Style>,
    /// Two globs a rule: the thing itself, and what is below it.
    globs: GlobSet,
    /// By the rules that match.
    known: Mutex<HashMap<Box<[usize]>, Arc<Ruled>>>,
}

/// What the rules say of a key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ruled {
    /// What the object is to carry.
    pub style: Style,
    /// What is remembered of that.
    pub mark: Option<StyleMark>,
}

/// Whether an object is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It is known to have what the rules say, or they say nothing of it.
    Nothing,
    /// It has something else, as far as is known, and this becomes of its content type.
    Change(Retype),
    /// It is known that it can't be changed.
    Impossible,
}

impl Ruled {
    /// Whether an object that is known to have `had` is to be changed.
    pub fn wants(&self, had: Option<&StyleMark>) -> Wanted {
        match self.differs(had) {
            None => Wanted::Nothing,
            Some(_) if had.is_some_and(|had| had.is_stuck_at(self.mark.as_ref())) => Wanted::Impossible,
            Some(retype) => Wanted::Change(retype),
        }
    }

    fn differs(&self, had: Option<&StyleMark>) -> Option<Retype> {
        let was_typed = had.is_some_and(StyleMark::is_typed);
        let retype = if was_typed && self.style.content_type.is_none() { Retype::ByName } else { Retype::Keep };
        match &self.mark {
            // What no rule names any more stays as it is, but for the type.
            None => (retype == Retype::ByName).then_some(retype),
            Some(mark) => (had != Some(mark)).then_some(retype),
        }
    }
}

impl Styles {
    /// Compiles rules.
    ///
    /// # Errors
    /// The first pattern that can't be used.
    pub fn new(rules: &[StyleRule]) -> Result<Self, BadPattern> {
        let mut globs = GlobSetBuilder::new();
        for rule in rules {
            let bad = |why: String| BadPattern { pattern: rule.glob.clone(), why };
            let pattern = Pattern::read(&rule.glob).map_err(bad)?;
            let below = glob(&format!("{}/**", pattern.itself())).map_err(bad)?;
            globs.add(if pattern.directories_only { below.clone() } else { glob(&pattern.itself()).map_err(bad)? });
            globs.add(below);
        }
        let built = globs.build();
        let globs =
            built.map_err(|error| BadPattern { pattern: "(all of them)".to_owned(), why: error.to_string() })?;
        Ok(Self { rules: rules.iter().map(|rule| rule.style.clone()).collect(), globs, known: Mutex::default() })
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What they say of a key.
    pub fn of(&self, key: &Key) -> Arc<Ruled> {
        let mut matches: Vec<usize> = Vec::new();
        if !self.rules.is_empty() {
            self.globs.matches_candidate_into(&Candidate::new(key.as_str()), &mut matches);
        }
        for index in &mut matches {
            *index /= 2;
        }
        matches.sort_unstable();
        matches.dedup();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ruled) = known.get(matches.as_slice()) {
            return Arc::clone(ruled);
        }
        let mut style = Style::default();
        for index in &matches {
            style.lay(&self.rules[*index]);
        }
        let ruled = Arc::new(Ruled { mark: StyleMark::of(&style), style });
        known.insert(matches.into(), Arc::clone(&ruled));
        ruled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(glob: &str, content_type: Option<&str>, cache: Option<&str>) -> StyleRule {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let style = Style { content_type: text(content_type), cache_control: text(cache), ..Style::default() };
        StyleRule { glob: glob.to_owned(), style }
    }

    fn of(styles: &Styles, key: &str) -> Arc<Ruled> {
        styles.of(&Key::new(key).unwrap())
    }

    #[test]
    fn for_each_field_the_last_rule_that_matches_wins() {
        let mut last = rule("/a/", None, Some("no-store"));
        last.style.metadata.insert("who".to_owned(), "me".to_owned());
        let rules = [rule("*", None, Some("max-age=1")), rule("*.svg", Some("image/svg+xml"), None), last];
        let styles = Styles::new(&rules).unwrap();
        let said = |key: &str| {
            let style = &of(&styles, key).style;
            (style.content_type.clone(), style.cache_control.clone().unwrap(), style.metadata.len())
        };
        let svg = Some("image/svg+xml".to_owned());
        assert_eq!(said("x.svg"), (svg.clone(), "max-age=1".to_owned(), 0));
        assert_eq!(said("a/x.svg"), (svg, "no-store".to_owned(), 1));
        assert_eq!(said("b/a/x"), (None, "max-age=1".to_owned(), 0), "anchored");
        assert_eq!(said("a"), (None, "max-age=1".to_owned(), 0), "a directory's rule is for no file of its name");
    }

    #[test]
    fn a_mark_is_another_one_for_each_style_and_none_without() {
        let none = Styles::default();
        assert_eq!(of(&none, "a").mark, None);
        let fields: [fn(&mut Style); 8] = [
            |style| style.content_type = Some("x".to_owned()),
            |style| style.cache_control = Some("x".to_owned()),
            |style| style.content_disposition = Some("x".to_owned()),
            |style| style.content_encoding = Some("x".to_owned()),
            |style| style.content_language = Some("x".to_owned()),
            |style| drop(style.metadata.insert("x".to_owned(), "x".to_owned())),
            |style| style.storage_class = Some("x".to_owned()),
            |style| style.acl = Some("x".to_owned()),
        ];
        let marks: std::collections::BTreeSet<String> = fields
            .iter()
            .map(|set| {
                let mut style = Style::default();
                set(&mut style);
                StyleMark::of(&style).unwrap().as_str().to_owned()
            })
            .collect();
        assert_eq!(marks.len(), fields.len());
        assert_eq!(marks.iter().filter(|mark| StyleMark::new(mark.as_str()).is_typed()).count(), 1);
    }

    #[test]
    fn what_no_rule_names_any_more_stays_but_for_the_type() {
        let typed = Styles::new(&[rule("*", Some("x/y"), Some("max-age=1"))]).unwrap();
        let cached = Styles::new(&[rule("*", None, Some("max-age=1"))]).unwrap();
        let (none, typed, cached) = (of(&Styles::default(), "a"), of(&typed, "a"), of(&cached, "a"));
        assert_eq!(typed.differs(typed.mark.as_ref()), None);
        assert_eq!(typed.differs(None), Some(Retype::Keep));
        assert_eq!(typed.differs(cached.mark.as_ref()), Some(Retype::Keep));
        assert_eq!(cached.differs(typed.mark.as_ref()), Some(Retype::ByName));
        assert_eq!(none.differs(typed.mark.as_ref()), Some(Retype::ByName));
        assert_eq!(none.differs(cached.mark.as_ref()), None);
        assert_eq!(none.differs(None), None);
    }

    #[test]
    fn what_can_not_be_changed_is_tried_again_for_other_rules() {
        let (typed, cached) = ([rule("*", Some("x/y"), None)], [rule("*", None, Some("max-age=1"))]);
        let (typed, cached) = (Styles::new(&typed).unwrap(), Styles::new(&cached).unwrap());
        let (none, typed, cached) = (of(&Styles::default(), "a"), of(&typed, "a"), of(&cached, "a"));
        let stuck = StyleMark::stuck(typed.mark.as_ref());
        assert_eq!(typed.wants(Some(&stuck)), Wanted::Impossible);
        assert_eq!(cached.wants(Some(&stuck)), Wanted::Change(Retype::Keep), "no rule ever gave it a type");
        assert_eq!(none.wants(Some(&stuck)), Wanted::Nothing);
        assert_eq!(none.wants(Some(&StyleMark::stuck(None))), Wanted::Nothing);
        assert_eq!(typed.wants(typed.mark.as_ref()), Wanted::Nothing);
    }

    #[test]
    fn bad_patterns_are_named() {
        assert!(rule("a//b", None, None).check().unwrap_err().to_string().contains("`a//b`"));
        assert!(rule("*.{jpg", None, None).check().is_err());
    }
}
