//! Reads the part of Python's pickle format that `torch.save` uses for state dictionaries.
//!
//! A pickle is a program for a stack machine, and one of its instructions calls any function by name, so Python's
//! reader executes whatever a file says. This reader has no such instruction. It knows a few names, and the meaning of
//! "calling" one of them is defined here: a tensor's description, an empty dictionary. Any other name is an error.

use std::collections::HashMap;

/// The reason why bytes are not a state dictionary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub(crate) struct PickleError {
    /// The position in the pickle, in bytes.
    pub(super) offset: usize,
    /// The problem at that position.
    pub(super) reason: String,
}

/// The type of a storage's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F64,
    I64,
}

impl Kind {
    /// Returns the size of a number in bytes.
    pub(super) fn size(self) -> usize {
        match self {
            Kind::F32 => 4,
            Kind::F64 | Kind::I64 => 8,
        }
    }
}

/// A sequence of numbers stored elsewhere in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) kind: Kind,
    /// The length, in numbers.
    pub(super) len: usize,
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) storage: Storage,
    /// The position of the tensor's first element in the storage, counted in numbers.
    pub(super) offset: usize,
    pub(super) size: Vec<usize>,
    pub(super) stride: Vec<usize>,
}

/// A name that a pickle may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
}

impl Name {
    const KNOWN: [(&'static str, &'static str, Name); 6] = [
        ("collections", "OrderedDict", Name::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2", Name::RebuildTensor),
        ("torch._utils", "_rebuild_parameter", Name::RebuildParameter),
        ("torch", "FloatStorage", Name::Storage(Kind::F32)),
        ("torch", "DoubleStorage", Name::Storage(Kind::F64)),
        ("torch", "LongStorage", Name::Storage(Kind::I64)),
    ];
}

/// An object. Containers refer to their items by index in the machine's list of objects, so a chain of objects is never
/// followed to its end, however long or circular it is.
#[derive(Debug)]
pub(super) enum Object {
    None,
    Bool,
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Name(Name),
    Storage(Storage),
    Tensor(View),
}

/// Limits of a storage's key and a tensor's axes. A description can be repeated many times, so each must be small.
const KEY: usize = 64;
const AXES: usize = 8;

/// The most objects of a pickle. An instruction of one byte can make one that takes a hundred.
const OBJECTS: usize = 1 << 19;

/// The index of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(usize);

/// The objects that a pickle describes.
pub(super) struct Pickle {
    objects: Vec<Object>,
    root: Id,
    /// The length of the pickle in bytes.
    pub(super) len: usize,
}

impl Pickle {
    /// Reads the pickle at the start of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Pickle, PickleError> {
        Machine { bytes, at: 0, objects: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }.run()
    }

    /// Returns the pickle's top-level object.
    pub(super) fn root(&self) -> &Object {
        self.object(self.root)
    }

    /// Returns an object by its index.
    pub(super) fn object(&self, id: Id) -> &Object {
        &self.objects[id.0]
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// The positions of marks on the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Pickle, PickleError> {
        loop {
            let start = self.at;
            let [code] = self.take()?;
            if self.objects.len() > OBJECTS {
                return self.fail(format!("more than {OBJECTS} objects, which no state dictionary needs"));
            }
            if let Some(root) = self.step(code).map_err(|error| PickleError { offset: start, ..error })? {
                return Ok(Pickle { objects: self.objects, root, len: self.at });
            }
        }
    }

