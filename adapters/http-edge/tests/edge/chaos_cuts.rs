//! Upstreams whose connection ends at each byte of a response: a head that is not whole is a 502, a body that is not whole
//! is never taken for one, and nothing is left behind.

use novagate_kernel::ErrorCode;
use novagate_records::RequestRecord;

use crate::chaos::{assert_nothing_left, counted};
use crate::harness::{Client, PATIENCE, Upstream, get};
use crate::harness_http2::{self, Http2};

/// Responses; what is behind the last empty line of a head is the body.
const ANSWERS: [&str; 5] = [
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello world!",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n7\r\n world!\r\n0\r\nX-T: 1\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nServer: a\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    UNTIL_CLOSE,
];
const UNTIL_CLOSE: &str = "HTTP/1.0 200 OK\r\nServer: a\r\n\r\nuntil the end";

/// One cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    answer: usize,
    at: usize,
    resets: bool,
}

/// What a client and a record say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// A refusal.
    BadGateway,
    /// A response that was not taken for a whole one.
    Broken,
    Whole(String),
}

impl Cut {
    fn all() -> impl Iterator<Item = Self> {
        ANSWERS.iter().enumerate().flat_map(|(answer, text)| {
            let cut = move |at| [false, true].map(|resets| Self { answer, at, resets });
            (0..=text.len()).flat_map(cut)
        })
    }

    fn path(self) -> String {
        format!("/{}/{}/{}", self.answer, self.at, u8::from(self.resets))
    }

    fn of(head: &str) -> Self {
        let path = head.split(' ').nth(1).unwrap();
        let mut numbers = path.split('/').skip(1).map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Self { answer: next(), at: next(), resets: next() == 1 }
    }

    fn make(self, conn: &mut Client) {
        if self.resets {
            conn.will_reset();
        }
        conn.send(&ANSWERS[self.answer][..self.at]);
    }

    /// What has to be seen of it.
    fn expected(self) -> Seen {
        let text = ANSWERS[self.answer];
        let head = text.rfind("\r\n\r\n").unwrap() + 4;
        let (head, body) = if text.contains("chunked") {
            (text.find("\r\n\r\n").unwrap() + 4, "hello world!".to_owned())
        } else {
            (head, text[head..self.at.max(head)].to_owned())
        };
        let ends = self.at == text.len() && text != UNTIL_CLOSE;
        match () {
            () if self.at < head => Seen::BadGateway,
            () if ends || (text == UNTIL_CLOSE && !self.resets) => Seen::Whole(body),
            () => Seen::Broken,
        }
    }
}

impl Seen {
    fn assert_recorded(&self, record: &RequestRecord, of: Cut) {
        let expected = match self {
            Self::BadGateway => (502, Some(ErrorCode::DownstreamError)),
            Self::Broken => (200, Some(ErrorCode::DownstreamError)),
            Self::Whole(_) => (if of.answer == 2 { 204 } else { 200 }, None),
        };
        assert_eq!((record.status, record.code), expected, "{of:?}");
    }
}

fn cutting() -> Upstream {
    Upstream::scripted(|_, conn| {
        if let Some(head) = conn.next_head() {
            Cut::of(&head).make(conn);
        }
    })
}

/// Reads what came until the end as a client does that believes in lengths, and not in ends.
fn read(bytes: &[u8]) -> Seen {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Seen::Broken };
    let head = head.to_ascii_lowercase();
    if head.starts_with("http/1.1 502") && body.contains("DOWNSTREAM_ERROR") {
        return Seen::BadGateway;
    }
    if head.starts_with("http/1.1 204") {
        return Seen::Whole(body.to_owned());
    }
    if let Some((_, length)) = head.split_once("content-length: ") {
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        return if body.len() == length { Seen::Whole(body.to_owned()) } else { Seen::Broken };
    }
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    let (mut whole, mut rest) = (String::new(), body);
    loop {
        let Some((size, behind)) = rest.split_once("\r\n") else { return Seen::Broken };
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return if behind.ends_with("\r\n") { Seen::Whole(whole) } else { Seen::Broken };
        }
        let Some(chunk) = behind.get(..size) else { return Seen::Broken };
        whole.push_str(chunk);
        let Some(next) = behind.get(size + 2..) else { return Seen::Broken };
        rest = next;
    }
}

#[test]
fn a_response_that_ends_at_any_byte_is_whole_or_known_to_be_broken() {
    let upstream = cutting();
    // Nothing here waits for a limit.
    let edge = counted(&upstream.url).with(|settings| settings.timeouts.proxy = PATIENCE).start();
    for cut in Cut::all() {
        let mut client = edge.connect();
        client.send(get(&cut.path(), "Connection: close\r\n"));
        let (bytes, _) = client.read_to_its_end();
        assert_eq!(read(&bytes), cut.expected(), "{cut:?}: {:?}", String::from_utf8_lossy(&bytes));
    }
    let records = edge.records(Cut::all().count());
    for (cut, record) in Cut::all().zip(&records) {
        cut.expected().assert_recorded(record, cut);
    }
    assert_nothing_left(&edge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_over_http_2_where_a_broken_response_costs_its_stream_only() {
    let upstream = cutting();
    // Nothing here waits for a limit.
    let edge = counted(&upstream.url).with(|settings| settings.timeouts.proxy = PATIENCE).start();
    let client = Http2::connect(&edge).await;
    for cut in Cut::all() {
        let seen = match client.ask(harness_http2::get(&cut.path()), b"").await {
            Ok(answer) if answer.status() == 502 => {
                assert_eq!(answer.code(), "DOWNSTREAM_ERROR");
                Seen::BadGateway
            }
            Ok(answer) => Seen::Whole(answer.text()),
            Err(fault) => {
                assert_eq!(fault.reason(), Some(h2::Reason::INTERNAL_ERROR), "{cut:?}: {fault}");
                Seen::Broken
            }
        };
        assert_eq!(seen, cut.expected(), "{cut:?}");
    }
    let records = edge.records(Cut::all().count());
    for (cut, record) in Cut::all().zip(&records) {
        cut.expected().assert_recorded(record, cut);
    }
    assert_eq!(edge.handle.active_connections(), 1, "the client's connection has stayed");
    assert!(client.end().await.is_ok());
    assert_nothing_left(&edge);
}
