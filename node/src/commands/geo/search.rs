//! Searching for places: GEOSEARCH and the older GEORADIUS, with what stores their results.
//!
//! What is stored is logged as members: sines may differ between machines.

use super::{Geo, float, place, unit_m, write_distance, write_place};
use crate::commands::flag::{DENY_OOM, READ, WRITE};
use crate::commands::key_spec::{key, last_of};
use crate::commands::sorted_sets::store::{Effect, store};
use crate::commands::sorted_sets::{empty, limits};
use crate::commands::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::values::geohash::{Place, Shape, signed};
use crate::values::sorted::SortedSet;
use protocol::resp::parse_i64;

const FROM_BY: &str = "key [from=FROMMEMBER member|FROMLONLAT (longitude:double latitude:double)] \
    (by=(circle=BYRADIUS radius:double (unit=M|KM|FT|MI))|\
    (box=BYBOX width:double height:double (unit=M|KM|FT|MI))|\
    (polygon=BYPOLYGON num-vertices:integer (vertices=longitude:double latitude:double)...)) \
    [order=ASC|DESC] [count=COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]";

const FROM_BY_STORE: &str = "destination:key source:key \
    [from=FROMMEMBER member|FROMLONLAT (longitude:double latitude:double)] \
    (by=(circle=BYRADIUS radius:double (unit=M|KM|FT|MI))|\
    (box=BYBOX width:double height:double (unit=M|KM|FT|MI))|\
    (polygon=BYPOLYGON num-vertices:integer (vertices=longitude:double latitude:double)...)) \
    [order=ASC|DESC] [count=COUNT count [ANY]] [STOREDIST]";

/// Where GEORADIUS stores: the last of these options holds.
const STORES: &[&str] = &["STORE", "STOREDIST"];

pub const COMMANDS: &[Command] = &[
    command(
        "geosearch",
        -7,
        Geo,
        "6.2.0",
        "Returns the members within a circle, a box or a polygon.",
        answers!(|context, arguments| search(context, arguments, Form::Search)),
    )
    .key_flags("RO access")
    .syntax(FROM_BY)
    .flags(READ)
    .one_key(),
    command(
        "geosearchstore",
        -8,
        Geo,
        "6.2.0",
        "Stores the members within a circle, a box or a polygon.",
        answers!(|context, arguments| search(context, arguments, Form::SearchStore)),
    )
    .key_specs(&[key("OW update", 1), key("RO access", 2)])
    .syntax(FROM_BY_STORE)
    .flags(WRITE | DENY_OOM)
    .key_range(1, 2, 1),
    command(
        "georadius",
        -6,
        Geo,
        "3.2.0",
        "Returns or stores the members within a circle around a place.",
        answers!(|context, arguments| search(context, arguments, Form::Radius)),
    )
    .key_specs(&[
        key("RO access", 1),
        last_of("OW update", STORES, "STORE", 6),
        last_of("OW update", STORES, "STOREDIST", 6),
    ])
    .syntax(
        "key longitude:double latitude:double radius:double (unit=M|KM|FT|MI) [WITHCOORD] \
         [WITHDIST] [WITHHASH] [count=COUNT count [ANY]] [order=ASC|DESC] \
         [store=STORE storekey:key:key|STOREDIST storedistkey:key:key]",
    )
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "georadius_ro",
        -6,
        Geo,
        "3.2.10",
        "Returns the members within a circle around a place.",
        answers!(|context, arguments| search(context, arguments, Form::RadiusRead)),
    )
    .key_flags("RO access")
    .syntax(
        "key longitude:double latitude:double radius:double (unit=M|KM|FT|MI) [WITHCOORD] \
         [WITHDIST] [WITHHASH] [count=COUNT count [ANY]] [order=ASC|DESC]",
    )
    .flags(READ)
    .one_key(),
    command(
        "georadiusbymember",
        -5,
        Geo,
        "3.2.0",
        "Returns or stores the members within a circle around a member.",
        answers!(|context, arguments| search(context, arguments, Form::Member)),
    )
    .key_specs(&[
        key("RO access", 1),
        last_of("OW update", STORES, "STORE", 5),
        last_of("OW update", STORES, "STOREDIST", 5),
    ])
    .syntax(
        "key member radius:double (unit=M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
         [count=COUNT count [ANY]] [order=ASC|DESC] \
         [store=STORE storekey:key:key|STOREDIST storedistkey:key:key]",
    )
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "georadiusbymember_ro",
        -5,
        Geo,
        "3.2.10",
        "Returns the members within a circle around a member.",
        answers!(|context, arguments| search(context, arguments, Form::MemberRead)),
    )
    .key_flags("RO access")
    .syntax(
        "key member radius:double (unit=M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
         [count=COUNT count [ANY]] [order=ASC|DESC]",
    )
    .flags(READ)
    .one_key(),
];

