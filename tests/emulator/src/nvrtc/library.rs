//! NVRTC's functions.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use anyhow::{Context, Result, bail};
use libloading::os::unix::{Library as Loaded, RTLD_GLOBAL, RTLD_NOW, Symbol};

type Program = *mut c_void;
type Status = c_int;
type Texts = *const *const c_char;

/// The status of a program that does not compile; the log says why.
const COMPILATION: Status = 6;

pub struct Library {
    create: Symbol<unsafe extern "C" fn(*mut Program, *const c_char, *const c_char, c_int, Texts, Texts) -> Status>,
    destroy: Symbol<unsafe extern "C" fn(*mut Program) -> Status>,
    compile: Symbol<unsafe extern "C" fn(Program, c_int, Texts) -> Status>,
    message: Symbol<unsafe extern "C" fn(Status) -> *const c_char>,
    log: Text,
    ptx: Text,
    _library: Loaded,
    /// NVRTC looks for its built-in headers among the loaded libraries.
    _builtins: Loaded,
}

/// The functions that return the length of a text and copy it.
struct Text {
    size: Symbol<unsafe extern "C" fn(Program, *mut usize) -> Status>,
    get: Symbol<unsafe extern "C" fn(Program, *mut c_char) -> Status>,
}

/// The result of a compilation.
pub struct Output {
    pub compiled: bool,
    pub log: String,
    /// The PTX; empty unless the program compiled.
    pub ptx: String,
}

impl Library {
    /// Loads the libraries in this folder.
    pub fn load(folder: &Path) -> Result<Library> {
        let load = |name: &str| {
            let path = folder.join(name);
            // SAFETY: the libraries are NVIDIA's, as their checksum shows.
            unsafe { Loaded::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) }
                .with_context(|| format!("loading {}", path.display()))
        };
        let builtins = load("libnvrtc-builtins.so.12.9")?;
        let library = load("libnvrtc.so.12")?;
        // SAFETY: nvrtc.h declares the functions with these types.
        unsafe {
            Ok(Library {
                create: library.get(b"nvrtcCreateProgram")?,
                destroy: library.get(b"nvrtcDestroyProgram")?,
                compile: library.get(b"nvrtcCompileProgram")?,
                message: library.get(b"nvrtcGetErrorString")?,
                log: Text { size: library.get(b"nvrtcGetProgramLogSize")?, get: library.get(b"nvrtcGetProgramLog")? },
                ptx: Text { size: library.get(b"nvrtcGetPTXSize")?, get: library.get(b"nvrtcGetPTX")? },
                _library: library,
                _builtins: builtins,
            })
        }
    }

    /// Compiles a source with these headers, each a name and a text.
    pub fn compile(&self, name: &str, source: &str, headers: &[(&str, &str)], options: &[String]) -> Result<Output> {
        let [name, source] = [CString::new(name)?, CString::new(source)?];
        let header_names = strings(headers.iter().map(|(name, _)| *name))?;
        let header_texts = strings(headers.iter().map(|(_, text)| *text))?;
        let options = strings(options.iter().map(String::as_str))?;
        let mut program = ptr::null_mut();
        // SAFETY: the arrays hold as many strings as stated, and these live until the program is destroyed.
        unsafe {
            let count = headers.len() as c_int;
            let texts = [pointers(&header_texts), pointers(&header_names)];
            let created = (self.create)(
                &mut program,
                source.as_ptr(),
                name.as_ptr(),
                count,
                texts[0].as_ptr(),
                texts[1].as_ptr(),
            );
            self.check(created)?;
            let status = (self.compile)(program, options.len() as c_int, pointers(&options).as_ptr());
            if status != COMPILATION {
                self.check(status)?;
            }
            let compiled = status != COMPILATION;
            let output = Output {
                compiled,
                log: self.text(&self.log, program)?,
                ptx: if compiled { self.text(&self.ptx, program)? } else { String::new() },
            };
            self.check((self.destroy)(&mut program))?;
            Ok(output)
        }
    }

    /// # Safety
    /// The program has been created and, for its PTX, compiled.
    unsafe fn text(&self, text: &Text, program: Program) -> Result<String> {
        let mut size = 0;
        // SAFETY: the buffer is as long as the library requires.
        unsafe {
            self.check((text.size)(program, &mut size))?;
            let mut bytes = vec![0u8; size];
            self.check((text.get)(program, bytes.as_mut_ptr().cast()))?;
            Ok(CStr::from_bytes_until_nul(&bytes).context("a text of NVRTC has no end")?.to_str()?.into())
        }
    }

    fn check(&self, status: Status) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the message of a status is a static string.
        let message = unsafe { CStr::from_ptr((self.message)(status)) };
        bail!("NVRTC: {}", message.to_string_lossy())
    }
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<CString>> {
    texts.map(|text| CString::new(text).context("a text with a zero in it")).collect()
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).collect()
}
