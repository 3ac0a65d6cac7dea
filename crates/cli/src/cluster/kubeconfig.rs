//! Kubeconfig files: each is read once, since it may be a pipe, and no further than one can be long.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use kube::config::{Kubeconfig, KubeconfigError};

use crate::failure::Failure;

/// How long a kubeconfig may be.
const MOST_BYTES: u64 = 4 << 20;

/// Which files were asked, as a message names them.
pub(super) struct Files {
    list: Vec<PathBuf>,
    by: By,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Flag,
    Variable,
    /// `~/.kube/config`.
    Home,
}

type Read = Result<Option<Kubeconfig>, Failure>;

/// What these files say, merged as kubectl merges them; nothing where nobody has made any.
pub(super) fn read(named: Option<&Path>) -> (Read, Files) {
    let files = Files::named(named);
    let mut merged: Option<Kubeconfig> = None;
    for file in &files.list {
        let next = match File::open(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && files.by == By::Home => {
                continue;
            }
            opened => opened.map_err(unreadable).and_then(|open| of(open, file)),
        };
        let next = next.and_then(|next| match merged.take() {
            Some(first) => first.merge(next).map_err(Wrong::from),
            None => Ok(next),
        });
        match next {
            Ok(all) => merged = Some(all),
            Err(wrong) => {
                let failure = files.unusable_one(file, &wrong.told);
                let failure = match wrong.cause {
                    Some(cause) => failure.because(cause),
                    None => failure,
                };
                return (Err(failure), files);
            }
        }
    }
    (Ok(merged), files)
}

impl Files {
    fn named(named: Option<&Path>) -> Self {
        if let Some(file) = named {
            return Self {
                list: vec![file.to_owned()],
                by: By::Flag,
            };
        }
        let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let list: Vec<_> = std::env::split_paths(&listed)
            .filter(|file| !file.as_os_str().is_empty())
            .collect();
        if !list.is_empty() {
            return Self {
                list,
                by: By::Variable,
            };
        }
        let home = std::env::home_dir().map(|home| home.join(".kube/config"));
        Self {
            list: home.into_iter().collect(),
            by: By::Home,
        }
    }

    /// On the command line: then nothing else is meant.
    pub(super) fn is_named(&self) -> bool {
        self.by == By::Flag
    }

    /// What to say where the files can be read, and what they say together makes no sense.
    pub(super) fn unusable(&self, why: &str) -> Failure {
        match self.list.as_slice() {
            [file] => self.unusable_one(file, why),
            files => {
                let files: Vec<_> = files
                    .iter()
                    .map(|file| file.display().to_string())
                    .collect();
                self.unusable_as(&format!("kubeconfigs {}", files.join(", ")), why)
            }
        }
    }

    fn unusable_one(&self, file: &Path, why: &str) -> Failure {
        self.unusable_as(&format!("kubeconfig {}", file.display()), why)
    }

    fn unusable_as(&self, what: &str, why: &str) -> Failure {
        let by = if self.by == By::Variable {
            ", which KUBECONFIG names,"
        } else {
            ""
        };
        let why = why.lines().next().unwrap_or_default();
        Failure::failed(format!(
            "the {what}{by} cannot be used ({why}); correct it, or name another with --kubeconfig"
        ))
    }
}

