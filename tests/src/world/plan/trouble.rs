//! Draws what goes wrong.

use std::time::Duration;

use super::Deed;
use super::drawing::Drawing;
use crate::sim::Faults;
use crate::world::fault::Fault;

/// How long a machine stays away, at most.
const LONGEST_ABSENCE: Duration = Duration::from_hours(6);

impl Drawing {
    /// Spells of bad weather, with better ones between.
    pub(super) fn weather(&mut self, machines: usize, deeds: &mut Vec<(Duration, Deed)>) {
        let mut at = Duration::ZERO;
        let spell = self.profile.trouble / 8;
        while at < self.profile.trouble {
            let place = (self.dice.below(3) == 0).then(|| self.dice.below(machines));
            let faults = self.faults_of_a_spell();
            deeds.push((at, Deed::Weather(place, faults)));
            let lasts = spell / 4 + self.part(spell);
            deeds.push((at + lasts, Deed::Weather(place, Faults::default())));
            at += lasts + self.part(spell / 2);
        }
        let longest = Duration::from_mins(4).min(self.profile.trouble / 4);
        if self.has(Fault::Outages) {
            for _ in 0..self.within((1, 2)) {
                let place = (self.dice.below(2) == 0).then(|| self.dice.below(machines));
                let how_long = self.spread(Duration::from_secs(5), longest);
                deeds.push((self.moment(), Deed::StoreAway(place, how_long)));
            }
        }
        if self.has(Fault::Bursts) {
            for _ in 0..self.within((1, 3)) {
                let how_long = self.spread(Duration::from_secs(1), longest);
                deeds.push((self.moment(), Deed::SlowDown(how_long)));
            }
        }
    }

    fn faults_of_a_spell(&mut self) -> Faults {
        let mut strength = |fault, most: f64| match self.faults.contains(&fault) {
            true => most * [0.0, 0.05, 0.2, 1.0][self.dice.below(4)],
            false => 0.0,
        };
        Faults {
            lost_request: strength(Fault::LostRequests, 0.3),
            lost_answer: strength(Fault::LostResponses, 0.3),
            error_before: strength(Fault::ErrorsBefore, 0.4),
            error_after: strength(Fault::ErrorsAfter, 0.4),
            late_effect: strength(Fault::LateEffects, 0.2),
            slow_down: strength(Fault::Bursts, 0.5),
            truncated: strength(Fault::TruncatedReads, 0.3),
            forbidden: Vec::new(),
            connect_refused: strength(Fault::NetCuts, 0.2),
            connect_lost: strength(Fault::NetCuts, 0.1),
            cut: strength(Fault::NetCuts, 0.3),
            stalled: strength(Fault::NetCuts, 0.1),
            half_closed: strength(Fault::NetCuts, 0.1),
            dns_failure: strength(Fault::DnsFailures, 0.5),
            dns_timeout: strength(Fault::DnsFailures, 0.2),
            dns_slow: strength(Fault::DnsFailures, 0.3),
        }
    }

    /// Machines that die, stand still, or are told to end.
    pub(super) fn blows(&mut self, machines: usize, deeds: &mut Vec<(Duration, Deed)>) {
        let kinds: Vec<Fault> = [Fault::Kills, Fault::Suspensions, Fault::Shutdowns]
            .into_iter()
            .filter(|fault| self.has(*fault))
            .collect();
        if kinds.is_empty() {
            return;
        }
        let longest = Duration::from_mins(70);
        for _ in 0..self.within(self.profile.blows).max(1) {
            let place = self.dice.below(machines);
            let is_back = self.dice.below(4) > 0;
            let back_after = is_back.then(|| {
                self.spread(Duration::from_millis(100), LONGEST_ABSENCE.min(self.profile.trouble / 3))
            });
            let deed = match kinds[self.dice.below(kinds.len())] {
                Fault::Kills => {
                    let steps = self.dice.below([2, 20, 400][self.dice.clone().below(3)]) as u64;
                    Deed::Kill { place, steps, back_after }
                }
                Fault::Suspensions => {
                    Deed::Suspend { place, how_long: self.spread(Duration::from_secs(1), longest) }
                }
                _ => {
                    let grace = self.spread(Duration::from_millis(10), Duration::from_secs(60));
                    Deed::Stop { place, grace, back_after }
                }
            };
            deeds.push((self.moment(), deed));
        }
    }
}
