//! Completions and manual pages, made of the command line itself.

use std::{path::Path, process::ExitCode};

use clap::CommandFactory as _;
use clap_complete::shells;

use super::args::Shell;
use crate::{args::CommandLine, config, console, failure::Failure};

pub(crate) fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut command = CommandLine::command();
    let mut text = Vec::new();
    match shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut command, "tenure", &mut text),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, "tenure", &mut text),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut command, "tenure", &mut text),
    }
    console::print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(directory: Option<&Path>) -> Result<ExitCode, Failure> {
    let command = config::pages();
    let Some(directory) = directory else {
        let page = page(command)?;
        console::print(&String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::SUCCESS);
    };
    clap_mangen::generate_to(command, directory).map_err(|error| {
        Failure::failed(format!(
            "cannot write pages into {}; check the directory, and whether there is room",
            directory.display()
        ))
        .because(error)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| {
            Failure::failed("the manual page cannot be made; see --help").because(error)
        })?;
    Ok(page)
}
