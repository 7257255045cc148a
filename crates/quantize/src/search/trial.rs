//! Trials as lines of JSON: a header that says of what, then a line each. A line that a kill cut short does not count.

use super::space::Strategy;
use crate::strict::ConfigError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one strategy came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The choice of each gene.
    pub strategy: Strategy,
    /// Sum of its bits.
    pub bits: u64,
    /// How far the answers are from those of the float network, on the samples that the search goes by.
    pub loss: f64,
    /// Percentage points of accuracy lost on them; of agreement with the float network where there are no labels.
    pub drop: f64,
    /// The same loss on the samples held out.
    pub check_loss: f64,
    /// The same drop on them.
    pub check_drop: f64,
}

/// What a log is of. Trials of two logs with the same header may be joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Form of the log.
    pub lowbit_search: u32,
    /// Hash of the prepared network.
    pub model: String,
    /// Hash of the samples and how they are judged.
    pub samples: String,
    /// Hash of what may be chosen.
    pub space: String,
}

/// The form that is written.
pub const FORM: u32 = 1;

/// A log as read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// Its header; `None` of an empty file.
    pub header: Option<Header>,
    /// Its trials.
    pub trials: Vec<Trial>,
    /// Bytes of whole lines: what comes behind was cut short.
    pub whole: usize,
}

impl Header {
    /// Refuses a log of something else, with both hashes.
    ///
    /// # Errors
    /// When it is of another network, of other samples, or of another space.
    pub fn same(&self, found: &Header, place: &str) -> Result<(), ConfigError> {
        let pairs = [
            ("network", &self.model, &found.model),
            ("samples", &self.samples, &found.samples),
            ("choices", &self.space, &found.space),
        ];
        match pairs.into_iter().find(|(_, ours, theirs)| ours != theirs) {
            None => Ok(()),
            Some((what, ours, theirs)) => Err(ConfigError::Invalid {
                place: place.to_owned(),
                message: format!(
                    "its trials are of other {what}: {theirs} there, {ours} here; give another file, or move it away"
                ),
            }),
        }
    }
}

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    /// When it is none, or a line before the last is damaged; the message names the line.
    pub fn read(place: &str, text: &str) -> Result<Log, ConfigError> {
        let mut log = Log::default();
        let invalid = |line: usize, message: String| ConfigError::Invalid {
            place: format!("{place}: line {line}"),
            message,
        };
        for (n, line) in text.split_inclusive('\n').enumerate() {
            let Some(whole) = line.strip_suffix('\n') else { break };
            if n == 0 {
                let header: Header = serde_json::from_str(whole)
                    .map_err(|error| invalid(1, format!("it is no log of a search ({error})")))?;
                if header.lowbit_search != FORM {
                    let found = header.lowbit_search;
                    return Err(invalid(
                        1,
                        format!("form {found} of the log; this version reads form {FORM}"),
                    ));
                }
                log.header = Some(header);
            } else {
                let trial = serde_json::from_str(whole).map_err(|error| invalid(n + 1, error.to_string()))?;
                log.trials.push(trial);
            }
            log.whole += line.len();
        }
        // Something else than a log cut short in its first line.
        const START: &str = "{\"lowbit_search\"";
        if log.header.is_none() && !text.starts_with(START) && !START.starts_with(text) {
            return Err(invalid(1, "it is no log of a search".into()));
        }
        Ok(log)
    }

    /// A line of the log, with its end.
    pub fn line(value: &impl Serialize) -> String {
        serde_json::to_string(value).expect("numbers and names have a JSON form") + "\n"
    }
}

/// Joins logs of one search: every trial once, in the order of the strategies, whoever measured it.
///
/// # Errors
/// When one cannot be read, they are not of one search, or two say different things of one strategy.
pub fn merge(logs: &[(String, String)]) -> Result<String, ConfigError> {
    let mut header: Option<Header> = None;
    let mut trials: BTreeMap<Strategy, Trial> = BTreeMap::new();
    for (place, text) in logs {
        let log = Log::read(place, text)?;
        let Some(found) = log.header else { continue };
        match &header {
            Some(ours) => ours.same(&found, place)?,
            None => header = Some(found),
        }
        for trial in log.trials {
            match trials.get(&trial.strategy) {
                Some(other) if *other != trial => {
                    let message =
                        format!("strategy {:?} was measured otherwise in another log", trial.strategy);
                    return Err(ConfigError::Invalid { place: place.clone(), message });
                }
                _ => {
                    trials.insert(trial.strategy.clone(), trial);
                }
            }
        }
    }
    let header = header.ok_or_else(|| ConfigError::Invalid {
        place: logs.first().map_or(String::new(), |(place, _)| place.clone()),
        message: "no log has a trial".into(),
    })?;
    Ok(Log::line(&header) + &trials.values().map(Log::line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(model: &str) -> Header {
        Header { lowbit_search: FORM, model: model.into(), samples: "s".into(), space: "g".into() }
    }

    fn trial(strategy: &[usize], loss: f64) -> Trial {
        Trial { strategy: strategy.to_vec(), bits: 16, loss, drop: 0.5, check_loss: loss, check_drop: 0.1 }
    }

    #[test]
    fn a_log_cut_short_anywhere_keeps_its_whole_lines() {
        let trials = [trial(&[0, 1], 0.1 + 0.2), trial(&[1, 1], 1e-17)];
        let text = Log::line(&header("m")) + &Log::line(&trials[0]) + &Log::line(&trials[1]);
        let all = Log::read("log", &text).unwrap();
        assert_eq!((all.trials.as_slice(), all.whole), (&trials[..], text.len()));
        for end in 0..text.len() {
            let log = Log::read("log", &text[..end]).unwrap();
            assert_eq!(log.whole, text[..end].rfind('\n').map_or(0, |at| at + 1));
        }
    }

    #[test]
    fn what_is_no_log_or_of_another_network_is_refused() {
        let error = header("ours").same(&header("theirs"), "log.jsonl").unwrap_err().to_string();
        assert!(error.contains("log.jsonl") && error.contains("ours") && error.contains("theirs"), "{error}");
        assert!(Log::read("notes", "my notes").unwrap_err().to_string().contains("no log of a search"));
        let damaged = Log::line(&header("m")) + "{\"strategy\": 3}\n";
        assert!(Log::read("log", &damaged).unwrap_err().to_string().starts_with("log: line 2"));
    }

    #[test]
    fn merged_logs_do_not_depend_on_who_measured_what() {
        let [a, b, c] = [trial(&[0, 0], 0.0), trial(&[0, 1], 1.0), trial(&[1, 0], 2.0)];
        let log = |trials: &[&Trial]| {
            let lines: String = trials.iter().map(Log::line).collect();
            ("log".to_owned(), Log::line(&header("m")) + &lines)
        };
        let merged = merge(&[log(&[&c, &a]), log(&[&b, &a])]).unwrap();
        assert_eq!(merged, merge(&[log(&[&a, &b, &c])]).unwrap());
        assert_eq!(Log::read("merged", &merged).unwrap().trials, [a.clone(), b, c]);
        let other = Trial { loss: 9.0, ..a.clone() };
        assert!(merge(&[log(&[&a]), log(&[&other])]).unwrap_err().to_string().contains("measured otherwise"));
    }
}
