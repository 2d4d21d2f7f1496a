//! DEBUG PROTOCOL: one reply of each type that the protocol has.

use crate::execute::Context;
use crate::execute::context::Failure;
use protocol::resp::Protocol;

const WRONG: &str = "ERR Wrong protocol type name. Please use one of the following: \
                     string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|\
                     false";

const BIG_NUMBER: &[u8] = b"1234567999999999999999999999999999999";

pub fn reply(context: &mut Context, kind: &[u8]) -> Result<(), Failure> {
    let reply = &mut context.reply;
    let old = reply.protocol() == Protocol::Resp2;
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        // The number that Redis has here.
        b"double" => reply.double(f64::from(3141u16) / 1000.0),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            // It stands before a reply; a client of RESP2 sees that alone.
            if !old {
                reply.raw(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if old => return Err("ERR RESP2 is not supported by this command".into()),
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"bignum" if old => reply.bulk(BIG_NUMBER),
        b"bignum" => reply.raw(&[b"(", BIG_NUMBER, b"\r\n"].concat()),
        _ => return Err(WRONG.into()),
    }
    Ok(())
}
