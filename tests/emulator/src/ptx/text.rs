//! Reads PTX as text: the declarations of a module and the statements of its kernels. Their meaning is decoded
//! afterwards.

use anyhow::{Context, Result, bail};

use super::instruction::Type;

/// A variable in some memory space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub align: usize,
    pub bytes: usize,
    /// Its initial value; empty if it has none.
    pub value: Vec<u8>,
}

/// A statement of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The text without the semicolon.
    pub text: String,
    /// The line of the PTX.
    pub line: usize,
    /// The source file, by its number in the module, and the line in it.
    pub source: Option<(usize, usize)>,
}

/// A kernel.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub name: String,
    pub parameters: Vec<Variable>,
    pub max_threads: Option<usize>,
    /// The declared registers; a number stands for a family, so `("%r", 3)` means %r0 to %r2.
    pub registers: Vec<(Type, String, Option<usize>)>,
    pub shared: Vec<Variable>,
    pub local: Vec<Variable>,
    pub statements: Vec<Statement>,
    /// The labels, each with the number of the statement that follows it.
    pub labels: Vec<(String, usize)>,
}

/// A module.
#[derive(Clone, Debug, Default)]
pub struct Text {
    pub entries: Vec<Entry>,
    /// Constant and global variables.
    pub variables: Vec<Variable>,
    /// Shared memory whose size the launch sets.
    pub dynamic: Vec<Variable>,
    /// The source files, by number.
    pub files: Vec<(usize, String)>,
}

impl Text {
    /// Reads a module.
    ///
    /// # Errors
    /// At the first line that contains something unknown.
    pub fn parse(text: &str) -> Result<Text> {
        let mut module = Text::default();
        let mut lines = Lines { all: text.lines().enumerate() };
        while let Some((number, line)) = lines.next() {
            module.declaration(line, number, &mut lines).with_context(|| format!("PTX line {number}: {line}"))?;
        }
        Ok(module)
    }

    fn declaration(&mut self, line: &str, number: usize, lines: &mut Lines) -> Result<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] | [".version" | ".target" | ".address_size", ..] => {}
            [".file", index, name, ..] => self.files.push((index.parse()?, name.trim_matches(['"', ',']).into())),
            [".section", ..] => lines.skip_section()?,
            [".extern", ".shared", ..] => self.dynamic.push(variable(line)?),
            [".const" | ".global", ..] | [".visible", ".const" | ".global", ..] => {
                self.variables.push(variable(&lines.statement(line)?)?);
            }
            [".entry", ..] | [".visible" | ".weak", ".entry", ..] => {
                let name = line.split_once(".entry").map_or("", |(_, name)| name).trim();
                self.entries.push(entry(name, number, lines)?);
            }
            _ => bail!("not known"),
        }
        Ok(())
    }
}

/// The lines of a module, numbered from 1, without comments and surrounding space.
struct Lines<'a> {
    all: std::iter::Enumerate<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        self.all.next().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default().trim()))
    }

    fn expect(&mut self) -> Result<(usize, &'a str)> {
        self.next().context("the module ends in the middle of something")
    }

    /// Skips debugging information, which is not needed.
    fn skip_section(&mut self) -> Result<()> {
        while self.expect()?.1 != "}" {}
        Ok(())
    }

    /// Returns this line and those after it up to the semicolon.
    fn statement(&mut self, line: &str) -> Result<String> {
        let mut statement = line.to_string();
        while !statement.ends_with(';') {
            statement.push(' ');
            statement.push_str(self.expect()?.1);
        }
        Ok(statement)
    }
}

fn entry(name: &str, number: usize, lines: &mut Lines) -> Result<Entry> {
    let (name, rest) = name.split_once('(').with_context(|| format!("line {number} has no list of parameters"))?;
    let mut entry = Entry { name: name.trim().into(), ..Entry::default() };
    let mut parameters = rest.to_string();
    while !parameters.contains(')') {
        parameters.push(' ');
        parameters.push_str(lines.expect()?.1);
    }
    let list = parameters.trim_end_matches(')');
    entry.parameters = list.split(',').filter(|one| !one.trim().is_empty()).map(variable).collect::<Result<_>>()?;
    loop {
        let (number, line) = lines.expect()?;
        if line == "{" {
            break;
        }
        match line.split_once(char::is_whitespace) {
            Some((".maxntid", sizes)) => {
                let sizes = sizes.split(',').map(|size| size.trim().parse::<usize>());
                entry.max_threads = Some(sizes.product::<Result<usize, _>>()?);
            }
            Some((".minnctapersm", _)) => {}
            None if line.is_empty() => {}
            _ => bail!("line {number}: `{line}` between the parameters and the body is not known"),
        }
    }
    body(&mut entry, lines)?;
    Ok(entry)
}

fn body(entry: &mut Entry, lines: &mut Lines) -> Result<()> {
    let mut source = None;
    let mut depth = 1;
    while depth > 0 {
        let (number, line) = lines.expect()?;
        if let Some(location) = line.strip_prefix(".loc") {
            let mut numbers = location.split_whitespace().map(|word| word.trim_end_matches(','));
            let mut number = || numbers.next().and_then(|number| number.parse().ok()).context("a .loc without numbers");
            source = Some((number()?, number()?));
        } else if let Some(label) = line.strip_suffix(':') {
            entry.labels.push((label.into(), entry.statements.len()));
        } else {
            // Inline assembly has its own blocks, on lines of several statements.
            let inside = line.strip_prefix('{').inspect(|_| depth += 1).unwrap_or(line);
            let closed = inside.strip_suffix('}').filter(|text| text.is_empty() || text.trim_end().ends_with(';'));
            let inside = closed.inspect(|_| depth -= 1).unwrap_or(inside).trim();
            let text = if inside.is_empty() { String::new() } else { lines.statement(inside)? };
            for text in text.split(';').map(str::trim).filter(|text| !text.is_empty()) {
                statement(entry, Statement { text: text.into(), line: number, source })?;
            }
        }
    }
    Ok(())
}

