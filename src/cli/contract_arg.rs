//! `--expect`: which application should be on the camera, out of the files that people have of it.

use std::path::Path;

use anyhow::Context as _;
use oaktap::device::contract::Contract;
use oaktap::package::Package;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_file_is_enough_without_the_model() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("oaktap.toml");
        let text = "[application]\nname = \"door\"\nsize = \"416x416\"\nfps = 12.5\n\
                    [application.model]\nblob = \"elsewhere.blob\"\nfit = \"letterbox\"\nlabels = [\"person\"]\n";
        std::fs::write(&path, text).expect("it can be written");
        let found = contract(path.to_str().expect("UTF-8")).expect("it is one");
        let hash = Contract::labels_hash(&["person"]).expect("a label");
        assert_eq!(found.to_string(), format!("door oaktap/1 416x416 BGR888p 12.5 {hash:08x} :5000"));
        std::fs::write(&path, "[application]\nsise = \"1x1\"\n").expect("it can be written");
        let error = contract(path.to_str().expect("UTF-8")).expect_err("no such line");
        assert!(error.contains("oaktap.toml cannot be understood"), "{error}");
        let error = contract("nowhere.dap").expect_err("it is not there");
        assert!(error.contains("nowhere.dap cannot be read"), "{error}");
    }
}
