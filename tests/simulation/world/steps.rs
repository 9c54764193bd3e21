//! What each worker does when its time has come, and when an answer comes back to it.

use thrio_edge::domain::call::{CallFailure, ConfigurationAnswer, Do, HistoricalAnswer, Snapshot};
use thrio_edge::domain::ids::Feed;
use thrio_edge::domain::timestamp::Now;
use thrio_edge::forwarder::{DeliveryCall, DeliveryOutcome};

use super::{Event, World, centre, timing};

impl World {
    pub(super) fn step_forward(&mut self, number: u64) {
        let Some((mut life, now)) = self.take_life(number) else {
            return;
        };
        match life.forward.begin(now) {
            Ok(Do::WaitUntil(until)) => self.wait(until, now, Event::Forward(number)),
            Ok(Do::Call(call)) => {
                let there = centre::latency(&mut self.rng) / 2;
                let back = centre::latency(&mut self.rng) / 2;
                self.at(self.now_ms + there, Event::Arrives(number, call, back));
            }
            Err(_) => self.wait_a_second(Event::Forward(number)),
        }
        self.put_back(life);
    }

    pub(super) fn arrives(&mut self, number: u64, call: DeliveryCall, back_ms: i64) {
        let trouble = self.upstream_trouble;
        let outcome = self.applied.answer(call, trouble, &mut self.rng);
        self.at(self.now_ms + back_ms, Event::ForwardAnswer(number, outcome));
    }

    pub(super) fn forward_answer(&mut self, number: u64, outcome: DeliveryOutcome) {
        let Some((mut life, now)) = self.take_life(number) else {
            return;
        };
        let done = life.forward.complete(now, outcome);
        self.note(&life.store, done.is_ok());
        self.at(self.now_ms, Event::Forward(number));
        self.put_back(life);
    }

    pub(super) fn step_realtime(&mut self, number: u64) {
        let Some((mut life, now)) = self.take_life(number) else {
            return;
        };
        match life.realtime.begin(now) {
            Ok(Do::WaitUntil(until)) => self.wait(until, now, Event::Realtime(number)),
            Ok(Do::Call(_)) => {
                let (takes, failure) = self.line();
                let served = self.now_ms + takes / 2;
                let outcome = if let Some(failure) = failure {
                    Err(failure)
                } else {
                    let mut snapshot = Snapshot::default();
                    centre::snapshot(&self.truth, served, &mut self.rng, &mut snapshot);
                    Ok(snapshot)
                };
                let answer = Event::RealtimeAnswer(number, now, served, outcome);
                self.at(self.now_ms + takes, answer);
            }
            Err(_) => self.wait_a_second(Event::Realtime(number)),
        }
        self.put_back(life);
    }

    pub(super) fn realtime_answer(
        &mut self,
        number: u64,
        sent: Now,
        served_ms: i64,
        outcome: &Result<Snapshot, CallFailure>,
    ) {
        let Some((mut life, now)) = self.take_life(number) else {
            return;
        };
        let timing = timing(sent, now, served_ms);
        let done = life.realtime.complete(now, timing, outcome.as_ref());
        self.tally.polls += u64::from(outcome.is_ok());
        self.note(&life.store, done.is_ok());
        // A poll that fell into a power cut was seen by nobody who lives on.
        let has_power = self.disk.lives() == self.tally.power_cuts;
        if let (true, Ok(()), Ok(snapshot)) = (has_power, done, outcome) {
            let state = life.store.feed_state(&self.source, Feed::Realtime);
            self.ledger
                .polled(state.as_ref(), snapshot, self.now_ms, served_ms);
            self.ledger.bounded(&self.truth, self.now_ms, served_ms);
        }
        self.at(self.now_ms, Event::Realtime(number));
        self.put_back(life);
    }

    pub(super) fn step_historical(&mut self, number: u64) {
        let Some((mut life, now)) = self.take_life(number) else {
            return;
        };
        match life.historical.begin(now) {
            Ok(Do::WaitUntil(until)) => self.wait(until, now, Event::Historical(number)),
            Ok(Do::Call(call)) => {
                let (takes, failure) = self.line();
                let served = self.now_ms + takes / 2;
                let outcome = match failure {
                    Some(failure) => Err(failure),
                    None => Ok(centre::volume(&self.truth, &call, served)),
                };
                let answer = Event::HistoricalAnswer(number, now, served, outcome);
                self.at(self.now_ms + takes, answer);
            }
            Err(_) => self.wait_a_second(Event::Historical(number)),
        }
        self.put_back(life);
    }

    pub(super) fn historical_answer(
        &mut self,
        number: u64,
        sent: Now,
        served_ms: i64,
        outcome: &Result<HistoricalAnswer, CallFailure>,
    ) {
        let Some((mut life, now)) = self.take_life(number) else {
            return;
        };
        let timing = timing(sent, now, served_ms);
        let done = life.historical.complete(now, timing, outcome.as_ref());
        self.note(&life.store, done.is_ok());
        self.at(self.now_ms, Event::Historical(number));
        self.put_back(life);
    }

    pub(super) fn step_configuration(&mut self, number: u64) {
        let Some((mut life, now)) = self.take_life(number) else {
            return;
        };
        match life.configuration.begin(now) {
            Ok(Do::WaitUntil(until)) => self.wait(until, now, Event::Configuration(number)),
            Ok(Do::Call(call)) => {
                let (takes, failure) = self.line();
                let served = self.now_ms + takes / 2;
                let outcome = match failure {
                    Some(failure) => Err(failure),
                    None => Ok(centre::configuration(call, served)),
                };
                let answer = Event::ConfigurationAnswer(number, now, served, outcome);
                self.at(self.now_ms + takes, answer);
            }
            Err(_) => self.wait_a_second(Event::Configuration(number)),
        }
        self.put_back(life);
    }

    pub(super) fn configuration_answer(
        &mut self,
        number: u64,
        sent: Now,
        served_ms: i64,
        outcome: &Result<ConfigurationAnswer, CallFailure>,
    ) {
        let Some((mut life, now)) = self.take_life(number) else {
            return;
        };
        let timing = timing(sent, now, served_ms);
        let done = life.configuration.complete(now, timing, outcome.as_ref());
        self.tally.imports += u64::from(outcome.is_ok());
        self.note(&life.store, done.is_ok());
        self.at(self.now_ms, Event::Configuration(number));
        self.put_back(life);
    }
}
