use roadstead_kernel::region::Handle;
use roadstead_store::Commit;
use tokio::sync::watch;

/// The revision of the last commit that `matters`.
pub fn revisions(handle: &Handle, matters: impl Fn(&Commit) -> bool + Send + Sync + 'static) -> watch::Receiver<u64> {
    let (sender, receiver) = watch::channel(handle.view().revision());
    handle.subscribe(Box::new(move |commit| {
        if matters(commit) {
            sender.send_replace(commit.revision);
        }
    }));
    receiver
}
