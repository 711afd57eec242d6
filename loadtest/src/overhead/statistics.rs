//! Mean, spread and the one-sided bound of paired differences.

use serde::{Deserialize, Serialize};

/// What a sample of differences says about their mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// How many differences.
    pub pairs: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub sd: f64,
    /// The true mean lies below this with 95 % confidence (Student's t, one-sided).
    pub upper95: f64,
}

/// The 95 % quantile of the normal distribution.
const Z95: f64 = 1.644_853_626_951_472_2;

// === impl Estimate ===

impl Estimate {
    /// `None` for fewer than two differences, which say nothing about their spread.
    #[allow(clippy::cast_precision_loss, reason = "a number of pairs")]
    pub fn of(differences: &[f64]) -> Option<Self> {
        let pairs = differences.len();
        if pairs < 2 {
            return None;
        }
        let (n, freedom) = (pairs as f64, (pairs - 1) as f64);
        let mean = differences.iter().sum::<f64>() / n;
        let squares: f64 = differences.iter().map(|one| (one - mean).powi(2)).sum();
        let sd = (squares / freedom).sqrt();
        Some(Self { pairs, mean, sd, upper95: mean + t95(freedom) * sd / n.sqrt() })
    }
}

/// The 95 % quantile of Student's t, by the Cornish-Fisher expansion (Abramowitz and Stegun
/// 26.7.5); within 0.002 of the tables from 5 degrees of freedom on.
fn t95(freedom: f64) -> f64 {
    let z = Z95;
    let g1 = (z.powi(3) + z) / 4.0;
    let g2 = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let g3 = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + g1 / freedom + g2 / freedom.powi(2) + g3 / freedom.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_that_of_the_tables() {
        for (freedom, table) in [(5.0, 2.015), (9.0, 1.833), (29.0, 1.699), (1e6, 1.645)] {
            let quantile = t95(freedom);
            assert!((quantile - table).abs() < 0.002, "{quantile} instead of {table}");
        }
    }

    #[test]
    fn a_sample_is_summed_up_and_too_small_a_one_refused() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!((estimate.pairs, estimate.mean), (6, 3.5));
        assert!((estimate.sd - 1.8708).abs() < 1e-4);
        assert!((estimate.upper95 - 5.039).abs() < 2e-3, "{}", estimate.upper95);
        assert_eq!(Estimate::of(&[1.0]), None);
    }
}
