//! The IDX format of MNIST and its relatives: two zero bytes, the element type, the number of dimensions, each
//! dimension as a big-endian u32, then the elements in row-major order. Only unsigned bytes are read, because no
//! dataset here holds anything else.

use ndarray::{ArrayD, IxDyn};

const UNSIGNED_BYTE: u8 = 0x08;

/// Why bytes are not an IDX file of unsigned bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct IdxError {
    /// The offset in the file, in bytes.
    pub offset: usize,
    /// The value that was found and the one that was expected.
    pub reason: String,
}

/// Decodes a whole IDX file of unsigned bytes.
///
/// # Errors
/// Returns [`IdxError`] on a wrong magic number, another element type, and fewer or more bytes than the dimensions
/// promise. No input makes it panic or reserve more memory than the input takes.
pub fn parse(bytes: &[u8]) -> Result<ArrayD<u8>, IdxError> {
    let fail = |offset: usize, reason: String| Err(IdxError { offset, reason });

    let Some((&[zero_0, zero_1, element, rank], rest)) = bytes.split_first_chunk::<4>() else {
        return fail(bytes.len(), "the file ends inside the 4-byte magic number".into());
    };
    if [zero_0, zero_1] != [0, 0] {
        return fail(0, format!("an IDX file starts with two zero bytes, this one with {zero_0:#04x} {zero_1:#04x}"));
    }
    if element != UNSIGNED_BYTE {
        return fail(2, format!("element type {element:#04x}, expected {UNSIGNED_BYTE:#04x} (unsigned byte)"));
    }
    let Some((header, data)) = rest.split_at_checked(4 * usize::from(rank)) else {
        return fail(bytes.len(), format!("the file ends inside the sizes of its {rank} dimensions"));
    };

    let (sizes, _) = header.as_chunks::<4>();
    let shape: Vec<usize> = sizes.iter().map(|size| u32::from_be_bytes(*size) as usize).collect();
    let promised = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    if promised != Some(data.len()) {
        let promised = promised.map_or("more bytes than memory can hold".into(), |count| format!("{count} bytes"));
        let reason = format!("dimensions {shape:?} promise {promised}, the file holds {}", data.len());
        return fail(4 + header.len(), reason);
    }
    // ndarray also refuses shapes such as [0, huge, huge], whose product overflows once the zero is left out.
    ArrayD::from_shape_vec(IxDyn(&shape), data.to_vec())
        .or_else(|error| fail(4, format!("dimensions {shape:?}: {error}")))
}
