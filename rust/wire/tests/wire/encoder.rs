//! A protobuf encoder for tests: fields are written one by one, in any order and form, right or wrong.

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

pub fn message() -> Encoder {
    Encoder::default()
}

// === impl Encoder ===

impl Encoder {
    pub fn varint(self, number: u32, value: u64) -> Encoder {
        self.put(number, 0, &varint(value))
    }

    pub fn fixed64(self, number: u32, value: [u8; 8]) -> Encoder {
        self.put(number, 1, &value)
    }

    pub fn len(self, number: u32, value: impl AsRef<[u8]>) -> Encoder {
        let value = value.as_ref();
        self.put(number, 2, &[&varint(value.len() as u64), value].concat())
    }

    pub fn fixed32(self, number: u32, value: [u8; 4]) -> Encoder {
        self.put(number, 5, &value)
    }

    pub fn packed(self, number: u32, values: &[u64]) -> Encoder {
        self.len(number, values.iter().flat_map(|&value| varint(value)).collect::<Vec<u8>>())
    }

    /// A group holding one field.
    pub fn group(self, number: u32) -> Encoder {
        self.put(number, 3, &[]).varint(1, 300).put(number, 4, &[])
    }

    fn put(mut self, number: u32, wire_type: u64, payload: &[u8]) -> Encoder {
        self.bytes.extend(varint(u64::from(number) << 3 | wire_type));
        self.bytes.extend_from_slice(payload);
        self
    }
}

impl AsRef<[u8]> for Encoder {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The head of a tensor: name, datatype, shape.
pub fn tensor(name: &str, datatype: &str, shape: &[i64]) -> Encoder {
    let shape: Vec<u64> = shape.iter().map(|extent| extent.cast_unsigned()).collect();
    message().len(1, name).len(2, datatype).packed(3, &shape)
}
