//! Files that IMA is to see: what is left of them without IMA is that they were used and are gone.

use imalab_wire::Violation;

use super::*;

fn ways(dir: &str) -> Vec<Op> {
    let (dir, name, salt) = (dir.to_owned(), "a".to_owned(), "s".to_owned());
    let (first, count) = (5, 20);
    let violate = |kind| {
        let (dir, name, salt) = (dir.clone(), name.clone(), salt.clone());
        Op::Violate { dir, name, salt, first, count, kind }
    };
    vec![
        violate(Violation::OpenWriters),
        violate(Violation::TimeOfUse),
        Op::Measure { dir: dir.clone(), name: name.clone(), salt: salt.clone(), first, count },
        Op::Execute { dir: dir.clone(), name: name.clone(), salt: salt.clone(), first, count },
        Op::MapExecute { dir, name, salt, first, count },
    ]
}

#[test]
fn files_are_used_in_every_way_and_gone() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    fs::create_dir(&files).unwrap();
    let ops = ways(files.to_str().unwrap());
    let messages = run(&dir, &program(vec![vec![step(1, ops)]], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(20); 5]);
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
}

#[test]
fn a_file_in_the_way_stays() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("a-8"), "in the way").unwrap();
    for op in ways(files.to_str().unwrap()) {
        let messages = run(&dir, &program(vec![vec![step(1, vec![op.clone()])]], vec![]));
        assert_eq!(outcomes(&messages, 0, 1), [errno(Errno::EEXIST)], "{op:?}");
        assert_eq!(fs::read_dir(&files).unwrap().count(), 1, "{op:?}");
    }
    assert_eq!(fs::read_to_string(files.join("a-8")).unwrap(), "in the way");
}

/// A child of fork in another thread's hands would have the file open for writing, which is ETXTBSY.
#[test]
fn threads_execute_and_fork_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let execute = |name: &str, id| {
        let (dir, name, salt) = (dir.path().to_str().unwrap().to_owned(), name.to_owned(), String::new());
        step(id, vec![Op::Execute { dir, name, salt, first: 0, count: 60 }])
    };
    let first = vec![step(1, vec![Op::Thread { task: 1 }, Op::Thread { task: 2 }]), execute("a", 2)];
    let messages = run(&dir, &processes::family(first, vec![vec![execute("b", 3)], vec![execute("c", 4)]]));
    for (task, id) in [(0, 2), (1, 3), (2, 4)] {
        assert_eq!(outcomes(&messages, task, id), [Outcome::Value(60)]);
    }
}

#[test]
fn a_created_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "longer than what comes").unwrap();
    let create = |path: &Path| Op::Create { path: path.to_str().unwrap().into(), bytes: b"text".to_vec() };
    let steps = vec![step(1, vec![create(&file)]), step(2, vec![create(&dir.path().join("no/f"))])];
    let messages = run(&dir, &program(vec![steps], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(4)]);
    assert_eq!(outcomes(&messages, 0, 2), [errno(Errno::ENOENT)]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "text");
}
