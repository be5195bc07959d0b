//! Container images from programs that were built here, without network and without a builder stage.
//!
//! Always: the stages are those of the Dockerfile; where it copies from its builder stage, a staged folder is copied from.
//! Not here: what is in an image (`Dockerfile`), whether it keeps its promises (`testkit/e2e`).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::steps;

/// Targets of the Dockerfile, and the program in each.
const IMAGES: [(&str, &str); 3] =
    [("gateway", "novagate-gateway"), ("control", "novagate-control"), ("demo", "novagate")];
/// What a published image may weigh.
const MOST_BYTES: u64 = 20 * 1024 * 1024;

/// How the programs in the images are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// As they are published.
    Dist,
    /// Quickly, as tests need them.
    Ci,
}

/// Images of one tag; they are removed with the value.
pub(crate) struct TemporaryImages {
    tag: String,
}

/// Builds all images with a tag and says how large they are.
pub(crate) fn build(profile: Profile, tag: &str) -> Result<()> {
    if !has_docker() {
        bail!("no Docker daemon answers `docker version`");
    }
    let context = stage(profile)?;
    for (target, program) in IMAGES {
        let name = format!("novagate-{target}:{tag}");
        let mut command = Command::new("docker");
        // The build's own builder would ask a registry for its frontend.
        command.args(["build", "--quiet", "--target", target, "--tag", &name]).arg(&context).stdout(Stdio::null());
        steps::run(&format!("image {name}"), command)?;
        let bytes = size(&name)?;
        eprintln!("   {name}: {}.{:02} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 100) >> 20);
        if profile == Profile::Dist && program != "novagate" && bytes > MOST_BYTES {
            bail!("{name} weighs {bytes} bytes, at most {MOST_BYTES} are promised");
        }
    }
    Ok(())
}

/// Whether a test that this filter leaves in needs images.
pub(crate) fn are_wanted(filter: &[String]) -> bool {
    let tests = "images::promise_i1_";
    filter.is_empty() || filter.iter().any(|part| tests.contains(part.as_str()) || part.contains("promise_i1_"))
}

/// Images for one run of tests or benchmarks; none, said loudly, where Docker is missing.
pub(crate) fn temporary(profile: Profile) -> Result<Option<TemporaryImages>> {
    if !has_docker() {
        eprintln!("-- images: no Docker daemon answers; what needs images is left out");
        return Ok(None);
    }
    let images = TemporaryImages { tag: format!("run-{}", std::process::id()) };
    build(profile, &images.tag)?;
    Ok(Some(images))
}

impl TemporaryImages {
    /// Tells a program of the testkit of them.
    pub(crate) fn tell(images: Option<&Self>, command: &mut Command) {
        command.env("NOVAGATE_TEST_IMAGES", images.map_or("", |images| &images.tag));
    }
}

impl Drop for TemporaryImages {
    fn drop(&mut self) {
        let names = IMAGES.map(|(target, _)| format!("novagate-{target}:{}", self.tag));
        let removed =
            Command::new("docker").args(["image", "rm", "--force"]).args(names).stdout(Stdio::null()).status();
        if !removed.is_ok_and(|status| status.success()) {
            eprintln!("the images with tag {} could not be removed", self.tag);
        }
    }
}

fn has_docker() -> bool {
    let probe = Command::new("docker").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

/// A folder with everything that `docker build` needs: static programs, the empty data directory, the stages.
fn stage(profile: Profile) -> Result<PathBuf> {
    let programs = IMAGES.map(|(_, program)| program);
    let built = match profile {
        Profile::Dist => steps::dist(&programs)?,
        Profile::Ci => steps::programs()?,
    };
    let context = steps::target_folder().join("images");
    if context.exists() {
        fs::remove_dir_all(&context).context("the staged folder cannot be emptied")?;
    }
    let out = context.join("out");
    fs::create_dir_all(out.join("data/public")).context("the folder cannot be staged")?;
    fs::set_permissions(out.join("data"), Permissions::from_mode(0o700))?;
    for program in programs {
        fs::copy(built.join(program), out.join(program)).with_context(|| format!("{program} cannot be staged"))?;
    }
    let dockerfile = fs::read_to_string("Dockerfile").context("Dockerfile: run this at the root of the workspace")?;
    fs::write(context.join("Dockerfile"), without_builder(&dockerfile)?)?;
    Ok(context)
}

/// The stages after the first, which copy from the context what they would copy from the builder.
fn without_builder(dockerfile: &str) -> Result<String> {
    let (_builder, stages) =
        dockerfile.split_once("\nFROM scratch AS ").context("Dockerfile: there is no stage from scratch")?;
    let stages = stages.replace("COPY --from=build ", "COPY ").replace(" /out/", " out/");
    if stages.contains("build") {
        bail!("Dockerfile: a stage uses the builder in a way that is not known here");
    }
    Ok(format!("FROM scratch AS {stages}"))
}

fn size(image: &str) -> Result<u64> {
    let output = Command::new("docker").args(["image", "inspect", "--format", "{{.Size}}", image]).output()?;
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().with_context(|| format!("docker does not say how large {image} is"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_stages_of_the_dockerfile_need_no_builder() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Dockerfile");
        let stages = without_builder(&fs::read_to_string(path).unwrap()).unwrap();
        for (target, program) in IMAGES {
            assert!(stages.contains(&format!("FROM scratch AS {target}\n")), "{target}");
            assert!(stages.contains(&format!("COPY out/{program} /{program}\n")), "{program}");
        }
        assert!(!stages.contains("--from"));
    }

    #[test]
    fn an_unknown_use_of_the_builder_is_refused() {
        let dockerfile = "FROM rust AS build\n\nFROM scratch AS gateway\nRUN --mount=from=build true\n";
        assert!(without_builder(dockerfile).is_err());
    }
}
