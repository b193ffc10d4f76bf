//! Certificates in files: read at the start, and again when they change.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use async_signal::{Signal, Signals};
use fulmar_core::engine::{CertificateFile, Engine};
use fulmar_core::platform::{Clock, Spawn};
use fulmar_core::transport::Certificate;
use futures::future::select;
use futures::pin_mut;
use futures::stream::StreamExt;

use crate::config::{CertificatePaths, TlsFiles};
use crate::failure::Failure;

/// Pause between two looks at the files.
const LOOK_PAUSE: Duration = Duration::from_mins(1);

/// Reads all, and fails where one cannot be used: a node should not begin with less than it was told to show.
pub(crate) fn load(files: &TlsFiles) -> Result<Vec<CertificateFile>, Failure> {
    let read = read(&files.all());
    for CertificateFile { source, pem, .. } in &read {
        let usable = pem
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|pem| Certificate::from_pem(pem).map_err(|error| error.to_string()));
        usable.map_err(|reason| Failure::Usage(format!("the certificate {source}: {reason}")))?;
    }
    Ok(read)
}

/// Hands the engine what has changed in the files, within a minute, or at once on SIGHUP. They are read whole each time: some tools replace the
/// folder that they lie in, and the time of a file says little then. Never ends.
pub(crate) async fn watch(
    engine: Engine,
    files: TlsFiles,
    mut known: Vec<CertificateFile>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
) {
    let paths = Arc::new(files.all());
    let Ok(mut hang_ups) = Signals::new([Signal::Hup]) else {
        tracing::warn!("cannot listen for SIGHUP: certificates are not read again");
        return;
    };
    loop {
        let pause = clock.sleep(LOOK_PAUSE);
        pin_mut!(pause);
        select(hang_ups.next(), pause).await;
        let paths = paths.clone();
        let Some(now) = spawn.unblock(move || read(&paths)).await else { return };
        if now != known {
            engine.set_certificates(&now);
            known = now;
        }
    }
}

fn read(paths: &[CertificatePaths]) -> Vec<CertificateFile> {
    let read = |paths: &CertificatePaths| {
        let octets = |path: &std::path::Path| {
            fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
        };
        let pem = octets(&paths.certificate).and_then(|mut pem| {
            if let Some(key) = &paths.key {
                pem.push(b'\n');
                pem.extend(octets(key)?);
            }
            Ok(pem)
        });
        let source = paths.certificate.display().to_string();
        CertificateFile { source, pem, names: paths.names.clone() }
    };
    paths.iter().map(read).collect()
}
