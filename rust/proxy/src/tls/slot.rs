//! One `tls` section in use: what handshakes take, and how new files take its place.
//!
//! Files that cannot be used change nothing. Connections keep what they shook hands with.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;

use super::UnixSeconds;
use super::certificate::Certificate;
use super::error::CertificateError;
use super::files::{Contents, Files, Unusable};
use super::side::Side;

#[derive(Debug)]
pub struct Slot<S: Side> {
    version: Option<String>,
    config: S::Config,
    files: Files,
    current: RwLock<Arc<S>>,
    /// Held by who looks at the files, for as long as a disk takes; nobody else waits for it.
    looking: Mutex<()>,
    /// Never held while a file is read.
    watch: Mutex<Watch>,
}

#[derive(Debug)]
struct Watch {
    contents: Contents,
    renewed: u64,
    refused: u64,
    /// What is wrong with the files that were found last, if they are not those in use.
    wrong: Option<Unusable>,
    /// Whether it has been said that the certificate in use ends soon.
    warned: bool,
}

/// Something to tell about the files of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct News {
    /// `renewed`, `refused` or `ending`.
    pub event: &'static str,
    /// Version whose section it is; `None` for the listener's.
    pub version: Option<String>,
    /// What is wrong, with the setting it is wrong with.
    pub reason: Option<String>,
    pub subject: Option<String>,
    pub not_after: Option<UnixSeconds>,
}

/// How a section stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateState {
    pub version: Option<String>,
    /// Of the certificate that is shown; `None` where none is.
    pub subject: Option<String>,
    pub not_after: Option<UnixSeconds>,
    /// Times that new files have taken the place of old ones, and that they could not.
    pub renewed: u64,
    pub refused: u64,
    /// Why the files that are there now are not those in use.
    pub wrong: Option<String>,
}

// === impl Slot ===

impl<S: Side> Slot<S> {
    /// # Errors
    /// The files cannot be used.
    pub fn open(
        version: Option<String>,
        config: S::Config,
        now: UnixSeconds,
    ) -> Result<Slot<S>, CertificateError> {
        let files = S::files(&config);
        match load::<S>(&config, &files, now) {
            Ok((contents, side)) => Ok(Slot {
                version,
                config,
                files,
                current: RwLock::new(Arc::new(side)),
                looking: Mutex::default(),
                watch: Mutex::new(Watch { contents, renewed: 0, refused: 0, wrong: None, warned: false }),
            }),
            Err(Unusable { setting, what }) => Err(CertificateError { version, setting, what }),
        }
    }

    pub fn config(&self) -> &S::Config {
        &self.config
    }

    /// What a handshake that begins now takes.
    pub fn current(&self) -> Arc<S> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is in the files in use.
    pub fn contents(&self) -> Contents {
        self.watch().contents.clone()
    }

    /// Looks at the files, and takes what is new and can be used; says what has happened since the last look.
    pub fn look(&self, now: UnixSeconds) -> Vec<News> {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = self.watch().contents.digest;
        let found = self.find(&in_use, now);
        let mut watch = self.watch();
        let mut news = Vec::new();
        match found {
            Ok(None) => watch.wrong = None,
            Ok(Some((contents, side))) => {
                let side = Arc::new(side);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&side);
                watch.contents = contents;
                watch.renewed += 1;
                watch.wrong = None;
                watch.warned = false;
                news.push(self.news("renewed", side.certificate(), None));
            }
            // Said once, not at every look.
            Err(wrong) if watch.wrong.as_ref() != Some(&wrong) => {
                watch.refused += 1;
                news.push(self.news("refused", None, Some(format!("{}: {}", wrong.setting, wrong.what))));
                watch.wrong = Some(wrong);
            }
            Err(_) => {}
        }
        let side = self.current();
        if let Some(certificate) = side.certificate().filter(|it| it.is_ending(now) && !watch.warned) {
            watch.warned = true;
            news.push(self.news("ending", Some(certificate), None));
        }
        news
    }

    pub fn state(&self) -> CertificateState {
        let side = self.current();
        let certificate = side.certificate();
        let watch = self.watch();
        CertificateState {
            version: self.version.clone(),
            subject: certificate.map(|it| it.subject.clone()),
            not_after: certificate.map(|it| it.not_after),
            renewed: watch.renewed,
            refused: watch.refused,
            wrong: watch.wrong.as_ref().map(|wrong| format!("{}: {}", wrong.setting, wrong.what)),
        }
    }

    /// Something new that can be used; `None` when the files are those in use.
    fn find(&self, in_use: &[u8; 32], now: UnixSeconds) -> Result<Option<(Contents, S)>, Unusable> {
        if self.files.read()?.digest == *in_use {
            return Ok(None);
        }
        // One more try: files are written one after the other, and the look may have come in between.
        load(&self.config, &self.files, now).or_else(|_| load(&self.config, &self.files, now)).map(Some)
    }

    fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self, event: &'static str, certificate: Option<&Certificate>, reason: Option<String>) -> News {
        News {
            event,
            version: self.version.clone(),
            reason,
            subject: certificate.map(|it| it.subject.clone()),
            not_after: certificate.map(|it| it.not_after),
        }
    }
}

fn load<S: Side>(config: &S::Config, files: &Files, now: UnixSeconds) -> Result<(Contents, S), Unusable> {
    let contents = files.read()?;
    let side = S::make(config, &contents, now)?;
    Ok((contents, side))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;

    /// A side whose files take as long to read as the test likes.
    #[derive(Debug)]
    struct Slow;

    struct Disk(Mutex<(Sender<()>, Receiver<()>)>);

    impl PartialEq for Disk {
        fn eq(&self, _: &Disk) -> bool {
            true
        }
    }

    impl Side for Slow {
        type Config = Disk;

        fn files(_: &Disk) -> Files {
            Files::new([])
        }

        fn make(config: &Disk, _: &Contents, _: UnixSeconds) -> Result<Slow, Unusable> {
            let disk = config.0.lock().unwrap();
            disk.0.send(()).unwrap();
            disk.1.recv().unwrap();
            Ok(Slow)
        }

        fn certificate(&self) -> Option<&Certificate> {
            None
        }
    }

    #[test]
    fn who_asks_how_it_stands_does_not_wait_for_a_disk_that_hangs() {
        let (begun, beginning) = channel();
        let (let_go, gate) = channel();
        let_go.send(()).unwrap();
        let slot = Slot::<Slow>::open(None, Disk(Mutex::new((begun, gate))), 0).unwrap();
        beginning.recv().unwrap();
        slot.watch().contents.digest = [0; 32];
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| slot.look(0));
            beginning.recv().unwrap();
            let (told, asked) = channel();
            let slot = &slot;
            scope.spawn(move || told.send(slot.state().renewed));
            let renewed = asked.recv_timeout(Duration::from_secs(20));
            let_go.send(()).unwrap();
            assert_eq!(renewed, Ok(0));
            assert_eq!(looking.join().unwrap().len(), 1);
        });
        assert_eq!(slot.state().renewed, 1);
    }
}
