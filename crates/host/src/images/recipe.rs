//! What is in each image.

use super::NotYet;
use super::elf;
use super::pins::Pins;
use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{Context, SHA256};
use roadstead_hostspec::SystemImage;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Counted up when the same inputs are to give other images.
const FORMAT: u32 = 2;

/// Where programs look for programs.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the host keeps the tools that some images take along.
const TOOLS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Whom to trust: the host's bundle, wherever it has it.
const CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
/// Where libraries are: by it a program finds those at the paths that the host has them at.
const LIBRARIES: &str = "/etc/ld.so.cache";

/// What upstream's image for tests has beside its program, and tests and people run in it: a shell, files, archives (by
/// which `kubectl cp` copies).
const SHELL: [&str; 24] = [
    "cat", "chmod", "cp", "date", "dd", "echo", "env", "head", "hostname", "id", "ln", "ls", "mkdir", "mv", "rm",
    "seq", "sh", "sleep", "stat", "sync", "tail", "tar", "touch", "wc",
];

const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Where the programs in the images come from.
pub struct Sources<'a> {
    /// Sets of components.
    pub components: &'a Path,
    /// This program.
    pub program: &'a Path,
}

impl Sources<'_> {
    /// A program of a set.
    ///
    /// # Errors
    /// It is not built.
    pub fn component(&self, set: &str, program: &str) -> Result<PathBuf, NotYet> {
        let path = self.components.join(set).join(program);
        if path.exists() { Ok(path) } else { Err(NotYet::Component(format!("{set}/{program}"))) }
    }
}

/// An image that is to be.
pub struct Recipe {
    image: SystemImage,
    version: String,
    /// By absolute path in the image.
    pub files: BTreeMap<PathBuf, File>,
    /// What a container runs.
    pub entrypoint: &'static str,
}

/// A file of an image; executable if it is a program.
#[derive(Debug, PartialEq, Eq)]
pub enum File {
    /// As it stands in the host.
    Copy(PathBuf),
    /// The part of a program of the host that is loaded when it runs. What follows is for debuggers, and may be longer.
    Program(PathBuf),
    /// These words.
    Text(&'static str),
}

/// The images that a node with that set of Kubernetes begins with.
///
/// # Errors
/// A component is missing, or something of the host's.
pub fn first(pins: &Pins, kubernetes: &str, sources: &Sources<'_>) -> Result<Vec<Recipe>, NotYet> {
    let needed = SystemImage::ALL.into_iter().filter(|image| image.is_needed());
    needed.map(|image| recipe(image, pins, kubernetes, sources)).collect()
}

/// Those that it can do without, one by one.
pub fn late(pins: &Pins, sources: &Sources<'_>) -> Vec<Result<Recipe, NotYet>> {
    let late = SystemImage::ALL.into_iter().filter(|image| !image.is_needed());
    // None of them is of Kubernetes' own.
    late.map(|image| recipe(image, pins, "", sources)).collect()
}

fn recipe(image: SystemImage, pins: &Pins, kubernetes: &str, sources: &Sources<'_>) -> Result<Recipe, NotYet> {
    let component = |set: &str, program: &str| sources.component(set, program);
    let pinned = |family: &str| -> Result<(String, String)> {
        let version = pins.version(family)?;
        Ok((version.to_owned(), format!("{family}-{version}")))
    };
    match image {
        SystemImage::Pause => {
            let (_, set) = pinned("images")?;
            let program = component(&set, "pause")?;
            Ok(Recipe::of(image, SystemImage::PAUSE_VERSION, "/pause").with(program)?)
        }
        SystemImage::VpcCni => {
            let recipe = Recipe::of(image, env!("CARGO_PKG_VERSION"), "/roadstead").with_base()?;
            // Its daemon has nft write the node's own table: SNAT, host ports.
            Ok(recipe.with(sources.program.to_owned())?.with_tool("nft")?)
        }
        SystemImage::KubeProxy => {
            let version = kubernetes.trim_start_matches("kubernetes-");
            let recipe = Recipe::of(image, version, "/usr/local/bin/kube-proxy").with_base()?;
            // In its nftables mode it runs nft.
            Ok(recipe.with(component(kubernetes, "kube-proxy")?)?.with_tool("nft")?)
        }
        SystemImage::CoreDns => {
            let (version, set) = pinned("coredns")?;
            Ok(Recipe::of(image, &version, "/coredns").with_base()?.with(component(&set, "coredns")?)?)
        }
        SystemImage::MetricsServer => {
            let (version, set) = pinned("metrics-server")?;
            let recipe = Recipe::of(image, &version, "/metrics-server").with_base()?;
            Ok(recipe.with(component(&set, "metrics-server")?)?)
        }
        SystemImage::Agnhost => {
            let (version, set) = pinned("images")?;
            let recipe = Recipe::of(image, &version, "/agnhost").with_base()?.with(component(&set, "agnhost")?)?;
            Ok(SHELL.into_iter().try_fold(recipe, Recipe::with_tool)?)
        }
    }
}

impl Recipe {
    fn of(image: SystemImage, version: &str, entrypoint: &'static str) -> Recipe {
        Recipe { image, version: version.to_owned(), files: BTreeMap::new(), entrypoint }
    }

