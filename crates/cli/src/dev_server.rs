//! `tenure dev-server`: the embedded API server on a port of this machine.

use std::{
    fs, io,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
};

use tempfile::{NamedTempFile, TempDir};
use tenure_apiserver::{ApiServer, HttpServer};

use crate::{
    console,
    failure::Failure,
    signals::Signals,
    tasks::{DevServerOptions, directory_of},
};

/// The first line of every kubeconfig that is written here: what bears it may be overwritten.
const MARK: &str = "# Made by `tenure dev-server`; useless once that has ended.\n";

/// Serves until a signal comes.
pub(crate) async fn run(options: DevServerOptions) -> Result<ExitCode, Failure> {
    let mut signals = Signals::catch()?;
    if let Some(file) = &options.kubeconfig_out {
        spare(file)?;
    }
    let (server, http) = start(options.port).await?;
    if options.with_crd {
        install_crd(&server).await?;
    }
    let kubeconfig = Written::write(options.kubeconfig_out, &http)?;
    let file = kubeconfig.path.display();
    console::print(&format!(
        "serving a Kubernetes API on {} (empty, in memory, for this machine only)\n\
         kubeconfig: {file}\n\
         next:       KUBECONFIG={file} kubectl get ns\n\
         \x20           tenure campaign nightly --kubeconfig {file}\n\
         Ctrl-C ends it\n",
        http.url()
    ))?;
    let ending = signals.next().await;
    drop(kubeconfig);
    tokio::select! {
        () = http.shutdown() => {}
        _ = signals.next() => return Ok(ExitCode::from(ending.exit_code)),
    }
    Ok(ExitCode::SUCCESS)
}

/// A server on loopback with a token that nobody can guess.
pub(crate) async fn start(port: u16) -> Result<(ApiServer, HttpServer), Failure> {
    let token = format!("{:032x}", rand::random::<u128>());
    let server = ApiServer::builder()
        .token(token)
        .seed(rand::random())
        .build();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let http = server.serve_http(addr).await.map_err(|error| {
        Failure::failed(format!(
            "cannot listen on {addr}; choose another --port, or leave it out for a free one"
        ))
        .because(error)
    })?;
    Ok((server, http))
}

/// Installs the definition of LeaderLock in a server of this process.
pub(crate) async fn install_crd(server: &ApiServer) -> Result<(), Failure> {
    let client = kube::Client::new(server.service(), "default");
    match tenure::crd::install_crd(&client).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

/// Writes a file so that whoever sees it sees all of it; for the owner's eyes only.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(directory_of(path))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// A kubeconfig that is removed when its server ends.
struct Written {
    path: PathBuf,
    text: String,
    _own_directory: Option<TempDir>,
}

impl Written {
    fn write(wanted: Option<PathBuf>, http: &HttpServer) -> Result<Self, Failure> {
        let text = format!("{MARK}{}", http.kubeconfig());
        let (path, own_directory) = if let Some(path) = wanted {
            (path, None)
        } else {
            let directory = TempDir::with_prefix("tenure-dev-server-").map_err(|error| {
                Failure::failed(
                    "cannot make a temporary directory; name a file with --kubeconfig-out",
                )
                .because(error)
            })?;
            (directory.path().join("kubeconfig"), Some(directory))
        };
        write_whole(&path, &text).map_err(|error| {
            Failure::failed(format!(
                "cannot write the kubeconfig {} ({error}); name another file with --kubeconfig-out",
                path.display()
            ))
            .because(error)
        })?;
        Ok(Self {
            path,
            text,
            _own_directory: own_directory,
        })
    }
}

impl Drop for Written {
    /// Others may have written there since.
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Refuses to overwrite what somebody else wrote: a kubeconfig is easily named by mistake.
fn spare(file: &Path) -> Result<(), Failure> {
    match fs::read(file) {
        Ok(content) if content.is_empty() || content.starts_with(MARK.as_bytes()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(Failure::usage(format!(
            "--kubeconfig-out {} would overwrite a file that is not a dev server's; name another, \
             or remove it",
            file.display()
        ))),
    }
}
