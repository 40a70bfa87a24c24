//! The modules of an unpacked kernel, and what they depend on.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process;

/// The modules of one kernel.
pub(super) struct Modules {
    files: BTreeMap<String, PathBuf>,
    /// Names of those that are part of the kernel.
    builtin: Vec<String>,
    busybox: PathBuf,
}

/// A module, uncompressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

/// The folder of the one kernel in `tree`, with everything about its modules.
pub(super) fn release_folder(tree: &Path) -> Result<PathBuf> {
    let places = [tree.join("lib/modules"), tree.join("usr/lib/modules")];
    let mut folders = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    folders.next().map(|entry| entry.path()).with_context(|| format!("no modules in `{}`", tree.display()))
}

impl Modules {
    /// Finds the modules in the packages unpacked into `tree`. `busybox` is what uncompresses them.
    pub(super) fn of(tree: &Path, busybox: &Path) -> Result<Self> {
        let release = release_folder(tree)?;
        let mut modules = Self { files: BTreeMap::new(), builtin: vec![], busybox: busybox.to_owned() };
        modules.collect(&release.join("kernel"))?;
        let builtin = fs::read_to_string(release.join("modules.builtin")).unwrap_or_default();
        modules.builtin = builtin.lines().filter_map(|line| name_of(Path::new(line))).collect();
        Ok(modules)
    }

    fn collect(&mut self, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.collect(&entry.path())?;
            } else if let Some(name) = name_of(&entry.path()) {
                self.files.insert(name, entry.path());
            }
        }
        Ok(())
    }

    /// `wanted` and what they depend on, each after what it depends on.
    pub(super) fn with_dependencies(&self, wanted: &[&str]) -> Result<Vec<Module>> {
        let mut loaded = vec![];
        for name in wanted {
            self.add(name, &mut loaded)?;
        }
        Ok(loaded)
    }

    fn add(&self, name: &str, loaded: &mut Vec<Module>) -> Result<()> {
        let name = name.replace('-', "_");
        if self.builtin.contains(&name) || loaded.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let file = self.files.get(&name).with_context(|| format!("this kernel has no module `{name}`"))?;
        let content = self.read(file)?;
        for dependency in dependencies(&content) {
            self.add(&dependency, loaded)?;
        }
        loaded.push(Module { name, content });
        Ok(())
    }

    fn read(&self, file: &Path) -> Result<Vec<u8>> {
        match file.extension().and_then(OsStr::to_str) {
            Some("ko") => fs::read(file).with_context(|| format!("failed to read `{}`", file.display())),
            Some("xz") => self.uncompress("xzcat", file),
            Some("gz") => self.uncompress("zcat", file),
            _ => bail!("`{}` is compressed in a way that is not known here", file.display()),
        }
    }

    fn uncompress(&self, applet: &str, file: &Path) -> Result<Vec<u8>> {
        let mut command = Command::new(&self.busybox);
        let output = command.arg(applet).arg(file).output();
        let output = output.with_context(|| format!("failed to start `{}`", process::shown(&command)))?;
        if !output.status.success() {
            bail!("`{}` failed: {}", process::shown(&command), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output.stdout)
    }
}

/// The name of the module in `file`; `None` where there is none in it.
fn name_of(file: &Path) -> Option<String> {
    let (name, compression) = file.file_name()?.to_str()?.split_once(".ko")?;
    (compression.is_empty() || compression.starts_with('.')).then(|| name.replace('-', "_"))
}

/// The names in the module's own list, which stands in it as text between zeros.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return vec![] };
    let list = module[at + KEY.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(list).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    fn names(modules: &[Module]) -> Vec<&str> {
        modules.iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let tree = env::temp_dir().join(format!("vipd-xtask-modules-{}", process::id()));
        let kernel = tree.join("lib/modules/6.1.0/kernel");
        fs::create_dir_all(kernel.join("net")).unwrap();
        let files = [
            ("net/8021q.ko", "ELF\0depends=mrp,garp\0vermagic=x\0"),
            ("net/garp.ko", "ELF\0depends=stp-llc\0"),
            ("mrp.ko", "ELF\0depends=\0"),
            ("stp_llc.ko", "ELF\0depends=part\0"),
            ("modules.order", "no module"),
        ];
        for (name, content) in files {
            fs::write(kernel.join(name), content).unwrap();
        }
        fs::write(tree.join("lib/modules/6.1.0/modules.builtin"), "kernel/lib/part.ko\n").unwrap();

        let modules = Modules::of(&tree, Path::new("busybox")).unwrap();
        let loaded = modules.with_dependencies(&["8021q", "garp"]);
        let missing = modules.with_dependencies(&["veth"]);
        fs::remove_dir_all(&tree).unwrap();
        assert_eq!(names(&loaded.unwrap()), ["mrp", "stp_llc", "garp", "8021q"]);
        assert_eq!(missing.unwrap_err().to_string(), "this kernel has no module `veth`");
    }

    #[test]
    fn a_module_is_known_by_its_name_however_it_is_compressed() {
        let cases = [
            ("a/veth.ko", Some("veth")),
            ("cls-bpf.ko.xz", Some("cls_bpf")),
            ("x.ko.zst", Some("x")),
            ("modules.dep", None),
            ("x.kopy", None),
        ];
        for (file, expected) in cases {
            assert_eq!(name_of(Path::new(file)).as_deref(), expected, "{file}");
        }
    }
}