/// What is wrong with a file.
struct Wrong {
    told: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl From<KubeconfigError> for Wrong {
    fn from(error: KubeconfigError) -> Self {
        Self {
            told: error.to_string(),
            cause: Some(error.into()),
        }
    }
}

fn unreadable(error: io::Error) -> Wrong {
    Wrong {
        told: format!("it cannot be read: {error}"),
        cause: Some(error.into()),
    }
}

fn of(open: impl io::Read, file: &Path) -> Result<Kubeconfig, Wrong> {
    let mut bytes = Vec::new();
    open.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let text = if bytes.len() as u64 > MOST_BYTES {
        Err("it is longer than 4 MiB")
    } else {
        decoded(bytes)
    };
    let text = text.map_err(|told| Wrong {
        told: told.to_owned(),
        cause: None,
    })?;
    let mut kubeconfig = Kubeconfig::from_yaml(&text)?;
    if let Some(directory) = file.parent() {
        beside(&mut kubeconfig, directory);
    }
    Ok(kubeconfig)
}

/// UTF-8, or UTF-16 as an editor on Windows writes it.
fn decoded(bytes: Vec<u8>) -> Result<String, &'static str> {
    let utf16 = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let (pairs, left) = rest.as_chunks::<2>();
        if !left.is_empty() {
            return Err("it is UTF-16, and ends within a character");
        }
        let pairs: Vec<u16> = pairs.iter().map(|pair| read(*pair)).collect();
        String::from_utf16(&pairs).map_err(|_| "it is no text, though it begins as UTF-16 does")
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => {
            let text = String::from_utf8(bytes).map_err(|_| "it is no text")?;
            Ok(match text.strip_prefix('\u{feff}') {
                Some(text) => text.to_owned(),
                None => text,
            })
        }
    }
}

/// Files that it names are meant from where it is itself.
fn beside(kubeconfig: &mut Kubeconfig, directory: &Path) {
    let clusters = kubeconfig.clusters.iter_mut();
    let of_clusters = clusters
        .filter_map(|named| named.cluster.as_mut())
        .filter_map(|cluster| cluster.certificate_authority.as_mut());
    let users = kubeconfig.auth_infos.iter_mut();
    let of_users = users
        .filter_map(|named| named.auth_info.as_mut())
        .flat_map(|user| {
            [
                user.client_certificate.as_mut(),
                user.client_key.as_mut(),
                user.token_file.as_mut(),
            ]
        })
        .flatten();
    for file in of_clusters.chain(of_users) {
        if Path::new(file).is_relative()
            && let Some(whole) = directory.join(&*file).to_str()
        {
            whole.clone_into(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(Some(file.path())).0.unwrap_err().message(false)
    }

    #[test]
    fn a_kubeconfig_that_ends_within_a_character_is_refused() {
        for bytes in [&b"\xff\xfea"[..], b"\xfe\xff\0a\0", b"\xff\xfe\0"] {
            let told = told(bytes);
            assert!(told.contains("ends within a character"), "{told}");
        }
        assert!(told(b"\xff\xfe\0\xd8").contains("it is no text"));
        assert!(told(b"a\xff").contains("it is no text"));
    }

    #[test]
    fn it_is_read_in_each_encoding_and_what_it_names_is_beside_it() {
        let yaml = "clusters: [{name: a, cluster: {server: x, certificate-authority: ca.crt}}]\n\
            users: [{name: a, user: {client-certificate: /b, client-key: k, tokenFile: t}}]\n";
        let utf16 = |mark: [u8; 2], write: fn(u16) -> [u8; 2]| {
            let text = yaml.encode_utf16().flat_map(write);
            mark.into_iter().chain(text).collect::<Vec<u8>>()
        };
        for bytes in [
            yaml.as_bytes().to_owned(),
            format!("\u{feff}{yaml}").into_bytes(),
            utf16([0xff, 0xfe], u16::to_le_bytes),
            utf16([0xfe, 0xff], u16::to_be_bytes),
        ] {
            let read = of(bytes.as_slice(), Path::new("/etc/kube/config"));
            let read = read.map_err(|wrong| wrong.told).unwrap();
            let cluster = read.clusters[0].cluster.as_ref().unwrap();
            let ca = cluster.certificate_authority.as_deref();
            assert_eq!(ca, Some("/etc/kube/ca.crt"));
            let user = read.auth_infos[0].auth_info.as_ref().unwrap();
            assert_eq!(user.client_certificate.as_deref(), Some("/b"));
            assert_eq!(user.client_key.as_deref(), Some("/etc/kube/k"));
            assert_eq!(user.token_file.as_deref(), Some("/etc/kube/t"));
        }
    }
}
