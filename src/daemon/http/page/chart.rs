//! The last day as bars of a quarter of an hour, drawn by `plotters` as SVG.
//!
//! The picture has no texts and stretches to any width: what it says in words stands around it as HTML, in its
//! `title` and its `desc`. Colours come from the style sheet, by class. Time before the daemon began, and stretches of
//! which nothing is known, are shaded, not drawn as zero.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::prelude::{Color as _, DrawingBackend, IntoDrawingArea, PathElement, RGBColor, Rectangle, SVGBackend};

use super::words::Clock;
use crate::daemon::state::{BUCKET_NS, JobState, SECOND};

/// Bars of a day.
const BARS: usize = 96;
/// Points of the samples in one.
const POINTS: i64 = 3;
const BAR_NS: i64 = POINTS * BUCKET_NS;
/// Units of the picture: eight a bar, of which the last two are the gap.
const WIDTH: u32 = 8 * 96;
const HEIGHT: u32 = 160;
/// The line at the top stands for the scale's end.
const TOP: i32 = 2;

/// What a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Bytes sent.
    Bytes,
    /// Keys changed.
    Changes,
    /// The longest lag, in seconds.
    Lag,
}

/// A day of one measure; `None` is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    bars: Vec<Option<u64>>,
}

impl Day {
    /// Of a job whose daemon began at `started_ns`.
    pub(super) fn of(job: &JobState, measure: Measure, clock: &Clock, started_ns: i64) -> Self {
        let begin = begin_ns(clock);
        let known = |n: i64| begin + (n + 1) * BAR_NS > started_ns;
        // Nothing noted is nothing done, but says nothing of the lag.
        let none = |n: i64| (known(n) && measure != Measure::Lag).then_some(0);
        let mut bars: Vec<Option<u64>> = (0..BARS).map(|n| none(i64::try_from(n).unwrap_or(0))).collect();
        for sample in &job.samples {
            let at = (sample.at_ns - begin).div_euclid(BAR_NS);
            let Some(bar) = usize::try_from(at).ok().and_then(|at| bars.get_mut(at)) else { continue };
            let so_far = bar.unwrap_or(0);
            *bar = Some(match measure {
                Measure::Bytes => so_far + sample.bytes,
                Measure::Changes => so_far + sample.changes,
                Measure::Lag => so_far.max(sample.lag_s),
            });
        }
        if let (Measure::Lag, Some(lag), Some(last)) = (measure, job.lag_s(clock.now_ns), bars.last_mut()) {
            *last = Some(last.unwrap_or(0).max(lag));
        }
        Self { bars }
    }

    /// The sum of what is known.
    pub(super) fn sum(&self) -> u64 {
        self.bars.iter().flatten().sum()
    }

    /// The highest bar and when it began.
    pub(super) fn peak(&self, clock: &Clock) -> (u64, i64) {
        let known = self.bars.iter().enumerate().filter_map(|(n, bar)| Some((n, (*bar)?)));
        let (n, peak) = known.fold((0, 0), |best, bar| if bar.1 > best.1 { bar } else { best });
        (peak, begin_ns(clock) + i64::try_from(n).unwrap_or(0) * BAR_NS)
    }

    /// The picture. `id` is unique on the page; `title` and `desc` say what it shows.
    pub(super) fn picture(&self, id: &str, (title, desc): (&str, &str), top: u64) -> Markup {
        let mut svg = String::new();
        // Drawing into a text does not fail; without the picture the words are still there.
        if self.draw(&SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area(), top).is_err() {
            return html! {};
        }
        let inside = svg.split_once('>').map_or("", |(_, rest)| rest).trim_end().trim_end_matches("</svg>");
        let inside = CLASSES.iter().fold(inside.to_owned(), |text, (_, drawn, class)| text.replace(drawn, class));
        let (title_id, desc_id) = (format!("{id}-t"), format!("{id}-d"));
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                aria-labelledby=(format!("{title_id} {desc_id}")) {
                title id=(title_id) { (title) }
                desc id=(desc_id) { (desc) }
                (PreEscaped(inside))
            }
        }
    }

    fn draw<D: DrawingBackend>(
        &self,
        area: &DrawingArea<D, Shift>,
        top: u64,
    ) -> Result<(), DrawingAreaErrorKind<D::ErrorType>> {
        let (width, height) = (WIDTH.cast_signed(), HEIGHT.cast_signed());
        let left = |n: usize| i32::try_from(n).unwrap_or(0) * 8;
        let mut n = 0;
        // One shade for each stretch: between several, seams would show.
        for stretch in self.bars.chunk_by(|a, b| a.is_none() == b.is_none()) {
            if stretch[0].is_none() {
                let corners = [(left(n), TOP), (left(n + stretch.len()), height)];
                area.draw(&Rectangle::new(corners, VOID.filled()))?;
            }
            n += stretch.len();
        }
        let seen = self.bars.iter().enumerate().filter_map(|(n, bar)| Some((n, bar.filter(|value| *value > 0)?)));
        for (n, value) in seen {
            let share = u128::from(value) * (u128::from(HEIGHT) - 2) / u128::from(top.max(value).max(1));
            // What is there is seen, however little it is.
            let tall = i32::try_from(share).unwrap_or(height).max(3);
            area.draw(&Rectangle::new([(left(n) + 1, height - tall), (left(n) + 7, height)], BAR.filled()))?;
        }
        for y in [TOP - 1, height / 2, height - 1] {
            area.draw(&PathElement::new([(0, y), (width, y)], GRID))?;
        }
        area.present()
    }
}

