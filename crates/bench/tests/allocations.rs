//! What the question "may I act?" costs in memory: nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use tenure::{ContextInfo, LeaderElection};
use tenure_harness::TestServer;

struct Counting;

thread_local! {
    // Constant, without a destructor: to reach it allocates nothing.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[allow(unsafe_code, reason = "an allocator cannot be had without")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as for this function.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::test]
async fn is_leading_allocates_nothing() {
    let server = TestServer::embedded().await.unwrap();
    let namespace = server.namespace("bench").await.unwrap();
    let election = LeaderElection::lease_lock("bench")
        .build(server.config(), ContextInfo::outside(namespace, "bench"))
        .unwrap();
    let leadership = election.acquire().await.unwrap();
    let handle = leadership.handle();

    let before = ALLOCATIONS.get();
    drop(black_box(Box::new(1_u8)));
    assert_eq!(ALLOCATIONS.get(), before + 1, "this thread's are counted");

    // Nothing is awaited here, so this thread does nothing else.
    let before = ALLOCATIONS.get();
    let mut led = 0;
    for _ in 0..1000 {
        led += u32::from(black_box(&handle).is_leading());
    }
    assert_eq!(ALLOCATIONS.get(), before);
    assert_eq!(led, 1000);
    leadership.release().await;
}
