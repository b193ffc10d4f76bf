//! From sources to settings, with all mistakes at once.

use std::collections::BTreeMap;

use fulmar_core::model::Domain;
use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::door::{self, ACCESS};
use super::hosts::STORES;
use super::keys::Key;
use super::listeners::Listening;
use super::sections::{SECTIONS, keys};
use super::sources::{Sources, is_from_an_orchestrator};
use super::written::{Lines, Written, Wrong};
use super::{Loaded, Mistake, Origin, Settings, StoreUrl, issuers, listeners, routes, tls};

const LISTENER: &str = "listener";
const ROUTE: &str = "route";
const TLS: &str = "tls";
const CERTIFICATES: &str = "tls.certificates";
const ISSUER: &str = "auth.issuer";
const INTROSPECTION: &str = "auth.introspection";
const URL: (&str, &str) = ("store", "url");
/// Keys of `[store]` that mean nothing but to S3.
const S3_KEYS: [&str; 7] = [
    "endpoint",
    "region",
    "virtual_host_style",
    "profile",
    "access_key_id",
    "secret_access_key",
    "session_token",
];
/// Keys, each with its section, and those without which they mean nothing.
const COMPANIONS: [(&str, &str, &str); 4] = [
    ("store", "access_key_id", "secret_access_key"),
    ("store", "secret_access_key", "access_key_id"),
    ("store", "session_token", "access_key_id"),
    ("tls", "key", "certificate"),
];
/// How many names are offered for one that is unknown.
const OFFERED_NAMES: usize = 3;

impl Loaded {
    /// Reads everything; or gives every mistake found, the file's first, in the order of its lines.
    pub(crate) fn from_sources(sources: &Sources) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader::new(sources);
        if let Some(Err(mistake)) = &sources.file {
            reader.mistakes.push((0, mistake.clone()));
        }
        if let Some(Ok((name, text))) = &sources.file {
            reader.read_file(name, text);
        }
        for (name, value) in &sources.variables {
            reader.read_variable(name, value);
        }
        reader.finish(sources)
    }
}

struct Reader {
    loaded: Loaded,
    /// With the line that it is sorted by.
    mistakes: Vec<(usize, Mistake)>,
    /// Nothing can be said then about what goes with it.
    url_is_wrong: bool,
}

impl Reader {
    fn new(sources: &Sources) -> Self {
        // Without a place for it the store stays in memory only until `finish` has looked at the origins.
        let store = sources.data_folder.clone().map_or(StoreUrl::Memory, StoreUrl::Directory);
        let settings = Settings::defaults(default_hostname(&sources.node_name), store);
        Self {
            loaded: Loaded { settings, origins: BTreeMap::new() },
            mistakes: Vec::new(),
            url_is_wrong: false,
        }
    }

    fn finish(mut self, sources: &Sources) -> Result<Loaded, Vec<Mistake>> {
        let loaded = &mut self.loaded;
        if sources.data_folder.is_none() && !loaded.origins.contains_key(&URL) && !self.url_is_wrong {
            let reason = "neither HOME nor XDG_DATA_HOME names a folder";
            let problem = format!("no default, because {reason}; allowed: {STORES}");
            self.mistakes.push((usize::MAX, Mistake { place: "[store] url".to_owned(), problem }));
        }
        let said = loaded.origins.keys().any(|(section, _)| *section != "log");
        loaded.settings.nothing_configured = sources.file.is_none() && !said;
        if loaded.settings.nothing_configured {
            loaded.settings.engine.relay.networks = loopback();
        }
        loaded.settings.engine.queue.window =
            loaded.settings.window.unwrap_or_else(|| loaded.settings.store.window());
        self.check_companions();
        self.check_access_lists();
        self.mistakes.sort_by_key(|(line, _)| *line);
        match self.mistakes.is_empty() {
            true => Ok(self.loaded),
            false => Err(self.mistakes.into_iter().map(|(_, mistake)| mistake).collect()),
        }
    }

