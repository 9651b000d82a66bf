//! The APPLICATION argument of `--expect`.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Context as _;
use oaktap::device::contract::Contract;
use oaktap::package::Package;

use super::application::ConfigFile;

/// Parses a contract, or reads it from an application package (`.dap`) or a configuration file (`.toml`).
pub(crate) fn contract(word: &OsStr) -> Result<Contract, String> {
    let path = Path::new(word);
    let ends = |end: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(end));
    let found = if ends("dap") {
        of_package(path)
    } else if ends("toml") {
        ConfigFile::read(path).map(|file| file.application.contract())
    } else {
        word.to_string_lossy().parse().context("expected oaktap.toml, a package (.dap) or a contract")
    };
    found.map_err(|error| format!("{error:#}"))
}

fn of_package(path: &Path) -> anyhow::Result<Contract> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let package = Package::parse(bytes).with_context(|| format!("cannot use {}", path.display()))?;
    let name = package.app_name().unwrap_or_default().into_owned();
    name.parse()
        .with_context(|| format!("{} was not built by oaktap, so it has no contract for its stream", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_needs_the_configuration_file_but_not_the_model() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("oaktap.toml");
        let text = "[application]\nname = \"door\"\nsize = \"416x416\"\nfps = 12.5\n\
                    [application.model]\nblob = \"elsewhere.blob\"\nfit = \"letterbox\"\nlabels = [\"person\"]\n";
        std::fs::write(&path, text).expect("writable folder");
        let found = contract(path.as_os_str()).expect("valid file");
        let hash = Contract::labels_hash(&["person"]).expect("valid label");
        assert_eq!(found.to_string(), format!("door oaktap/1 416x416 BGR888p 12.5 {hash:08x} :5000"));
        std::fs::write(&path, "[application]\nsise = \"1x1\"\n").expect("writable folder");
        let error = contract(path.as_os_str()).expect_err("unknown key");
        assert!(error.contains("cannot parse"), "{error}");
        let error = contract(OsStr::new("nowhere.dap")).expect_err("missing file");
        assert!(error.contains("cannot read nowhere.dap"), "{error}");
    }
}
