//! `--expect`: which application should be on the camera, out of the files that people have of it.

use std::path::Path;

use anyhow::Context as _;
use oaktap::device::contract::Contract;
use oaktap::flash::package::Package;

use super::application::AppFile;

/// The contract that a text names: of a package, or the one that it is itself.
pub(crate) fn contract(text: &str) -> Result<Contract, String> {
    let path = Path::new(text);
    let ends = |end: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(end));
    let found = if ends("dap") {
        of_package(path)
    } else if ends("toml") {
        AppFile::read(path).map(|file| file.application.contract())
    } else {
        text.parse().context("neither oaktap.toml nor a package (.dap)")
    };
    found.map_err(|error| format!("{error:#}"))
}

fn of_package(path: &Path) -> anyhow::Result<Contract> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let package = Package::parse(bytes).with_context(|| format!("{} is no application package", path.display()))?;
    let name = package.app_name().unwrap_or_default().into_owned();
    name.parse().with_context(|| {
        format!("{} was not built by oaktap: nothing says what its stream is to look like", path.display())
    })
}
