//! What a cluster has to be given before candidates can stand in it.

use std::process::ExitCode;

use tenure::{
    crd::{self, Installed},
    rbac::Rights,
};

use crate::{
    cluster::{self, ClusterChoice},
    console,
    failure::Failure,
};

/// `tenure rbac`.
pub(crate) fn rbac(rights: &Rights) -> Result<ExitCode, Failure> {
    console::print(&rights.yaml())?;
    Ok(ExitCode::SUCCESS)
}

/// `tenure crd`.
pub(crate) async fn crd(install: Option<ClusterChoice>) -> Result<ExitCode, Failure> {
    let Some(choice) = install else {
        console::print(&crd::crd_yaml())?;
        return Ok(ExitCode::SUCCESS);
    };
    let client = cluster::client(choice.config().await?).await?;
    let told = match crd::install_crd(&client).await {
        Ok(Installed::Created) => "LeaderLock was installed, and is served now\n",
        Ok(Installed::AlreadyThere) => "LeaderLock was there already; nothing was changed\n",
        Err(error) => return Err(Failure::failed(error.to_string())),
    };
    console::print(told)?;
    Ok(ExitCode::SUCCESS)
}
