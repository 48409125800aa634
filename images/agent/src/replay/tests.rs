use rstest::rstest;

use super::*;

/// A record as a list shows it.
fn record(pcr: u32, digest: &[u8], template: &str, data: &[u8]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let mut bytes = [&pcr.to_le_bytes()[..], digest, &number(template.len()), template.as_bytes()].concat();
    if template != "ima" {
        bytes.extend_from_slice(&number(data.len()));
    }
    bytes.extend_from_slice(data);
    bytes
}

fn sha256(parts: &[&[u8]]) -> Digest {
    Sha256::digest(parts.concat()).into()
}

/// An `ima` record, one of another PCR, a violation, an `ima-ng` record: with digests of `size` bytes.
fn list(size: usize) -> (Vec<u8>, Vec<Digest>) {
    let digest = vec![5; size];
    let legacy = [&[9; 20][..], &3u32.to_le_bytes(), b"a/b"].concat();
    let data = b"\x03\0\0\0abc\x01\0\0\0d";
    let bytes = [
        record(10, &digest, "ima", &legacy),
        record(11, &digest, "ima-ng", data),
        record(10, &vec![0; size], "ima-ng", data),
        record(10, &digest, "ima-ng", data),
    ]
    .concat();
    let mut padded = [0; 256];
    padded[..3].copy_from_slice(b"a/b");
    let first = sha256(&[&[0; 32], &sha256(&[&[9; 20], &padded])]);
    let third = sha256(&[&first, &[0xff; 32]]);
    let fourth = sha256(&[&third, &sha256(&[data])]);
    (bytes, vec![[0; 32], first, third, fourth])
}

#[rstest]
fn each_value_is_found_in_each_view(
    #[values(20, 32, 48, 64)] size: usize,
    #[values(1, 7, 10_000)] portion: usize,
) {
    let (bytes, values) = list(size);
    for (value, records) in values.iter().zip([0, 1, 3, 4]) {
        let mut search = Search::new([0; 32], *value);
        for bytes in bytes.chunks(portion) {
            search.push(bytes).unwrap();
        }
        assert_eq!(search.found(), Some(records));
    }
    let mut search = Search::new([0; 32], [1; 32]);
    search.push(&bytes).unwrap();
    assert_eq!(search.found(), None);
}

#[test]
fn a_search_goes_on_where_the_last_one_ended() {
    let (bytes, values) = list(20);
    let first = record(10, &[5; 20], "ima", &[&[9; 20][..], &3u32.to_le_bytes(), b"a/b"].concat()).len();
    let mut search = Search::new(values[1], values[3]);
    search.push(&bytes[first..]).unwrap();
    assert_eq!(search.found(), Some(3));
}

#[test]
fn a_violation_as_the_first_record_hides_no_view() {
    for size in DIGESTS {
        let bytes = record(10, &vec![0; size], "ima-ng", b"");
        let mut search = Search::new([0; 32], sha256(&[&[0; 32], &[0xff; 32]]));
        search.push(&bytes).unwrap();
        assert_eq!(search.found(), Some(1), "{size}");
    }
}

#[rstest]
#[case::no_list(vec![0; 400])]
#[case::ascii(b"10 f81fe0 ima-ng sha256:00 boot_aggregate\n".repeat(10))]
#[case::second_record([record(10, &[5; 20], "ima-ng", b""), record(10, &[5; 20], "", b"")].concat())]
#[case::endless_data([&record(10, &[5; 20], "ima-ng", b"")[..34], &[0xff; 4]].concat())]
fn what_is_no_list_is_refused(#[case] bytes: Vec<u8>) {
    let mut search = Search::new([0; 32], [1; 32]);
    assert_eq!(search.push(&bytes), Err(Errno::EPROTO));
}
