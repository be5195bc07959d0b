//! Damaged files.

use std::fs;
use std::path::Path;

use novagate_e2e::{Stack, World};

fn is_slot(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snapshot-"))
}

#[test]
fn a_damaged_snapshot_slot_is_set_aside_and_reported_and_the_other_one_serves() {
    let mut world = World::start();
    world.api.open_route("older", "/older", "users");
    world.api.wait_acked();
    world.api.open_route("newer", "/newer", "users");
    world.api.wait_acked();
    world.gateway.kill9();
    world.control.kill9();
    let slots: Vec<_> = world.gateway.folder().files().into_iter().filter(|path| is_slot(path)).collect();
    assert_eq!(slots.len(), 2, "{slots:?}");
    let newest = slots.iter().max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
    let mut bytes = fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(newest, bytes).unwrap();
    world.gateway.restart();
    world.gateway.get("/older").expect(200);
    world.gateway.get("/newer").expect(404);
    let said = world.gateway.output().to_lowercase();
    assert!(said.contains("damaged") || said.contains("checksum"), "the damaged slot is reported: {said}");
    world.control.restart();
    world.gateway.wait_status("/newer", 200);
}

#[test]
fn with_both_slots_damaged_the_gateway_waits_for_the_control_plane() {
    let mut world = World::start();
    world.api.wait_acked();
    world.gateway.kill9();
    for path in world.gateway.folder().files() {
        if is_slot(&path) {
            fs::write(path, b"not a snapshot at all").unwrap();
        }
    }
    world.gateway.restart();
    world.gateway.wait_status("/open/x", 200);
}

#[test]
fn a_damaged_platform_database_is_said_clearly_and_nothing_is_overwritten() {
    let mut world = World::start();
    if world.control.stack() != Stack::Sqlite {
        // The files of a server are the server's.
        return;
    }
    world.control.terminate();
    let database = world.control.file("platform");
    for name in world.control.folder().files() {
        let is_side = name.to_string_lossy().ends_with("-wal") || name.to_string_lossy().ends_with("-shm");
        if is_side {
            fs::remove_file(name).unwrap();
        }
    }
    let junk = b"this is not a database ".repeat(1000);
    fs::write(&database, &junk).unwrap();
    let exit = world.control.restart_in_vain();
    assert!(matches!(exit.code, Some(69 | 70)), "{exit:?}");
    let said = exit.stderr.to_lowercase();
    assert!(said.contains("database") || said.contains("storage"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(fs::read(&database).unwrap(), junk);
    world.gateway.get("/open/x").expect(200);
}