/// When the day of the charts begins: the bar of now is the last one.
fn begin_ns(clock: &Clock) -> i64 {
    let last = clock.now_ns - clock.now_ns.rem_euclid(BAR_NS);
    last - (i64::try_from(BARS).unwrap_or(0) - 1) * BAR_NS
}

/// The end of the scale: at least the peak, and a number that reads well.
pub(super) fn scale(measure: Measure, peak: u64) -> u64 {
    let steps: &[u64] = match measure {
        Measure::Lag => &[10, 30, 60, 300, 900, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400],
        Measure::Bytes => &[1_024],
        Measure::Changes => &[10],
    };
    if let Some(step) = steps.iter().find(|step| **step >= peak) {
        return *step;
    }
    let mut unit = if measure == Measure::Lag { 86_400 } else { steps[0] };
    let base = if measure == Measure::Bytes { 1_024 } else { 10 };
    loop {
        // Of binary units, powers of two read well.
        let factors: &[u64] =
            if measure == Measure::Bytes { &[1, 2, 5, 10, 20, 50, 100, 200, 500] } else { &[1, 2, 5] };
        if let Some(end) = factors.iter().map(|factor| unit.saturating_mul(*factor)).find(|end| *end >= peak) {
            return end;
        }
        match unit.checked_mul(base) {
            Some(next) => unit = next,
            None => return peak,
        }
    }
}

const BAR: RGBColor = RGBColor(1, 1, 1);
const VOID: RGBColor = RGBColor(2, 2, 2);
const GRID: RGBColor = RGBColor(3, 3, 3);
/// What is drawn, as `plotters` writes it, and the class that takes its place.
const CLASSES: [(RGBColor, &str, &str); 3] = [
    (BAR, "opacity=\"1\" fill=\"#010101\" stroke=\"none\"", "class=\"bar\""),
    (VOID, "opacity=\"1\" fill=\"#020202\" stroke=\"none\"", "class=\"void\""),
    (GRID, "fill=\"none\" opacity=\"1\" stroke=\"#030303\" stroke-width=\"1\"", "class=\"grid\""),
];

/// Seconds of a bar, for texts.
pub(super) const BAR_MINUTES: i64 = BAR_NS / SECOND / 60;

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::daemon::state::{Done, Phase};

    const NOW: i64 = 1_795_410_000 * SECOND;

    fn job() -> JobState {
        JobState { phase: Phase::Idle, ..JobState::new("a", ("b", "c"), "copy", 600) }
    }

    #[test]
    fn what_is_not_known_is_not_zero() {
        let clock = Clock { now_ns: NOW, zone: TimeZone::UTC };
        let mut job = job();
        let done = Done { creates: 2, bytes: 100, ..Done::default() };
        for minutes in [120, 119, 60] {
            job.note(NOW - minutes * 60 * SECOND, 7, done);
        }
        let started = NOW - 3 * 3_600 * SECOND;
        let bytes = Day::of(&job, Measure::Bytes, &clock, started);
        assert_eq!((bytes.sum(), bytes.peak(&clock)), (300, (200, NOW - 7_200 * SECOND)));
        assert_eq!(bytes.bars.iter().filter(|bar| bar.is_none()).count(), BARS - 13);
        let lag = Day::of(&job, Measure::Lag, &clock, started);
        assert_eq!(lag.bars.iter().flatten().count(), 2, "only where something was noted");
        let svg = lag.picture("x", ("t<", "d&"), 10).into_string();
        assert_eq!(svg.matches("class=\"bar\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("class=\"void\"").count(), 3, "{svg}");
        assert_eq!(svg.matches("class=\"grid\"").count(), 3);
        assert!(svg.contains("<title id=\"x-t\">t&lt;</title>") && svg.contains(">d&amp;</desc>"), "{svg}");
        assert!(!svg.contains("fill=") && !svg.contains("style="), "colours come from the style sheet: {svg}");
    }

    #[test]
    fn scales_end_at_numbers_that_read_well() {
        let ends = |measure, peaks: [u64; 5]| peaks.map(|peak| scale(measure, peak));
        assert_eq!(ends(Measure::Changes, [0, 10, 11, 51, 1_001]), [10, 10, 20, 100, 2_000]);
        assert_eq!(ends(Measure::Lag, [0, 11, 61, 90_000, 200_000]), [10, 30, 300, 172_800, 432_000]);
        let mib = 1_048_576;
        assert_eq!(
            ends(Measure::Bytes, [0, 1_025, 600 * 1_024, 3 * mib, 600 * mib]),
            [1_024, 2_048, mib, 5 * mib, 1_024 * mib]
        );
        assert_eq!(scale(Measure::Bytes, u64::MAX), u64::MAX);
    }
}
