use std::{cell::Cell, panic, sync::Once};

thread_local! {
    static REPLAYS: Cell<bool> = const { Cell::new(false) };
}

/// Runs a replay on this thread. An agent that panicked then panics again: that is what is looked
/// for, and nobody is told of it on standard error.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !REPLAYS.get() {
                before(panic);
            }
        }));
    });
    let before = REPLAYS.replace(true);
    let done = run();
    REPLAYS.set(before);
    done
}
