//! Hexadecimal digests.

/// Formats bytes in lower-case hexadecimal, two digits each, as in `hex(Sha256::digest(bytes))`.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(super::hex([0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }
}
