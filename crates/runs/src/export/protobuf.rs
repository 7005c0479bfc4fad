//! Writes protocol buffers, as far as they are needed here. A message is the bytes of its fields, one after another.
//!
//! The ONNX and TensorBoard messages used here have a handful of fields each, so a schema compiler would be larger
//! than all of this code.

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

/// The encoding of a field.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

impl Message {
    /// Creates a message without fields.
    pub fn new() -> Self {
        Message::default()
    }

    /// Adds an integer, boolean or enumerator.
    pub fn int(mut self, field: u64, value: i64) -> Self {
        self.tag(field, Wire::Varint);
        self.varint(value as u64);
        self
    }

    /// Adds the numbers of a repeated field.
    pub fn ints(self, field: u64, values: impl IntoIterator<Item = i64>) -> Self {
        values.into_iter().fold(self, |message, value| message.int(field, value))
    }

    /// Adds a single-precision number.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.tag(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a double-precision number.
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.tag(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds bytes or text.
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.tag(field, Wire::Bytes);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Adds a nested message.
    pub fn message(self, field: u64, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    /// Adds the messages of a repeated field.
    pub fn messages<'m>(self, field: u64, values: impl IntoIterator<Item = &'m Message>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, value))
    }

    /// Returns the encoded message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u64, wire: Wire) {
        self.varint(field << 3 | wire as u64);
    }

    /// Writes seven bits per byte, the lowest first; the eighth bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests the examples from the specification of the encoding.
    #[test]
    fn fields_are_encoded_as_specified() {
        assert_eq!(Message::new().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().bytes(2, "testing").into_bytes(), *b"\x12\x07testing");
        let inner = Message::new().int(1, 150);
        assert_eq!(Message::new().message(3, &inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().int(16, -1).into_bytes(), [&[0x80, 0x01][..], &[0xff; 9], &[0x01]].concat());
        assert_eq!(Message::new().float(1, 1.0).into_bytes(), [0x0d, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::new().double(1, 1.0).into_bytes(), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(Message::new().ints(1, [1, 2]).into_bytes(), [0x08, 1, 0x08, 2]);
    }
}
