//! One profile of the files that the AWS tools share, `~/.aws/credentials` and `~/.aws/config`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::OpenError;
use super::environment::Environment;

/// Octets of a profile file; larger ones are refused.
const FILE_LIMIT: u64 = 1 << 20;

/// Where a profile is.
#[derive(Clone, Debug)]
pub(super) struct ProfileFiles {
    credentials: Option<PathBuf>,
    config: Option<PathBuf>,
    name: String,
    /// Whether somebody asked for this profile, so that it must be there.
    is_named: bool,
}

/// The settings of one profile. Those of the credentials file go before those of the config file.
#[derive(Clone, Default)]
pub(super) struct Profile(BTreeMap<String, String>);

impl ProfileFiles {
    /// The profile that was asked for, by `name` or the environment, or else `default`.
    pub(super) fn new(name: Option<&str>, environment: &Environment) -> Self {
        let name = name.or_else(|| environment.get("AWS_PROFILE"));
        Self {
            credentials: environment.file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
            config: environment.file("AWS_CONFIG_FILE", ".aws/config"),
            name: name.unwrap_or("default").into(),
            is_named: name.is_some(),
        }
    }

    /// Reads the files. Blocks for a moment.
    pub(super) fn read(&self) -> Result<Profile, OpenError> {
        let read = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(String::new()), read);
        let profile = Profile::parse(&read(&self.config)?, &read(&self.credentials)?, &self.name);
        if self.is_named && profile.0.is_empty() {
            return Err(OpenError(format!("there is no profile {:?}", self.name)));
        }
        Ok(profile)
    }
}

impl Profile {
    /// The profile of this name in the content of the two files.
    pub(super) fn parse(config: &str, credentials: &str, name: &str) -> Self {
        let mut settings = BTreeMap::new();
        collect(config, |section| is_profile(section, name), &mut settings);
        collect(credentials, |section| section == name, &mut settings);
        Self(settings)
    }

    /// A setting that is there and not empty.
    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        self.0.get(setting).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A file's content; empty where there is no file.
fn read(path: &Path) -> Result<String, OpenError> {
    let failed = |reason: String| OpenError(format!("cannot read {}: {reason}", path.display()));
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(failed(error.to_string())),
        Ok(found) if found.len() > FILE_LIMIT => return Err(failed("too long".into())),
        Ok(_) => {}
    }
    fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

/// The config file says `[profile NAME]`, but `[default]`.
fn is_profile(section: &str, name: &str) -> bool {
    let named = section.strip_prefix("profile").filter(|rest| rest.starts_with(char::is_whitespace));
    match named {
        Some(rest) => rest.trim() == name,
        None => section == "default" && name == "default",
    }
}

/// Adds the settings of the wanted sections. Lines that begin with white space belong to a nested setting, of which
/// none concerns us.
fn collect(content: &str, is_wanted: impl Fn(&str) -> bool, settings: &mut BTreeMap<String, String>) {
    let mut is_inside = false;
    for line in content.lines() {
        if let Some(section) = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            is_inside = is_wanted(section.0.trim());
        } else if is_inside
            && !line.starts_with(|character: char| character.is_whitespace() || "#;".contains(character))
            && let Some((name, value)) = line.split_once('=')
        {
            settings.insert(name.trim().to_ascii_lowercase(), without_comment(value).trim().into());
        }
    }
}

/// A comment after a value begins with white space.
fn without_comment(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark)).min();
    &value[..end.unwrap_or(value.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "
# Keys
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key=se=cr#et

[mail]
AWS_ACCESS_KEY_ID = AKIAMAIL ; rotated
aws_secret_access_key = secret
aws_session_token = token
";
    const CONFIG: &str = "
[default]
region = eu-west-1
s3 =
  endpoint_url = http://nested
[profile mail]
region = eu-west-2
endpoint_url = http://127.0.0.1:9000
aws_access_key_id = older
[mail]
region = not a profile here
[services mail]
region = neither
";

    #[test]
    fn a_profile_is_what_both_files_say_of_it() {
        for (name, setting, value) in [
            ("default", "aws_access_key_id", Some("AKIADEFAULT")),
            ("default", "aws_secret_access_key", Some("se=cr#et")),
            ("default", "aws_session_token", None),
            ("default", "region", Some("eu-west-1")),
            ("default", "endpoint_url", None),
            ("mail", "aws_access_key_id", Some("AKIAMAIL")),
            ("mail", "aws_session_token", Some("token")),
            ("mail", "region", Some("eu-west-2")),
            ("mail", "endpoint_url", Some("http://127.0.0.1:9000")),
            ("other", "region", None),
        ] {
            assert_eq!(Profile::parse(CONFIG, CREDENTIALS, name).get(setting), value, "{name} {setting}");
        }
    }

    #[test]
    fn a_profile_must_exist_only_if_somebody_asked_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        fs::write(&file, CREDENTIALS).unwrap();
        let missing = folder.path().join("missing").display().to_string();
        let file = file.display().to_string();
        let read = |name, variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            ProfileFiles::new(name, &variables.collect()).read()
        };
        let none = [("AWS_SHARED_CREDENTIALS_FILE", &missing[..]), ("AWS_CONFIG_FILE", &missing)];
        let some = [("AWS_SHARED_CREDENTIALS_FILE", &file[..]), ("AWS_PROFILE", "mail")];
        assert!(read(None, &[]).unwrap().0.is_empty());
        assert!(read(None, &none).unwrap().0.is_empty());
        assert_eq!(read(None, &some).unwrap().get("aws_access_key_id"), Some("AKIAMAIL"));
        assert_eq!(read(Some("default"), &some).unwrap().get("aws_access_key_id"), Some("AKIADEFAULT"));
        assert!(read(Some("default"), &none).is_err());
        assert!(read(Some("other"), &some).is_err());
    }
}
