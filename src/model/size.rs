//! Amounts of bytes, for people.

/// `12.3 MiB`: at most four digits, rounded to the nearest.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths, so that no float decides what is shown.
    let mut unit = 0;
    let mut one = 1024_u128;
    let tenths = |one: u128| (u128::from(bytes) * 10 + one / 2) / one;
    while tenths(one) >= 10_240 && unit + 1 < UNITS.len() {
        unit += 1;
        one *= 1024;
    }
    let tenths = tenths(one);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal_and_are_rounded() {
        let told = [0, 1023, 1024, 1075, 1076, 12 << 10, 1_500_000_000, u64::MAX].map(size);
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.0 KiB", "1.1 KiB", "12.0 KiB", "1.4 GiB", "16.0 EiB"]);
        assert_eq!([(1 << 20) - 1, 1 << 20].map(size), ["1.0 MiB", "1.0 MiB"]);
    }
}