/// Which of the commands it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Search,
    SearchStore,
    Radius,
    RadiusRead,
    Member,
    MemberRead,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(self, Self::Radius | Self::Member)
    }
}

const NO_SUCH_MEMBER: &str = "ERR could not decode requested zset member";

/// How a center is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Member,
    Place,
}

/// What a shape is, before its center is known.
enum Extent {
    Radius(f64),
    Box(f64, f64),
    Polygon(Vec<Place>),
}

/// What the words of a search say.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of the command"
)]
struct Query<'a> {
    /// How the request says where the center is; the last word of a kind holds.
    origin: Option<Origin>,
    /// Not known when it is a member of a key that is not there.
    center: Option<Place>,
    extent: Option<Extent>,
    /// Meters of the unit of distances.
    unit_m: f64,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    /// Whether the nearest come first, if there is an order.
    ascending: Option<bool>,
    count: usize,
    any: bool,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

/// A radius with its unit.
fn radius(words: &[&[u8]]) -> Result<(f64, f64), Failure> {
    let radius = float(words[0], "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err("ERR radius cannot be negative".into());
    }
    Ok((radius, unit_m(words[1])?))
}

/// Width and height with their unit.
fn sides(words: &[&[u8]]) -> Result<(f64, f64, f64), Failure> {
    let width = float(words[0], "ERR need numeric width")?;
    let height = float(words[1], "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err("ERR height or width cannot be negative".into());
    }
    Ok((width, height, unit_m(words[2])?))
}

fn place_of(set: Option<&SortedSet>, member: &[u8]) -> Result<Option<Place>, Failure> {
    let Some(set) = set else {
        return Ok(None);
    };
    let score = set.score_of(member).ok_or(NO_SUCH_MEMBER)?;
    Ok(Some(Place::of_score(score)))
}

