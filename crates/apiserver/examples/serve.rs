//! Serves an empty cluster on loopback, and prints how to reach it.
//!
//! ```console
//! $ cargo run -p tenure-apiserver --example serve -- 127.0.0.1:0 kubeconfig.yaml
//! ```
//! The first argument is the address, the second the file for the kubeconfig; both may be left
//! out. It ends when its standard input does, or with the interrupt key.

use std::error::Error;
use std::io::Read as _;

use tenure_apiserver::ApiServer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let addr = args
        .next()
        .unwrap_or_else(|| "127.0.0.1:0".to_owned())
        .parse()?;
    let server = ApiServer::new();
    let http = server.serve_http(addr).await?;
    match args.next() {
        Some(file) => {
            std::fs::write(&file, http.kubeconfig())?;
            println!(
                "serving on {}; try: kubectl --kubeconfig {file} get ns",
                http.url()
            );
        }
        None => print!("{}", http.kubeconfig()),
    }
    // Standard input is read on a thread of its own: it knows no other way of waiting.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    http.shutdown().await;
    Ok(())
}
