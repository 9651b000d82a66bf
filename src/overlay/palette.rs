//! Colors of classes, the same on every run and machine.

/// Each color has the greatest OKLab distance to all before it, among colors that are neither near black nor near gray,
/// so that the first classes differ most. The first is the color in Luxonis' example.
const CLASS_COLORS: [u32; 80] = [
    0x00FF7F, 0x6600EE, 0xFF4400, 0x007700, 0xFFCCFF, 0xFF11FF, 0x00AADD, 0x884466, //
    0xFFBB00, 0xCC88BB, 0x77AA55, 0x55EEFF, 0x0066AA, 0xDD0088, 0x9966FF, 0x996600, //
    0x9900AA, 0xCCFFBB, 0xBB0000, 0xCC8855, 0x448877, 0x1177FF, 0xAACC99, 0x00CC00, //
    0xFFAA99, 0xAABBEE, 0xFF88FF, 0xDDFF00, 0x7777BB, 0xBB11EE, 0xFF55BB, 0x0033FF, //
    0xAACC00, 0xCC5566, 0xBB55BB, 0x00CCBB, 0x8899FF, 0xFF7788, 0x229900, 0x6644BB, //
    0x33EEBB, 0xFFDDAA, 0x22CCFF, 0xFF2266, 0xCC77FF, 0x556633, 0xAA0066, 0x22AA99, //
    0x0088BB, 0xCCAA33, 0xFF8800, 0x778833, 0x996688, 0xAAEE77, 0xFF99CC, 0x6655FF, //
    0x55CC77, 0xDD11CC, 0xCC5500, 0x994422, 0xDDAAFF, 0x994499, 0xEEDD00, 0xAAFFFF, //
    0x3355DD, 0xDD0044, 0x665588, 0x8833DD, 0x77BBCC, 0xDD6699, 0xBB0099, 0x00EE00, //
    0x9999CC, 0xAADDFF, 0xAA8800, 0xAA6655, 0x007788, 0x3399FF, 0xAA77CC, 0x88FF00, //
];

/// Returns the color of a class, `0x00RRGGBB`. Colors repeat after 80 classes.
#[must_use]
pub fn class_color(label: u32) -> u32 {
    CLASS_COLORS[label as usize % CLASS_COLORS.len()]
}

/// Returns the more legible of black and white on a background.
#[must_use]
pub(super) fn text_color_on(background: u32) -> u32 {
    // Black and white have the same contrast at this luminance: (L + 0.05) / 0.05 = 1.05 / (L + 0.05).
    if luminance(background) > 0.179 { 0x00_0000 } else { 0xFF_FFFF }
}

/// Returns the relative luminance, 0..=1 (WCAG 2.2).
fn luminance(color: u32) -> f32 {
    let linear = |shift: u32| {
        let part = (color >> shift & 255) as f32 / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(16) + 0.7152 * linear(8) + 0.0722 * linear(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(one: u32, other: u32) -> f32 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    /// Returns the redmean distance: 765 between black and white.
    fn distance(one: u32, other: u32) -> f32 {
        let parts = |color: u32| [16, 8, 0].map(|shift: u32| (color >> shift & 255) as f32);
        let ([r1, g1, b1], [r2, g2, b2]) = (parts(one), parts(other));
        let red = (r1 + r2) / 2.0;
        ((2.0 + red / 256.0) * (r1 - r2).powi(2)
            + 4.0 * (g1 - g2).powi(2)
            + (2.0 + (255.0 - red) / 256.0) * (b1 - b2).powi(2))
        .sqrt()
    }

    #[test]
    fn coco_classes_have_distinct_colors() {
        let pairs = || (0..80).flat_map(|one| (0..one).map(move |other| (one, other)));
        let nearest = |most: u32| {
            let pairs = pairs().filter(move |(one, _)| *one < most);
            pairs.map(|(one, other)| distance(class_color(one), class_color(other))).fold(f32::MAX, f32::min)
        };
        assert!(nearest(80) > 40.0, "{}", nearest(80));
        assert!(nearest(8) > 150.0, "{}", nearest(8));
    }

    #[test]
    fn class_colors_are_stable() {
        assert_eq!([0, 1, 2, 79, 80].map(class_color), [0x00FF7F, 0x6600EE, 0xFF4400, 0x88FF00, 0x00FF7F]);
        assert_eq!(class_color(u32::MAX), class_color(u32::MAX % 80));
    }

    #[test]
    fn text_is_legible_on_every_color() {
        // WCAG 2.2 requires 4.5 for text of any size (success criterion 1.4.3).
        for background in (0..80).map(class_color).chain((0..256).map(|gray| gray << 16 | gray << 8 | gray)) {
            assert!(contrast(background, text_color_on(background)) >= 4.5, "{background:06X}");
        }
    }
}
