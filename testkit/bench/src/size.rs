//! P13: how large the published programs and images are.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::report::{Goal, Report, table};
use crate::workspace::Scope;

const GOAL_MIB: f64 = 15.0;
const IMAGE_GOAL_MIB: f64 = 20.0;
const MIB: f64 = 1_048_576.0;
/// What `cargo xtask bench size` sets to the tag of the images it has built.
const TAG_VARIABLE: &str = "NOVAGATE_TEST_IMAGES";

/// Sizes of the gateway and the control plane, and of their images where Docker is.
///
/// # Errors
/// The gateway has not been built.
pub fn size(scope: &Scope) -> Result<Report> {
    let gateway = mebibytes(scope, "novagate-gateway")?;
    let mut rows = vec![vec!["novagate-gateway".to_owned(), format!("{gateway:.2}")]];
    if let Ok(control) = mebibytes(scope, "novagate-control") {
        rows.push(vec!["novagate-control".to_owned(), format!("{control:.2}")]);
    }
    let what = "size of the gateway's program".to_owned();
    let mut goals = vec![Goal { id: "P13", what, measured: Some(gateway), at_most: GOAL_MIB, unit: "MiB" }];
    for (target, what) in [("gateway", "size of the gateway's image"), ("control", "size of the control plane's image")]
    {
        let measured = image_mebibytes(target)?;
        if let Some(size) = measured {
            rows.push(vec![format!("image novagate-{target}"), format!("{size:.2}")]);
        }
        goals.push(Goal { id: "I1", what: what.to_owned(), measured, at_most: IMAGE_GOAL_MIB, unit: "MiB" });
    }
    Ok(Report { key: "size", title: "Program sizes", text: table(&["program", "MiB"], &rows), goals })
}

fn mebibytes(scope: &Scope, name: &str) -> Result<f64> {
    in_mebibytes(scope.program(name)?.metadata()?.len())
}

/// All layers of an image, not packed; `None`: there are no images to measure.
fn image_mebibytes(target: &str) -> Result<Option<f64>> {
    let Some(tag) = std::env::var(TAG_VARIABLE).ok().filter(|tag| !tag.is_empty()) else { return Ok(None) };
    let image = format!("novagate-{target}:{tag}");
    let output = Command::new("docker").args(["image", "inspect", "--format", "{{.Size}}", &image]).output()?;
    let bytes =
        String::from_utf8(output.stdout)?.trim().parse::<u64>().with_context(|| format!("no size of {image}"))?;
    in_mebibytes(bytes).map(Some)
}

fn in_mebibytes(bytes: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(bytes).context("more than 4 GiB")?) / MIB)
}
