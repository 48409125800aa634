//! What an `imalab` carries of its checkout: scenarios and kernels (see `src/carried.rs`), and in a build for release the
//! guest's image, so that it works where there is no checkout.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let variable = |name: &str| env::var_os(name).with_context(|| format!("{name} is not set"));
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    for folder in ["scenarios", "kernel-config"] {
        println!("cargo::rerun-if-changed={}", here.join(folder).display());
    }
    // A developer's build takes the image that `cargo xtask` builds; to build it here too would double what a change costs.
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let image = if release { image(&here.join(".."), &out)? } else { Vec::new() };
    fs::write(out.join("initramfs.cpio"), image).context("cannot write the image")
}

/// Builds the guest's programs of the checkout at `root`, and the image around them; nothing where there is no checkout.
fn image(root: &Path, out: &Path) -> Result<Vec<u8>> {
    let parts =
        ["Cargo.lock", "images/agent", "images/wire", "images/logkeeper", "images/logview", "harness/ima"];
    for part in parts {
        let path = root.join(part);
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.exists() {
            println!(
                "cargo::warning=there is no {}: this imalab carries no image for guests",
                path.display()
            );
            return Ok(Vec::new());
        }
    }
    let root = root.canonicalize().context("the checkout is gone")?;
    let target = out.join("guest");
    let agent = program(&root, &target, (imalab_image::AGENT, imalab_image::AGENT))?;
    let programs = imalab_image::PROGRAMS
        .iter()
        .map(|(package, name)| Ok((*name, program(&root, &target, (package, name))?)));
    imalab_image::guest(&agent, &programs.collect::<Result<Vec<_>>>()?)
}

/// Builds a static program of the guest.
fn program(root: &Path, target: &Path, (package, name): (&str, &str)) -> Result<Vec<u8>> {
    let cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let mut build = imalab_image::static_build(cargo, root, target, package);
    // cargo says these of the crate that it builds now, and the agent is another.
    for name in
        ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_LINKER", "TARGET", "HOST", "PROFILE"]
    {
        build.env_remove(name);
    }
    let status = build.args(["--locked", "--quiet"]).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{name}, a program of the guest, does not build");
    }
    let program = target.join(imalab_image::TARGET).join(imalab_image::PROFILE).join(name);
    fs::read(&program).with_context(|| format!("cannot read {}", program.display()))
}
