//! The command line of `tenure sidecar` as it is typed, and what it means.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

use super::security;
use crate::{
    failure::Failure,
    names,
    standing::{self, StandArgs, StandOptions},
};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SidecarArgs {
    #[command(flatten)]
    stand: StandArgs,

    /// Where to answer: a loopback address; any other needs --token-file
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4040")]
    http: String,

    /// Also answer /healthz and /readyz there, and nothing else, to whoever asks: for the kubelet's
    /// probes, which do not reach loopback
    #[arg(long, value_name = "IP:PORT")]
    probes: Option<String>,

    /// Answer only who sends the token in this file: `Authorization: Bearer TOKEN`. It is read again
    /// when it has changed
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// A name or an address by which others reach this one, as in their `Host` header; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    allow_host: Vec<String>,
}

/// What is to be led, and how it is told.
#[derive(Debug)]
pub(crate) struct SidecarOptions {
    pub(crate) stand: StandOptions,
    pub(crate) listen: SocketAddr,
    /// Where nothing but probes is answered.
    pub(crate) probes: Option<SocketAddr>,
    pub(crate) token_file: Option<PathBuf>,
    /// Names in lower case, and addresses.
    pub(crate) hosts: Vec<String>,
    /// The longest that an answer holds.
    pub(crate) answer_limit: Duration,
}

pub(crate) fn check(args: SidecarArgs) -> Result<SidecarOptions, Failure> {
    let listen = address("--http", &args.http)?;
    let probes = args.probes.map(|text| address("--probes", &text));
    if !listen.ip().is_loopback() && args.token_file.is_none() {
        return Err(Failure::usage(format!(
            "--http {listen} can be reached from other machines, and whoever reaches it could make \
             this leader step down: give --token-file FILE too, or take 127.0.0.1:{}",
            listen.port()
        )));
    }
    let hosts = args.allow_host.iter().map(|host| host_name(host));
    let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
    let stand = standing::check(args.stand)?;
    let grace = stand.grace;
    let answer_limit = grace.saturating_sub((grace / MARGIN_SHARE).min(MOST_MARGIN));
    if answer_limit < LEAST_ANSWER {
        return Err(Failure::usage(format!(
            "with a grace of {grace:?} an answer would hold for {answer_limit:?}, which is too short \
             to act by; give a longer --grace or --lease-duration"
        )));
    }
    Ok(SidecarOptions {
        stand,
        listen,
        probes: probes.transpose()?,
        token_file: args.token_file,
        hosts,
        answer_limit,
    })
}

/// A name in lower case, or an address as it is written without a choice.
fn host_name(typed: &str) -> Result<String, Failure> {
    let host = typed.trim().to_ascii_lowercase();
    if let Some(address) = security::address_of(&host) {
        return Ok(address.to_string());
    }
    names::subdomain("host", &host)?;
    Ok(host)
}

/// What is kept of the grace, as `tenure run` keeps it: the work has to be over before the grace is.
const MARGIN_SHARE: u32 = 4;
const MOST_MARGIN: Duration = Duration::from_secs(1);
const LEAST_ANSWER: Duration = Duration::from_millis(10);

fn address(flag: &str, text: &str) -> Result<SocketAddr, Failure> {
    let local = text
        .strip_prefix("localhost:")
        .and_then(|port| port.parse().ok())
        .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    local.or_else(|| text.parse().ok()).ok_or_else(|| {
        Failure::usage(format!(
            "{flag} {text:?} is no address: give an IP address and a port, such as 127.0.0.1:4040 or \
             [::1]:4040"
        ))
    })
}

const EXAMPLES: &str = "\
Examples:
  tenure sidecar nightly                         then: curl -f http://127.0.0.1:4040/leader
  tenure sidecar nightly --http 127.0.0.1:0      on a free port, which the first line tells
  tenure sidecar nightly --probes 0.0.0.0:4041   the kubelet may ask there whether it is healthy
  tenure sidecar nightly --http 0.0.0.0:4040 --token-file /etc/tenure/token

An answer that says \"leading\" holds for valid_for_ms, counted from before the question was sent; the
lock is not given up before then. SIGTERM or Ctrl-C releases it and ends with 0; a second one ends at
once.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_in_one_spelling() {
        for (typed, read) in [
            ("Side.Local", "side.local"),
            ("10.0.0.5", "10.0.0.5"),
            ("[2001:DB8:0::5]", "2001:db8::5"),
            ("2001:db8::5", "2001:db8::5"),
        ] {
            assert_eq!(host_name(typed).unwrap(), read);
        }
        for bad in ["", "a_b", "10.0.0.5:4040", "http://a"] {
            assert!(host_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_read_and_others_are_refused_with_what_to_give() {
        for (text, read) in [
            ("127.0.0.1:4040", "127.0.0.1:4040"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("0.0.0.0:1", "0.0.0.0:1"),
        ] {
            assert_eq!(address("--http", text).unwrap().to_string(), read);
        }
        for bad in [
            "",
            "4040",
            ":4040",
            "localhost",
            "a:1",
            "127.0.0.1",
            "127.0.0.1:65536",
            "::1:4040",
            "http://127.0.0.1:1",
        ] {
            let told = address("--http", bad).unwrap_err().message(false);
            assert!(told.contains("such as 127.0.0.1:4040"), "{bad}: {told}");
        }
    }
}
