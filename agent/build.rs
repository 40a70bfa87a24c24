//! Builds the BPF object from `agent-ebpf` and hands it to the agent as `$OUT_DIR/vipd-guard`.
//!
//! Own code instead of aya-build, which fixes the compiler flags, so that source paths could not be remapped and two
//! checkouts would give two different objects.

use std::{
    env,
    error::Error,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const TARGET: &str = "bpfel-unknown-none";
const PROGRAM: &str = "vipd-guard";
/// Debian's compiler, which comes with a core library for BPF.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

fn main() -> ExitCode {
    match provide_object() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn provide_object() -> Result<(), Box<dyn Error>> {
    // Asked at run time: checkouts that share a target directory share this program.
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo did not set CARGO_MANIFEST_DIR")?;
    let source = Path::new(&package).join("../agent-ebpf").canonicalize()?;
    let workspace = source.parent().ok_or("agent-ebpf has no parent folder")?;
    for input in [&source, &workspace.join("Cargo.toml"), &workspace.join("Cargo.lock")] {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    println!("cargo::rerun-if-env-changed=VIPD_EBPF_OBJECT");
    println!("cargo::rerun-if-env-changed=PATH");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let object = match env::var_os("VIPD_EBPF_OBJECT") {
        Some(file) => {
            // A relative path is meant as it was typed, at the top of the workspace.
            let file = workspace.join(file);
            println!("cargo::rerun-if-changed={}", file.display());
            file
        }
        None => build(&source, &out.join("ebpf"))?,
    };
    fs::copy(&object, out.join(PROGRAM)).map_err(|error| format!("failed to copy `{}`: {error}", object.display()))?;
    Ok(())
}

/// A compiler and where its core library for BPF comes from.
struct Compiler {
    rustc: PathBuf,
    sysroot: PathBuf,
    builds_core: bool,
}

impl Compiler {
    /// `rustc`, if it can compile for BPF: with rust-src beside it, or with a prebuilt core.
    fn probe(rustc: &Path) -> Option<Self> {
        let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
        let sysroot = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        let rustlib = sysroot.join("lib/rustlib");
        let builds_core = rustlib.join("src/rust/library/core").is_dir();
        let usable = builds_core || rustlib.join(TARGET).join("lib").is_dir();
        usable.then(|| Self { rustc: rustc.into(), sysroot, builds_core })
    }
}

fn build(source: &Path, target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let cargo_rustc = env::var_os("RUSTC").ok_or("cargo did not set RUSTC")?;
    let compiler = [Path::new(&cargo_rustc), Path::new(DEBIAN_RUSTC)].into_iter().find_map(Compiler::probe);
    let (Some(compiler), Some(_)) = (compiler, find_in_path("bpf-linker")) else {
        return Err("no toolchain for BPF: neither this rustc nor Debian's can build core for bpfel-unknown-none, or \
                    bpf-linker is not on PATH. Run `cargo xtask setup`, or name a built object in VIPD_EBPF_OBJECT."
            .into());
    };
    let mut cargo = Command::new(env::var_os("CARGO").ok_or("cargo did not set CARGO")?);
    cargo
        // In the package's own folder: at the top, build-std would also try the default members.
        .current_dir(source)
        .args(["build", "--profile", "guard", "--locked", "--bin", PROGRAM, "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        .env("RUSTC", &compiler.rustc)
        // aya-ebpf and vipd-guard use inline assembly for BPF, which stable does not offer.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&compiler, source)?.join("\x1f"))
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    if compiler.builds_core {
        cargo.args(["-Z", "build-std=core"]);
    }
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!("building {PROGRAM} with {} failed: {status}", compiler.rustc.display()).into());
    }
    Ok(target_dir.join(TARGET).join("guard").join(PROGRAM))
}

/// Debug information for BTF, and no path of this machine in it.
fn flags(compiler: &Compiler, source: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let workspace = source.parent().ok_or("agent-ebpf has no parent folder")?;
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok(vec![
        format!("--cfg=bpf_target_arch=\"{}\"", env::var("CARGO_CFG_TARGET_ARCH")?),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        remap(workspace, "/src"),
        remap(&cargo_home.join("registry/src"), "/cargo"),
        remap(&compiler.sysroot.join("lib/rustlib/src/rust"), "/rust"),
    ])
}

fn find_in_path(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program.as_ref())).find(|file| file.is_file())
}
