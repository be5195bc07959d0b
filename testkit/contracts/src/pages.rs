//! What holds for every list: pages of any size put together are the list, and a foreign cursor is no position.

use std::fmt::Debug;
use std::future::Future;

use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::{Cursor, Page, PageRequest};

/// Reads a whole list in pages of `limit`.
pub(crate) async fn read_all<T, Fut>(limit: u16, fetch: impl Fn(PageRequest) -> Fut) -> Vec<T>
where
    Fut: Future<Output = Result<Page<T>, PortError>>,
{
    let mut all = Vec::new();
    let mut request = PageRequest::first(limit);
    loop {
        let page = fetch(request).await.unwrap();
        assert!(page.items.len() <= usize::from(limit), "a page holds more than was asked for");
        all.extend(page.items);
        let Some(next) = page.next else { return all };
        assert!(next.as_str().len() <= 256, "a cursor has at most 256 bytes");
        request = PageRequest { limit, after: Some(next) };
    }
}

/// Checks a list that stands still: any page size gives `expected`, only full pages are followed by another one, and that
/// one is never empty.
pub(crate) async fn assert_pages<T, Fut>(expected: &[T], fetch: impl Fn(PageRequest) -> Fut)
where
    T: PartialEq + Debug,
    Fut: Future<Output = Result<Page<T>, PortError>>,
{
    let sizes = (1..=expected.len() + 1).chain([usize::from(PageRequest::MAX_LIMIT)]);
    for limit in sizes.map(|size| u16::try_from(size).unwrap()) {
        assert_eq!(read_all(limit, &fetch).await, expected, "in pages of {limit}");
        let mut request = PageRequest::first(limit);
        loop {
            let page = fetch(request).await.unwrap();
            let Some(next) = page.next else { break };
            assert_eq!(page.items.len(), usize::from(limit), "only a full page is followed by another one");
            request = PageRequest { limit, after: Some(next) };
            assert!(!fetch(request.clone()).await.unwrap().items.is_empty(), "a page that was announced is empty");
        }
    }
    assert_foreign_cursors_are_refused(fetch).await;
}

/// A cursor comes from the client: whatever it holds is either a position or `Misuse`, never anything else.
pub(crate) async fn assert_foreign_cursors_are_refused<T, Fut>(fetch: impl Fn(PageRequest) -> Fut)
where
    Fut: Future<Output = Result<Page<T>, PortError>>,
{
    let long = "a".repeat(256);
    let foreign = ["", "x", "not a cursor", "-", "'; drop table tenants; --", "\u{202e}é茶", "~~~:~~~", "\0", &long];
    for text in foreign {
        let request = PageRequest { limit: 10, after: Some(Cursor::new(text)) };
        match fetch(request).await {
            Ok(page) => panic!("{text:?} was taken for a position and answered with {} items", page.items.len()),
            Err(error) => assert_eq!(error.kind, FaultKind::Misuse, "{text:?}"),
        }
    }
}