    /// Its file name, but for the ending: `kube-proxy-1.36.3`.
    pub fn name(&self) -> String {
        let repository = self.image.repository();
        let (_, name) = repository.rsplit_once('/').unwrap_or(("", repository));
        format!("{name}-{}", self.version)
    }

    /// What it is called by in its archive.
    pub fn tag(&self) -> String {
        format!("v{}", self.version)
    }

    /// Its repository in EKS's registry.
    pub fn repository(&self) -> &'static str {
        self.image.repository()
    }

    /// With the program that containers run, and the libraries that it needs.
    fn with(self, program: PathBuf) -> Result<Recipe> {
        let entrypoint = self.entrypoint;
        self.with_program(program, Path::new(entrypoint))
    }

    /// With a program of the host's, where the host has it.
    fn with_tool(self, name: &str) -> Result<Recipe> {
        let found = TOOLS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
        let path = found.with_context(|| format!("`{name}` is missing: install it (`roadstead doctor` says how)"))?;
        self.with_program(path.clone(), &path)
    }

    fn with_program(mut self, program: PathBuf, target: &Path) -> Result<Recipe> {
        for library in elf::libraries(&program)? {
            self.files.insert(library.clone(), File::Copy(library));
            if Path::new(LIBRARIES).exists() {
                self.files.insert(LIBRARIES.into(), File::Copy(LIBRARIES.into()));
            }
        }
        self.files.insert(target.to_owned(), File::Program(program));
        Ok(self)
    }

    /// With the few files that programs expect in `/etc`.
    fn with_base(mut self) -> Result<Recipe> {
        for (path, text) in [("/etc/passwd", PASSWD), ("/etc/group", GROUP), ("/etc/nsswitch.conf", NSSWITCH)] {
            self.files.insert(path.into(), File::Text(text));
        }
        let bundle = CERTIFICATES.iter().find(|path| Path::new(path).exists());
        self.files.extend(bundle.map(|path| (CERTIFICATES[0].into(), File::Copy(path.into()))));
        Ok(self)
    }

    /// Names all that decides what the image's bytes are.
    ///
    /// # Errors
    /// An input is gone.
    pub fn key(&self) -> Result<String> {
        let mut lines = vec![format!("{FORMAT} {} {} {}", self.tag(), self.entrypoint, PATH)];
        for (target, file) in &self.files {
            let source = match file {
                File::Text(text) => (*text).to_owned(),
                File::Copy(path) | File::Program(path) => identity(path)?,
            };
            lines.push(format!("{} {source}", target.display()));
        }
        Ok(digest(&lines))
    }
}

/// Names a file by what the file system says of it: programs and libraries are put into place by rename, and not written
/// to afterwards.
///
/// # Errors
/// It is gone.
pub fn identity(path: &Path) -> Result<String> {
    let meta = fs::metadata(path).with_context(|| path.display().to_string())?;
    Ok(format!("{} {} {}.{}", meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// Sixteen hexadecimal digits for lines.
pub fn digest(lines: &[String]) -> String {
    let mut context = Context::new(&SHA256);
    for line in lines {
        context.update(line.as_bytes());
        context.update(b"\n");
    }
    hex(&context.finish().as_ref()[..8])
}

/// In lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
