//! The protobuf wire format: numbered fields of varints, fixed numbers and byte strings.

/// What could not be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad(pub String);

#[derive(Debug, Clone, Copy)]
pub enum Scalar<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Read over: no Kubernetes message that is described here has one.
    Fixed,
}

#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    pub number: u64,
    value: Scalar<'a>,
}

impl<'a> Field<'a> {
    pub fn bytes(&self) -> Result<&'a [u8], Bad> {
        match self.value {
            Scalar::Bytes(bytes) => Ok(bytes),
            other => Err(Bad(format!(
                "field {} is {}, not bytes",
                self.number,
                other.name()
            ))),
        }
    }

    pub fn text(&self) -> Result<String, Bad> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned)
            .map_err(|_| Bad(format!("field {} is no UTF-8", self.number)))
    }

    pub fn integer(&self) -> Result<i64, Bad> {
        match self.value {
            Scalar::Varint(number) => Ok(number as i64),
            other => Err(Bad(format!(
                "field {} is {}, not a number",
                self.number,
                other.name()
            ))),
        }
    }
}

/// All fields of a message, in the order of the wire.
pub fn fields(mut bytes: &[u8]) -> Result<Vec<Field<'_>>, Bad> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Scalar::Varint(varint(&mut bytes)?),
            1 => take(&mut bytes, 8).map(|_| Scalar::Fixed)?,
            5 => take(&mut bytes, 4).map(|_| Scalar::Fixed)?,
            2 => {
                let length = varint(&mut bytes)?;
                Scalar::Bytes(take(&mut bytes, length)?)
            }
            other => return Err(Bad(format!("unknown wire type {other}"))),
        };
        all.push(Field {
            number: tag >> 3,
            value,
        });
    }
    Ok(all)
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Result<&'a [u8], Bad> {
    let split = usize::try_from(count)
        .ok()
        .and_then(|count| bytes.split_at_checked(count));
    let (head, tail) = split.ok_or_else(|| Bad("the message is cut off".into()))?;
    *bytes = tail;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Bad> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Bad("a varint is too long".into()))
}