    /// Executes one instruction. The last instruction gives the pickle's object. Instructions are named as in Python's
    /// `pickletools`.
    fn step(&mut self, code: u8) -> Result<Option<Id>, PickleError> {
        match code {
            // PROTO
            0x80 => {
                let [version] = self.take()?;
                if version > 3 {
                    return self.fail(format!("pickle protocol {version}; torch.save writes 2"));
                }
            }
            // STOP
            b'.' => return self.pop().map(Some),
            // GLOBAL
            b'c' => self.name()?,
            b'N' => self.push(Object::None),
            0x88 | 0x89 => self.push(Object::Bool),
            // BININT, BININT1, BININT2
            b'J' => {
                let number = i32::from_le_bytes(self.take()?);
                self.push(Object::Int(number.into()));
            }
            b'K' => {
                let [number] = self.take()?;
                self.push(Object::Int(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(self.take()?);
                self.push(Object::Int(number.into()));
            }
            // LONG1
            0x8a => self.long()?,
            // BINUNICODE, and Python 2's BINSTRING and SHORT_BINSTRING
            b'X' | b'T' => {
                let len = u32::from_le_bytes(self.take()?);
                self.text(len as usize)?;
            }
            b'U' => {
                let [len] = self.take()?;
                self.text(len.into())?;
            }
            // MARK
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Object::Tuple(Vec::new())),
            // TUPLE, TUPLE1, TUPLE2, TUPLE3
            b't' => {
                let items = self.since_mark()?;
                self.push(Object::Tuple(items));
            }
            0x85..=0x87 => {
                let items = self.last(usize::from(code - 0x84))?;
                self.push(Object::Tuple(items));
            }
            b']' => self.push(Object::List(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            // APPEND, APPENDS
            b'a' => {
                let items = self.last(1)?;
                self.append(items)?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            // SETITEM, SETITEMS
            b's' => {
                let items = self.last(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            // BINPUT, LONG_BINPUT
            b'q' => {
                let [place] = self.take()?;
                self.remember(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.take()?);
                self.remember(place)?;
            }
            // BINGET, LONG_BINGET
            b'h' => {
                let [place] = self.take()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.take()?);
                self.recall(place)?;
            }
            // BINPERSID
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            _ => return self.fail(format!("instruction {code:#04x}, which no state dictionary needs")),
        }
        Ok(None)
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, PickleError> {
        Err(PickleError { offset: self.at, reason: reason.into() })
    }

    /// Reads the next `N` bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        match self.bytes[self.at..].first_chunk() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => self.fail("the file ends inside the pickle"),
        }
    }

    /// Pushes the next `len` bytes as text.
    fn text(&mut self, len: usize) -> Result<(), PickleError> {
        let Some(bytes) = self.bytes[self.at..].get(..len) else {
            return self.fail(format!("a text of {len} bytes reaches beyond the end of the file"));
        };
        let Ok(text) = std::str::from_utf8(bytes) else { return self.fail("a text is not UTF-8") };
        self.at += len;
        self.push(Object::Text(text.into()));
        Ok(())
    }

    /// Reads a line of text and returns it without the line break.
    fn line(&mut self) -> Result<&str, PickleError> {
        let rest = &self.bytes[self.at..];
        let line = rest.iter().position(|&byte| byte == b'\n').and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        let Some(line) = line else { return self.fail("a name has no end") };
        self.at += line.len() + 1;
        Ok(line)
    }

    /// Pushes a little-endian integer of at most eight bytes.
    fn long(&mut self) -> Result<(), PickleError> {
        let [len] = self.take()?;
        let Some(bytes) = self.bytes[self.at..].get(..len.into()) else {
            return self.fail("the file ends inside a number");
        };
        if bytes.len() > 8 {
            return self.fail(format!("a number of {len} bytes"));
        }
        let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut number = [fill; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self.push(Object::Int(i64::from_le_bytes(number)));
        Ok(())
    }

    fn name(&mut self) -> Result<(), PickleError> {
        let module = self.line()?.to_owned();
        let name = self.line()?.to_owned();
        match Name::KNOWN.iter().find(|known| (known.0, known.1) == (module.as_str(), name.as_str())) {
            Some(&(.., name)) => self.push(Object::Name(name)),
            None => {
                return self.fail(format!(
                    "it asks for `{module}.{name}`, which is no part of a state dictionary of float32 or float64 tensors; \
                     nothing was run"
                ));
            }
        }
        Ok(())
    }

    fn push(&mut self, object: Object) {
        self.stack.push(Id(self.objects.len()));
        self.objects.push(object);
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let [item] = self.last(1)?[..] else { unreachable!("one item was asked for") };
        Ok(item)
    }

    /// Pops the top `count` items, which must be above the last mark.
    fn last(&mut self, count: usize) -> Result<Vec<Id>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= floor => Ok(self.stack.split_off(start)),
            _ => self.fail("the stack holds too little"),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let Some(mark) = self.marks.pop() else { return self.fail("there is no mark") };
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<Id, PickleError> {
        let Some(&top) = self.stack.last() else { return self.fail("the stack is empty") };
        Ok(top)
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<(), PickleError> {
        let top = self.top()?;
        match &mut self.objects[top.0] {
            Object::List(list) => list.append(&mut items),
            _ => return self.fail("items for what is no list"),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let top = self.top()?;
        match (&mut self.objects[top.0], items.as_chunks()) {
            (Object::Dict(dict), (pairs, [])) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return self.fail("keys and values for what is no dictionary"),
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), PickleError> {
        let Some(&item) = self.memo.get(&place) else { return self.fail(format!("nothing is remembered as {place}")) };
        self.stack.push(item);
        Ok(())
    }

    /// Replaces a persistent id with a storage. The id is ("storage", type, key, device, length); legacy files add a
    /// view, which is None.
    fn storage(&mut self) -> Result<(), PickleError> {
        let id = self.pop()?;
        let storage = match self.tuple(id).as_slice() {
            [
                Object::Text(what),
                Object::Name(Name::Storage(kind)),
                Object::Text(key),
                Object::Text(_),
                Object::Int(len),
                view @ ..,
            ] if what == "storage" && key.len() <= KEY && matches!(view, [] | [Object::None]) => {
                usize::try_from(*len).ok().map(|len| Storage { key: key.clone(), kind: *kind, len })
            }
            _ => None,
        };
        self.made(storage.map(Object::Storage), "a storage")
    }

    /// Calls one of the known names.
    fn reduce(&mut self) -> Result<(), PickleError> {
        let [name, arguments] = self.last(2)?[..] else { unreachable!("two items were asked for") };
        let Object::Name(name) = self.objects[name.0] else { return self.fail("what is called has no name") };
        let made = match (name, self.tuple(arguments).as_slice()) {
            (Name::OrderedDict, []) => Some(Object::Dict(Vec::new())),
            // The remaining arguments (requires_grad, hooks and metadata) do not affect the numbers.
            (Name::RebuildTensor, [Object::Storage(storage), Object::Int(offset), size, stride, ..]) => {
                let view = |offset| {
                    Some(View {
                        storage: storage.clone(),
                        offset,
                        size: self.lengths(size)?,
                        stride: self.lengths(stride)?,
                    })
                };
                usize::try_from(*offset).ok().and_then(view).map(Object::Tensor)
            }
            (Name::RebuildParameter, [Object::Tensor(view), ..]) => Some(Object::Tensor(view.clone())),
            _ => None,
        };
        self.made(made, "a tensor")
    }

    /// Pushes an object, or fails if there is none because its description is not one that `torch.save` writes.
    fn made(&mut self, object: Option<Object>, what: &str) -> Result<(), PickleError> {
        match object {
            Some(object) => self.push(object),
            None => return self.fail(format!("{what} is not described as torch.save does it")),
        }
        Ok(())
    }

    /// Discards the attributes of a dictionary, such as the versions of modules, because they do not affect the
    /// numbers.
    fn build(&mut self) -> Result<(), PickleError> {
        self.pop()?;
        let top = self.top()?;
        match self.objects[top.0] {
            Object::Dict(_) => Ok(()),
            _ => self.fail("attributes of what is no dictionary"),
        }
    }

    /// Returns the items of a tuple, or no items if the object is not a tuple.
    fn tuple(&self, id: Id) -> Vec<&Object> {
        match &self.objects[id.0] {
            Object::Tuple(items) => items.iter().map(|item| &self.objects[item.0]).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns a tuple of at most `AXES` lengths.
    fn lengths(&self, object: &Object) -> Option<Vec<usize>> {
        let Object::Tuple(items) = object else { return None };
        let length = |item: &Id| match self.objects[item.0] {
            Object::Int(length) => usize::try_from(length).ok(),
            _ => None,
        };
        items.iter().take(AXES + 1).map(length).collect::<Option<Vec<_>>>().filter(|lengths| lengths.len() <= AXES)
    }
}
