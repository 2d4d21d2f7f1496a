//! Places: sorted sets whose scores are positions on the earth.

pub mod search;

use super::Group::Geo;
use super::flag::{DENY_OOM, READ, WRITE};
use super::sorted_sets::{AddOptions, NOT_FLOAT, add};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::values::geohash::Place;
use crate::values::sorted::SortedSet;
use protocol::resp::{Protocol, ReplyWriter, parse_double};

pub const COMMANDS: &[Command] = &[
    command(
        "geoadd",
        -5,
        Geo,
        "3.2.0",
        "Adds members at places, or moves members.",
        answers!(geoadd),
    )
    .key_flags("RW update")
    .syntax(
        "key [condition=NX|XX] [change=CH] \
         (longitude_latitude_member=longitude:double latitude:double member)...",
    )
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "geodist",
        -4,
        Geo,
        "3.2.0",
        "Returns the distance between two members.",
        answers!(geodist),
    )
    .key_flags("RO access")
    .syntax("key member1 member2 [unit=M|KM|FT|MI]")
    .flags(READ)
    .one_key(),
    command(
        "geohash",
        -2,
        Geo,
        "3.2.0",
        "Returns the geohashes of members.",
        answers!(geohash),
    )
    .key_flags("RO access")
    .syntax("key member...")
    .flags(READ)
    .one_key(),
    command(
        "geopos",
        -2,
        Geo,
        "3.2.0",
        "Returns the longitudes and latitudes of members.",
        answers!(geopos),
    )
    .key_flags("RO access")
    .syntax("key member...")
    .flags(READ)
    .one_key(),
];

/// Meters of a unit.
fn unit_m(word: &[u8]) -> Result<f64, Failure> {
    match word.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err("ERR unsupported unit provided. please use M, KM, FT, MI".into()),
    }
}

fn float(argument: &[u8], error: &'static str) -> Result<f64, Failure> {
    let value = parse_double(argument).filter(|value| !value.is_nan());
    value.ok_or(error.into())
}

/// A longitude and a latitude.
fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Failure> {
    let place = Place {
        longitude: float(longitude, NOT_FLOAT)?,
        latitude: float(latitude, NOT_FLOAT)?,
    };
    if !place.is_valid() {
        let (longitude, latitude) = (place.longitude, place.latitude);
        let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
        return Err(text.into());
    }
    Ok(place)
}

/// A distance as Redis prints it.
fn write_distance(reply: &mut ReplyWriter, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

fn write_place(reply: &mut ReplyWriter, place: Place) {
    reply.array(2);
    for value in [place.longitude, place.latitude] {
        // Redis prints 17 digits behind the point, without zeros at their end.
        let text = format!("{value:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        match reply.protocol() {
            Protocol::Resp2 => reply.bulk(text.as_bytes()),
            Protocol::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
        }
    }
}

fn geoadd(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let mut options = AddOptions::default();
    let rest = &arguments[2..];
    let is_option = |word: &&&[u8]| match word.to_ascii_uppercase().as_slice() {
        b"NX" => {
            options.only_new = true;
            true
        }
        b"XX" => {
            options.only_old = true;
            true
        }
        b"CH" => {
            options.count_changed = true;
            true
        }
        _ => false,
    };
    let words = rest.iter().take_while(is_option).count();
    let (triples, odd) = rest[words..].as_chunks::<3>();
    if !odd.is_empty() || triples.is_empty() || (options.only_new && options.only_old) {
        return Err(SYNTAX.into());
    }
    let mut scores = Vec::with_capacity(triples.len());
    for [longitude, latitude, _] in triples {
        scores.push(place(longitude, latitude)?.score().to_string());
    }
    let members = triples.iter().map(|[_, _, member]| *member);
    let pairs: Vec<[&[u8]; 2]> = scores
        .iter()
        .zip(members)
        .map(|(score, member)| [score.as_bytes(), member])
        .collect();
    add(context, arguments[1], options, &pairs)
}

fn geodist(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let unit_m = match &arguments[4..] {
        [] => 1.0,
        [unit] => unit_m(unit)?,
        _ => return Err(SYNTAX.into()),
    };
    let key = context.hashed(arguments[1]);
    let set = context.read::<SortedSet>(&key)?;
    let place = |member: &[u8]| set?.score_of(member).map(Place::of_score);
    match place(arguments[2]).zip(place(arguments[3])) {
        None => context.reply.null(),
        Some((one, other)) => {
            write_distance(&mut context.reply, one.distance_m(other) / unit_m);
        }
    }
    Ok(())
}

/// The places of members.
fn places(context: &mut Context, arguments: &[&[u8]]) -> Result<Vec<Option<Place>>, Failure> {
    let key = context.hashed(arguments[1]);
    let set = context.read::<SortedSet>(&key)?;
    let place = |member: &&[u8]| set?.score_of(member).map(Place::of_score);
    Ok(arguments[2..].iter().map(place).collect())
}

fn geohash(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let places = places(context, arguments)?;
    context.reply.array(places.len());
    for place in places {
        match place {
            Some(place) => context.reply.bulk(&place.geohash()),
            None => context.reply.null(),
        }
    }
    Ok(())
}

fn geopos(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let places = places(context, arguments)?;
    context.reply.array(places.len());
    for place in places {
        match place {
            Some(place) => write_place(&mut context.reply, place),
            None => context.reply.null_array(),
        }
    }
    Ok(())
}
