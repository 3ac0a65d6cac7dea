//! Who is answered: by token, by `Host` and by `Origin`.
//!
//! A browser on this machine reaches loopback too, and a page that it shows may send it there. Such
//! a page sends `Origin` with every POST; and where its name was pointed at 127.0.0.1 (DNS
//! rebinding), that name stands in `Host`.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::http::{HeaderMap, Method, StatusCode, Uri, header, uri::Authority};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use super::answer::Refusal;
use crate::failure::Failure;

/// What is asked of whoever asks.
#[derive(Debug)]
pub(super) struct Security {
    listen: IpAddr,
    hosts: Vec<String>,
    token: Option<TokenFile>,
}

/// A token in a file that may change.
#[derive(Debug)]
struct TokenFile(watch::Receiver<Read>);

/// The token, or why there is none.
type Read = Result<Arc<str>, String>;

/// How often the file is read.
const LOOK: Duration = Duration::from_secs(1);
#[cfg(unix)]
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
const LEAST_TOKEN: usize = 16;
const MOST_TOKEN: usize = 4096;

/// Answered to whoever asks: the kubelet has no token. Nothing but yes or no is told there.
pub(super) const PROBES: [&str; 2] = ["/healthz", "/readyz"];

impl Security {
    /// Reads the token file, and goes on reading it in a task that ends with this.
    pub(super) fn new(
        listen: IpAddr,
        hosts: Vec<String>,
        token_file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            listen,
            hosts,
            token: token_file.map(TokenFile::follow).transpose()?,
        })
    }

    pub(super) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        if PROBES.contains(&uri.path()) {
            return Ok(());
        }
        if let Some(token) = &self.token {
            token.check(headers)?;
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD);
        if changes && headers.contains_key(header::ORIGIN) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the request has an Origin: a page in a browser sent it",
                "send it from a program",
            ));
        }
        // Who has the token is no browser that was led here by a name.
        if changes || self.token.is_none() {
            self.check_host(uri, headers)?;
        }
        Ok(())
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let known = |host: &str| {
            let host: Option<Authority> = host.parse().ok();
            host.is_some_and(|host| self.knows(host.host()))
        };
        let in_uri = uri.authority().is_none_or(|host| self.knows(host.host()));
        if hosts.next().is_none() && host.is_some_and(known) && in_uri {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "the request's Host is none of this sidecar's names",
            "ask for 127.0.0.1 or localhost, or start the sidecar with --allow-host NAME",
        ))
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        if let Some(ip) = address_of(&host) {
            // Where it listens on every address nobody can say which is its own; a page whose own
            // name is an address was not led here.
            return ip.is_loopback()
                || ip == self.listen
                || self.listen.is_unspecified()
                || self.hosts.contains(&ip.to_string());
        }
        host == "localhost" || self.hosts.contains(&host)
    }
}

/// The address that a `Host` header names, if it names one.
pub(super) fn address_of(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok()
}

impl TokenFile {
    fn follow(path: PathBuf) -> Result<Self, Failure> {
        let first = read(&path)
            .map_err(|why| Failure::failed(format!("--token-file {}: {why}", path.display())))?;
        let (sender, receiver) = watch::channel(Ok(first));
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
                let path = path.clone();
                let Ok(read) = tokio::task::spawn_blocking(move || read(&path)).await else {
                    continue;
                };
                sender.send_if_modified(|token| {
                    let changed = *token != read;
                    if changed {
                        match &read {
                            Ok(_) => tracing::info!(target: "tenure", "the token file has changed"),
                            Err(why) => tracing::warn!(target: "tenure", why, "nobody is answered: the token file cannot be used"),
                        }
                        *token = read;
                    }
                    changed
                });
            }
        });
        Ok(Self(receiver))
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = self.0.borrow().clone();
        let Ok(token) = token else {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the sidecar's token file cannot be used any more, so nobody is answered",
                "put the file that --token-file names right; it is read again every second",
            ));
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, given)| given.trim());
        let right = |given: &str| bool::from(given.as_bytes().ct_eq(token.as_bytes()));
        if given.is_some_and(right) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "the request has no token, or not the right one",
            "send `Authorization: Bearer TOKEN` with the token in the file that --token-file names",
        ))
    }
}