fn statement(entry: &mut Entry, statement: Statement) -> Result<()> {
    let text = &statement.text;
    match text.split_whitespace().next() {
        Some(".reg") => {
            let mut words = text.split_whitespace().skip(1);
            let ty = words.next().and_then(|ty| Type::parse(ty.trim_start_matches('.')));
            let ty = ty.with_context(|| format!("PTX line {}: {text}", statement.line))?;
            for name in words.flat_map(|names| names.split(',')).filter(|name| !name.is_empty()) {
                match name.split_once('<') {
                    Some((family, count)) => {
                        let count = count.trim_end_matches('>').parse()?;
                        entry.registers.push((ty, family.into(), Some(count)));
                    }
                    None => entry.registers.push((ty, name.into(), None)),
                }
            }
        }
        Some(".shared") => entry.shared.push(variable(text)?),
        Some(".local") => entry.local.push(variable(text)?),
        Some(".pragma") => {}
        _ => entry.statements.push(statement),
    }
    Ok(())
}

/// Parses declarations such as `.shared .align 16 .b8 name[64]`, `.param .u64 .ptr .align 1 name` and
/// `.const .align 4 .b8 name[8] = {1, 2, 3}`.
fn variable(text: &str) -> Result<Variable> {
    let text = text.trim().trim_end_matches(';');
    let (declaration, value) = text.split_once('=').unwrap_or((text, ""));
    let mut ty = None;
    let mut align = None;
    let mut name = "";
    let mut words = declaration.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            // For a pointer parameter, this is the alignment of its target.
            ".align" if declaration.contains(".ptr") => drop(words.next()),
            ".align" => align = Some(words.next().context("an alignment without a number")?.parse()?),
            word if word.starts_with('.') => ty = ty.or(Type::parse(&word[1..])),
            word => name = word,
        }
    }
    let ty = ty.with_context(|| format!("`{text}` has no type"))?;
    let (name, count) = match name.split_once('[') {
        Some((name, "]")) => (name, 0),
        Some((name, count)) => (name, count.trim_end_matches(']').parse::<usize>()?),
        None => (name, 1),
    };
    let mut bytes = Vec::new();
    for number in value.trim().trim_matches(['{', '}']).split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let number = match number.strip_prefix("0f") {
            Some(bits) => u64::from_str_radix(bits, 16)?,
            None => number.parse::<i64>()? as u64,
        };
        bytes.extend_from_slice(&number.to_le_bytes()[..ty.bytes()]);
    }
    let size = count * ty.bytes();
    if !bytes.is_empty() {
        bytes.resize(size, 0);
    }
    Ok(Variable { name: name.into(), align: align.unwrap_or(ty.bytes()), bytes: size, value: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"
.version 7.0
.target sm_75
.address_size 64
	.file	1 "scale.cu"
.const .align 4 .b8 table[8] = {1, 2, 3, 4, 5};
.extern .shared .align 16 .b8 dynamic[];
.visible .entry scale(
	.param .u64 .ptr .align 1 scale_param_0,
	.param .align 4 .b8 scale_param_1[12]
)
.maxntid 32, 4
{
	.reg .pred %p<2>;
	.reg .b32 	%r<3>;
	.shared .align 16 .b8 tile[64];
	.loc	1 7 3, function_name $L__info_string0, inlined_at 1 9 1
	mov.u32 	%r1, %tid.x;  // the thread
$L__BB0_2:
	{ .reg .b32 t; mov.b32 t, %r1;
	}
	mma.sync {%r1},
		{%r2};
	ret;
}
	.section	.debug_str
	{
$L__info_string0:
.b8 95
	}
"#;

    #[test]
    fn a_module_is_read() {
        let module = Text::parse(MODULE).unwrap();
        assert_eq!(module.files, [(1, "scale.cu".into())]);
        assert_eq!(module.variables[0].value, [1, 2, 3, 4, 5, 0, 0, 0]);
        assert_eq!((module.dynamic[0].name.as_str(), module.dynamic[0].align), ("dynamic", 16));
        let [entry] = &module.entries[..] else { panic!("one kernel") };
        let parameters: Vec<usize> = entry.parameters.iter().map(|parameter| parameter.bytes).collect();
        assert_eq!((entry.name.as_str(), parameters, entry.max_threads), ("scale", vec![8, 12], Some(128)));
        assert_eq!((entry.shared[0].bytes, entry.registers.len()), (64, 3));
        let texts: Vec<&str> = entry.statements.iter().map(|statement| statement.text.as_str()).collect();
        assert_eq!(texts, ["mov.u32 \t%r1, %tid.x", "mov.b32 t, %r1", "mma.sync {%r1}, {%r2}", "ret"]);
        assert_eq!(entry.labels, [("$L__BB0_2".to_string(), 1)]);
        assert_eq!(entry.statements[0].source, Some((1, 7)));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        let error = Text::parse(".func helper()\n{\n}").unwrap_err();
        assert_eq!(format!("{error:#}"), "PTX line 1: .func helper(): not known");
    }
}