impl<'a> Query<'a> {
    fn parse(arguments: &[&'a [u8]], form: Form, set: Option<&SortedSet>) -> Result<Self, Failure> {
        let mut query = Query {
            origin: None,
            center: None,
            extent: None,
            unit_m: 1.0,
            with_distance: false,
            with_hash: false,
            with_place: false,
            ascending: None,
            count: 0,
            any: false,
            store: None,
            store_distance: false,
        };
        let first = query.parse_fixed(arguments, form, set)?;
        let mut rest = &arguments[first..];
        while let [word, others @ ..] = rest {
            let word = word.to_ascii_uppercase();
            let used = if query.take_flag(&word, form) {
                0
            } else {
                query.take_option(&word, others, form, set)?
            };
            rest = &others[used..];
        }
        query.check(form, arguments[0])?;
        Ok(query)
    }

    /// Reads what stands at the beginning; gives where the options begin.
    fn parse_fixed(
        &mut self,
        arguments: &[&'a [u8]],
        form: Form,
        set: Option<&SortedSet>,
    ) -> Result<usize, Failure> {
        match form {
            Form::Search => return Ok(2),
            Form::SearchStore => {
                self.store = Some(arguments[1]);
                return Ok(3);
            }
            Form::Radius | Form::RadiusRead => {
                self.set_center(Origin::Place, Some(place(arguments[2], arguments[3])?));
                self.set_radius(&arguments[4..])?;
                return Ok(6);
            }
            Form::Member | Form::MemberRead => {}
        }
        self.set_center(Origin::Member, place_of(set, arguments[2])?);
        if set.is_some() {
            self.set_radius(&arguments[3..])?;
        }
        Ok(5)
    }

    fn set_center(&mut self, origin: Origin, center: Option<Place>) {
        (self.origin, self.center) = (Some(origin), center);
    }

    fn set_radius(&mut self, words: &[&[u8]]) -> Result<(), Failure> {
        let (radius, unit_m) = radius(words)?;
        self.unit_m = unit_m;
        self.extent = Some(Extent::Radius(radius * unit_m));
        Ok(())
    }

    /// Takes a word without a value; `false` when it is none.
    fn take_flag(&mut self, word: &[u8], form: Form) -> bool {
        match word {
            b"WITHDIST" => self.with_distance = true,
            b"WITHHASH" => self.with_hash = true,
            b"WITHCOORD" => self.with_place = true,
            b"ANY" => self.any = true,
            b"ASC" => self.ascending = Some(true),
            b"DESC" => self.ascending = Some(false),
            b"STOREDIST" if form == Form::SearchStore => self.store_distance = true,
            _ => return false,
        }
        true
    }

    /// Takes a word with values; gives how many these are.
    fn take_option(
        &mut self,
        word: &[u8],
        values: &[&'a [u8]],
        form: Form,
        set: Option<&SortedSet>,
    ) -> Result<usize, Failure> {
        match (word, values) {
            (b"COUNT", [count, ..]) => {
                let count = usize::try_from(integer(count)?).unwrap_or(0);
                if count == 0 {
                    return Err("ERR COUNT must be > 0".into());
                }
                self.count = count;
                Ok(1)
            }
            (b"STORE" | b"STOREDIST", [key, ..]) if form.may_store() => {
                self.store = Some(key);
                self.store_distance = word == b"STOREDIST";
                Ok(1)
            }
            _ if form.is_search() => self.take_shape(word, values, set),
            _ => Err(SYNTAX.into()),
        }
    }

    /// Takes where a GEOSEARCH looks; gives how many values belong to the word.
    fn take_shape(
        &mut self,
        word: &[u8],
        values: &[&'a [u8]],
        set: Option<&SortedSet>,
    ) -> Result<usize, Failure> {
        match (word, values, &self.extent) {
            (b"FROMMEMBER" | b"FROMLONLAT", _, Some(Extent::Polygon(_))) => Err(SYNTAX.into()),
            (b"FROMMEMBER", [member, ..], _) if self.origin != Some(Origin::Place) => {
                self.set_center(Origin::Member, place_of(set, member)?);
                Ok(1)
            }
            (b"FROMLONLAT", [longitude, latitude, ..], _)
                if self.origin != Some(Origin::Member) =>
            {
                self.set_center(Origin::Place, Some(place(longitude, latitude)?));
                Ok(2)
            }
            (b"BYRADIUS", [_, _, ..], None | Some(Extent::Radius(_))) => {
                self.set_radius(values)?;
                Ok(2)
            }
            (b"BYBOX", [_, _, _, ..], None | Some(Extent::Box(..))) => {
                let (width, height, unit_m) = sides(values)?;
                self.unit_m = unit_m;
                self.extent = Some(Extent::Box(width * unit_m, height * unit_m));
                Ok(3)
            }
            (b"BYPOLYGON", [count, rest @ ..], None)
                if self.origin.is_none() && !rest.is_empty() =>
            {
                let count = parse_i64(count).and_then(|count| i32::try_from(count).ok());
                let count = count.ok_or("ERR invalid number of vertices")?;
                let count = usize::try_from(count).unwrap_or(0);
                let (pairs, _) = rest.as_chunks::<2>();
                let pairs = pairs.get(..count).filter(|pairs| pairs.len() >= 3);
                let text = "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices";
                let pairs = pairs.ok_or(text)?;
                let vertices = pairs
                    .iter()
                    .map(|[longitude, latitude]| place(longitude, latitude));
                self.extent = Some(Extent::Polygon(vertices.collect::<Result<_, Failure>>()?));
                Ok(1 + 2 * count)
            }
            _ => Err(SYNTAX.into()),
        }
    }

    fn check(&self, form: Form, name: &[u8]) -> Result<(), Failure> {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            let what = if form == Form::SearchStore {
                "GEOSEARCHSTORE"
            } else {
                "STORE option in GEORADIUS"
            };
            let text = "is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
            return Err(format!("ERR {what} {text}").into());
        }
        let is_polygon = matches!(self.extent, Some(Extent::Polygon(_)));
        if form.is_search() && self.origin.is_some() == is_polygon {
            let text = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(Failure::quoting(text, name, ""));
        }
        if form.is_search() && self.extent.is_none() {
            let text = "ERR exactly one of BYRADIUS and BYBOX can be specified for ";
            return Err(Failure::quoting(text, name, ""));
        }
        if self.any && self.count == 0 {
            return Err("ERR the ANY argument requires COUNT argument".into());
        }
        Ok(())
    }

    /// The shape, when everything is known of it.
    fn shape(&mut self) -> Option<Shape> {
        match (self.extent.take()?, self.center) {
            (Extent::Polygon(vertices), _) => Some(Shape::polygon(vertices)),
            (Extent::Radius(radius_m), Some(center)) => Some(Shape::Circle { center, radius_m }),
            (Extent::Box(width_m, height_m), Some(center)) => Some(Shape::Box {
                center,
                width_m,
                height_m,
            }),
            (Extent::Radius(_) | Extent::Box(..), None) => None,
        }
    }
}

/// A member that was found.
struct Found {
    distance_m: f64,
    score: f64,
    member: Vec<u8>,
}

/// Members within a shape; no more than `most` if that is not 0.
fn within(set: &SortedSet, shape: &Shape, most: usize) -> Vec<Found> {
    let mut found = Vec::new();
    for cell in shape.cells() {
        let (from, to) = cell.scores();
        let start = set.count_before(|score, _| score < from);
        for (score, member) in set.items_from(start, false) {
            if score >= to {
                break;
            }
            if most > 0 && found.len() >= most {
                return found;
            }
            if let Some(distance_m) = shape.distance_m(Place::of_score(score)) {
                found.push(Found {
                    distance_m,
                    score,
                    member: member.to_vec(),
                });
            }
        }
    }
    found
}

fn search(context: &mut Context, arguments: &[&[u8]], form: Form) -> Result<(), Failure> {
    let source = arguments[if form == Form::SearchStore { 2 } else { 1 }];
    let source = context.hashed(source);
    let set = context.read::<SortedSet>(&source)?;
    let mut query = Query::parse(arguments, form, set)?;
    let mut found = match (set, query.shape()) {
        (Some(set), Some(shape)) => within(set, &shape, if query.any { query.count } else { 0 }),
        _ => Vec::new(),
    };
    // The nearest of all are asked for, unless any will do.
    let is_ordered = query.count > 0 && !query.any;
    match query.ascending.or(is_ordered.then_some(true)) {
        Some(true) => found.sort_by(|one, other| one.distance_m.total_cmp(&other.distance_m)),
        Some(false) => found.sort_by(|one, other| other.distance_m.total_cmp(&one.distance_m)),
        None => {}
    }
    if query.count > 0 {
        found.truncate(query.count);
    }
    match query.store {
        Some(name) => store_found(context, name, &query, &found, form),
        None => reply_found(context, &query, &found),
    }
    Ok(())
}

fn reply_found(context: &mut Context, query: &Query, found: &[Found]) {
    let reply = &mut context.reply;
    let options = [query.with_distance, query.with_hash, query.with_place];
    let options = options.iter().filter(|option| **option).count();
    reply.array(found.len());
    for item in found {
        if options > 0 {
            reply.array(options + 1);
        }
        reply.bulk(&item.member);
        if query.with_distance {
            write_distance(reply, item.distance_m / query.unit_m);
        }
        if query.with_hash {
            reply.integer(signed(item.score));
        }
        if query.with_place {
            write_place(reply, Place::of_score(item.score));
        }
    }
}

fn store_found(context: &mut Context, name: &[u8], query: &Query, found: &[Found], form: Form) {
    let (mut set, limits) = (empty(context), limits(context));
    let longest = found.iter().map(|item| item.member.len()).max();
    set.expect(found.len(), longest.unwrap_or(0), limits);
    for item in found {
        let score = if query.store_distance {
            item.distance_m / query.unit_m
        } else {
            item.score
        };
        set.insert(score, &item.member, limits);
    }
    let event = if form.is_search() {
        "geosearchstore"
    } else {
        "georadiusstore"
    };
    store(context, name, set, event, &Effect::Members);
}
