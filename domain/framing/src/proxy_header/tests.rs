//! Headers of both versions, whole, in pieces and damaged.

use proptest::prelude::*;

use super::*;

fn block_of(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, content].concat()
}

fn tcp4() -> Vec<u8> {
    block_of(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 0xc7, 0x38, 1, 0xbb])
}

fn tcp6() -> Vec<u8> {
    let addresses = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]; 2].concat();
    block_of(0x21, 0x21, &[addresses.as_slice(), &[0xc7, 0x38, 1, 0xbb]].concat())
}

fn from(text: &str) -> ProxyHeader {
    ProxyHeader::Complete(Some(text.parse().unwrap()))
}

/// Reads like a driver does: as many bytes as surely belong to the header.
fn drive(bytes: &[u8]) -> (ProxyHeader, usize) {
    let mut have = 0;
    loop {
        match ProxyHeader::read(&bytes[..have]) {
            ProxyHeader::NeedMore(more) if have + more <= bytes.len() => have += more,
            end @ (ProxyHeader::NeedMore(_) | ProxyHeader::Complete(_) | ProxyHeader::Invalid) => return (end, have),
        }
    }
}

#[test]
fn the_source_of_a_connection_is_told_in_both_versions() {
    for (header, expected) in [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\r\n".to_vec(), from("192.0.2.1:51000")),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 51000 443\r\n".to_vec(), from("[2001:db8::1]:51000")),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 0 0\r\n".to_vec(), from("1.1.1.1:0")),
        (b"PROXY UNKNOWN\r\n".to_vec(), ProxyHeader::Complete(None)),
        (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n".to_vec(), ProxyHeader::Complete(None)),
        (tcp4(), from("192.0.2.1:51000")),
        (tcp6(), from("[2001:db8::1]:51000")),
        (block_of(0x20, 0, &[]), ProxyHeader::Complete(None)),
        (block_of(0x21, 0, b"tlv"), ProxyHeader::Complete(None)),
        (block_of(0x21, 0x31, &[0; 216]), ProxyHeader::Complete(None)),
        (block_of(0x21, 0x11, &[&tcp4()[16..], b"\x04\x00\x02ab"].concat()), from("192.0.2.1:51000")),
    ] {
        let behind = [header.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(drive(&behind), (expected, header.len()), "{}", header.escape_ascii());
    }
}

#[test]
fn what_is_no_header_is_told() {
    for wrong in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"POST / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 51000\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 51000 443 x\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 51000 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 051000 443\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 51000 443\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 51000 443\r\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 51000 443\r\n",
        b"PROXY  TCP4 192.0.2.1 192.0.2.2 51000 443\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c",
        &block_of(0x11, 0x11, &[0; 12]),
        &block_of(0x22, 0x11, &[0; 12]),
        &block_of(0x21, 0x11, &[0; 11]),
        &block_of(0x21, 0x21, &[0; 35]),
        &block_of(0x21, 0, &[0; MAX_BLOCK]),
        &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat(),
    ] {
        assert_eq!(drive(wrong).0, ProxyHeader::Invalid, "{}", wrong.escape_ascii());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_in_bounds(
        begin in prop::sample::select(vec![Vec::new(), b"PROXY ".to_vec(), SIGNATURE.to_vec()]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [begin, rest].concat();
        let (end, have) = drive(&bytes);
        prop_assert!(have <= bytes.len().min(MAX_BLOCK));
        if let ProxyHeader::NeedMore(more) = end {
            prop_assert!(more > 0 && have + more <= MAX_BLOCK);
        }
    }

    #[test]
    fn a_header_in_pieces_is_not_complete_before_its_end(v2 in any::<bool>(), cut in 0_usize..28) {
        let header = if v2 { tcp4() } else { b"PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\r\n".to_vec() };
        prop_assert!(matches!(ProxyHeader::read(&header[..cut]), ProxyHeader::NeedMore(more) if cut + more <= header.len()));
    }
}