    /// What is right alone and wrong together.
    fn check_companions(&mut self) {
        let is_said = |section, name| self.loaded.origins.contains_key(&(section, name));
        let mut wrongs = Vec::new();
        if !matches!(self.loaded.settings.store, StoreUrl::S3 { .. }) && !self.url_is_wrong {
            let problem = "only for S3; allowed: nothing, unless url begins with s3://";
            let said = S3_KEYS.into_iter().filter(|name| is_said("store", name));
            wrongs.extend(said.map(|name| ("store", name, problem.to_owned())));
        }
        for (section, name, other) in COMPANIONS {
            if is_said(section, name) && !is_said(section, other) {
                wrongs.push((section, name, format!("stands without {other}; allowed: both or neither")));
            }
        }
        for (section, name, problem) in wrongs {
            match self.loaded.origins.get(&(section, name)).cloned() {
                Some(Origin::File { name: file, line }) => {
                    self.file_mistake(
                        &file,
                        &format!("[{section}] {name}"),
                        Wrong { line: Some(line), problem },
                    );
                }
                Some(Origin::Variable(variable)) => {
                    self.mistakes.push((usize::MAX, Mistake { place: variable, problem }));
                }
                None => {}
            }
        }
    }

    /// A list that has no rule would let everybody in where somebody meant to keep them out.
    fn check_access_lists(&mut self) {
        let Settings { engine, listeners, .. } = &self.loaded.settings;
        let is_known =
            |list: &&String| engine.policy.access.iter().any(|rule| rule.list.as_ref() == Some(*list));
        let named =
            listeners.iter().filter_map(Listening::mail).flat_map(|listener| &listener.settings.access);
        let unknown: Vec<String> = named.filter(|list| !is_known(list)).cloned().collect();
        let Some(Origin::File { name, line }) = self.loaded.origins.get(&(LISTENER, "")).cloned() else {
            return;
        };
        for list in unknown {
            let problem = format!("{list:?} has no rule; allowed: lists that [[access]] tables name");
            self.file_mistake(&name, "[[listener]] access", Wrong { line: Some(line), problem });
        }
    }

    fn read_file(&mut self, name: &str, text: &str) {
        let lines = Lines(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map_or(1, |span| lines.line_of(span));
            let problem = format!("not TOML: {}", error.message().replace('\n', ", "));
            self.mistakes.push((line, Mistake { place: format!("{name}:{line}"), problem }));
        }
        // What a parser makes of a broken file misleads more than it helps.
        if !errors.is_empty() {
            return;
        }
        for (key, value) in document.get_ref() {
            let section = key.get_ref().as_ref();
            match value.get_ref() {
                _ if section == LISTENER => {
                    self.read_tables(name, &lines, LISTENER, key, |settings, mistake| {
                        settings.listeners = listeners::from_file(&lines, value, mistake);
                    });
                }
                _ if section == ROUTE => {
                    self.read_tables(name, &lines, ROUTE, key, |settings, mistake| {
                        settings.engine.relay.routes = routes::from_file(&lines, value, mistake);
                    });
                }
                _ if section == ACCESS => {
                    self.read_tables(name, &lines, ACCESS, key, |settings, mistake| {
                        settings.engine.policy.access = door::from_file(&lines, value, mistake);
                    });
                }
                DeValue::Table(table) if SECTIONS.contains(&section) => {
                    for (key, value) in table {
                        match (section, key.get_ref().as_ref()) {
                            ("auth", "issuer") => {
                                self.read_tables(name, &lines, ISSUER, key, |settings, mistake| {
                                    settings.issuers = issuers::issuers(&lines, value, mistake);
                                });
                            }
                            ("auth", "introspection") => {
                                self.read_tables(name, &lines, INTROSPECTION, key, |settings, mistake| {
                                    settings.engine.auth.introspection =
                                        issuers::introspection(&lines, value, mistake);
                                });
                            }
                            (TLS, tls::CERTIFICATES) => {
                                self.read_tables(name, &lines, CERTIFICATES, key, |settings, mistake| {
                                    settings.tls.more = tls::from_file(&lines, value, mistake);
                                });
                            }
                            _ => self.read_entry(name, &lines, section, key, value),
                        }
                    }
                }
                DeValue::Table(_) => {
                    let line = lines.line_of(key.span());
                    let lists = [&LISTENER, &ROUTE, &ACCESS];
                    let known = SECTIONS.iter().filter(|known| !known.is_empty()).chain(lists).copied();
                    let problem = format!("not a section of this version; allowed: {}", join(known));
                    self.file_mistake(name, &format!("[{section}]"), Wrong { line: Some(line), problem });
                }
                _ if SECTIONS.contains(&section) => {
                    let wrong =
                        Written::in_file(&lines, value).wrong("is not a table", format!("[{section}]"));
                    self.file_mistake(name, section, wrong);
                }
                _ => self.read_entry(name, &lines, "", key, value),
            }
        }
    }

