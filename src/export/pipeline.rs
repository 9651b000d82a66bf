//! Distributes work to threads and keeps the order of the results.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded, unbounded};

/// Time between two calls of `wait`.
const WAIT: Duration = Duration::from_millis(100);

/// Processes the items of `next` on `threads` threads, and passes the results to `write` in the order of the items.
///
/// Each thread calls `new_worker` once. `next` and `write` are called on the calling thread, and so is `wait`, every 100 ms
/// without a result. At most `window` items are
/// between `next` and `write` at any time. A panic of a worker continues on the calling thread.
///
/// # Errors
/// The first error of `next`, `write` or `wait`; none of them is called after it.
pub(super) fn in_order<T: Send, R: Send, E, W: FnMut(T) -> R>(
    threads: usize,
    window: usize,
    mut next: impl FnMut() -> Result<Option<T>, E>,
    new_worker: impl Fn() -> W + Sync,
    mut write: impl FnMut(R) -> Result<(), E>,
    mut wait: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let window = window.max(1);
    // At most `window` items are in flight, so sending never blocks.
    let (work, to_do) = unbounded::<(usize, T)>();
    let (done, results) = bounded::<(usize, thread::Result<R>)>(window);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (to_do, done, new_worker) = (to_do.clone(), done.clone(), &new_worker);
            scope.spawn(move || {
                let mut worker = new_worker();
                for (number, item) in to_do {
                    let result = catch_unwind(AssertUnwindSafe(|| worker(item)));
                    let panicked = result.is_err();
                    // Sending fails once an error has ended the main loop.
                    if done.send((number, result)).is_err() || panicked {
                        break;
                    }
                }
            });
        }
        drop((to_do, done));
        // Moves the channels into this closure. They close when it returns, which ends the workers; a `scope` waits for
        // them.
        let (work, results) = (work, results);
        // Results that wait for an earlier one. The first belongs to item `written`.
        let mut waiting: VecDeque<Option<R>> = VecDeque::with_capacity(window);
        let (mut read, mut written, mut more) = (0, 0, true);
        loop {
            while more && read - written < window {
                match next()? {
                    Some(item) => {
                        // Cannot fail: a worker ends only after a panic, and its result arrives first.
                        let _ = work.send((read, item));
                        waiting.push_back(None);
                        read += 1;
                    }
                    None => more = false,
                }
            }
            if read == written {
                return Ok(());
            }
            let (number, result) = match results.recv_timeout(WAIT) {
                Ok(found) => found,
                Err(RecvTimeoutError::Timeout) => {
                    wait()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => unreachable!("all workers ended while results were pending"),
            };
            waiting[number - written] = Some(result.unwrap_or_else(|panic| resume_unwind(panic)));
            while let Some(Some(_)) = waiting.front() {
                if let Some(Some(result)) = waiting.pop_front() {
                    written += 1;
                    write(result)?;
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn squares(threads: usize, window: usize, end: usize) -> (Vec<usize>, usize) {
        let (alive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (mut n, mut out) = (0, Vec::new());
        let next = || {
            n += 1;
            most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Ok::<_, ()>((n <= end).then_some(n))
        };
        in_order(
            threads,
            window,
            next,
            || |n: usize| n * n,
            |square| {
                alive.fetch_sub(1, Ordering::SeqCst);
                out.push(square);
                Ok(())
            },
            || Ok(()),
        )
        .expect("no error");
        (out, most.into_inner())
    }

    #[test]
    fn results_arrive_in_order_and_the_window_is_respected() {
        for (threads, window) in [(1, 1), (2, 3), (4, 8), (8, 1)] {
            let (out, most) = squares(threads, window, 500);
            assert_eq!(out, (1..=500).map(|n| n * n).collect::<Vec<_>>(), "{threads} {window}");
            assert!(most <= window, "{most} of {window}");
        }
        assert!(squares(3, 4, 0).0.is_empty());
    }

    #[test]
    fn the_first_error_is_returned() {
        let mut n = 0;
        let next = || {
            n += 1;
            if n == 50 { Err("read") } else { Ok(Some(n)) }
        };
        assert_eq!(in_order(3, 5, next, || |n: i32| n, |_| Ok(()), || Ok(())), Err("read"));
        let write = |n: i32| if n == 7 { Err("write") } else { Ok(()) };
        let mut m = 0;
        let next = || {
            m += 1;
            Ok(Some(m))
        };
        assert_eq!(in_order(3, 5, next, || |n: i32| n, write, || Ok(())), Err("write"));
    }

    #[test]
    fn waiting_for_a_long_item_can_be_ended() {
        let (end, ended) = unbounded::<()>();
        let work = |_: i32| {
            let _ended = ended.recv();
        };
        let mut first = true;
        let next = || Ok(std::mem::take(&mut first).then_some(1));
        let wait = || {
            end.send(()).expect("a receiver");
            Err("stopped")
        };
        assert_eq!(in_order(1, 1, next, || work, |()| Ok(()), wait), Err("stopped"));
    }

    #[test]
    #[should_panic(expected = "worker 3")]
    fn a_panic_of_a_worker_is_propagated() {
        let mut n = 0;
        let next = || {
            n += 1;
            Ok::<_, ()>(Some(n))
        };
        let _ = in_order(2, 4, next, || |n: i32| assert!(n != 3, "worker {n}"), |()| Ok(()), || Ok(()));
    }
}