/// The token in a file, or what is wrong with it and what to do.
fn read(path: &std::path::Path) -> Read {
    use std::io::Read as _;
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    // A pipe that nobody writes to would be waited for.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, NONBLOCK);
    let file = options
        .open(path)
        .map_err(|error| format!("cannot be read ({error}); name a file that holds the token"))?;
    let about = file
        .metadata()
        .map_err(|error| format!("cannot be looked at ({error}); name another"))?;
    if !about.is_file() {
        return Err("is no file; name a file that holds the token".to_owned());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if about.permissions().mode() & 0o002 != 0 {
            return Err("may be written by everybody; take that right away (chmod o-w)".to_owned());
        }
    }
    let mut text = String::new();
    file.take(MOST_TOKEN as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read as text ({error}); name another"))?;
    if text.len() > MOST_TOKEN {
        return Err(format!(
            "is longer than {MOST_TOKEN} bytes; name a file that holds a token"
        ));
    }
    let token = text.trim();
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < LEAST_TOKEN || !plain {
        return Err(format!(
            "holds no token: it has to be one line of at least {LEAST_TOKEN} characters without \
             spaces, such as `openssl rand -hex 16` prints"
        ));
    }
    Ok(token.into())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn on(listen: &str, hosts: &[&str]) -> Security {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        Security::new(listen.parse().unwrap(), hosts, None).unwrap()
    }

    fn asks(security: &Security, method: &Method, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let uri = Uri::from_static("/v1/step-down");
        security.check(method, &uri, &map).is_ok()
    }

    #[test]
    fn a_name_that_was_pointed_at_loopback_is_refused() {
        let security = on("127.0.0.1", &["side.local"]);
        for good in [
            "localhost",
            "LOCALHOST:4040",
            "127.0.0.1",
            "127.0.0.1:4040",
            "127.8.8.8",
            "[::1]:4040",
            "side.local:1",
        ] {
            assert!(asks(&security, &Method::POST, &[("host", good)]), "{good}");
            assert!(asks(&security, &Method::GET, &[("host", good)]), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "",
            "a@localhost.b",
            "[::2]",
            "localhost:4040, evil",
        ] {
            assert!(!asks(&security, &Method::POST, &[("host", bad)]), "{bad}");
            assert!(!asks(&security, &Method::GET, &[("host", bad)]), "{bad}");
        }
        assert!(!asks(&security, &Method::POST, &[]));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert!(!asks(&security, &Method::POST, &twice));
    }

    #[test]
    fn an_address_is_allowed_as_a_name_is() {
        let security = on("127.0.0.1", &["10.0.0.5", "2001:db8::5"]);
        for good in ["10.0.0.5", "10.0.0.5:4040", "[2001:db8:0::5]:4040"] {
            assert!(asks(&security, &Method::POST, &[("host", good)]), "{good}");
        }
        for bad in ["10.0.0.6", "[2001:db8::6]"] {
            assert!(!asks(&security, &Method::POST, &[("host", bad)]), "{bad}");
        }
    }

    #[test]
    fn a_page_in_a_browser_changes_nothing() {
        let security = on("127.0.0.1", &[]);
        for origin in ["http://127.0.0.1:4040", "null", "https://evil.example"] {
            let headers = [("host", "localhost"), ("origin", origin)];
            assert!(!asks(&security, &Method::POST, &headers), "{origin}");
        }
    }

    #[test]
    fn the_own_address_is_a_name_and_so_is_any_where_it_listens_on_all() {
        assert!(asks(
            &on("10.0.0.1", &[]),
            &Method::GET,
            &[("host", "10.0.0.1")]
        ));
        assert!(!asks(
            &on("10.0.0.1", &[]),
            &Method::GET,
            &[("host", "10.0.0.2")]
        ));
        assert!(asks(
            &on("0.0.0.0", &[]),
            &Method::GET,
            &[("host", "10.0.0.2")]
        ));
        assert!(!asks(&on("0.0.0.0", &[]), &Method::GET, &[("host", "a.b")]));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_holds_no_token_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let told = |path: &std::path::Path| read(path).unwrap_err();
        assert!(told(&path).contains("cannot be read"));
        assert!(told(directory.path()).contains("is no file"));
        let pipe = directory.path().join("pipe");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
        assert!(told(&pipe).contains("is no file"), "and is not waited for");
        for bad in [
            "",
            "short",
            "\n\n",
            "sixteen characters with spaces",
            "ünïcödé-ünïcödé-ünïcödé",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(told(&path).contains("openssl rand"), "{bad}");
        }
        std::fs::write(&path, "a".repeat(5000)).unwrap();
        assert!(told(&path).contains("longer than"));
        std::fs::write(&path, b"\xff\xfe0123456789abcdef").unwrap();
        assert!(told(&path).contains("as text"));
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        assert_eq!(read(&path).unwrap(), "0123456789abcdef".into());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(told(&path).contains("chmod o-w"));
    }
}