    fn read_entry(
        &mut self,
        file: &str,
        lines: &Lines<'_>,
        section: &str,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let (name, line) = (key.get_ref().as_ref(), lines.line_of(key.span()));
        let place = if section.is_empty() { name.to_owned() } else { format!("[{section}] {name}") };
        let Some(key) = keys().find(|key| key.section == section && key.name == name) else {
            let known = keys().filter(|key| key.section == section).map(|key| key.name);
            let problem = format!("not a setting of this version; allowed: {}", join(known));
            self.file_mistake(file, &place, Wrong { line: Some(line), problem });
            return;
        };
        match (key.set)(&mut self.loaded.settings, &Written::in_file(lines, value)) {
            Ok(()) => self.came_from(key, Origin::File { name: file.to_owned(), line }),
            Err(wrongs) => {
                self.url_is_wrong |= (key.section, key.name) == URL;
                wrongs.into_iter().for_each(|wrong| self.file_mistake(file, &place, wrong));
            }
        }
    }

    fn read_tables(
        &mut self,
        file: &str,
        lines: &Lines<'_>,
        heading: &'static str,
        key: &Spanned<impl AsRef<str>>,
        read: impl FnOnce(&mut Settings, &mut dyn FnMut(&str, Wrong)),
    ) {
        let mut wrongs = Vec::new();
        read(&mut self.loaded.settings, &mut |field, wrong| {
            wrongs.push((format!("[[{heading}]] {field}").trim_end().to_owned(), wrong));
        });
        for (place, wrong) in wrongs {
            self.file_mistake(file, &place, wrong);
        }
        let origin = Origin::File { name: file.to_owned(), line: lines.line_of(key.span()) };
        self.loaded.origins.insert((heading, ""), origin);
    }

    fn read_variable(&mut self, name: &str, value: &str) {
        let written = Written::in_variable(value);
        let result = if name == listeners::VARIABLE {
            self.loaded.origins.insert((LISTENER, ""), Origin::Variable(name.to_owned()));
            listeners::from_variable(&written).map(|listeners| self.loaded.settings.listeners = listeners)
        } else if name == routes::VARIABLE {
            self.loaded.origins.insert((ROUTE, ""), Origin::Variable(name.to_owned()));
            routes::from_variable(&written).map(|routes| self.loaded.settings.engine.relay.routes = routes)
        } else if let Some(key) = keys().find(|key| key.variable() == name) {
            let result = (key.set)(&mut self.loaded.settings, &written);
            match result {
                Ok(()) => self.came_from(key, Origin::Variable(name.to_owned())),
                Err(_) => self.url_is_wrong |= (key.section, key.name) == URL,
            }
            result
        } else if is_from_an_orchestrator(name) {
            Ok(())
        } else {
            let problem = format!("not a variable of this version; the closest are {}", closest(name));
            Err(Wrong { line: None, problem }.into())
        };
        for wrong in result.err().into_iter().flatten() {
            let mistake = Mistake { place: name.to_owned(), problem: wrong.problem };
            self.mistakes.push((usize::MAX, mistake));
        }
    }

    fn came_from(&mut self, key: &Key, origin: Origin) {
        self.loaded.origins.insert((key.section, key.name), origin);
    }

    fn file_mistake(&mut self, file: &str, setting: &str, wrong: Wrong) {
        let line = wrong.line.unwrap_or_default();
        let place = format!("{file}:{line}: {setting}");
        self.mistakes.push((line, Mistake { place, problem: wrong.problem }));
    }
}

/// The system's node name where it is one that others could know, with a dot; otherwise `localhost`.
fn default_hostname(node_name: &str) -> Domain {
    let known = Domain::parse(node_name).ok().filter(|domain| domain.as_str().contains('.'));
    known.unwrap_or_else(super::localhost)
}

fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].iter().filter_map(|network| network.parse().ok()).collect()
}

/// The variables whose names are most like this one.
fn closest(name: &str) -> String {
    let mut known: Vec<String> = keys().map(Key::variable).collect();
    known.extend([
        listeners::VARIABLE.to_owned(),
        routes::VARIABLE.to_owned(),
        super::sources::FILE_VARIABLE.to_owned(),
    ]);
    known.sort_by_key(|known| strsim::damerau_levenshtein(known, name));
    known.truncate(OFFERED_NAMES);
    known.join(", ")
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
